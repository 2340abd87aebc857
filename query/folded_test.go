package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"drumlin/catalog"
	"drumlin/internal/testkit"
	"drumlin/rollup"
	"drumlin/segment"
)

// rolledUp is a table of a page's visits by hour, with dedup.
func rolledUp(t *testing.T, w *world, metrics string) *compacted {
	t.Helper()
	list, _, err := rollup.ParseMetrics([]byte(metrics))
	if err != nil {
		t.Fatal(err)
	}
	return newCompacted(w, "visits", true, 1, []segment.Column{
		column("page", segment.TypeString), column("n", segment.TypeLong), column("price", segment.TypeDouble),
	}, []string{"page"}, &rollup.Definition{
		Rollup: true, QueryGranularity: granularity(t, "hour"), Dimensions: []string{"page"}, Metrics: list,
	})
}

func (c *compacted) visit(key, page string, n, price any) {
	c.tab.partitions[0].add(worldRow{millis: t0 + 1000*c.tab.partitions[0].next, key: key, values: []any{page, n, price}})
}

func (c *compacted) compactHour(d *rollup.Definition) {
	p := c.tab.partitions[0]
	c.w.commit(c.tab, p, p.next)
	c.compact(segment.Bucket{StartMillis: t0, EndMillis: t0 + hour}, d)
}

// TestSumsPastTheirTypesAreErrors holds wherever the rows are.
func TestSumsPastTheirTypesAreErrors(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	c := rolledUp(t, w, `[{"type":"count","name":"cnt"},{"type":"longSum","name":"n","fieldName":"n"},
		{"type":"floatSum","name":"f","fieldName":"price"},{"type":"doubleSum","name":"d","fieldName":"price"}]`)
	c.visit("a", "big", int64(math.MaxInt64), 3e38)
	c.visit("b", "big", int64(1), 3e38)
	c.visit("c", "small", int64(2), 0.5)
	for _, where := range []string{"hot", "folded"} {
		_, _, err := ask(e, Request{SQL: "SELECT page, n FROM visits"})
		wantKind(t, err, Invalid, "metric n", "9223372036854775808", "doubleSum")
		got := mustAsk(t, e, "SELECT page, cnt, CAST(f AS VARCHAR), d = 6e38 FROM visits ORDER BY page")
		if fmt.Sprint(got) != `["big" 2 "inf" true "small" 1 "0.5" false]` {
			t.Errorf("%s: %v", where, got)
		}
		if got := mustAsk(t, e, "SELECT n FROM visits WHERE page = 'small'"); got[0] != "2" {
			t.Errorf("%s: %v", where, got)
		}
		c.compactHour(c.own)
	}
}

func TestFoldingHasABudgetOfMemory(t *testing.T) {
	w := newWorld(t)
	rows := int64(testkit.Rounds(1000, 200))
	e := w.engine(func(o *Options) { o.MaxFoldBytes = 100 * rows })
	c := rolledUp(t, w, `[{"type":"hyperUnique","name":"ns","fieldName":"n"}]`)
	for i := range rows {
		c.visit(fmt.Sprint(i), fmt.Sprint("page", i), i, nil)
	}
	for range 2 {
		_, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM visits"})
		wantKind(t, err, OutOfMemory, fmt.Sprint(100*rows), "compact")
	}
	if used := e.folds.used.Load(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
	c.compactHour(c.own)
	if got := mustAsk(t, e, "SELECT COUNT(*) FROM visits"); got[0] != fmt.Sprint(rows) {
		t.Errorf("compacted: %v", got)
	}
}

func TestFoldingEndsWithItsQuery(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	c := rolledUp(t, w, `[{"type":"count","name":"cnt"}]`)
	rows := int64(testkit.Rounds(2000, 400))
	for i := range rows {
		c.visit(fmt.Sprint(i), fmt.Sprint("page", i), i, nil)
	}
	for _, millis := range []float64{1, 5, 20, 50} {
		_, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM visits", Context: map[string]any{"timeout": millis}})
		if err != nil {
			wantKind(t, err, Timeout)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := e.Query(ctx, Request{SQL: "SELECT COUNT(*) FROM visits"})
	wantKind(t, err, Canceled)
	if got := mustAsk(t, e, "SELECT COUNT(*) FROM visits"); got[0] != fmt.Sprint(rows) || e.folds.used.Load() != 0 {
		t.Errorf("afterwards: %v, %d bytes taken", got, e.folds.used.Load())
	}
}

// TestSettledRowsAreReadAsTheyAre shows what a query over a compacted bucket costs, and that one late row costs little more.
func TestSettledRowsAreReadAsTheyAre(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	c := rolledUp(t, w, `[{"type":"count","name":"cnt"},{"type":"longSum","name":"n","fieldName":"n"}]`)
	for i := range int64(500) {
		c.visit(fmt.Sprint(i), fmt.Sprint("page", i%100), i, nil)
	}
	c.compactHour(c.own)
	sql := "SELECT COUNT(*), SUM(cnt), SUM(n) FROM visits"
	lines, a, err := ask(e, Request{SQL: sql})
	if err != nil || lines[0] != "100 500 124750" || a.Stats.FoldedRows != 0 || a.Stats.DedupRows != 0 {
		t.Errorf("compacted: %v, %v, %+v", lines, err, a.Stats)
	}
	c.visit("7", "page7", int64(7), nil) // a copy of a folded row
	c.visit("new", "page7", int64(1), nil)
	lines, a, err = ask(e, Request{SQL: sql})
	if err != nil || lines[0] != "100 501 124751" || a.Stats.Losers != 1 || a.Stats.FoldedRows != 2 {
		t.Errorf("with a late row: %v, %v, %+v: one row and the one that it is merged with are folded", lines, err, a.Stats)
	}
}

func TestTablesOfRolledUpRows(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	c := rolledUp(t, w, `[{"type":"count","name":"cnt"},{"type":"longSum","name":"n","fieldName":"n"},
		{"type":"hyperUnique","name":"users","fieldName":"n"},{"type":"quantilesDoublesSketch","name":"q","fieldName":"price"},
		{"type":"stringLast","name":"last","fieldName":"page"},{"type":"floatMax","name":"f","fieldName":"price"}]`)
	c.visit("a", "x", int64(1), 2.5)
	c.visit("b", "x", int64(2), nil)
	columns := mustAsk(t, e, "SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 'visits' ORDER BY ORDINAL_POSITION")
	want := `["__time" "TIMESTAMP" "NO" "page" "VARCHAR" "YES" "cnt" "BIGINT" "YES" "n" "BIGINT" "YES" ` +
		`"users" "COMPLEX<HLLSketch>" "YES" "q" "COMPLEX<quantilesDoublesSketch>" "YES" "last" "VARCHAR" "YES" "f" "FLOAT" "YES"]`
	if fmt.Sprint(columns) != want {
		t.Errorf("columns:\ngot  %v\nwant %v", columns, want)
	}
	star := mustAsk(t, e, "SELECT * FROM visits")
	c.compactHour(c.own)
	if again := mustAsk(t, e, "SELECT * FROM visits"); len(star) != 1 || fmt.Sprint(again) != fmt.Sprint(star) {
		t.Errorf("SELECT * gives %v hot, and %v folded", star, again)
	}
	got := mustAsk(t, e, "SELECT num_rows, dimensions, metrics FROM sys.segments")
	if fmt.Sprint(got) != `[1 "[\"page\"]" "[\"cnt\",\"n\",\"users\",\"q\",\"last\",\"f\"]"]` {
		t.Errorf("segments: %v", got)
	}
	_, _, err := ask(e, Request{SQL: "SELECT price FROM visits"})
	wantKind(t, err, Invalid, "price")
	_, _, err = ask(e, Request{SQL: `SELECT "__carry:n" FROM visits`})
	wantKind(t, err, Invalid)
	_, _, err = ask(e, Request{SQL: "SELECT SUM(users) FROM visits"})
	wantKind(t, err, Invalid, "APPROX_COUNT_DISTINCT(column)")
}

// TestPlansThatDoNotFitAreErrors: what a head says and cannot be is no answer.
func TestPlansThatDoNotFitAreErrors(t *testing.T) {
	for name, change := range map[string]func(c *compacted, b *catalog.BucketView){
		"rollup": func(_ *compacted, b *catalog.BucketView) { b.PlanSpec = nil },
		"broken": func(_ *compacted, b *catalog.BucketView) { b.PlanSpec = []byte(`{"rollup":`) },
		"no column": func(_ *compacted, b *catalog.BucketView) {
			b.PlanSpec = []byte(`{"rollup":true,"dimensions":["gone"]}`)
		},
		"coarser": func(c *compacted, b *catalog.BucketView) {
			b.PlanSpec = []byte(`{"rollup":true,"queryGranularity":"day","dimensions":[]}`)
		},
		"deleted":     func(_ *compacted, b *catalog.BucketView) { b.Manifest.Deletions = []catalog.Deletion{{Segment: "s"}} },
		"other state": func(_ *compacted, b *catalog.BucketView) { b.Head.State = "frozen" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e := w.engine()
			c := rolledUp(t, w, `[{"type":"count","name":"cnt"}]`)
			c.visit("a", "x", int64(1), 2.5)
			c.compactHour(c.own)
			for _, b := range c.tab.buckets {
				change(c, b)
			}
			lines, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM visits"})
			var refused *Error
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), "visits") {
				t.Errorf("got %v, %v", lines, err)
			}
		})
	}
}
