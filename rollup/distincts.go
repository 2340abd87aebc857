package rollup

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/axiomhq/hyperloglog"

	"drumlin/segment"
)

// distincts counts distinct values, of any of the fields or, by row, of their tuples. A null is no value; in a tuple it is
// a member like any other.
type distincts struct {
	fields []string
	types  []segment.ColumnType
	byRow  bool
	states []Distinct
	sizes  []uint32            // guesses at the memory of sketches, by group
	held   int64               // the sum of sizes, and the plain hashes
	small  *hyperloglog.Sketch // scratch: gives few hashes their stored form
	buf    []byte
	// members are the columns of the run at hand.
	members []member
}

func newDistincts(_ *States, c *compiled) aggregate {
	return &distincts{fields: c.Fields, types: c.inputs, byRow: c.ByRow}
}

func (a *distincts) grow(groups int) {
	a.states, a.sizes = grown(a.states, groups), grown(a.sizes, groups)
}

// enlarge notes that a group's sketch has grown by about n bytes. A sketch is never larger than its registers.
func (a *distincts) enlarge(g uint32, n int) {
	size := uint32(min(int(a.sizes[g])+n, sketchBytes))
	a.held += int64(size - a.sizes[g])
	a.sizes[g] = size
}

func (a *distincts) add(g uint32, hash uint64) {
	d := &a.states[g]
	before, promoted := cap(d.few), d.sketch != nil
	d.Add(hash)
	if d.sketch != nil && !promoted {
		a.enlarge(g, sketchBytes)
	}
	a.held += int64(cap(d.few)-before) * 8
}

func (a *distincts) addRows(b *batch, groups []uint32) (int64, error) {
	if a.byRow {
		return 0, a.addTuples(b, groups)
	}
	for f, field := range a.fields {
		if err := a.addField(b, field, a.types[f], groups); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (a *distincts) addField(b *batch, field string, typ segment.ColumnType, groups []uint32) error {
	switch typ {
	case segment.TypeString, segment.TypeJSON:
		col, err := b.text(field)
		if err != nil || col == nil {
			return err
		}
		for i, g := range groups {
			if g != Skip && col.IsValid(b.from+i) {
				a.add(g, HashString(col.Value(b.from+i)))
			}
		}
	case segment.TypeDouble, segment.TypeFloat:
		c, err := b.double(field)
		if err != nil {
			return err
		}
		for i, g := range groups {
			if g != Skip && c.at(i) == valueGood {
				a.add(g, HashDouble(c.values[i]))
			}
		}
	default:
		c, err := b.long(field)
		if err != nil {
			return err
		}
		for i, g := range groups {
			if g != Skip && c.at(i) == valueGood {
				a.add(g, HashLong(c.values[i]))
			}
		}
	}
	return nil
}

// member is one field of a tuple, in the one form that its type has.
type member struct {
	text   *array.String
	double *cached[float64]
	long   *cached[int64]
}

// addTuples hashes the row's values, each as 0 for null, or 1, its length (4 bytes, little-endian) and its bytes.
func (a *distincts) addTuples(b *batch, groups []uint32) error {
	a.members = a.members[:0]
	for f, field := range a.fields {
		m, err := b.member(field, a.types[f])
		if err != nil {
			return err
		}
		a.members = append(a.members, m)
	}
	for i, g := range groups {
		if g == Skip {
			continue
		}
		a.buf = a.buf[:0]
		for k := range a.members {
			a.buf = a.members[k].append(a.buf, b.from, i)
		}
		a.add(g, HashText(a.buf))
	}
	return nil
}

func (b *batch) member(field string, typ segment.ColumnType) (m member, err error) {
	switch typ {
	case segment.TypeString, segment.TypeJSON:
		m.text, err = b.text(field)
	case segment.TypeDouble, segment.TypeFloat:
		m.double, err = b.double(field)
	default:
		m.long, err = b.long(field)
	}
	return m, err
}

// append appends row i of the run that begins at from.
func (m *member) append(dst []byte, from, i int) []byte {
	var number uint64
	switch {
	case m.text != nil && m.text.IsValid(from+i):
		text := m.text.Value(from + i)
		dst = binary.LittleEndian.AppendUint32(append(dst, 1), uint32(len(text)))
		return append(dst, text...)
	case m.double != nil && m.double.at(i) == valueGood:
		number = numberBits(m.double.values[i] + 0)
	case m.long != nil && m.long.at(i) == valueGood:
		number = uint64(m.long.values[i])
	default:
		return append(dst, 0)
	}
	dst = binary.LittleEndian.AppendUint32(append(dst, 1), 8)
	return binary.LittleEndian.AppendUint64(dst, number)
}

func (a *distincts) addStates(columns []arrow.Array, from int, groups []uint32) error {
	sketches := columns[0].(*array.Binary)
	for i, g := range groups {
		if g == Skip || sketches.IsNull(from+i) {
			continue
		}
		few := cap(a.states[g].few)
		if err := a.states[g].Merge(sketches.Value(from + i)); err != nil {
			return fmt.Errorf("row %d: %w", from+i, err)
		}
		a.held += int64(cap(a.states[g].few)-few) * 8
		a.enlarge(g, sparseBytes+2*sketches.ValueLen(from+i))
	}
	return nil
}

func (a *distincts) columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	out := array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)
	defer out.Release()
	out.Reserve(len(order))
	for _, g := range order {
		if a.states[g].Empty() {
			out.AppendNull()
			continue
		}
		var err error
		if a.buf, err = appendSketch(a.buf[:0], a.sketchOf(g)); err != nil {
			return nil, err
		}
		out.Append(a.buf)
	}
	return []arrow.Array{out.NewArray()}, nil
}

// sketchOf gives the group's sketch; where there is none, a shared one that the next call overwrites.
func (a *distincts) sketchOf(g uint32) *hyperloglog.Sketch {
	d := &a.states[g]
	if d.sketch != nil {
		return d.sketch
	}
	if a.small == nil {
		a.small = hyperloglog.New14()
	}
	a.small.Reset()
	for _, hash := range d.few {
		a.small.InsertHash(hash)
	}
	return a.small
}

func (a *distincts) final(mem memory.Allocator, order []uint32) (arrow.Array, error) {
	out := array.NewInt64Builder(mem)
	defer out.Release()
	out.Reserve(len(order))
	for _, g := range order {
		var estimate uint64
		if !a.states[g].Empty() {
			estimate = a.sketchOf(g).Estimate()
		}
		out.Append(int64(estimate))
	}
	return out.NewArray(), nil
}

func (a *distincts) bytes() int64 { return int64(cap(a.states))*36 + a.held }
