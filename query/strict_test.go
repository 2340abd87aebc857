package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/segment"
)

// strict gives not one column, row or reject more than was asked for.
type strict struct{ HotSource }

func (s strict) Hot(ctx context.Context, r segment.HotRequest) (*segment.HotRows, error) {
	all, err := s.HotSource.Hot(ctx, r)
	if err != nil {
		return nil, err
	}
	defer all.Release()
	out := &segment.HotRows{OffsetRange: all.OffsetRange, Counters: all.Counters}
	wanted := func(millis int64) bool {
		return r.FromMillis == 0 && r.ToMillis == 0 || r.FromMillis <= millis && millis < r.ToMillis
	}
	for _, b := range all.Data {
		if b.ToOffset > r.From {
			out.Data = append(out.Data, narrowed(b, r.Columns, wanted)...)
		}
	}
	for _, b := range all.Rejects {
		if r.WithRejects && b.ToOffset > r.From {
			out.Rejects = append(out.Rejects, narrowed(b, nil, wanted)...)
		}
	}
	return out, nil
}

// narrowed makes a batch of each wanted row.
func narrowed(b segment.HotBatch, columns []string, wanted func(millis int64) bool) []segment.HotBatch {
	var fields []arrow.Field
	var values []arrow.Array
	for i, f := range b.Record.Schema().Fields() {
		if columns == nil || strings.HasPrefix(f.Name, "__") || slices.Contains(columns, f.Name) {
			fields, values = append(fields, f), append(values, b.Record.Column(i))
		}
	}
	record := array.NewRecordBatch(arrow.NewSchema(fields, nil), values, b.Record.NumRows())
	defer record.Release()
	var out []segment.HotBatch
	for row := range record.NumRows() {
		times, _ := timeColumn(record)
		offsets, _ := int64Column(record, segment.OffsetColumn)
		millis := segment.FloorMillis(int64(times.Value(int(row))))
		if !wanted(millis) {
			continue
		}
		one := b
		one.Record, one.Buckets = record.NewSlice(row, row+1), nil
		one.MinMillis, one.MaxMillis = millis, millis
		one.FromOffset, one.ToOffset = offsets.Value(int(row)), offsets.Value(int(row))+1
		out = append(out, one)
	}
	return out
}

// statements name columns in every way that the gate lets through.
var statements = []string{
	"SELECT COUNT(*) FROM a", "SELECT COUNT(*), COUNT() FROM a WHERE n < 20", "SELECT * FROM a", "FROM a", "SELECT a.* FROM a",
	"SELECT x.* FROM a x, b", "SELECT x.* EXCLUDE (page) FROM a x", "SELECT * REPLACE (n + 1 AS n) FROM a", "SELECT COLUMNS('.*g.*') FROM a",
	"SELECT MIN(COLUMNS(*)) FROM a", "SELECT #2 FROM a", "SELECT #1, #2 FROM a ORDER BY 1, 2", "SELECT a FROM a", "SELECT (y).page FROM a y", "SELECT y['n'] FROM a y",
	"SELECT y.page FROM a AS y(t, page, n)", "SELECT t, p FROM a AS y(t, p)", "SELECT PAGE FROM A", "SELECT druid.a.page FROM druid.a",
	"SELECT COUNT(*) FROM a JOIN b USING (page)", "SELECT COUNT(*) FROM a NATURAL JOIN b", "SELECT a.n FROM a JOIN b ON a.n = b.n",
	"SELECT COUNT(*) FROM a LEFT JOIN b USING (page, n)", "SELECT COUNT(*) FROM a ASOF JOIN b USING (page, __time)",
	"SELECT COUNT(*) FROM a SEMI JOIN b USING (n)", "SELECT page FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.n = a.n)",
	"SELECT page FROM a WHERE EXISTS (SELECT * FROM b WHERE b.page = a.page)", "SELECT (SELECT MAX(n) FROM b WHERE b.page = a.page) FROM a",
	"SELECT * FROM (SELECT page, COUNT(*) FROM a GROUP BY 1)", "WITH c AS (SELECT page AS p, n FROM a) SELECT * FROM c WHERE n > 3",
	"WITH c AS (SELECT * FROM a) SELECT n FROM c", "WITH c AS (FROM a) SELECT c FROM c", "WITH c(p, q) AS (SELECT page, n FROM a) SELECT p FROM c",
	"WITH a AS (SELECT n FROM a) SELECT * FROM a", "SELECT page FROM a UNION ALL BY NAME SELECT n, page FROM b ORDER BY ALL",
	"SELECT page, SUM(n) FROM a GROUP BY ALL", "SELECT DISTINCT ON (page) page FROM a ORDER BY page, n", "SELECT n FROM a ORDER BY page, n",
	"SELECT n, row_number() OVER (PARTITION BY page ORDER BY n, __time) FROM a", "SELECT n FROM a QUALIFY n = MAX(n) OVER (PARTITION BY page)",
	"SELECT n FROM a GROUP BY n HAVING MAX(page) > 'page0'", "SELECT COUNT(*) FILTER (WHERE page = 'page1') FROM a",
	"SELECT list_transform([1, 2], x -> x + n) FROM a", "SELECT [z + n FOR z IN [1, 2] IF z < n] FROM a", "SELECT CASE WHEN n > 5 THEN page END FROM a",
	"SELECT COUNT(*) FROM a, LATERAL (SELECT a.n AS m) WHERE m < 30", "SELECT u FROM a, unnest([n, n + 1]) t(u)", "SELECT COUNT(*) FROM a POSITIONAL JOIN b",
	"SELECT TIME_FLOOR(__time, 'PT1H'), SUM(n) FROM a GROUP BY 1", "SELECT page FROM a WHERE __time = (SELECT MAX(__time) FROM b)",
	"SELECT a.page FROM a WHERE __time >= MILLIS_TO_TIMESTAMP(%d)", "SELECT COUNT(*) FROM a WHERE __time < MILLIS_TO_TIMESTAMP(%d)",
	"SELECT x.n FROM a x JOIN a y ON x.n = y.n WHERE x.__time < MILLIS_TO_TIMESTAMP(%d) AND y.__time >= MILLIS_TO_TIMESTAMP(%[1]d)",
	"SELECT COUNT(*) FROM a WHERE __time < MILLIS_TO_TIMESTAMP(%d) AND __time > MILLIS_TO_TIMESTAMP(%[1]d)",
	"SELECT COUNT(*) FROM a WHERE __time > MILLIS_TO_TIMESTAMP(-62135596800000) AND __time < '9999-12-31'",
	"SELECT COUNT(*) FROM a LEFT JOIN b ON a.n = b.n WHERE b.__time < MILLIS_TO_TIMESTAMP(%d)",
	`SELECT reason, COUNT(*) FROM sys.rejects GROUP BY 1`, `SELECT r."offset", a.n FROM sys.rejects r, a WHERE a.__time < MILLIS_TO_TIMESTAMP(%d)`,
	"SELECT num_rows, state FROM sys.segments WHERE state = 'hot'", "SELECT COUNT(*) FROM sys.chunks, a", "SELECT 1",
}

// TestOwnersMayLeaveOutWhatWasNotAskedFor asks random data of one engine whose owners give all they have, and of another
// whose owners give nothing beyond the request.
func TestOwnersMayLeaveOutWhatWasNotAskedFor(t *testing.T) {
	w := newWorld(t)
	all, exact := w.engine(), w.engine(func(o *Options) { o.Hot = strict{w} })
	for _, seed := range seeds(t, 2) {
		r := rand.New(rand.NewPCG(seed, 7))
		for _, name := range []string{"a", "b"} {
			tab := w.table(name, r.IntN(3) > 0, 2, column("page", segment.TypeString), column("n", segment.TypeLong))
			for _, p := range tab.partitions {
				for range 10 + r.IntN(10) {
					p.add(randomRow(r))
				}
				w.commit(tab, p, r.Int64N(p.next))
			}
			settleOne(w, tab, r)
		}
		for _, sql := range statements {
			if strings.Contains(sql, "%") {
				sql = fmt.Sprintf(sql, t0+r.Int64N(3)*hour+r.Int64N(hour))
			}
			want, wantCut, wantErr := ask(all, Request{SQL: sql})
			got, gotCut, gotErr := ask(exact, Request{SQL: sql})
			slices.Sort(want)
			slices.Sort(got)
			if wantErr != nil || gotErr != nil {
				t.Errorf("seed %d: %s: %v, %v", seed, sql, wantErr, gotErr)
				continue
			}
			if fmt.Sprint(want) != fmt.Sprint(got) || fmt.Sprint(wantCut.Cut) != fmt.Sprint(gotCut.Cut) || wantCut.Stats != gotCut.Stats {
				t.Errorf("seed %d: %s:\nof all    %v %+v\nof no more %v %+v", seed, sql, want, wantCut.Stats, got, gotCut.Stats)
			}
		}
	}
}

// TestWhatIsAskedFor holds requests against what they should be for some statements.
func TestWhatIsAskedFor(t *testing.T) {
	w, _ := small(t)
	var asked segment.HotRequest
	w.refuse = func(r segment.HotRequest) error {
		asked = r
		return nil
	}
	e := w.engine()
	for sql, want := range map[string]string{
		"SELECT COUNT(*) FROM events": "columns [] rejects false all times",
		"SELECT n FROM events":        "columns [n] rejects false all times",
		"SELECT * FROM (SELECT page, COUNT(*) FROM events GROUP BY 1) x": "columns [page] rejects false all times",
		"SELECT * FROM events":           "every column rejects false all times",
		"SELECT n, page FROM events":     "every column rejects false all times",
		"SELECT reason FROM sys.rejects": "columns [] rejects true all times",
		fmt.Sprintf("SELECT n FROM events WHERE __time = MILLIS_TO_TIMESTAMP(%d)", t0+5):    fmt.Sprint("columns [n] rejects false ", t0, " ", t0+hour),
		fmt.Sprintf("SELECT n FROM events WHERE __time < MILLIS_TO_TIMESTAMP(%d)", t0+hour): fmt.Sprint("columns [n] rejects false ", -(int64(1)<<57)/1000-1, " ", t0+hour),
		"SELECT n FROM events WHERE __time < '2020-01-01' AND __time > '2021-01-01'":        "columns [n] rejects false none",
	} {
		mustAsk(t, e, sql)
		got := "every column"
		if asked.Columns != nil {
			got = fmt.Sprint("columns ", asked.Columns)
		}
		got += fmt.Sprint(" rejects ", asked.WithRejects)
		switch {
		case asked.FromMillis == 0 && asked.ToMillis == 0:
			got += " all times"
		case asked.FromMillis >= asked.ToMillis:
			got += " none"
		default:
			got += fmt.Sprint(" ", asked.FromMillis, " ", asked.ToMillis)
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", sql, got, want)
		}
	}
}

// leavesOut drops a column that was asked for, as a fault of an owner would.
type leavesOut struct {
	HotSource
	column string
}

func (l leavesOut) Hot(ctx context.Context, r segment.HotRequest) (*segment.HotRows, error) {
	rows, err := l.HotSource.Hot(ctx, r)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	out := &segment.HotRows{OffsetRange: rows.OffsetRange, Counters: rows.Counters}
	for _, b := range rows.Data {
		var fields []arrow.Field
		var values []arrow.Array
		for i, f := range b.Record.Schema().Fields() {
			if f.Name != l.column {
				fields, values = append(fields, f), append(values, b.Record.Column(i))
			}
		}
		b.Record = array.NewRecordBatch(arrow.NewSchema(fields, nil), values, b.Record.NumRows())
		out.Data = append(out.Data, b)
	}
	return out, nil
}

func TestAColumnThatAnOwnerLeavesOutIsNoNull(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", true, 1, column("page", segment.TypeString), column("n", segment.TypeLong))
	tab.partitions[0].add(worldRow{millis: t0, key: "k", values: []any{"p", int64(1)}})
	for _, name := range []string{"n", segment.IDLowColumn, segment.TimeColumn, segment.OffsetColumn} {
		e := w.engine(func(o *Options) { o.Hot = leavesOut{w, name} })
		_, _, err := ask(e, Request{SQL: "SELECT n FROM events", Context: map[string]any{"hotTimeout": 0}})
		wantKind(t, err, Unavailable, "left out the column "+name)
	}
}
