package fold

import (
	"context"
	"math/bits"
	"slices"

	"drumlin/segment"
)

// part is one column of the order of groups, as numbers that order as its values do.
type part struct {
	bits  int                       // that the greatest needs
	value func(key []uint64) uint64 // less than 1<<bits
}

// sorted gives the groups in the plan's order. Each group's columns are packed into as few words as their ranges allow,
// and the words sorted by radix from the last to the first.
func (f *Folder) sorted(ctx context.Context) ([]uint32, error) {
	words := pack(f.parts())
	n := f.groups.len()
	rows := make([]sortRow, n)
	for i := range rows {
		rows[i].group = uint32(i)
	}
	scratch := make([]sortRow, n)
	for _, word := range slices.Backward(words) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i := range rows {
			rows[i].word = word.value(f.groups.key(rows[i].group))
		}
		rows, scratch = radix(rows, scratch, word.bits)
	}
	out := make([]uint32, n)
	for i := range rows {
		out[i] = rows[i].group
	}
	return out, nil
}

type sortRow struct {
	word  uint64
	group uint32
}

// sortBytes is what sorted takes for each group.
func (f *Folder) sortBytes() int64 { return 2*16 + 4 }

// word is several parts side by side.
type word struct {
	bits  int
	parts []part
}

func pack(parts []part) []word {
	var out []word
	for _, p := range parts {
		if p.bits == 0 {
			continue
		}
		if len(out) == 0 || out[len(out)-1].bits+p.bits > 64 {
			out = append(out, word{})
		}
		last := &out[len(out)-1]
		last.bits += p.bits
		last.parts = append(last.parts, p)
	}
	return out
}

func (w *word) value(key []uint64) uint64 {
	if len(w.parts) == 1 {
		return w.parts[0].value(key)
	}
	var out uint64
	for _, p := range w.parts {
		out = out<<p.bits | p.value(key)
	}
	return out
}

const (
	digitBits = 8
	fewRows   = 256 // below, comparing beats counting
)

// radix sorts rows by their words, keeping the order of equal ones, and gives back both slices, the sorted one first.
func radix(rows, scratch []sortRow, wordBits int) (sorted, other []sortRow) {
	if len(rows) < fewRows {
		slices.SortStableFunc(rows, func(a, b sortRow) int {
			switch {
			case a.word < b.word:
				return -1
			case a.word > b.word:
				return 1
			}
			return 0
		})
		return rows, scratch
	}
	for shift := 0; shift < wordBits; shift += digitBits {
		var starts [1 << digitBits]int
		for i := range rows {
			starts[rows[i].word>>shift&(1<<digitBits-1)]++
		}
		at := 0
		for digit, n := range starts {
			starts[digit] = at
			at += n
		}
		for i := range rows {
			digit := rows[i].word >> shift & (1<<digitBits - 1)
			scratch[starts[digit]] = rows[i]
			starts[digit]++
		}
		rows, scratch = scratch, rows
	}
	return rows, scratch
}

// parts are the columns of the order, over the groups that there are.
func (f *Folder) parts() []part {
	var out []part
	for _, name := range f.plan.Order() {
		if name == segment.TimeColumn {
			out = append(out, f.ranged(func(key []uint64) uint64 { return key[0] ^ 1<<63 }, nil)...)
			continue
		}
		for i := range f.keys.dims {
			if d := &f.keys.dims[i]; d.column.Name == name {
				out = append(out, f.dimensionParts(d)...)
			}
		}
	}
	return out
}

func (f *Folder) dimensionParts(d *dimension) []part {
	switch d.column.Type {
	case segment.TypeLong:
		return f.ranged(func(key []uint64) uint64 { return key[d.word] ^ 1<<63 }, d.isNull)
	case segment.TypeDouble:
		return f.ranged(func(key []uint64) uint64 { return orderedDouble(d.double(key)) }, d.isNull)
	case segment.TypeFloat:
		return f.ranged(func(key []uint64) uint64 { return orderedDouble(float64(d.float(key))) }, d.isNull)
	}
	ranks := d.texts.ranks()
	return []part{{
		bits:  bits.Len(uint(len(ranks) - 1)),
		value: func(key []uint64) uint64 { return uint64(ranks[d.half(key)]) },
	}}
}

// ranged takes values down to their range. Nulls come first, by a bit of their own.
func (f *Folder) ranged(value func(key []uint64) uint64, isNull func(key []uint64) bool) []part {
	least, greatest, nulls := ^uint64(0), uint64(0), false
	for g := range uint32(f.groups.len()) {
		key := f.groups.key(g)
		if isNull != nil && isNull(key) {
			nulls = true
			continue
		}
		v := value(key)
		least, greatest = min(least, v), max(greatest, v)
	}
	if least > greatest { // nulls only
		return nil
	}
	out := part{bits: bits.Len64(greatest - least), value: func(key []uint64) uint64 { return value(key) - least }}
	if !nulls {
		return []part{out}
	}
	valid := part{bits: 1, value: func(key []uint64) uint64 {
		if isNull(key) {
			return 0
		}
		return 1
	}}
	out.value = func(key []uint64) uint64 {
		if isNull(key) {
			return 0
		}
		return value(key) - least
	}
	return []part{valid, out}
}
