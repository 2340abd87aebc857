package fold

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Order compares rows of one layout by some of their columns: nulls first, texts and binaries by their bytes, numbers by
// their value with one zero and one NaN, which is last. It is immutable and safe for concurrent use.
type Order struct {
	columns []orderColumn
}

type orderColumn struct {
	at   int
	kind arrow.Type
}

// NewOrder makes the order of a layout by the columns named, the most significant one first.
func NewOrder(s *arrow.Schema, columns []string) (*Order, error) {
	o := &Order{}
	for _, name := range columns {
		at := s.FieldIndices(name)
		if len(at) != 1 {
			return nil, fmt.Errorf("order of rows: %d columns are named %q, not one", len(at), name)
		}
		kind := s.Field(at[0]).Type.ID()
		switch kind {
		case arrow.TIMESTAMP, arrow.INT64, arrow.INT32, arrow.FLOAT64, arrow.FLOAT32, arrow.STRING, arrow.BINARY,
			arrow.FIXED_SIZE_BINARY:
		default:
			return nil, fmt.Errorf("order of rows: the column %q has type %s, which has no order", name, s.Field(at[0]).Type)
		}
		o.columns = append(o.columns, orderColumn{at[0], kind})
	}
	return o, nil
}

// Compare compares row i of a with row j of b, both in the order's layout: negative, 0 or positive.
func (o *Order) Compare(a arrow.RecordBatch, i int, b arrow.RecordBatch, j int) int {
	for _, c := range o.columns {
		if out := compareValues(c.kind, a.Column(c.at), i, b.Column(c.at), j); out != 0 {
			return out
		}
	}
	return 0
}

func compareValues(kind arrow.Type, a arrow.Array, i int, b arrow.Array, j int) int {
	if aNull, bNull := a.IsNull(i), b.IsNull(j); aNull || bNull {
		switch {
		case !bNull:
			return -1
		case !aNull:
			return 1
		}
		return 0
	}
	switch kind {
	case arrow.TIMESTAMP:
		return cmp.Compare(a.(*array.Timestamp).Value(i), b.(*array.Timestamp).Value(j))
	case arrow.INT64:
		return cmp.Compare(a.(*array.Int64).Value(i), b.(*array.Int64).Value(j))
	case arrow.INT32:
		return cmp.Compare(a.(*array.Int32).Value(i), b.(*array.Int32).Value(j))
	case arrow.FLOAT64:
		return cmp.Compare(orderedDouble(a.(*array.Float64).Value(i)), orderedDouble(b.(*array.Float64).Value(j)))
	case arrow.FLOAT32:
		return cmp.Compare(orderedDouble(float64(a.(*array.Float32).Value(i))), orderedDouble(float64(b.(*array.Float32).Value(j))))
	case arrow.STRING:
		return strings.Compare(a.(*array.String).Value(i), b.(*array.String).Value(j))
	case arrow.BINARY:
		return bytes.Compare(a.(*array.Binary).Value(i), b.(*array.Binary).Value(j))
	default:
		return bytes.Compare(a.(*array.FixedSizeBinary).Value(i), b.(*array.FixedSizeBinary).Value(j))
	}
}

// orderedDouble gives a number that orders as SQL orders doubles: −0 equals 0, and NaN is the greatest.
func orderedDouble(v float64) uint64 {
	switch b := math.Float64bits(v); {
	case v != v:
		return math.MaxUint64
	case v < 0:
		return ^b
	default:
		return b | 1<<63 // which −0 has already
	}
}
