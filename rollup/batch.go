package rollup

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/segment"
)

// Rows are rows of a record batch, in the columns of segment.HotArrowSchema or segment.FileArrowSchema, or any with the
// names that the metrics read. A column that is absent holds nulls: the file is older than the column.
type Rows struct {
	Record arrow.RecordBatch
	// Position gives topic, generation and partition where the record has no columns for them (hot batches); nil: it
	// has. First and last alone need it.
	Position *segment.Position
}

// Where a value stands with an aggregator.
const (
	valueNull     uint8 = iota // there is none
	valueGood                  // use it
	valueUnusable              // not a number, or out of range: left out and counted
)

// batch gives the columns of a run of rows in the forms that aggregators take, converting each once. It is kept between
// runs for its scratch.
type batch struct {
	rows    Rows
	from, n int
	longs   []cached[int64]
	doubles []cached[float64]
	tri     [][]uint8 // scratch of predicates
	triUsed int
}

// cached is a column that has been converted; entries beyond use keep their memory for the next run.
type cached[T any] struct {
	name   string // "" where the entry is free
	values []T    // points into the record where nothing had to change
	state  []uint8
	all    bool // every value is good
	ownV   []T
	ownS   []uint8
}

func (b *batch) reset(rows Rows, from, n int) {
	b.rows, b.from, b.n, b.triUsed = rows, from, n, 0
	for i := range b.longs {
		b.longs[i].release()
	}
	for i := range b.doubles {
		b.doubles[i].release()
	}
}

func (c *cached[T]) release() { c.name, c.values, c.state, c.all = "", nil, nil, false }

// good says whether value i can be used; an unusable one adds to leftOut.
func (c *cached[T]) good(i int, leftOut *int64) bool {
	if c.all || c.state[i] == valueGood {
		return true
	}
	if c.state[i] == valueUnusable {
		*leftOut++
	}
	return false
}

// column returns the array of a name, or nil where the record has no such column.
func (b *batch) column(name string) arrow.Array {
	at := b.rows.Record.Schema().FieldIndices(name)
	if len(at) == 0 {
		return nil
	}
	return b.rows.Record.Column(at[0])
}

// find returns the converted column of a name, and whether it was there already.
func find[T any](list *[]cached[T], name string) (c *cached[T], ready bool) {
	for i := range *list {
		c := &(*list)[i]
		if c.name == name || c.name == "" {
			ready = c.name == name
			c.name = name
			return c, ready
		}
	}
	*list = append(*list, cached[T]{name: name})
	return &(*list)[len(*list)-1], false
}

// own makes the entry's own memory hold n values, all of a state.
func (c *cached[T]) own(n int, state uint8) {
	if cap(c.ownV) < n || cap(c.ownS) < n {
		c.ownV, c.ownS = make([]T, n), make([]uint8, n)
	}
	c.values, c.state = c.ownV[:n], c.ownS[:n]
	for i := range c.state {
		c.state[i] = state
	}
}

// nulls notes the nulls of a column whose values are used in place.
func (c *cached[T]) nulls(col arrow.Array, from, n int) {
	if col.NullN() == 0 {
		c.all = true
		return
	}
	if cap(c.ownS) < n {
		c.ownS = make([]uint8, n)
	}
	c.state = c.ownS[:n]
	for i := range n {
		c.state[i] = valueGood
		if col.IsNull(from + i) {
			c.state[i] = valueNull
		}
	}
}

// long gives a column as 64-bit integers: times in milliseconds, fractions cut as Druid cuts them.
func (b *batch) long(name string) (*cached[int64], error) {
	c, ready := find(&b.longs, name)
	if ready {
		return c, nil
	}
	switch col := b.column(name).(type) {
	case nil:
		c.own(b.n, valueNull)
	case *array.Int64:
		c.values = col.Int64Values()[b.from : b.from+b.n]
		c.nulls(col, b.from, b.n)
	case *array.Int32:
		convert(c, b, col, col.Int32Values(), func(v int32) (int64, uint8) { return int64(v), valueGood })
	case *array.Timestamp:
		perMilli := int64(1000)
		if col.DataType().(*arrow.TimestampType).Unit != arrow.Microsecond {
			return nil, typeError(name, col)
		}
		convert(c, b, col, col.TimestampValues(), func(v arrow.Timestamp) (int64, uint8) { return int64(v) / perMilli, valueGood })
	case *array.Float64:
		convert(c, b, col, col.Float64Values(), cutLong)
	case *array.Float32:
		convert(c, b, col, col.Float32Values(), func(v float32) (int64, uint8) { return cutLong(float64(v)) })
	default:
		return nil, typeError(name, col)
	}
	return c, nil
}

// double gives a column as doubles; NaN counts as unusable.
func (b *batch) double(name string) (*cached[float64], error) {
	c, ready := find(&b.doubles, name)
	if ready {
		return c, nil
	}
	switch col := b.column(name).(type) {
	case nil:
		c.own(b.n, valueNull)
	case *array.Float64:
		c.values = col.Float64Values()[b.from : b.from+b.n]
		c.nulls(col, b.from, b.n)
	case *array.Float32:
		convert(c, b, col, col.Float32Values(), func(v float32) (float64, uint8) { return float64(v), valueGood })
	default:
		long, err := b.long(name)
		if err != nil {
			return nil, err
		}
		c.own(b.n, valueGood)
		for i, v := range long.values {
			c.values[i] = float64(v)
			if !long.all {
				c.state[i] = long.state[i]
			}
		}
		c.all = long.all
	}
	return c, nil
}

func convert[T, U any](c *cached[T], b *batch, col arrow.Array, values []U, one func(U) (T, uint8)) {
	c.own(b.n, valueGood)
	nulls := col.NullN() != 0
	for i := range b.n {
		if nulls && col.IsNull(b.from+i) {
			c.state[i] = valueNull
			continue
		}
		c.values[i], c.state[i] = one(values[b.from+i])
	}
}

// cutLong cuts the fraction off. What 64 bits cannot hold is unusable.
func cutLong(v float64) (int64, uint8) {
	if !(v >= math.MinInt64 && v < -math.MinInt64) {
		return 0, valueUnusable
	}
	return int64(v), valueGood
}

func typeError(name string, col arrow.Array) error {
	return fmt.Errorf("column %s has Arrow type %s, which the plan was not compiled for", name, col.DataType())
}

// text gives a column of strings, or nil where the record has none: all null.
func (b *batch) text(name string) (*array.String, error) {
	switch col := b.column(name).(type) {
	case nil:
		return nil, nil
	case *array.String:
		return col, nil
	default:
		return nil, typeError(name, col)
	}
}

// truths returns scratch for one truth value per row. Predicates give it back in reverse order (b.triUsed--).
func (b *batch) truths() []uint8 {
	if b.triUsed == len(b.tri) {
		b.tri = append(b.tri, nil)
	}
	if cap(b.tri[b.triUsed]) < b.n {
		b.tri[b.triUsed] = make([]uint8, b.n)
	}
	b.triUsed++
	return b.tri[b.triUsed-1][:b.n]
}
