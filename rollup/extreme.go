package rollup

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// extreme keeps the least or the greatest value. NaN has no place in the order and is left out; infinite values have.
// Zero has one sign.
type extreme[T int64 | float64] struct {
	field   string
	max     bool
	read    func(*batch, string) (*cached[T], error)
	isFloat bool // rounded to 32 bits
	values  []T
	seen    []bool
}

func newExtreme(_ *States, c *compiled) aggregate {
	if c.Type == segment.TypeLong {
		return &extreme[int64]{field: c.Fields[0], max: c.Kind == KindMax, read: (*batch).long}
	}
	return &extreme[float64]{
		field: c.Fields[0], max: c.Kind == KindMax, read: (*batch).double, isFloat: c.Type == segment.TypeFloat,
	}
}

func (a *extreme[T]) grow(groups int) {
	a.values, a.seen = grown(a.values, groups), grown(a.seen, groups)
}

func (a *extreme[T]) addRows(b *batch, groups []uint32) (leftOut int64, err error) {
	c, err := a.read(b, a.field)
	if err != nil {
		return 0, err
	}
	for i, g := range groups {
		if g == Skip || !c.good(i, &leftOut) {
			continue
		}
		v := c.values[i]
		if v != v {
			leftOut++
			continue
		}
		if a.isFloat {
			v = T(float32(v))
		}
		a.add(g, v+0) // no negative zero
	}
	return leftOut, nil
}

func (a *extreme[T]) add(g uint32, v T) {
	if !a.seen[g] || v < a.values[g] && !a.max || v > a.values[g] && a.max {
		a.values[g], a.seen[g] = v, true
	}
}

func (a *extreme[T]) addStates(columns []arrow.Array, from int, groups []uint32) error {
	for i, g := range groups {
		row := from + i
		if g == Skip || columns[0].IsNull(row) {
			continue
		}
		var v T
		switch col := columns[0].(type) {
		case *array.Int64:
			v = T(col.Value(row))
		case *array.Float64:
			v = T(col.Value(row))
		case *array.Float32:
			v = T(col.Value(row))
		}
		if v != v {
			return corrupt("row %d: not a number", row)
		}
		a.add(g, v+0)
	}
	return nil
}

func (a *extreme[T]) columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	column, err := a.final(mem, order)
	return []arrow.Array{column}, err
}

func (a *extreme[T]) final(mem memory.Allocator, order []uint32) (arrow.Array, error) {
	if longs, ok := any(a.values).([]int64); ok {
		return fill(array.NewInt64Builder(mem), order, a.seen, func(g uint32) int64 { return longs[g] }), nil
	}
	if a.isFloat {
		return fill(array.NewFloat32Builder(mem), order, a.seen, func(g uint32) float32 { return float32(a.values[g]) }), nil
	}
	return fill(array.NewFloat64Builder(mem), order, a.seen, func(g uint32) float64 { return float64(a.values[g]) }), nil
}

func (a *extreme[T]) bytes() int64 { return int64(cap(a.values))*8 + int64(cap(a.seen)) }
