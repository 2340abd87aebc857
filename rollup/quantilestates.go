package rollup

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// quantileStates keeps a sketch of quantiles per group.
type quantileStates struct {
	field  string
	states []Quantiles
	held   int64
	buf    []byte
}

func newQuantileStates(_ *States, c *compiled) aggregate { return &quantileStates{field: c.Fields[0]} }

func (a *quantileStates) grow(groups int) { a.states = grown(a.states, groups) }

func (a *quantileStates) addRows(b *batch, groups []uint32) (leftOut int64, err error) {
	c, err := b.double(a.field)
	if err != nil {
		return 0, err
	}
	for i, g := range groups {
		if g == Skip || !c.good(i, &leftOut) {
			continue
		}
		before := a.states[g].memory()
		if !a.states[g].Add(c.values[i]) {
			leftOut++
		}
		a.held += a.states[g].memory() - before
	}
	return leftOut, nil
}

func (q *Quantiles) memory() int64 {
	return int64(cap(q.negative.sorted)+cap(q.positive.sorted))*16 + int64(cap(q.negative.waiting)+cap(q.positive.waiting))*4
}

func (a *quantileStates) addStates(columns []arrow.Array, from int, groups []uint32) error {
	sketches := columns[0].(*array.Binary)
	for i, g := range groups {
		if g == Skip || sketches.IsNull(from+i) {
			continue
		}
		before := a.states[g].memory()
		if err := a.states[g].Merge(sketches.Value(from + i)); err != nil {
			return fmt.Errorf("row %d: %w", from+i, err)
		}
		a.held += a.states[g].memory() - before
	}
	return nil
}

func (a *quantileStates) columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	out := array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)
	defer out.Release()
	out.Reserve(len(order))
	for _, g := range order {
		q := &a.states[g]
		a.buf = a.buf[:0]
		if !q.Empty() {
			a.buf = q.AppendState(a.buf)
		}
		appendIf(out, a.buf, !q.Empty())
	}
	return []arrow.Array{out.NewArray()}, nil
}

// final gives the number of values: one column cannot hold every quantile.
func (a *quantileStates) final(mem memory.Allocator, order []uint32) (arrow.Array, error) {
	out := array.NewInt64Builder(mem)
	defer out.Release()
	out.Reserve(len(order))
	for _, g := range order {
		out.Append(a.states[g].Count())
	}
	return out.NewArray(), nil
}

func (a *quantileStates) bytes() int64 { return int64(cap(a.states))*104 + a.held }
