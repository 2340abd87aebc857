package rollup

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// int128 is hi·2^64 + lo. 2^63 rows of 64 bits cannot overflow it, so that a partial sum never decides what becomes of the
// whole.
type int128 struct {
	hi int64
	lo uint64
}

func (v *int128) add(x int64) {
	lo, carry := bits.Add64(v.lo, uint64(x), 0)
	v.lo = lo
	v.hi += x>>63 + int64(carry)
}

// split gives the stored form: carry·2^64 + value, value signed. The carry of a sum that fits 64 bits is 0.
func (v int128) split() (value, carry int64) {
	value = int64(v.lo)
	return value, v.hi - value>>63
}

func (v int128) String() string {
	value, carry := v.split()
	out := new(big.Int).Lsh(big.NewInt(carry), 64)
	return out.Add(out, big.NewInt(value)).String()
}

// longSum sums exactly. A group without values has no sum.
type longSum struct {
	name  string
	field string
	sums  []int128
	seen  []bool
}

func newLongSum(_ *States, c *compiled) aggregate { return &longSum{name: c.Name, field: c.Fields[0]} }

func (a *longSum) grow(groups int) {
	a.sums, a.seen = grown(a.sums, groups), grown(a.seen, groups)
}

func (a *longSum) addRows(b *batch, groups []uint32) (leftOut int64, err error) {
	c, err := b.long(a.field)
	if err != nil {
		return 0, err
	}
	for i, g := range groups {
		if g == Skip || !c.good(i, &leftOut) {
			continue
		}
		a.sums[g].add(c.values[i])
		a.seen[g] = true
	}
	return leftOut, nil
}

func (a *longSum) addStates(columns []arrow.Array, from int, groups []uint32) error {
	values, carries := columns[0].(*array.Int64), columns[1].(*array.Int64)
	for i, g := range groups {
		row := from + i
		if g == Skip {
			continue
		}
		if values.IsNull(row) {
			if carries.IsValid(row) {
				return corrupt("row %d: a carry without a sum", row)
			}
			continue
		}
		a.sums[g].add(values.Value(row))
		a.seen[g] = true
		if carries.IsNull(row) {
			continue
		}
		hi := a.sums[g].hi
		carry := carries.Value(row)
		if a.sums[g].hi = hi + carry; carry == 0 || (carry > 0) != (a.sums[g].hi > hi) {
			return corrupt("row %d: a carry of %d", row, carry)
		}
	}
	return nil
}

func (a *longSum) columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	values, carries := array.NewInt64Builder(mem), array.NewInt64Builder(mem)
	defer values.Release()
	defer carries.Release()
	values.Reserve(len(order))
	carries.Reserve(len(order))
	for _, g := range order {
		value, carry := a.sums[g].split()
		appendIf(values, value, a.seen[g])
		appendIf(carries, carry, carry != 0)
	}
	return []arrow.Array{values.NewArray(), carries.NewArray()}, nil
}

func (a *longSum) final(mem memory.Allocator, order []uint32) (arrow.Array, error) {
	values := array.NewInt64Builder(mem)
	defer values.Release()
	values.Reserve(len(order))
	for _, g := range order {
		value, carry := a.sums[g].split()
		if carry != 0 {
			return nil, &OverflowError{Metric: a.name, Value: a.sums[g].String()}
		}
		appendIf(values, value, a.seen[g])
	}
	return values.NewArray(), nil
}

func (a *longSum) bytes() int64 { return int64(cap(a.sums))*16 + int64(cap(a.seen)) }

// count counts rows. Stored counts combine by sum.
type count struct {
	name   string
	counts []int64
}

func newCount(_ *States, c *compiled) aggregate { return &count{name: c.Name} }

func (a *count) grow(groups int) { a.counts = grown(a.counts, groups) }

func (a *count) addRows(_ *batch, groups []uint32) (int64, error) {
	for _, g := range groups {
		if g != Skip {
			a.counts[g]++
		}
	}
	return 0, nil
}

func (a *count) addStates(columns []arrow.Array, from int, groups []uint32) error {
	values := columns[0].(*array.Int64)
	for i, g := range groups {
		if g == Skip {
			continue
		}
		if values.IsNull(from+i) || values.Value(from+i) < 0 || values.Value(from+i) > math.MaxInt64-a.counts[g] {
			return corrupt("row %d: a count of %s", from+i, values.ValueStr(from+i))
		}
		a.counts[g] += values.Value(from + i)
	}
	return nil
}

func (a *count) columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	column, err := a.final(mem, order)
	return []arrow.Array{column}, err
}

func (a *count) final(mem memory.Allocator, order []uint32) (arrow.Array, error) {
	values := array.NewInt64Builder(mem)
	defer values.Release()
	values.Reserve(len(order))
	for _, g := range order {
		values.UnsafeAppend(a.counts[g])
	}
	return values.NewArray(), nil
}

func (a *count) bytes() int64 { return int64(cap(a.counts)) * 8 }
