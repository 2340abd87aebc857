package query

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"drumlin/segment"
)

// TestFiltersAndBoundsAgree asks with random filters, and again in a form in which nothing can be skipped: as the filter
// of an aggregate over the whole table. Few values and many small segments make bounds decide often.
func TestFiltersAndBoundsAgree(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	for i, seed := range seeds(t, 2) {
		r := rand.New(rand.NewPCG(seed, 3))
		name := fmt.Sprintf("filtered%d", i)
		tab := w.table(name, i%2 == 0, 2, column("s", segment.TypeString), column("n", segment.TypeLong),
			column("m", segment.TypeLong), column("d", segment.TypeDouble))
		for range 8 {
			p := tab.partitions[r.IntN(2)]
			kind := r.IntN(4)
			for range 1 + r.IntN(5) {
				p.add(worldRow{
					millis: t0 + r.Int64N(2)*hour + r.Int64N(4)*1000, key: fmt.Sprint(r.IntN(30)),
					values: []any{oddText(r, kind), oddLong(r, kind), oddLong(r, kind+1), oddDouble(r, kind)},
				})
			}
			w.commit(tab, p, p.next)
		}
		for range 60 {
			filter := oddFilter(r, 2)
			const sums = "count(*)%[1]s, bit_xor(hash(__time, s, n, m, d))%[1]s"
			skipping := fmt.Sprintf("SELECT "+sums+" FROM "+name+" AS x WHERE %[2]s", "", filter)
			whole := fmt.Sprintf("SELECT "+sums+" FROM "+name+" AS x", " FILTER (WHERE "+filter+")")
			got, _, err := ask(e, Request{SQL: skipping})
			want, _, wantErr := ask(e, Request{SQL: whole})
			if (err == nil) != (wantErr == nil) || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d: %s\ngot  %v %v\nwant %v %v", seed, skipping, got, err, want, wantErr)
			}
		}
	}
}

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func oddText(r *rand.Rand, kind int) any {
	long := strings.Repeat("x", 63)
	switch kind {
	case 0:
		return pick[any](r, nil, "", "a", "A", "5", "10")
	case 1:
		return pick[any](r, long+"é1", long+"é2", long+"yz", strings.Repeat("\U0010FFFF", 20), "\U0010FFFF")
	case 2:
		return nil
	}
	return pick[any](r, "a\x00", "a\x00b", "é", "\uFFFD", "日本", "😀", "b%_c")
}

func oddLong(r *rand.Rand, kind int) any {
	switch kind % 4 {
	case 0:
		return pick[any](r, int64(math.MinInt64), int64(math.MaxInt64), int64(0), nil)
	case 1:
		return pick[any](r, int64(1<<53), int64(1<<53+1), int64(-1<<53-1))
	case 2:
		return nil
	}
	return r.Int64N(6)
}

func oddDouble(r *rand.Rand, kind int) any {
	switch kind {
	case 0:
		return pick[any](r, math.NaN(), math.Inf(1), math.Inf(-1), nil)
	case 1:
		return pick[any](r, math.Copysign(0, -1), 0.0, 0.1, 5e-324, -5e-324)
	case 2:
		return pick[any](r, math.NaN(), nil)
	}
	return pick[any](r, 1.0, 2.5, 9007199254740993.0, 1e308, -1e308)
}

func oddFilter(r *rand.Rand, depth int) string {
	if depth > 0 && r.IntN(2) == 0 {
		a, b := oddFilter(r, depth-1), oddFilter(r, depth-1)
		return pick(r, "("+a+" AND "+b+")", "("+a+" OR "+b+")", a+" AND "+b, "NOT ("+a+")", "("+a+") IS NOT TRUE")
	}
	column := pick(r, "s", "n", "m", "d", "__time", "x.n", `"X"."D"`, "x.__TIME")
	value := oddLiteral(r, column)
	op := pick(r, "=", "<", "<=", ">", ">=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
	switch r.IntN(8) {
	case 0:
		return fmt.Sprintf("%s IN (%s, %s)", column, value, oddLiteral(r, column))
	case 1:
		return fmt.Sprintf("%s NOT IN (%s, %s)", column, value, oddLiteral(r, column))
	case 2:
		return fmt.Sprintf("%s BETWEEN %s AND %s", column, value, oddLiteral(r, column))
	case 3:
		return fmt.Sprintf("%s %s %s", value, op, column)
	case 4:
		return column + pick(r, " IS NULL", " IS NOT NULL")
	case 5:
		if column == "s" {
			return "s " + pick(r, "LIKE 'a%'", "LIKE 'x%1'", "NOT LIKE '%'", "ILIKE 'A%'", "LIKE 'b\\%\\_c' ESCAPE '\\'", "SIMILAR TO 'a.*'")
		}
	}
	return fmt.Sprintf("%s %s %s", column, op, value)
}

func oddLiteral(r *rand.Rand, column string) string {
	switch strings.ToLower(strings.NewReplacer("x.", "", `"X".`, "", `"`, "").Replace(column)) {
	case "s":
		v, ok := oddText(r, pick(r, 0, 1, 3)).(string)
		if !ok || strings.Contains(v, "\x00") {
			return "NULL"
		}
		return quoteText(v)
	case "__time":
		at := time.UnixMilli(t0 + r.Int64N(2)*hour + r.Int64N(4)*1000).UTC()
		text := at.Format(pick(r, "2006-01-02 15:04:05", "2006-01-02T15:04:05Z", "2006-01-02", "2006-01-02 15:04:05.000000", "2006-01-02 15:04:05-07:00"))
		return pick(r, "TIMESTAMP '"+text+"'", "'"+text+"'", "CAST('"+text+"' AS DATE)", "TIMESTAMPTZ '"+text+"'",
			fmt.Sprintf("MILLIS_TO_TIMESTAMP(%d)", at.UnixMilli()), "TIMESTAMP_NS '"+text+"'")
	}
	return pick(r, "0", "3", "-9223372036854775807", "9223372036854775807", "9223372036854775808", "9007199254740992", "9007199254740993",
		"9007199254740993.0", "2.5", "0.1", "1e308", "1e999", "5e-324", "'nan'::DOUBLE", "'inf'::DOUBLE", "-1e308", "'3'", "NULL", "1::HUGEINT", "3::FLOAT")
}

// TestColumnsUnderOtherNamesAreNotPrunedBy filters by names that mean something else in the table itself.
func TestColumnsUnderOtherNamesAreNotPrunedBy(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", false, 1, column("n", segment.TypeLong), column("m", segment.TypeLong))
	tab.partitions[0].add(worldRow{millis: t0, values: []any{int64(1), int64(2)}})
	w.commit(tab, tab.partitions[0], 1)
	e := w.engine()
	for _, sql := range []string{
		"SELECT count(*) FROM events AS e(t, m, n) WHERE n = 2",
		"SELECT count(*) FROM events AS e(t, m, n) JOIN events f ON true WHERE e.n = 2 AND f.n = 1",
		"SELECT count(*) FROM events AS e(n, __time) WHERE __time = 1",
		`SELECT count(*) FROM events k, events "` + "\u212a" + `" WHERE k.n = 1 AND "` + "\u212a" + `".m = 2 AND "` + "\u212a" + `".n <> 5`,
		`SELECT count(*) FROM events k, (VALUES (7)) "` + "\u212a" + `"(n) WHERE "` + "\u212a" + `".n = 7`,
		`SELECT count(*) FROM events k LEFT JOIN events "` + "\u212a" + `" ON false WHERE k.n = 1`,
	} {
		if got := mustAsk(t, e, sql); got[0] != "1" {
			t.Errorf("%s: %v", sql, got)
		}
	}
}
