package indexer

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/internal/testkit"
	"drumlin/objectstore"
	"drumlin/objectstore/mem"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

// foldSchema is the schema and the plan of a rollup datasource whose rows testRow has.
func foldSchema(t *testing.T, rng *rand.Rand) (*segment.Schema, []byte) {
	t.Helper()
	metrics, _, err := rollup.ParseMetrics([]byte(`[{"type": "count", "name": "rows"}, {"type": "longSum", "name": "n", "fieldName": "n"},
		{"type": "stringLast", "name": "last", "fieldName": "note"}, {"type": "hyperUnique", "name": "prices", "fieldName": "price"}]`))
	if err != nil {
		t.Fatal(err)
	}
	s := &segment.Schema{
		ID: 2,
		Columns: []segment.Column{
			{ID: 100, Name: "event", Type: segment.TypeString},
			{ID: 101, Name: "note", Type: segment.TypeJSON},
			{ID: 102, Name: "n", Type: segment.TypeLong},
			{ID: 103, Name: "price", Type: segment.TypeDouble},
		},
		Dimensions: []string{"event"}, Inputs: []string{"note", "n", "price"},
		SortBy: [][]string{{"event", "__time"}, {"__time", "event"}, {"event"}}[rng.IntN(3)],
	}
	plan, err := rollup.Compile(metrics, s.Columns)
	if err != nil {
		t.Fatal(err)
	}
	if s.States, err = rollup.StateColumns(plan); err != nil {
		t.Fatal(err)
	}
	for i := range s.States {
		s.States[i].ID = 104 + int32(i)
	}
	minute, err := spec.ParseGranularity("minute")
	if err != nil {
		t.Fatal(err)
	}
	definition := &rollup.Definition{Rollup: true, QueryGranularity: minute, Dimensions: s.Dimensions, Metrics: metrics}
	out, err := definition.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return s, out
}

// TestFoldKeepsEveryRecord is the property: every record stands in exactly one group, of its bucket, minute and event;
// segments are cut exactly; however the rows came in batches, the bytes are the same.
func TestFoldKeepsEveryRecord(t *testing.T) {
	for seed := range uint64(testkit.Rounds(12, 3)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer checked.AssertSize(t, 0)
			rng := rand.New(rand.NewPCG(seed, 2))
			schema, plan := foldSchema(t, rng)
			rows := randomRows(rng, schema, 1+rng.IntN(3000))
			limit, from := int64(rng.IntN(3)*100), int64(rng.IntN(50))
			var sums []string
			for range 2 {
				batches := makeBatches(checked, rng, schema, rows)
				r := testRequest(t, schema, batches, nil)
				r.Datasource.Plan, r.MaxRowsPerSegment, r.Range.From = plan, limit, from
				store := mem.New()
				result, err := testIndexer(t, store, checked, nil).Build(t.Context(), r)
				releaseBatches(batches)
				if err != nil {
					t.Fatal(err)
				}
				checkFolded(t, store, r, result, rows)
				for _, meta := range result.Segments {
					sums = append(sums, meta.SHA256)
				}
			}
			if half := len(sums) / 2; !slices.Equal(sums[:half], sums[half:]) {
				t.Errorf("two splits of the rows gave two contents: %v", sums)
			}
		})
	}
}

// foldKey is a group; null events have none.
type foldKey struct {
	minute int64
	event  string
	null   bool
}

type foldSum struct{ events, rows, n int64 }

func checkFolded(t *testing.T, store objectstore.Store, r Request, result *Result, rows []testRow) {
	t.Helper()
	want := map[foldKey]foldSum{}
	stored := int64(0)
	for _, row := range rows {
		if row.offset < r.Range.From {
			continue
		}
		stored++
		key := foldKey{minute: row.millis / 60_000, null: row.event == nil}
		if row.event != nil {
			key.event = *row.event
		}
		sum := want[key]
		sum.events, sum.rows = sum.events+1, sum.rows+1
		if row.n != nil {
			sum.n += *row.n
		}
		want[key] = sum
	}
	events := int64(0)
	for i, meta := range result.Segments {
		events += meta.InputRows()
		if err := meta.Validate(); err != nil || !meta.Folded {
			t.Fatalf("segment %+v: %v", meta, err)
		}
		full := i+1 < len(result.Segments) && result.Segments[i+1].Bucket == meta.Bucket
		if limit := r.MaxRowsPerSegment; limit > 0 && (meta.Rows > limit || full && meta.Rows != limit) || limit == 0 && full {
			t.Errorf("segment %d has %d rows with a limit of %d", i, meta.Rows, limit)
		}
		readFolded(t, store, meta, want)
	}
	if result.Stored != stored || events != stored || result.Duplicates != 0 {
		t.Errorf("stored %d, in segments %d; want %d", result.Stored, events, stored)
	}
	if len(want) > 0 {
		t.Errorf("%d groups are missing: %v", len(want), want)
	}
}

// readFolded takes the groups of a segment out of want.
func readFolded(t *testing.T, store objectstore.Store, meta segment.Meta, want map[foldKey]foldSum) {
	t.Helper()
	in, err := store.Get(t.Context(), meta.Object, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(segment.NewVerifyingReader(meta.Object, in, meta.Bytes, meta.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := segment.OpenReader(meta.Object, bytes.NewReader(content), meta.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for g := range reader.RowGroups() {
		rec, err := reader.ReadRowGroup(t.Context(), g, nil)
		if err != nil {
			t.Fatal(err)
		}
		column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
		for i := range int(rec.NumRows()) {
			millis := int64(column("__time").(*array.Timestamp).Value(i)) / 1000
			key := foldKey{minute: millis / 60_000, null: column("event").IsNull(i)}
			if !key.null {
				key.event = column("event").(*array.String).Value(i)
			}
			got := foldSum{column("__events").(*array.Int64).Value(i), column("rows").(*array.Int64).Value(i), 0}
			if sum := column("n").(*array.Int64); sum.IsValid(i) {
				got.n = sum.Value(i)
			}
			if w, ok := want[key]; !ok || w != got || millis%60_000 != 0 || millis < meta.Bucket.StartMillis || millis >= meta.Bucket.EndMillis {
				t.Fatalf("group %+v of segment %s: got %+v, want %+v", key, meta.Object, got, w)
			}
			delete(want, key)
		}
		rec.Release()
	}
}

// TestRowsStayWhereTheyMustBeCompared: with dedup, and without rollup, a handoff stores rows as ingested.
func TestRowsStayWhereTheyMustBeCompared(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	schema, plan := foldSchema(t, rng)
	schema.Dedup = true
	for _, p := range []string{string(plan), `{"rollup":false,"queryGranularity":"minute"}`} {
		rows := randomRows(rng, schema, 300)
		batches := makeBatches(memory.DefaultAllocator, rng, schema, rows)
		r := testRequest(t, schema, batches, nil)
		r.Datasource.Plan = []byte(p)
		result, err := testIndexer(t, mem.New(), nil, nil).Build(t.Context(), r)
		releaseBatches(batches)
		if err != nil {
			t.Fatal(err)
		}
		for _, meta := range result.Segments {
			if meta.Folded || meta.Events != 0 {
				t.Errorf("%s is folded", meta.Object)
			}
		}
		if result.Stored+result.Duplicates != 300 || result.Stored == 0 {
			t.Errorf("%+v", result)
		}
		schema.Dedup = false
	}
	r := testRequest(t, schema, nil, nil)
	r.Datasource.Plan = []byte(`{"rollup":true}`)
	if _, err := testIndexer(t, mem.New(), nil, nil).Build(t.Context(), r); err == nil {
		t.Error("a plan that is none was accepted")
	}
}
