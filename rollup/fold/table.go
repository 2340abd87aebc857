package fold

import (
	"math/bits"
	"math/rand/v2"
)

// table numbers keys of a fixed number of words, from 0 on in the order of their first appearance: open addressing with
// linear probing.
type table struct {
	width int
	seed  uint64
	keys  []uint64 // of the groups, one after the other
	slots []uint64 // 0: free; else 32 bits of the hash above the group's number + 1
	mask  uint64
}

const (
	firstSlots = 1 << 10
	multiplier = 0x9E3779B97F4A7C15
)

func newTable(width int) *table {
	t := &table{width: width, seed: rand.Uint64()} // seeds show in no result: they keep keys from being made to collide
	t.resize(firstSlots)
	return t
}

func (t *table) len() int { return len(t.keys) / t.width }

func (t *table) key(g uint32) []uint64 { return t.keys[int(g)*t.width : (int(g)+1)*t.width] }

func (t *table) hash(key []uint64) uint64 {
	h := t.seed
	for _, word := range key {
		hi, lo := bits.Mul64(h^word, multiplier)
		h = (hi ^ lo) + multiplier
	}
	return h
}

// find gives the number of a key, a new one where it is new.
func (t *table) find(key []uint64) uint32 {
	h := t.hash(key)
	tag := h &^ (1<<32 - 1)
	at := h & t.mask
	for {
		slot := t.slots[at]
		if slot == 0 {
			break
		}
		if slot&^(1<<32-1) == tag {
			if g := uint32(slot) - 1; equalKeys(t.key(g), key) {
				return g
			}
		}
		at = (at + 1) & t.mask
	}
	g := uint32(t.len())
	t.keys = append(t.keys, key...)
	t.slots[at] = tag | uint64(g+1)
	if uint64(t.len())*2 > t.mask {
		t.resize(len(t.slots) * 2)
	}
	return g
}

func (t *table) resize(slots int) {
	t.slots, t.mask = make([]uint64, slots), uint64(slots-1)
	for g := range uint32(t.len()) {
		h := t.hash(t.key(g))
		at := h & t.mask
		for t.slots[at] != 0 {
			at = (at + 1) & t.mask
		}
		t.slots[at] = h&^(1<<32-1) | uint64(g+1)
	}
}

func (t *table) bytes() int64 { return int64(cap(t.keys)+cap(t.slots)) * 8 }

// equalKeys compares keys of one width.
func equalKeys(a, b []uint64) bool {
	b = b[:len(a)]
	for i, word := range a {
		if word != b[i] {
			return false
		}
	}
	return true
}
