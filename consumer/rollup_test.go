package consumer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/internal/testkit"
	"drumlin/rollup"
	"drumlin/segment"
)

const tutorialSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: t
    timestampSpec: {column: timestamp, format: iso}
    dimensionsSpec: {dimensions: [srcIP, dstIP]}
    metricsSpec:
    - {type: count, name: count}
    - {type: longSum, name: packets, fieldName: packets}
    - {type: longSum, name: bytes, fieldName: bytes}
    granularitySpec: {segmentGranularity: week, queryGranularity: minute, rollup: true}
  ioConfig: {topic: t, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {type: kafka, maxRowsInMemory: 25000}
`

func sharedLines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(testkit.SharedData(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// TestRollupTutorial takes Druid's rollup tutorial from the topic to the segment: nine records are five rows.
func TestRollupTutorial(t *testing.T) {
	records := sharedLines(t, "druid-tutorial/rollup-data.json")
	want := sharedLines(t, "druid-tutorial/rollup-expected.json")
	var sums []string
	for range 2 { // reading again gives the same bytes
		r := newRig(t, nil)
		r.createTopic(1)
		r.produce(records...)
		r.start(r.submit(tutorialSpec))
		r.waitPosition(int64(len(records)))
		hot, err := r.manager.Hot(t.Context(), r.hotRequest())
		r.must(err)
		checkHotInputs(t, hot)
		hot.Release()
		r.handoff(int64(len(records)))
		segments := r.tail()
		if len(segments) != 1 || !segments[0].Folded || segments[0].Events != 9 || segments[0].Rows != 5 {
			t.Fatalf("segments: %+v", segments)
		}
		sums = append(sums, segments[0].SHA256)
		if got := r.folded(segments[0]); !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if c := r.committed().offset.Counters; c.Stored != 9 || c.Sum() != 9 {
			t.Errorf("counters: %+v", c)
		}
		r.stop(false)
	}
	if sums[0] != sums[1] {
		t.Errorf("two readings gave two contents: %v", sums)
	}
}

// checkHotInputs checks that hot rows stay raw, and hold what the metrics read.
func checkHotInputs(t *testing.T, hot *segment.HotRows) {
	t.Helper()
	var rows, packets int64
	for _, b := range hot.Data {
		rows += b.Record.NumRows()
		at := b.Record.Schema().FieldIndices("packets")
		if len(at) != 1 {
			t.Fatalf("the hot rows have columns %v", b.Record.Schema())
		}
		for _, v := range b.Record.Column(at[0]).(*array.Int64).Values() {
			packets += v
		}
	}
	if rows != 9 || packets != 923 {
		t.Errorf("%d hot rows with %d packets", rows, packets)
	}
}

// tail returns the data segments that are committed, in the order of their objects' buckets and offsets.
func (r *rig) tail() []catalog.TailSegment {
	r.t.Helper()
	view, err := r.cat.Refresh(r.t.Context())
	r.must(err)
	var out []catalog.TailSegment
	for _, b := range view.Datasources["t"].Buckets {
		out = append(out, b.Tail...)
	}
	slices.SortStableFunc(out, func(a, b catalog.TailSegment) int {
		return cmp.Or(cmp.Compare(a.Bucket.StartMillis, b.Bucket.StartMillis), cmp.Compare(a.Sources[0].From, b.Sources[0].From))
	})
	return out
}

// folded reads a folded segment and returns its rows with final values, as JSON.
func (r *rig) folded(meta catalog.TailSegment) []string {
	r.t.Helper()
	view, err := r.cat.Refresh(r.t.Context())
	r.must(err)
	ds := view.Datasources["t"]
	definition, err := rollup.ParseDefinition(ds.Plan)
	r.must(err)
	plan, err := definition.Compile(ds.Schemas[meta.SchemaID])
	r.must(err)
	in, err := r.store.Get(r.t.Context(), meta.Object, 0, -1)
	r.must(err)
	content, err := io.ReadAll(segment.NewVerifyingReader(meta.Object, in, meta.Bytes, meta.SHA256))
	r.must(err)
	reader, err := segment.OpenReader(meta.Object, bytes.NewReader(content), meta.Bytes)
	r.must(err)
	var out []string
	for g := range reader.RowGroups() {
		rec, err := reader.ReadRowGroup(r.t.Context(), g, nil)
		r.must(err)
		out = append(out, r.finalRows(plan, rec)...)
		rec.Release()
	}
	return out
}

func (r *rig) finalRows(plan *rollup.BucketPlan, rec arrow.RecordBatch) (out []string) {
	r.t.Helper()
	groups := make([]uint32, rec.NumRows())
	for i := range groups {
		groups[i] = uint32(i)
	}
	states := plan.Metrics().NewStates()
	states.Grow(len(groups))
	r.must(states.AddStates(rec, 0, groups))
	values, err := states.Final(memory.DefaultAllocator, groups)
	r.must(err)
	fields, err := plan.Metrics().FinalFields()
	r.must(err)
	for i := range groups {
		row := map[string]any{}
		millis := int64(rec.Column(0).(*array.Timestamp).Value(i)) / 1000
		row["__time"] = time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
		for _, d := range plan.Dimensions() {
			row[d.Name] = rec.Column(rec.Schema().FieldIndices(d.Name)[0]).GetOneForMarshal(i)
		}
		for k, f := range fields {
			row[f.Name] = values[k].GetOneForMarshal(i)
		}
		text, err := json.Marshal(row)
		r.must(err)
		out = append(out, string(text))
	}
	for _, v := range values {
		v.Release()
	}
	return out
}

// TestFilterSkips counts what the spec's filter leaves out as skipped, hot and committed, after rejects.
func TestFilterSkips(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	var values []string
	for i := range 100 {
		values = append(values, event(fmt.Sprintf("id-%d", i%40), i, baseMillis+int64(i)*1000))
	}
	values = append(values, `{"id": "x", "n": 9223372036854775807, "ts": 1}`, `{"id": "y", "ts": "never"}`,
		fmt.Sprintf(`{"id": "late", "n": 1, "ts": %d}`, int64(baseMillis)+3*86_400_000))
	r.produce(values...)
	text := specText(`transformSpec: {transforms: [{type: expression, name: n, expression: "n * 2"}],
      filter: {type: bound, dimension: n, lower: 50, ordering: numeric}}, dedupSpec: {key: id},`, "", "")
	r.start(r.submit(text))
	r.waitPosition(103)
	hot, err := r.manager.Hot(t.Context(), r.hotRequest())
	r.must(err)
	if c := hot.Counters; c.Stored != 75 || c.Rejected != 3 || c.Skipped != 25 {
		t.Errorf("hot counters: %+v", c)
	}
	hot.Release()
	r.handoff(103)
	c := r.committed()
	// Of ids 0 to 39 each has a copy among the 75 that are left; the filter ran before the copies were looked for.
	if n := c.offset.Counters; n.Stored != 40 || n.Duplicates != 35 || n.Rejected != 3 || n.Skipped != 25 || n.Sum() != 103 {
		t.Errorf("counters: %+v", n)
	}
	r.stop(false)
}
