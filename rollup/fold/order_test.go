package fold

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// TestOrder: nulls, then values as they are listed; equal ones side by side in one list.
func TestOrder(t *testing.T) {
	negativeZero := math.Copysign(0, -1)
	otherNaN := math.Float64frombits(0xfff8000000000001)
	for _, test := range []struct {
		name   string
		typ    arrow.DataType
		values [][]any
	}{
		{"long", arrow.PrimitiveTypes.Int64, [][]any{{int64(math.MinInt64)}, {int64(-1)}, {int64(0)}, {int64(math.MaxInt64)}}},
		{"int", arrow.PrimitiveTypes.Int32, [][]any{{int32(math.MinInt32)}, {int32(0)}, {int32(7)}}},
		{"time", &arrow.TimestampType{Unit: arrow.Microsecond}, [][]any{{arrow.Timestamp(-5)}, {arrow.Timestamp(0)}, {arrow.Timestamp(9)}}},
		{"double", arrow.PrimitiveTypes.Float64, [][]any{
			{math.Inf(-1)}, {-1.5}, {-5e-324}, {0.0, negativeZero}, {5e-324}, {1.0}, {math.Inf(1)}, {math.NaN(), otherNaN},
		}},
		{"float", arrow.PrimitiveTypes.Float32, [][]any{
			{float32(math.Inf(-1))}, {float32(-1)}, {float32(0), float32(negativeZero)}, {float32(1)}, {float32(math.NaN())},
		}},
		{"text", arrow.BinaryTypes.String, [][]any{{""}, {"\x00"}, {"a"}, {"a\x00"}, {"ab"}, {"b"}, {"é"}, {"世"}}},
		{"binary", arrow.BinaryTypes.Binary, [][]any{{[]byte{}}, {[]byte{0}}, {[]byte{1, 0}}, {[]byte{0xff}}}},
		{"uuid", &arrow.FixedSizeBinaryType{ByteWidth: 2}, [][]any{{[]byte{0, 1}}, {[]byte{1, 0}}, {[]byte{0xff, 0}}}},
	} {
		schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: test.typ, Nullable: true}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		b.Field(0).AppendNull()
		ranks := []int{0}
		for rank, equal := range test.values {
			for _, v := range equal {
				appendAny(t, b.Field(0), v)
				ranks = append(ranks, rank+1)
			}
		}
		rec := b.NewRecordBatch()
		b.Release()
		order, err := NewOrder(schema, []string{"x"})
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range ranks {
			for k, b := range ranks {
				if got := order.Compare(rec, i, rec, k); (got < 0) != (a < b) || (got > 0) != (a > b) {
					t.Errorf("%s: rows %d and %d compare as %d", test.name, i, k, got)
				}
			}
		}
		rec.Release()
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.FixedWidthTypes.Boolean}, {Name: "y", Type: arrow.PrimitiveTypes.Int64}}, nil)
	for _, columns := range [][]string{{"x"}, {"z"}, {"y", "z"}} {
		if _, err := NewOrder(schema, columns); err == nil {
			t.Errorf("an order by %v", columns)
		}
	}
}

func appendAny(t *testing.T, b array.Builder, v any) {
	t.Helper()
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.Int32Builder:
		b.Append(v.(int32))
	case *array.TimestampBuilder:
		b.Append(v.(arrow.Timestamp))
	case *array.Float64Builder:
		b.Append(v.(float64))
	case *array.Float32Builder:
		b.Append(v.(float32))
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.BinaryBuilder:
		b.Append(v.([]byte))
	case *array.FixedSizeBinaryBuilder:
		b.Append(v.([]byte))
	default:
		t.Fatalf("no builder for %T", v)
	}
}

// TestOrderIsTotal: over raw rows of every oddity, compared by dimensions and then position, the order is one.
func TestOrderIsTotal(t *testing.T) {
	d := definition(t, "", `[]`, dimensionSets[0], nil, "")
	s := testSchema(t, d.Metrics)
	rows := randomRows(rand.New(rand.NewPCG(1, 9)), 60)
	rec := rawRecord(memory.DefaultAllocator, s, rows)
	defer rec.Release()
	columns := append(append([]string{}, dimensionSets[0]...),
		segment.TopicColumn, segment.GenerationColumn, segment.PartitionColumn, segment.OffsetColumn)
	for skip := range columns { // with the position alone at the end
		order, err := NewOrder(rec.Schema(), columns[skip:])
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			for k := range rows {
				c := order.Compare(rec, i, rec, k)
				if (c == 0) != (i == k) || c != -order.Compare(rec, k, rec, i) {
					t.Fatalf("by %v: rows %d and %d compare as %d", columns[skip:], i, k, c)
				}
				for l := range rows {
					if c < 0 && order.Compare(rec, k, rec, l) < 0 && order.Compare(rec, i, rec, l) >= 0 {
						t.Fatalf("by %v: %d, %d and %d are in a circle", columns[skip:], i, k, l)
					}
				}
			}
		}
	}
}
