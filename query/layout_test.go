package query

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/duckdb"
	"drumlin/segment"
	"drumlin/spec"
)

// settle makes every bucket of one unit what a compaction leaves.
func settle(tab *worldTable) {
	for _, b := range tab.buckets {
		b.Head, b.Manifest = &catalog.Head{State: catalog.HeadRaw, Absorbed: 1 << 40}, &catalog.Manifest{}
		for _, s := range b.Tail {
			b.Settled = append(b.Settled, s.Meta)
		}
		b.Tail = nil
	}
}

func TestNoRowOfASettledBucketIsCompared(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", true, 1, column("n", segment.TypeLong))
	for i := range int64(30) {
		tab.partitions[0].add(worldRow{millis: t0 + i%3*hour, key: fmt.Sprint(i), values: []any{i}})
	}
	w.commit(tab, tab.partitions[0], 30)
	e := w.engine()
	for _, step := range []string{"one commit in each bucket", "settled buckets"} {
		lines, a, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events"})
		if err != nil || lines[0] != "30" || a.Stats.DedupRows != 0 {
			t.Errorf("%s: %v, %v, %+v", step, lines, err, a.Stats)
		}
		settle(tab)
	}
	tab.partitions[0].add(worldRow{millis: t0 + hour, key: "1", values: []any{int64(99)}})
	lines, a, err := ask(e, Request{SQL: "SELECT COUNT(*), SUM(n) FROM events"})
	if err != nil || lines[0] != "30 435" || a.Stats.DedupRows != 11 || a.Stats.Losers != 1 {
		t.Errorf("one hot copy makes one bucket unsettled: %v, %v, %+v", lines, err, a.Stats)
	}
}

// TestAFilterSkipsRowGroups compares how many rows the scan of a sorted segment yields with and without a filter.
func TestAFilterSkipsRowGroups(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", true, 1, column("page", segment.TypeString), column("n", segment.TypeLong))
	tab.schema.SortBy = []string{"page", segment.TimeColumn, "n"}
	const rows = 250_000 // three row groups
	for i := range int64(rows) {
		tab.partitions[0].add(worldRow{millis: t0 + i%1000, key: fmt.Sprint(i), values: []any{fmt.Sprintf("p%03d", i%500), i}})
	}
	p := tab.partitions[0]
	w.commit(tab, p, rows)
	p.add(worldRow{millis: t0, key: "7", values: []any{"p007", int64(7)}})
	e := w.engine()
	lines, a, err := ask(e, Request{SQL: "SELECT COUNT(*), SUM(n) FROM events WHERE page = 'p007'"})
	if err != nil || lines[0] != "500 62378500" || a.Stats.Losers != 1 {
		t.Fatalf("%v, %v, %+v", lines, err, a.Stats)
	}
	s, err := e.database().Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	admission := &admitted{mentions: []mention{{table: "druid.events"}}}
	snap, refused := (&asking{snapshots: &e.snapshots, needs: admission.needsOf, budget: time.Second}).snapshot(context.Background(), w.View())
	if refused != nil {
		t.Fatal(refused)
	}
	defer snap.release()
	b := newBuilder(snap, admission, memory.DefaultAllocator, e.folds)
	if err := b.plan(map[string]bool{"druid.events": true}); err != nil {
		t.Fatal(err)
	}
	pins, err := e.cache.Pin(context.Background(), b.segments())
	if err != nil {
		t.Fatal(err)
	}
	defer pins.Release()
	if err := b.makeViews(context.Background(), s, pins); err != nil {
		t.Fatal(err)
	}
	r, err := s.Query(context.Background(), "EXPLAIN SELECT SUM(n) FROM "+b.internal["druid.events"]+" WHERE page = 'p007'", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan := resultText(r)
	scan := plan[strings.Index(plan, "READ_PARQUET"):]
	if !strings.Contains(strings.Split(scan, "└")[0], "page='p007'") {
		t.Errorf("the filter does not reach Parquet:\n%s", plan)
	}
}

func resultText(r *duckdb.Result) string {
	var b []byte
	for r.Next() {
		for row := range r.Rows() {
			b = append(r.AppendText(b, row, len(r.Columns())-1), '\n')
		}
	}
	return string(b)
}

func TestAColumnThatAFileLacksIsNull(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", false, 1, column("page", segment.TypeString))
	p := tab.partitions[0]
	p.add(worldRow{millis: t0, values: []any{"old"}})
	w.commit(tab, p, 1)
	older := tab.schema
	newer := *older
	newer.ID = 2
	newer.Columns = append(append([]segment.Column(nil), older.Columns...), segment.Column{ID: 101, Name: "n", Type: segment.TypeLong})
	newer.Dimensions = []string{"n", "page"}
	tab.schema = &newer
	p.add(worldRow{millis: t0, values: []any{"new", int64(5)}})
	e := w.engine()
	for range 2 { // hot, then cold
		got := mustAsk(t, e, "SELECT * FROM events ORDER BY page")
		want := fmt.Sprintf("[%q 5 \"new\" %q null \"old\"]", spec.FormatInstant(t0), spec.FormatInstant(t0))
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if got := mustAsk(t, e, "SELECT page FROM events WHERE n = 5"); fmt.Sprint(got) != `["new"]` {
			t.Errorf("got %v", got)
		}
		w.commit(tab, p, 2)
	}
	newer.SortBy, newer.Dimensions = []string{segment.TimeColumn, "n"}, []string{"n"} // the spec fills page no more
	if got := mustAsk(t, e, "SELECT * FROM events WHERE page = 'old'"); fmt.Sprint(got) != fmt.Sprintf("[%q null \"old\"]", spec.FormatInstant(t0)) {
		t.Errorf("a dropped column stands last: %v", got)
	}
}

// TestPositionCodeOrders compares the numbers that the expression gives in DuckDB with the order of positions.
func TestPositionCodeOrders(t *testing.T) {
	db, err := duckdb.Open(duckdb.Options{MemoryLimitBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := db.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, seed := range seeds(t, 6) {
		r := rand.New(rand.NewPCG(seed, 2))
		var sources []segment.OffsetRange
		topics := []string{"a", "b", "it's"}[:1+r.IntN(3)]
		for range 1 + r.IntN(8) {
			sources = append(sources, segment.OffsetRange{
				Topic: topics[r.IntN(len(topics))], Generation: r.Int32N(3), Partition: r.Int32N(40), To: r.Int64N(1<<uint(1+r.IntN(62))) + 1,
			})
		}
		code := newPositionCode(sources)
		var all []segment.Position
		for _, src := range sources {
			for range 5 {
				all = append(all, segment.Position{Topic: src.Topic, Generation: src.Generation, Partition: r.Int32N(src.Partition + 1), Offset: r.Int64N(src.To)})
			}
		}
		sort.Slice(all, func(i, j int) bool { return positionLess(all[i], all[j]) })
		var values []string
		for i, p := range all {
			values = append(values, fmt.Sprintf("(%d, %s, %d, %d, CAST(%d AS BIGINT))", i, quoteText(p.Topic), p.Generation, p.Partition, p.Offset))
		}
		res, err := s.Query(context.Background(), fmt.Sprintf("SELECT CAST(%s AS VARCHAR) FROM (VALUES %s) v(i, __topic, __generation, __partition, __offset) ORDER BY i",
			code.sql(), strings.Join(values, ", ")), nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		numbers := strings.Fields(resultText(res))
		res.Close()
		if len(numbers) != len(all) {
			t.Fatalf("seed %d: %d numbers for %d positions", seed, len(numbers), len(all))
		}
		for i := 1; i < len(all); i++ {
			before, _ := new(big.Int).SetString(numbers[i-1], 10)
			now, _ := new(big.Int).SetString(numbers[i], 10)
			if c := before.Cmp(now); c > 0 || (c == 0) != (all[i-1] == all[i]) {
				t.Fatalf("seed %d: %+v is %s, %+v is %s", seed, all[i-1], before, all[i], now)
			}
		}
	}
}

func positionLess(a, b segment.Position) bool {
	switch {
	case a.Topic != b.Topic:
		return a.Topic < b.Topic
	case a.Generation != b.Generation:
		return a.Generation < b.Generation
	case a.Partition != b.Partition:
		return a.Partition < b.Partition
	}
	return a.Offset < b.Offset
}

func TestRejectsAreShownHotAndCold(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", true, 2, column("n", segment.TypeLong))
	for i := range int64(6) {
		tab.partitions[i%2].add(worldRow{millis: t0 + i*hour/2, reject: fmt.Sprintf("reason_%d", i)})
	}
	e := w.engine()
	ask := `SELECT datasource, supervisor, topic, generation, "partition", "offset", "timestamp", reason, raw_bytes FROM sys.rejects ORDER BY reason`
	hot := mustAsk(t, e, ask)
	if len(hot) != 6 || hot[3] != fmt.Sprintf(`"events" "events" "topic-events" 0 1 1 %q "reason_3" 8`, spec.FormatInstant(t0+3*hour/2)) {
		t.Errorf("hot: %v", hot)
	}
	w.commit(tab, tab.partitions[0], 2)
	w.commit(tab, tab.partitions[1], 3)
	if mixed := mustAsk(t, e, ask); fmt.Sprint(mixed) != fmt.Sprint(hot) {
		t.Errorf("some of them cold: %v, all hot: %v", mixed, hot)
	}
	for _, b := range tab.buckets {
		if b.Bucket.StartMillis == t0 {
			b.Head, b.Rejects = &catalog.Head{State: catalog.HeadDropped}, nil
		}
	}
	if left := mustAsk(t, e, ask); fmt.Sprint(left) != fmt.Sprint(hot[2:]) {
		t.Errorf("with the first bucket dropped: %v", left)
	}
}
