package rollup

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// exactSum is a sum of doubles without any error: hi + lo, as long as two doubles can hold it (they hold every sum whose
// bits span less than 107 places), else an index into wide accumulators.
type exactSum struct {
	hi, lo float64
	wide   uint32 // 1 more than the index; 0: none
	seen   bool
}

// inlineLimit keeps hi far from overflow, where an addition's error would be lost.
const inlineLimit = 0x1p1000

// twoSum gives a + b rounded, and the error of that, which is a double too.
func twoSum(a, b float64) (sum, err float64) {
	sum = a + b
	bb := sum - a
	return sum, (a - (sum - bb)) + (b - bb)
}

// add adds x where two doubles can hold the sum; otherwise it changes nothing and says false.
func (s *exactSum) add(x float64) bool {
	hi, e := twoSum(s.hi, x)
	lo, f := twoSum(s.lo, e)
	if f != 0 {
		hi, lo = twoSum(hi, lo)
		lo, f = twoSum(lo, f)
	}
	if f != 0 || !(math.Abs(hi) < inlineLimit) {
		return false
	}
	s.hi, s.lo = hi, lo
	return true
}

// doubleSum sums doubles exactly, so that no tree of merges can change a bit. floatSum too: its values are rounded to
// 32 bits before.
type doubleSum struct {
	field   string
	isFloat bool
	sums    []exactSum
	wides   []*wideSum
	scratch []float64
	buf     []byte
}

func newDoubleSum(_ *States, c *compiled) aggregate {
	return &doubleSum{field: c.Fields[0], isFloat: c.Type == segment.TypeFloat}
}

func (a *doubleSum) grow(groups int) { a.sums = grown(a.sums, groups) }

func (a *doubleSum) addRows(b *batch, groups []uint32) (leftOut int64, err error) {
	c, err := b.double(a.field)
	if err != nil {
		return 0, err
	}
	for i, g := range groups {
		if g == Skip || !c.good(i, &leftOut) {
			continue
		}
		x := c.values[i]
		if a.isFloat {
			x = float64(float32(x))
		}
		if x-x != 0 { // NaN or infinite
			leftOut++
			continue
		}
		a.add(g, x)
	}
	return leftOut, nil
}

// add adds a finite value.
func (a *doubleSum) add(g uint32, x float64) {
	s := &a.sums[g]
	s.seen = true
	if s.wide == 0 {
		if s.add(x) {
			return
		}
		a.widen(s)
	}
	a.wides[s.wide-1].add(x)
}

// widen moves a sum into a wide accumulator.
func (a *doubleSum) widen(s *exactSum) *wideSum {
	if s.wide == 0 {
		w := &wideSum{}
		w.add(s.hi)
		w.add(s.lo)
		a.wides = append(a.wides, w)
		s.wide = uint32(len(a.wides))
	}
	return a.wides[s.wide-1]
}

// parts gives the stored form: the sum rounded to a double, and the rest as ever smaller doubles, each the rounding of
// what is left. Past the doubles' range the first is infinite, and the rest begins with the sum in units of 2^1023.
func (a *doubleSum) parts(s *exactSum) (value float64, rest []float64) {
	if s.wide != 0 {
		value, a.scratch = a.wides[s.wide-1].parts(a.scratch[:0])
		return value, a.scratch
	}
	value, low := twoSum(s.hi, s.lo)
	a.scratch = a.scratch[:0]
	if low != 0 {
		a.scratch = append(a.scratch, low)
	}
	return value + 0, a.scratch // no negative zero
}

func (a *doubleSum) addStates(columns []arrow.Array, from int, groups []uint32) error {
	values, rests := columns[0].(*array.Float64), columns[1].(*array.Binary)
	for i, g := range groups {
		row := from + i
		if g == Skip {
			continue
		}
		if values.IsNull(row) {
			if rests.IsValid(row) {
				return corrupt("row %d: a rest without a sum", row)
			}
			continue
		}
		var rest []byte
		if rests.IsValid(row) {
			if rest = rests.Value(row); len(rest) == 0 {
				return corrupt("row %d: an empty rest", row)
			}
		}
		if err := a.addState(g, values.Value(row), rest); err != nil {
			return err
		}
	}
	return nil
}

// addState adds one stored sum.
func (a *doubleSum) addState(g uint32, value float64, rest []byte) error {
	if len(rest) == 0 {
		if value-value != 0 {
			return corrupt("a sum of %v without a rest", value)
		}
		a.add(g, value)
		return nil
	}
	if len(rest) == 8 && value-value == 0 {
		if low := math.Float64frombits(binary.LittleEndian.Uint64(rest)); low != 0 && value+low == value {
			a.add(g, value)
			a.add(g, low)
			return nil
		}
	}
	w, err := decodeWide(value, rest)
	if err != nil {
		return err
	}
	s := &a.sums[g]
	s.seen = true
	a.widen(s).merge(w)
	return nil
}

func (a *doubleSum) columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	values, rests := array.NewFloat64Builder(mem), array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)
	defer values.Release()
	defer rests.Release()
	values.Reserve(len(order))
	rests.Reserve(len(order))
	for _, g := range order {
		value, rest := a.parts(&a.sums[g])
		appendIf(values, value, a.sums[g].seen)
		a.buf = a.buf[:0]
		for _, part := range rest {
			a.buf = binary.LittleEndian.AppendUint64(a.buf, math.Float64bits(part))
		}
		appendIf(rests, a.buf, len(rest) > 0)
	}
	return []arrow.Array{values.NewArray(), rests.NewArray()}, nil
}

func (a *doubleSum) final(mem memory.Allocator, order []uint32) (arrow.Array, error) {
	if a.isFloat {
		out := array.NewFloat32Builder(mem)
		defer out.Release()
		for _, g := range order {
			value, _ := a.parts(&a.sums[g])
			appendIf(out, float32(value), a.sums[g].seen)
		}
		return out.NewArray(), nil
	}
	out := array.NewFloat64Builder(mem)
	defer out.Release()
	for _, g := range order {
		value, _ := a.parts(&a.sums[g])
		appendIf(out, value, a.sums[g].seen)
	}
	return out.NewArray(), nil
}

func (a *doubleSum) bytes() int64 {
	return int64(cap(a.sums))*24 + int64(len(a.wides))*(wideChunks*8+16)
}
