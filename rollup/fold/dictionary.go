package fold

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// dictionary numbers the texts of one dimension, from 1 on; 0 stands for null.
type dictionary struct {
	seed  maphash.Seed
	arena []byte
	ends  []int // of text number i+1 in arena
	slots []uint64
	mask  uint64
	last  uint32 // the number given last: rows are often sorted
}

func newDictionary() *dictionary {
	d := &dictionary{seed: maphash.MakeSeed()}
	d.reset()
	return d
}

func (d *dictionary) reset() {
	d.arena, d.ends, d.last = nil, nil, 0
	d.slots, d.mask = make([]uint64, firstSlots), firstSlots-1
}

// text gives the text of a number that is not 0.
func (d *dictionary) text(code uint32) []byte {
	from := 0
	if code > 1 {
		from = d.ends[code-2]
	}
	return d.arena[from:d.ends[code-1]]
}

func (d *dictionary) code(text string) uint32 {
	if d.last != 0 && string(d.text(d.last)) == text {
		return d.last
	}
	h := maphash.String(d.seed, text)
	tag := h &^ (1<<32 - 1)
	at := h & d.mask
	for {
		slot := d.slots[at]
		if slot == 0 {
			break
		}
		if slot&^(1<<32-1) == tag && string(d.text(uint32(slot))) == text {
			d.last = uint32(slot)
			return d.last
		}
		at = (at + 1) & d.mask
	}
	d.arena = append(d.arena, text...)
	d.ends = append(d.ends, len(d.arena))
	d.last = uint32(len(d.ends))
	d.slots[at] = tag | uint64(d.last)
	if uint64(len(d.ends))*2 > d.mask {
		d.grow()
	}
	return d.last
}

func (d *dictionary) grow() {
	d.slots, d.mask = make([]uint64, 2*len(d.slots)), 2*d.mask+1
	for code := uint32(1); code <= uint32(len(d.ends)); code++ {
		h := maphash.Bytes(d.seed, d.text(code))
		at := h & d.mask
		for d.slots[at] != 0 {
			at = (at + 1) & d.mask
		}
		d.slots[at] = h&^(1<<32-1) | uint64(code)
	}
}

// ranks gives, by number, each text's place among all in the order of their bytes, from 1 on; null's is 0.
func (d *dictionary) ranks() []uint32 {
	order := make([]uint32, len(d.ends))
	for i := range order {
		order[i] = uint32(i + 1)
	}
	slices.SortFunc(order, func(a, b uint32) int { return bytes.Compare(d.text(a), d.text(b)) })
	out := make([]uint32, len(d.ends)+1)
	for rank, code := range order {
		out[code] = uint32(rank + 1)
	}
	return out
}

func (d *dictionary) bytes() int64 {
	return int64(cap(d.arena)) + int64(cap(d.ends)+cap(d.slots))*8 + int64(len(d.ends))*rankBytes
}

// rankBytes is what ranks takes for each text.
const rankBytes = 8
