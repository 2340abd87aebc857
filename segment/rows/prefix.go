package rows

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Prefix gives numbers that tell most rows apart: of two values with different numbers the one with the lower number comes
// first in a Sorter's order. Equal numbers say nothing. Nulls have 0.
func Prefix(column arrow.Array) (func(row int) uint64, error) {
	var key func(row int) uint64
	switch a := column.(type) {
	case *array.String:
		return func(row int) uint64 {
			if a.IsNull(row) {
				return 0
			}
			return textKey(a.Value(row))
		}, nil
	case *array.Timestamp:
		key = prefixOf(a.Values(), func(v arrow.Timestamp) uint64 { return longKey(int64(v)) })
	case *array.Int64:
		key = prefixOf(a.Values(), longKey)
	case *array.Int32:
		key = prefixOf(a.Values(), func(v int32) uint64 { return longKey(int64(v)) })
	case *array.Float64:
		key = prefixOf(a.Values(), doubleKey)
	case *array.Float32:
		key = prefixOf(a.Values(), func(v float32) uint64 { return doubleKey(float64(v)) })
	default:
		return nil, fmt.Errorf("rows cannot be sorted by a column of type %s", column.DataType())
	}
	if column.Data().Buffers()[0] == nil {
		return key, nil
	}
	return func(row int) uint64 {
		if column.IsNull(row) {
			return 0
		}
		return key(row)
	}, nil
}

// prefixOf leaves 0 to nulls.
func prefixOf[T any](values []T, key func(T) uint64) func(int) uint64 {
	return func(row int) uint64 { return key(values[row])>>1 | 1<<63 }
}
