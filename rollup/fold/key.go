package fold

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/rollup"
	"drumlin/segment"
)

// keyer makes the keys of rows: the truncated time in a word of its own, then the dimensions. Long and double take a word,
// text (as its number in a dictionary) and float half of one; a bit says of each number whether it is null.
type keyer struct {
	plan  *rollup.BucketPlan
	width int // words
	dims  []dimension

	times []arrow.Timestamp // of the record at hand
	keys  []uint64          // of a run
	chunk struct{ start, end int64 }
}

// dimension is one dimension's place in a key. A shift is of bits within its word.
type dimension struct {
	column    segment.Column
	word      int
	shift     int
	nullWord  int
	nullShift int
	texts     *dictionary // of text only

	values arrow.Array // of the record at hand; nil: all null
}

func newKeyer(p *rollup.BucketPlan) (*keyer, error) {
	k := &keyer{plan: p, width: 1}
	var half []*int // where the places of halves go
	var shifts []*int
	k.dims = make([]dimension, len(p.Dimensions()))
	numbers := 0
	for i, c := range p.Dimensions() {
		d := &k.dims[i]
		d.column = c
		switch c.Type {
		case segment.TypeString, segment.TypeJSON:
			d.texts = newDictionary()
			half, shifts = append(half, &d.word), append(shifts, &d.shift)
			continue
		case segment.TypeLong, segment.TypeDouble:
			d.word = k.width
			k.width++
		case segment.TypeFloat:
			half, shifts = append(half, &d.word), append(shifts, &d.shift)
		default:
			return nil, fmt.Errorf("fold: the dimension %q has type %s, by which rows cannot be grouped", c.Name, c.Type)
		}
		d.nullShift = numbers
		numbers++
	}
	nulls := make([]struct{ word, shift int }, (numbers+31)/32)
	for i := range nulls {
		half, shifts = append(half, &nulls[i].word), append(shifts, &nulls[i].shift)
	}
	for i := range half {
		*half[i], *shifts[i] = k.width+i/2, i%2*32
	}
	k.width += (len(half) + 1) / 2
	for i := range k.dims {
		if d := &k.dims[i]; d.texts == nil {
			place := nulls[d.nullShift/32]
			d.nullWord, d.nullShift = place.word, place.shift+d.nullShift%32
		}
	}
	k.keys = make([]uint64, runRows*k.width)
	return k, nil
}

// open takes the columns of a record. A dimension that raw rows do not have is null there: the file is older than it.
func (k *keyer) open(rec arrow.RecordBatch, folded bool) error {
	at := rec.Schema().FieldIndices(segment.TimeColumn)
	if len(at) != 1 {
		return fmt.Errorf("fold: the rows have no %s", segment.TimeColumn)
	}
	times, ok := rec.Column(at[0]).(*array.Timestamp)
	if !ok || times.DataType().(*arrow.TimestampType).Unit != arrow.Microsecond || times.NullN() > 0 {
		return fmt.Errorf("%w: %s of type %s with %d nulls", segment.ErrCorrupt, segment.TimeColumn,
			rec.Column(at[0]).DataType(), rec.Column(at[0]).NullN())
	}
	k.times = times.TimestampValues()
	for i := range k.dims {
		d := &k.dims[i]
		at := rec.Schema().FieldIndices(d.column.Name)
		switch {
		case len(at) == 1:
			d.values = rec.Column(at[0])
			want, err := segment.ArrowType(d.column.Type)
			if err != nil {
				return fmt.Errorf("fold: %w", err)
			}
			if !arrow.TypeEqual(d.values.DataType(), want) {
				return fmt.Errorf("fold: the dimension %q has Arrow type %s, not %s", d.column.Name, d.values.DataType(), want)
			}
		case folded:
			return fmt.Errorf("fold: the folded rows have no dimension %q: they were folded by a narrower plan", d.column.Name)
		default:
			d.values = nil
		}
	}
	return nil
}

// close forgets the record.
func (k *keyer) close() {
	k.times = nil
	for i := range k.dims {
		k.dims[i].values = nil
	}
}

// fill gives the keys of the rows from one on, one for each mark, until the next call. Those of rows marked Skip say
// nothing.
func (k *keyer) fill(from int, marks []uint32) ([]uint64, error) {
	n := len(marks)
	keys := k.keys[:n*k.width]
	clear(keys)
	k.fillTimes(keys, from, n)
	for i := range k.dims {
		if err := k.fillDimension(&k.dims[i], keys, from, marks); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (k *keyer) fillTimes(keys []uint64, from, n int) {
	start, end := k.chunk.start, k.chunk.end
	for i, t := range k.times[from : from+n] {
		if int64(t) < start || int64(t) >= end {
			start, end = k.plan.Chunk(int64(t))
		}
		keys[i*k.width] = uint64(start)
	}
	k.chunk.start, k.chunk.end = start, end
}

func (k *keyer) fillDimension(d *dimension, keys []uint64, from int, marks []uint32) error {
	n := len(marks)
	switch values := d.values.(type) {
	case nil:
		if d.texts == nil {
			for i := range n {
				keys[i*k.width+d.nullWord] |= 1 << d.nullShift
			}
		}
		return nil
	case *array.String:
		k.fillTexts(d, values, keys, from, marks)
	case *array.Int64:
		fillNumbers(k, d, values, values.Int64Values(), keys, from, n, func(v int64) uint64 { return uint64(v) })
	case *array.Float64:
		fillNumbers(k, d, values, values.Float64Values(), keys, from, n, doubleBits)
	case *array.Float32:
		fillNumbers(k, d, values, values.Float32Values(), keys, from, n, floatBits)
	default:
		return fmt.Errorf("fold: the dimension %q has Arrow type %s", d.column.Name, values.DataType())
	}
	return nil
}

func (k *keyer) fillTexts(d *dimension, values *array.String, keys []uint64, from int, marks []uint32) {
	nulls := values.NullN() != 0
	for i, mark := range marks {
		if mark == rollup.Skip || nulls && values.IsNull(from+i) {
			continue
		}
		keys[i*k.width+d.word] |= uint64(d.texts.code(values.Value(from+i))) << d.shift
	}
}

func fillNumbers[T any](k *keyer, d *dimension, values arrow.Array, numbers []T, keys []uint64, from, n int, bits func(T) uint64) {
	nulls := values.NullN() != 0
	for i := range n {
		if nulls && values.IsNull(from+i) {
			keys[i*k.width+d.nullWord] |= 1 << d.nullShift
			continue
		}
		keys[i*k.width+d.word] |= bits(numbers[from+i]) << d.shift
	}
}

// doubleBits gives zero one sign and NaN one form.
func doubleBits(v float64) uint64 {
	if v != v {
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(v + 0)
}

func floatBits(v float32) uint64 {
	if v != v {
		return uint64(math.Float32bits(float32(math.NaN())))
	}
	return uint64(math.Float32bits(v + 0))
}

func (k *keyer) reset() {
	for i := range k.dims {
		if d := &k.dims[i]; d.texts != nil {
			d.texts.reset()
		}
	}
}

func (k *keyer) bytes() int64 {
	sum := int64(cap(k.keys)) * 8
	for i := range k.dims {
		if d := &k.dims[i]; d.texts != nil {
			sum += d.texts.bytes()
		}
	}
	return sum
}

// The values of a group's key.

func (d *dimension) isNull(key []uint64) bool {
	if d.texts != nil {
		return d.half(key) == 0
	}
	return key[d.nullWord]>>d.nullShift&1 == 1
}

func (d *dimension) half(key []uint64) uint32    { return uint32(key[d.word] >> d.shift) }
func (d *dimension) text(key []uint64) []byte    { return d.texts.text(d.half(key)) }
func (d *dimension) long(key []uint64) int64     { return int64(key[d.word]) }
func (d *dimension) double(key []uint64) float64 { return math.Float64frombits(key[d.word]) }
func (d *dimension) float(key []uint64) float32  { return math.Float32frombits(d.half(key)) }
