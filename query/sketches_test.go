package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"drumlin/duckdb"
	"drumlin/rollup"
	"drumlin/segment"
)

const sketchMetrics = `[
	{"type":"count","name":"cnt"},
	{"type":"HLLSketchBuild","name":"pages","fieldName":"page"},
	{"type":"hyperUnique","name":"ns","fieldName":"n"},
	{"type":"cardinality","name":"prices","fields":["price"]},
	{"type":"quantilesDoublesSketch","name":"price_q","fieldName":"price"}
]`

// sketchColumns are columns of the rolled-up table beside those of raw rows that they summarise.
var sketchColumns = strings.NewReplacer("$page", "pages", "$n", "ns", "$dprice", "prices", "$price", "price_q", "$count", "SUM(cnt)")

var rawColumnsOf = strings.NewReplacer("$page", "page", "$n", "n", "$dprice", "price", "$price", "price", "$count", "COUNT(*)")

var sketchQueries = []string{
	"SELECT APPROX_COUNT_DISTINCT($page), APPROX_COUNT_DISTINCT_DS_HLL($n), APPROX_COUNT_DISTINCT($dprice), $count FROM $t",
	"SELECT kind, APPROX_COUNT_DISTINCT($n), APPROX_QUANTILE($price, 0.5), APPROX_QUANTILE_DS($price, 1) FROM $t GROUP BY 1",
	"SELECT TIME_FLOOR(__time, 'PT1H'), APPROX_COUNT_DISTINCT(x.$page) FILTER (WHERE kind = 'a') FROM druid.$t AS x GROUP BY 1 HAVING APPROX_QUANTILE(x.$price, 0) < 10",
	"WITH h AS (SELECT kind, DS_HLL($n) AS u, DS_QUANTILES_SKETCH($price) AS q FROM $t GROUP BY 1) SELECT APPROX_COUNT_DISTINCT(u), APPROX_QUANTILE(q, 0.9), SUM(HLL_SKETCH_ESTIMATE(u)), MAX(DS_GET_QUANTILE(q, 0.1)) FROM h",
	`SELECT a.kind, APPROX_QUANTILE(a."$price", 0.75) FROM $t a JOIN (SELECT DISTINCT kind AS k FROM $t) b ON a.kind = b.k GROUP BY 1`,
}

// TestSketchesDoNotShowWhatIsCompacted asks the same of raw rows and of their rolled-up twin, in random layouts of both: the
// answers are equal to the last bit.
func TestSketchesDoNotShowWhatIsCompacted(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	columns := func() []segment.Column {
		return []segment.Column{
			column("kind", segment.TypeString), column("page", segment.TypeString), column("n", segment.TypeLong), column("price", segment.TypeDouble),
		}
	}
	metrics, _, err := rollup.ParseMetrics([]byte(sketchMetrics))
	if err != nil {
		t.Fatal(err)
	}
	for i, seed := range seeds(t, 1) {
		rolledName, rawName := fmt.Sprint("rolled", i), fmt.Sprint("raw", i)
		r := rand.New(rand.NewPCG(seed, 1))
		rolled := newCompacted(w, rolledName, true, 2, columns(), []string{"kind"}, &rollup.Definition{
			Rollup: true, Dimensions: []string{"kind"}, Metrics: metrics, QueryGranularity: granularity(t, "ten_minute"),
		})
		raw := newCompacted(w, rawName, true, 2, columns(), []string{"kind", "page", "n", "price"}, &rollup.Definition{})
		for step := range 4 {
			for p := range 2 {
				for range r.IntN(150) {
					row := sketchRow(r)
					rolled.tab.partitions[p].add(row)
					raw.tab.partitions[p].add(row)
				}
			}
			rolled.settle(r)
			raw.settle(r)
			for _, q := range sketchQueries {
				q = "SELECT * FROM (" + q + ") ORDER BY ALL"
				got := mustAsk(t, e, strings.ReplaceAll(sketchColumns.Replace(q), "$t", rolledName))
				want := mustAsk(t, e, strings.ReplaceAll(rawColumnsOf.Replace(q), "$t", rawName))
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("seed %d step %d: %s:\nrolled up %v\nraw       %v", seed, step, q, got, want)
				}
			}
		}
		delete(w.tables, rolledName)
		delete(w.tables, rawName)
	}
}

// sketchRow makes a record whose content its key decides: copies are equal.
func sketchRow(r *rand.Rand) worldRow {
	number := r.IntN(400)
	k := rand.New(rand.NewPCG(uint64(number), 2))
	return worldRow{
		millis: t0 + k.Int64N(3*hour), key: fmt.Sprint("key", number), values: []any{
			pick[any](k, "a", "b", nil), pick[any](k, fmt.Sprint("page", k.IntN(90)), strings.Repeat("long ", k.IntN(12)), nil),
			pick[any](k, k.Int64N(1000), k.Int64(), nil),
			pick[any](k, k.NormFloat64()*100, float64(k.IntN(3)), math.Copysign(0, -1), math.NaN(), math.Inf(-1), nil),
		},
	}
}

// settle hands some rows off and compacts some hours.
func (c *compacted) settle(r *rand.Rand) {
	for _, p := range c.tab.partitions {
		if r.IntN(2) == 0 {
			c.handoff(r, p, p.committed+r.Int64N(p.next-p.committed+1))
		}
	}
	for at := t0; at < t0+3*hour; at += hour {
		if r.IntN(3) == 0 {
			c.compact(segment.Bucket{StartMillis: at, EndMillis: at + hour}, c.own)
		}
	}
}

// openSketches opens DuckDB with the sketches of this package.
func openSketches(t testing.TB, maxBytes int64) (*duckdb.DB, *duckdb.Session) {
	t.Helper()
	db, err := duckdb.Open(duckdb.Options{MemoryLimitBytes: 512 << 20, Threads: 2, Sketches: newSketches(), MaxSketchBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // closing the database fails where sketches have not been given back
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return db, s
}

// one gives the only value of a statement as text, nil for null.
func one(s *duckdb.Session, sql string, parameters ...any) ([]byte, error) {
	r, err := s.Query(context.Background(), sql, parameters)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if !r.Next() || r.IsNull(0, 0) {
		return nil, nil
	}
	return r.AppendText(nil, 0, 0), nil
}

// TestSQLHashesAsRollupDoes holds the hashing in C to rollup's, by the bytes of the sketches that come out.
func TestSQLHashesAsRollupDoes(t *testing.T) {
	_, s := openSketches(t, 0)
	doubles := []float64{0, math.Copysign(0, -1), 1, -1.5, math.NaN(), math.Inf(1), math.MaxFloat64, 5e-324}
	longs := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1_700_000_000_123}
	for i := range 100 {
		text := strings.ToValidUTF8(strings.Repeat("ä-xyz", i)[:i], "_")
		doubles, longs = append(doubles, float64(i)/7), append(longs, int64(i)*1e12)
		checkSketch(t, s, "?::VARCHAR", text, rollup.HashString(text))
	}
	for _, v := range doubles {
		checkSketch(t, s, "?::DOUBLE", v, rollup.HashDouble(v))
		checkSketch(t, s, "?::FLOAT", float64(float32(v)), rollup.HashDouble(float64(float32(v))))
	}
	for _, v := range longs {
		checkSketch(t, s, "?::BIGINT", v, rollup.HashLong(v))
		checkSketch(t, s, "?::HUGEINT", v, rollup.HashLong(v))
		if v > -1e15 && v < 1e15 {
			checkSketch(t, s, "make_timestamp_ms(?)", v, rollup.HashLong(v))
			checkSketch(t, s, "make_timestamp(?::BIGINT * 1000 + 999)", v, rollup.HashLong(v))
		}
	}
}

func checkSketch(t *testing.T, s *duckdb.Session, expression string, value any, hash uint64) {
	t.Helper()
	var d rollup.Distinct
	d.Add(hash)
	want, err := d.AppendState(nil)
	if err != nil {
		t.Fatal(err)
	}
	equal, err := one(s, "SELECT DS_HLL("+expression+") = ?::BLOB", value, want)
	if err != nil || !bytes.Equal(equal, []byte("true")) {
		t.Errorf("%s of %v: the hash differs (%s, %v)", expression, value, equal, err)
	}
}

// TestSketchesOverMillions compares millions of values with the same sketches filled by hand.
func TestSketchesOverMillions(t *testing.T) {
	_, s := openSketches(t, 64<<20)
	const rows = 2_000_000
	var d rollup.Distinct
	var q rollup.Quantiles
	for i := range int64(rows) {
		d.Add(rollup.HashLong(i * 7 % 1_999_993))
		q.Add(float64(i%1000) / 3)
	}
	want, _, err := q.Quantile(0.3)
	if err != nil {
		t.Fatal(err)
	}
	got, err := one(s, fmt.Sprintf(`SELECT APPROX_COUNT_DISTINCT_DS_HLL(i * 7 %% 1999993) = ? AND APPROX_QUANTILE_DS((i %% 1000) / 3.0::DOUBLE, 0.3) = ?
		FROM range(%d) t(i)`, rows), d.Estimate(), want)
	if err != nil || string(got) != "true" {
		t.Fatalf("%s, %v", got, err)
	}
	got, err = one(s, fmt.Sprintf(`SELECT SUM(n) FROM (SELECT APPROX_COUNT_DISTINCT_DS_HLL(i %% 3) AS n FROM range(%d) t(i) GROUP BY i // 20)`, rows))
	if err != nil || string(got) != fmt.Sprint(rows/20*3) {
		t.Fatalf("%s, %v", got, err)
	}
}

// TestSketchesStayWithinTheirMemory: past the limit a query fails, and everything is given back.
func TestSketchesStayWithinTheirMemory(t *testing.T) {
	_, s := openSketches(t, 8<<20)
	for _, sql := range []string{
		"SELECT COUNT(*) FROM (SELECT APPROX_COUNT_DISTINCT_DS_HLL(i) AS n FROM range(3000000) t(i) GROUP BY i % 1500000) WHERE n > 1",
		"SELECT COUNT(*) FROM (SELECT APPROX_QUANTILE_DS(i, 0.5) AS n FROM range(3000000) t(i) GROUP BY i % 20000) WHERE n > 1",
		"SELECT COUNT(*) FROM (SELECT APPROX_COUNT_DISTINCT_DS_HLL(u) AS n FROM (SELECT DS_HLL(i) AS u, i // 2 AS g FROM range(400000) t(i) GROUP BY i) GROUP BY g) WHERE n > 1",
	} {
		if got, err := one(s, sql); !errors.Is(err, duckdb.ErrOutOfMemory) {
			t.Errorf("%s: %s, %v", sql, got, err)
		}
		if got, err := one(s, "SELECT APPROX_COUNT_DISTINCT_DS_HLL(i) FROM range(100) t(i)"); err != nil || string(got) != "100" {
			t.Fatalf("afterwards: %s, %v", got, err)
		}
	}
}

// TestSketchesAreInterrupted: a query that is cancelled ends soon and gives everything back.
func TestSketchesAreInterrupted(t *testing.T) {
	_, s := openSketches(t, 0)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := s.Query(ctx, "SELECT COUNT(*) FROM (SELECT APPROX_QUANTILE_DS(i, 0.5) AS n, APPROX_COUNT_DISTINCT_DS_HLL(i) FROM range(1000000000) t(i) GROUP BY i % 1000) WHERE n > 1", nil)
	if !errors.Is(err, duckdb.ErrInterrupted) {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 30*time.Second { // whole, it would take minutes
		t.Errorf("it took %s", took)
	}
}

// TestSketchMemoryError is the error that a query over tables gives.
func TestSketchMemoryError(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", false, 1, column("n", segment.TypeLong))
	for i := range int64(2000) {
		tab.partitions[0].add(worldRow{millis: t0, values: []any{i}})
	}
	e := w.engine(func(o *Options) { o.DuckDB.MaxSketchBytes = 1 << 10 })
	_, _, err := ask(e, Request{SQL: "SELECT n, APPROX_COUNT_DISTINCT(n) FROM events GROUP BY 1"})
	var refused *Error
	if !errors.As(err, &refused) || refused.Kind != OutOfMemory {
		t.Fatal(err)
	}
}

// FuzzStoredSketches gives any bytes to the functions that read sketches: they agree with rollup's own decoders, and merging
// what was accepted gives a sketch again.
func FuzzStoredSketches(f *testing.F) {
	var d, large rollup.Distinct
	var q rollup.Quantiles
	for i := range int64(100_000) {
		if i < 50 {
			d.Add(rollup.HashLong(i))
			q.Add(float64(i) - 20)
		}
		large.Add(rollup.HashLong(i))
	}
	for _, sketch := range []*rollup.Distinct{&d, &large} {
		state, err := sketch.AppendState(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(state)
		f.Add(state[:len(state)/2])
	}
	f.Add(q.AppendState(nil))
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 1})
	_, s := openSketches(f, 0)
	f.Fuzz(func(t *testing.T, state []byte) {
		n, wantErr := rollup.EstimateDistinct(state)
		for _, sql := range []string{
			"SELECT HLL_SKETCH_ESTIMATE(?::BLOB)", "SELECT APPROX_COUNT_DISTINCT_DS_HLL(?::BLOB)",
			"SELECT HLL_SKETCH_ESTIMATE(DS_HLL(x)) FROM (SELECT ?::BLOB AS x FROM range(3))",
		} {
			checkRead(t, s, sql, state, fmt.Sprint(n), wantErr)
		}
		v, ok, wantErr := rollup.QuantileOf(state, 0.5)
		if wantErr == nil && !ok {
			t.Fatalf("%x: a sketch of nothing", state)
		}
		for _, sql := range []string{"DS_GET_QUANTILE(?::BLOB, 0.5)", "APPROX_QUANTILE_DS(?::BLOB, 0.5)"} {
			checkRead(t, s, fmt.Sprintf("SELECT abs(%s - CAST('%v' AS DOUBLE)) = 0", sql, v), state, "true", wantErr)
		}
	})
}

func checkRead(t *testing.T, s *duckdb.Session, sql string, state []byte, want string, wantErr error) {
	t.Helper()
	got, err := one(s, sql, state)
	var refused *duckdb.SQLError
	switch {
	case wantErr != nil && !(errors.As(err, &refused) && refused.Kind == duckdb.KindSketch):
		t.Errorf("%s of %.40x: %s, %v, want an error as %v", sql, state, got, err, wantErr)
	case wantErr == nil && (err != nil || string(got) != want):
		t.Errorf("%s of %.40x: %s, %v, want %s", sql, state, got, err, want)
	}
}
