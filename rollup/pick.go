package rollup

import (
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// pick keeps the value of the first or last row by (time, position). A null is a value like any other, and so is NaN; a
// row without a time does not take part.
type pick struct {
	metric *Metric
	topics *topics
	states []picked
	texts  [][]byte // by group, where the type is string
	held   int64    // bytes of texts
	buf    []byte
}

type picked struct {
	at    moment
	bits  uint64 // of the number
	value bool   // false: null
	any   bool   // false: no row yet
}

func newPick(s *States, c *compiled) aggregate { return &pick{metric: &c.Metric, topics: &s.topics} }

func (a *pick) grow(groups int) {
	a.states = grown(a.states, groups)
	if a.metric.Type == segment.TypeString {
		a.texts = grown(a.texts, groups)
	}
}

func (a *pick) addRows(b *batch, groups []uint32) (leftOut int64, err error) {
	where, err := b.positions()
	if err != nil {
		return 0, err
	}
	times, err := b.long(a.metric.TimeColumn)
	if err != nil {
		return 0, err
	}
	read, err := a.reader(b)
	if err != nil {
		return 0, err
	}
	for i, g := range groups {
		if g == Skip || !times.all && times.state[i] != valueGood {
			continue
		}
		if s := &a.states[g]; s.any && times.values[i] != s.at.time && (times.values[i] < s.at.time) != (a.metric.Kind == KindFirst) {
			continue
		}
		at := where.at(a.topics, b.from+i, times.values[i])
		if !a.wins(g, &at) {
			continue
		}
		bits, text, state := read(i)
		if state == valueUnusable {
			leftOut++
			continue
		}
		a.set(g, &at, state == valueGood, bits, text)
	}
	return leftOut, nil
}

// reader gives row i's value: a number's bits, or a text.
func (a *pick) reader(b *batch) (func(i int) (bits uint64, text string, state uint8), error) {
	field := a.metric.Fields[0]
	switch a.metric.Type {
	case segment.TypeString:
		col, err := b.text(field)
		return func(i int) (uint64, string, uint8) {
			if col == nil || col.IsNull(b.from+i) {
				return 0, "", valueNull
			}
			return 0, col.Value(b.from + i), valueGood
		}, err
	case segment.TypeLong:
		c, err := b.long(field)
		return func(i int) (uint64, string, uint8) { return uint64(c.values[i]), "", c.at(i) }, err
	}
	c, err := b.double(field)
	isFloat := a.metric.Type == segment.TypeFloat
	return func(i int) (uint64, string, uint8) {
		v := c.values[i]
		if isFloat {
			v = float64(float32(v))
		}
		return numberBits(v), "", c.at(i)
	}, err
}

// at says where value i stands.
func (c *cached[T]) at(i int) uint8 {
	if c.all {
		return valueGood
	}
	return c.state[i]
}

// numberBits gives every NaN the same bits.
func numberBits(v float64) uint64 {
	if v != v {
		v = math.NaN()
	}
	return math.Float64bits(v)
}

func (a *pick) wins(g uint32, at *moment) bool {
	s := &a.states[g]
	if !s.any {
		return true
	}
	c := a.topics.compare(at, &s.at)
	return c < 0 && a.metric.Kind == KindFirst || c > 0 && a.metric.Kind == KindLast
}

func (a *pick) set(g uint32, at *moment, value bool, bits uint64, text string) {
	if !value {
		bits, text = 0, ""
	}
	a.states[g] = picked{at: *at, bits: bits, value: value, any: true}
	if a.texts != nil {
		before := cap(a.texts[g])
		a.texts[g] = append(a.texts[g][:0], cutText(text, a.metric.MaxStringBytes)...)
		a.held += int64(cap(a.texts[g]) - before)
	}
}

// cutText cuts at a character's border.
func cutText(s string, limitBytes int) string {
	if len(s) <= limitBytes {
		return s
	}
	for limitBytes > 0 && !utf8.RuneStart(s[limitBytes]) {
		limitBytes--
	}
	return s[:limitBytes]
}

func (a *pick) addStates(columns []arrow.Array, from int, groups []uint32) error {
	moments := columns[1].(*array.Binary)
	for i, g := range groups {
		row := from + i
		if g == Skip {
			continue
		}
		if moments.IsNull(row) {
			if columns[0].IsValid(row) {
				return corrupt("row %d: a value without a moment", row)
			}
			continue
		}
		at, err := a.topics.decode(moments.Value(row))
		if err != nil {
			return err
		}
		bits, text, value, err := a.stored(columns[0], row)
		if err != nil {
			return err
		}
		if a.wins(g, &at) {
			a.set(g, &at, value, bits, text)
		}
	}
	return nil
}

// stored reads the value of a state.
func (a *pick) stored(column arrow.Array, row int) (bits uint64, text string, value bool, err error) {
	if column.IsNull(row) {
		return 0, "", false, nil
	}
	switch col := column.(type) {
	case *array.Int64:
		return uint64(col.Value(row)), "", true, nil
	case *array.Float64:
		return numberBits(col.Value(row)), "", true, nil
	case *array.Float32:
		return numberBits(float64(col.Value(row))), "", true, nil
	case *array.String:
		if text = col.Value(row); len(text) > a.metric.MaxStringBytes || !utf8.ValidString(text) {
			return 0, "", false, corrupt("row %d: a text of %d bytes that is too long or not UTF-8", row, len(text))
		}
		return 0, text, true, nil
	}
	return 0, "", false, typeError(a.metric.Name, column)
}

func (a *pick) columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	value, err := a.final(mem, order)
	if err != nil {
		return nil, err
	}
	moments := array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)
	defer moments.Release()
	moments.Reserve(len(order))
	for _, g := range order {
		s := &a.states[g]
		a.buf = a.buf[:0]
		if s.any {
			a.buf = a.topics.encode(a.buf, &s.at)
		}
		appendIf(moments, a.buf, s.any)
	}
	return []arrow.Array{value, moments.NewArray()}, nil
}

func (a *pick) final(mem memory.Allocator, order []uint32) (arrow.Array, error) {
	seen := func(g uint32) bool { return a.states[g].value }
	number := func(g uint32) float64 { return math.Float64frombits(a.states[g].bits) }
	switch a.metric.Type {
	case segment.TypeString:
		return fillWhere(array.NewStringBuilder(mem), order, seen, func(g uint32) string { return string(a.texts[g]) }), nil
	case segment.TypeLong:
		return fillWhere(array.NewInt64Builder(mem), order, seen, func(g uint32) int64 { return int64(a.states[g].bits) }), nil
	case segment.TypeFloat:
		return fillWhere(array.NewFloat32Builder(mem), order, seen, func(g uint32) float32 { return float32(number(g)) }), nil
	}
	return fillWhere(array.NewFloat64Builder(mem), order, seen, number), nil
}

func (a *pick) bytes() int64 {
	return int64(cap(a.states))*56 + int64(cap(a.texts))*24 + a.held
}
