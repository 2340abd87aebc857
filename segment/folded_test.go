package segment

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// foldedSchema has two dimensions and states of every form.
func foldedSchema(t testing.TB) *arrow.Schema {
	t.Helper()
	s := testSchema()
	s.States = []Column{{200, "rows", TypeLong}, {201, "price", TypeDouble}, {202, "__rest:price", TypeBinary}, {203, "last", TypeString}}
	if err := s.Validate(); err == nil {
		t.Error("a state may have the name of a dimension")
	}
	s.Dimensions = []string{"event", "n"}
	states := make([]arrow.Field, len(s.States))
	for i, c := range s.States {
		typ, err := ArrowType(c.Type)
		if err != nil {
			t.Fatal(err)
		}
		states[i] = arrow.Field{
			Name: c.Name, Type: typ, Nullable: i > 0,
			Metadata: arrow.NewMetadata([]string{"drumlin:metric"}, []string{fmt.Sprintf(`{"name":%q}`, c.Name)}),
		}
	}
	states[2].Metadata = arrow.NewMetadata([]string{"drumlin:metric", "drumlin:part"}, []string{`{"name":"price"}`, "rest"})
	out, err := FoldedArrowSchema(s, s.Dimensions, states)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// foldedRecord has n rows; states hold every byte.
func foldedRecord(mem memory.Allocator, s *arrow.Schema, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, s)
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(i) * 3_600_000_000)
		b.Field(1).(*array.Int64Builder).Append(int64(i + 1))
		b.Field(2).(*array.StringBuilder).Append("e")
		b.Field(3).AppendNull()
		b.Field(4).(*array.Int64Builder).Append(int64(i))
		b.Field(5).(*array.Float64Builder).Append(math.NaN())
		if i%3 == 0 {
			b.Field(6).AppendNull()
		} else {
			b.Field(6).(*array.BinaryBuilder).Append([]byte{0, 0xff, byte(i), byte(i >> 8)}[:i%5])
		}
		b.Field(7).(*array.StringBuilder).Append(strings.Repeat("é", i%3))
	}
	return b.NewRecordBatch()
}

// TestFoldedRoundTrip: a file of folded rows gives back its states, and what they are states of.
func TestFoldedRoundTrip(t *testing.T) {
	s := foldedSchema(t)
	if got := layout(s); got != "__time __events event n rows price __rest:price last" {
		t.Errorf("columns %s", got)
	}
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	rec := foldedRecord(checked, s, 3000)
	defer rec.Release()
	content, summary := writeFile(t, checked, rec)
	r, err := OpenReader("object", bytes.NewReader(content), summary.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Schema().Equal(s) {
		t.Errorf("read\n%v, want\n%v", r.Schema(), s)
	}
	if text, ok := r.Schema().Field(6).Metadata.GetValue("drumlin:part"); !ok || text != "rest" {
		t.Errorf("the second column of a state is part %q", text)
	}
	got, err := r.ReadRowGroup(t.Context(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	equalBatches(t, rec, got)
	for _, c := range summary.Columns {
		bounded := c.Min != nil || c.Max != nil
		if want := c.ID == TimeColumnID || c.ID == 100; bounded != want {
			t.Errorf("column %d has bounds: %t, want %t", c.ID, bounded, want)
		}
	}
}

// TestIDsRoundTrip: identities are signed numbers of the whole range.
func TestIDsRoundTrip(t *testing.T) {
	s := IDsArrowSchema()
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	b := array.NewRecordBuilder(checked, s)
	defer b.Release()
	high, low := b.Field(0).(*array.Int64Builder), b.Field(1).(*array.Int64Builder)
	for _, hi := range []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64} {
		for _, lo := range []int64{math.MinInt64, -1, 0, math.MaxInt64} {
			high.Append(hi)
			low.Append(lo)
		}
	}
	first := b.NewRecordBatch()
	defer first.Release()
	for i := range int64(RowGroupRows) {
		high.Append((i - RowGroupRows/2) << 46)
		low.Append(i * -0x61c8864680b583eb)
	}
	second := b.NewRecordBatch()
	defer second.Release()
	var out bytes.Buffer
	w, err := NewWriter(&out, WriterOptions{Schema: s, SortBy: []string{IDHighColumn, IDLowColumn}, Allocator: checked})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []arrow.RecordBatch{first, second} {
		if err := w.Write(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	summary, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader("ids", bytes.NewReader(out.Bytes()), summary.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Schema().Equal(s) {
		t.Errorf("read\n%v, want\n%v", r.Schema(), s)
	}
	for group, want := range []arrow.RecordBatch{first, second} {
		got, err := r.ReadRowGroup(t.Context(), group, nil)
		if err != nil {
			t.Fatal(err)
		}
		equalBatches(t, want, got)
		got.Release()
	}
	nulls := array.NewRecordBuilder(checked, s)
	defer nulls.Release()
	for i := range 2 {
		nulls.Field(i).AppendNull()
	}
	bad := nulls.NewRecordBatch()
	defer bad.Release()
	if w, err = NewWriter(&out, WriterOptions{Schema: s, Allocator: checked}); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "null") {
		t.Errorf("an identity that is null: %v", err)
	}
	w.Abort()
}

// FuzzFieldMeta: what a file says of its columns is refused, or becomes metadata that is written as it was read.
func FuzzFieldMeta(f *testing.F) {
	f.Add(`[{"id":200,"metadata":{"drumlin:metric":"{}"}}]`)
	f.Add(`[{"id":200,"metadata":{"drumlin:metric":"{}","PARQUET:field_id":"7"}}]`)
	f.Add(`[{"id":9}]`)
	f.Add(`[{"id":200,"metadata":{"drumlin:x":""}},{"id":200,"metadata":{"drumlin:x":""}}]`)
	plain := arrowSchema([]Column{{TimeColumnID, TimeColumn, TypeTime}, {200, "a", TypeLong}, {201, "b", TypeBinary}})
	f.Fuzz(func(t *testing.T, text string) {
		fields := plain.Fields()
		if err := readFieldMeta(&text, fields); err != nil {
			return
		}
		for i, field := range fields {
			id, ok := FieldID(field)
			if want, _ := FieldID(plain.Field(i)); !ok || id != want {
				t.Errorf("column %s has id %d, was %d", field.Name, id, want)
			}
			if want := len(ownMetadata(field)) + 1; field.Metadata.Len() != want {
				t.Errorf("column %s has %d keys, want %d", field.Name, field.Metadata.Len(), want)
			}
		}
	})
}
