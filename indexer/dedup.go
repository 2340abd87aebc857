package indexer

import "math/bits"

// idSet is a set of 128-bit identities: open addressing with linear probing, at most half full. The identities are
// hashes already, so their bits are the slots.
type idSet struct {
	slots []identity
	mask  uint64
	zero  bool // the identity 0,0, which marks an empty slot otherwise
}

type identity struct{ hi, lo uint64 }

// newIDSet has room for n identities and never grows.
func newIDSet(n int) *idSet {
	size := uint64(1) << bits.Len64(uint64(max(n, 1))*2)
	return &idSet{slots: make([]identity, size), mask: size - 1}
}

// add puts the identity into the set and says whether it was new.
func (s *idSet) add(id identity) bool {
	if id == (identity{}) {
		was := s.zero
		s.zero = true
		return !was
	}
	for at := id.lo & s.mask; ; at = (at + 1) & s.mask {
		switch s.slots[at] {
		case identity{}:
			s.slots[at] = id
			return true
		case id:
			return false
		}
	}
}
