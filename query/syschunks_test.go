package query

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/segment"
)

// TestSysTasks shows tasks in every state.
func TestSysTasks(t *testing.T) {
	v := &catalog.View{
		Nodes: map[string]catalog.Node{"n1": {ID: "n1", Address: "host1:8091"}, "n2": {ID: "n2", Address: "odd"}},
		Tasks: map[string]*catalog.TaskView{},
	}
	add := func(t catalog.Task) { v.Tasks[t.ID] = &catalog.TaskView{Task: t} }
	const created = int64(1_600_000_000_000)
	add(catalog.Task{ID: "done", Group: "g", Type: "compact", Datasource: "d", CreatedMillis: created, State: catalog.TaskSuccess, StartedMillis: created + 10, FinishedMillis: created + 35, Node: "gone", Attempt: 2, Done: 3, Total: 3, Origin: "user", Priority: 25})
	add(catalog.Task{ID: "failed", CreatedMillis: created + 1, State: catalog.TaskFailed, Error: "no rows", FinishedMillis: created + 2})
	add(catalog.Task{ID: "running", CreatedMillis: created + 2, State: catalog.TaskRunning, Node: "n1", StartedMillis: created + 3, CancelRequested: true})
	add(catalog.Task{ID: "later", CreatedMillis: created + 3, State: catalog.TaskWaiting, Node: "n2", NotBeforeMillis: created + 100})
	add(catalog.Task{ID: "next", CreatedMillis: created + 4, State: catalog.TaskWaiting, NotBeforeMillis: created + 99})
	var got []string
	for _, row := range taskRows(v, created+99) {
		if len(row) != len(systemTables["sys.tasks"]) {
			t.Fatalf("%d values in a row", len(row))
		}
		got = append(got, strings.ReplaceAll(fmt.Sprint(row), "2020-09-13T12:26:40", ""))
	}
	want := `[next      .004Z .004Z RUNNING PENDING -1 <nil> <nil> -1 -1 <nil> 0  0 0 0 0 <nil> <nil> <nil> <nil>]
[later      .003Z .003Z RUNNING WAITING -1 odd odd -1 -1 <nil> 0  0 0 0 0 n2 <nil> <nil> .100Z]
[running      .002Z .002Z RUNNING RUNNING -1 host1:8091 host1 8091 -1 <nil> 0  0 0 0 1 n1 .003Z <nil> <nil>]
[failed      .001Z .001Z FAILED NONE 0 <nil> <nil> -1 -1 no rows 0  0 0 0 0 <nil> <nil> .002Z <nil>]
[done g compact d .000Z .000Z SUCCESS NONE 25 <nil> <nil> -1 -1 <nil> 25 user 2 3 3 0 gone .010Z .035Z <nil>]`
	if lines := strings.Join(squeezed(got), "\n"); lines != strings.Join(squeezed(strings.Split(want, "\n")), "\n") {
		t.Errorf("got\n%s", lines)
	}
}

func squeezed(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.Join(strings.Fields(l), " ")
	}
	return out
}

// TestSysTablesOfCompactedChunks asks for figures before and after two hours are folded, in SQL and in gauges.
func TestSysTablesOfCompactedChunks(t *testing.T) {
	w := newWorld(t)
	registry := prometheus.NewRegistry()
	e := w.engine(func(o *Options) { o.Registerer = registry })
	metrics, _, err := rollup.ParseMetrics([]byte(`[{"type":"count","name":"cnt"},{"type":"longSum","name":"n","fieldName":"n"}]`))
	if err != nil {
		t.Fatal(err)
	}
	own := &rollup.Definition{Rollup: true, Dimensions: []string{"page", "kind"}, Metrics: metrics, QueryGranularity: granularity(t, "hour")}
	c := newCompacted(w, "pages", true, 1, []segment.Column{
		column("page", segment.TypeString), column("kind", segment.TypeString), column("n", segment.TypeLong),
	}, []string{"page", "kind"}, own)
	p := c.tab.partitions[0]
	for i := range int64(60) { // half of the second hour's are copies
		p.add(worldRow{millis: t0 + i%2*hour, key: fmt.Sprint("key", i%40), values: []any{fmt.Sprint("p", i%4), nil, i % 40}})
		if i == 29 || i == 59 {
			w.commit(c.tab, p, p.next)
		}
	}
	const chunks = `SELECT "start", segments, tail_segments, "rows", events, rollup_ratio, duplicates, filtered, write_amplification, state, plan IS NOT NULL,
		sequence, members, known_ids, ingested_segments, ingested_rows, written_segments, last_compaction_state FROM sys.chunks WHERE datasource = 'pages' ORDER BY 1`
	expect(t, e, chunks,
		`"2023-11-14T22:00:00.000Z" 2 2 30 30 1.0 0 0 0.0 "uncompacted" true 0 1 0 2 30 0 null`,
		`"2023-11-14T23:00:00.000Z" 2 2 30 30 1.0 0 0 0.0 "uncompacted" true 0 1 0 2 30 0 null`)
	narrow, err := own.Narrow(rollup.Change{Dimensions: []string{"page"}}, c.tab.schema)
	if err != nil {
		t.Fatal(err)
	}
	bucket := segment.Bucket{StartMillis: t0, EndMillis: t0 + hour}
	c.compact(bucket, narrow)
	b := c.tab.buckets[bucket]
	b.Head.Sequence = 1
	b.Manifest.LastCompaction = json.RawMessage(`{"version":1,"partitionDimensions":["page"]}`)
	b.Manifest.Totals = catalog.Totals{AbsorbedSegments: 2, AbsorbedRows: 30, AbsorbedBytes: 1000, WrittenSegments: 1, WrittenBytes: 250, Duplicates: 10}
	expect(t, e, chunks,
		`"2023-11-14T22:00:00.000Z" 1 0 2 20 10.0 10 0 0.25 "folded" true 1 1 20 2 30 1 "{\"version\":1,\"partitionDimensions\":[\"page\"]}"`,
		`"2023-11-14T23:00:00.000Z" 2 2 30 30 1.0 0 0 0.0 "uncompacted" true 0 1 0 2 30 0 null`)
	expect(t, e, `SELECT DISTINCT "start", num_rows, events, rollup_ratio, dimensions, metrics, shard_spec, last_compaction_state FROM sys.segments ORDER BY 1`,
		`"2023-11-14T22:00:00.000Z" 2 20 10.0 "[\"page\"]" "[\"cnt\",\"n\"]" "{\"dimensions\":[\"page\"],\"type\":\"range\"}" "{\"version\":1,\"partitionDimensions\":[\"page\"]}"`,
		`"2023-11-14T23:00:00.000Z" 15 15 1.0 "[\"page\",\"kind\"]" "[\"cnt\",\"n\"]" "{\"type\":\"numbered\"}" null`)
	expect(t, e, `SELECT COUNT(*) FROM sys.tasks`, `0`)
	want := map[string]float64{
		"chunks": 2, "segments": 3, "tail_segments": 2, "rows": 32, "events": 50, "rollup_ratio": 50.0 / 32, "duplicates_removed": 10,
		"compacted_bytes": 250,
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name, ok := strings.CutPrefix(f.GetName(), "drumlin_datasource_")
		if expected, known := want[name]; ok && known {
			if got := f.GetMetric()[0].GetGauge().GetValue(); got != expected {
				t.Errorf("%s: %v, want %v", name, got, expected)
			}
			delete(want, name)
		}
	}
	if len(want) > 0 {
		t.Errorf("these gauges are missing: %v", want)
	}
}

func expect(t *testing.T, e *Engine, sql string, want ...string) {
	t.Helper()
	if got := mustAsk(t, e, sql); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", sql, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
