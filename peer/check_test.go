package peer

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"

	"drumlin/segment"
)

// Only columns that hot rows can have make a layout.
func TestLayoutsThatAreNotOfHotRowsAreRefused(t *testing.T) {
	good, err := schemaOf(1, false, segment.HotArrowSchema(schemas(true, "")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := good.layout(); err != nil {
		t.Fatal(err)
	}
	at := func(name string) int {
		return slices.IndexFunc(good.Columns, func(c segment.Column) bool { return c.Name == name })
	}
	for name, change := range map[string]func(c []segment.Column) []segment.Column{
		"no time": func(c []segment.Column) []segment.Column { return c[1:] },
		"no offset": func(c []segment.Column) []segment.Column {
			return slices.Delete(c, at(segment.OffsetColumn), at(segment.OffsetColumn)+1)
		},
		"half an id":  func(c []segment.Column) []segment.Column { return slices.Delete(c, 1, 2) },
		"text time":   func(c []segment.Column) []segment.Column { c[0].Type = segment.TypeString; return c },
		"other id":    func(c []segment.Column) []segment.Column { c[0].ID = 2; return c },
		"low id":      func(c []segment.Column) []segment.Column { c[at("n")].ID = 12; return c },
		"twice":       func(c []segment.Column) []segment.Column { return append(c, c[at("n")]) },
		"only case":   func(c []segment.Column) []segment.Column { c[at("n")].Name = "ID"; return c },
		"no name":     func(c []segment.Column) []segment.Column { c[at("n")].Name = ""; return c },
		"binary":      func(c []segment.Column) []segment.Column { c[at("n")].Type = segment.TypeBinary; return c },
		"no type":     func(c []segment.Column) []segment.Column { c[at("n")].Type = "list"; return c },
		"hidden":      func(c []segment.Column) []segment.Column { c[at("n")].Name = "__topic"; return c },
		"other order": func(c []segment.Column) []segment.Column { c[0], c[1] = c[1], c[0]; return c },
		"none":        func([]segment.Column) []segment.Column { return nil },
	} {
		changed := good
		changed.Columns = change(slices.Clone(good.Columns))
		if _, err := changed.layout(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]schemaFrame{"rejects": {ID: 0, Rejects: true, Columns: good.Columns}, "schema 0": {ID: 0, Columns: good.Columns}} {
		if _, err := s.layout(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Values that would harm who reads them.
func TestUnsoundValuesAreRefused(t *testing.T) {
	mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
	defer mem.AssertSize(t, 0)
	layout := segment.HotArrowSchema(&segment.Schema{
		ID: 1, Columns: []segment.Column{{ID: 100, Name: "text", Type: segment.TypeString}}, Dimensions: []string{"text"},
	})
	build := func(times, offsets []int64, values []string) segment.HotBatch {
		b := array.NewRecordBuilder(mem, layout)
		defer b.Release()
		for i := range times {
			b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(times[i]))
			b.Field(1).(*array.Int64Builder).Append(offsets[i])
			b.Field(2).(*array.StringBuilder).Append(values[i])
		}
		return segment.HotBatch{Record: b.NewRecordBatch(), SchemaID: 1, FromOffset: 0, ToOffset: 3}
	}
	good := []int64{0, 1, 2}
	zero := []int64{0, 0, 0}
	for name, b := range map[string]segment.HotBatch{
		"not UTF-8":           build(zero, good, []string{"a", "\xff", ""}),
		"split in a rune":     build(zero, good, []string{"a\xc3", "\xbc", ""}),
		"offsets descend":     build(zero, []int64{0, 2, 1}, []string{"", "", ""}),
		"offset twice":        build(zero, []int64{0, 0, 2}, []string{"", "", ""}),
		"offset below":        build(zero, []int64{-1, 1, 2}, []string{"", "", ""}),
		"offset above":        build(zero, []int64{0, 1, 3}, []string{"", "", ""}),
		"time outside bounds": build([]int64{0, 5000, 0}, good, []string{"", "", ""}),
	} {
		h := one(b)
		r := requestFor(h)
		p := &tape{}
		out := &sender{to: p, mem: memory.NewGoAllocator()}
		err := errors.Join(out.frame(frame{Kind: kindBegin, Begin: &beginFrame{Range: h.OffsetRange, Counters: h.Counters}}, nil, nil),
			out.batch(false, b), out.frame(frame{Kind: kindEnd, End: &out.sent}, nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := play(p, r, mem); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		b.Record.Release()
	}
}

// Compressed rows are refused before they are as large as they say.
func TestCompressedRowsAreRefused(t *testing.T) {
	m := &maker{seeded(t, 4), memory.NewGoAllocator()}
	b := m.batch(segment.HotArrowSchema(schemas(false, "")[0]), 1, 0, 1000, 1000)
	h := one(b)
	r := requestFor(h)
	p := &tape{}
	out := &sender{to: p, mem: memory.NewGoAllocator()}
	payload, err := ipc.GetRecordBatchPayload(b.Record, ipc.WithZstd(), ipc.WithAllocator(out.mem))
	if err != nil {
		t.Fatal(err)
	}
	defer payload.Release()
	err = errors.Join(out.frame(frame{Kind: kindBegin, Begin: &beginFrame{Range: h.OffsetRange, Counters: h.Counters}}, nil, nil),
		out.schema(false, b),
		out.payload(frame{Kind: kindBatch, Batch: &batchFrame{Rows: 1000, FromOffset: b.FromOffset, ToOffset: b.ToOffset, MaxMillis: 1 << 50}}, payload))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := play(p, r, memory.NewGoAllocator()); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v", err)
	}
}

// A query searches for copies where hot rows are said to be: buckets that are sound in themselves and not those of the rows
// would let copies through.
func TestBucketsAreThoseOfTheRows(t *testing.T) {
	m := &maker{seeded(t, uint64(time.Now().UnixNano())), memory.NewGoAllocator()}
	h := m.hot(1, 1, 1)
	layout := segment.HotArrowSchema(schemas(true, "")[1])
	b := m.batch(layout, 2, h.From, 50, 3*hourMillis)
	for len(b.Buckets) != 3 || b.Buckets[0].Rows == b.Buckets[1].Rows {
		b = m.batch(layout, 2, h.From, 50, 3*hourMillis)
	}
	h.Data, h.Rejects, h.To = []segment.HotBatch{b}, nil, b.ToOffset
	h.Counters = segment.Counters{Stored: 50, Skipped: h.To - h.From - 50}
	r := requestFor(h)
	refuse := func(what string, buckets ...segment.BucketRows) {
		t.Helper()
		h.Data[0].Buckets = buckets
		if _, err := play(record(t, r, h), r, m.mem); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	moved := slices.Clone(b.Buckets)
	moved[0].Rows, moved[1].Rows = moved[1].Rows, moved[0].Rows
	refuse("counts of other buckets", moved...)
	gap := []segment.BucketRows{b.Buckets[0], b.Buckets[2]}
	gap[1].Rows += b.Buckets[1].Rows
	refuse("a bucket is left out", gap...)
	h.Data[0].Buckets = b.Buckets
	got, err := play(record(t, r, h), r, m.mem)
	if err != nil {
		t.Fatal(err)
	}
	got.Release()
}
