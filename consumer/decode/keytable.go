package decode

import (
	"hash/maphash"
)

// What a table remembers between records is bounded. More keys than that in one record are still told apart; they are
// forgotten at the next.
const (
	maxLearnedKeys     = 1024
	maxLearnedKeyBytes = 64 << 10
)

// keyTable knows the keys of the objects at one place of the records: which of them lead somewhere, and which have
// occurred in the object at hand. Records of one producer repeat their keys in the same order, so the table guesses the
// next key from the one before; only a wrong guess is hashed. The hash is seeded: nobody can prepare keys that collide.
type keyTable struct {
	seed    maphash.Seed
	entries []keyEntry // the first `wanted` lead to a node, the rest are learned
	wanted  int
	learned int     // bytes of learned keys
	slots   []int32 // open addressing, a power of two: index of the entry + 1; 0: free
	first   int32   // entry that the last object began with
	visit   uint64  // number of the object at hand
}

type keyEntry struct {
	key   string
	plain bool  // written without escapes: the guess may compare it with the bytes of a record
	node  *node // nil: nothing is read there
	seen  uint64
	next  int32 // entry that followed last time
}

func newKeyTable() *keyTable {
	return &keyTable{seed: maphash.MakeSeed(), slots: make([]int32, 16)}
}

// child returns the node under the key, made if need be. It is for compiling, before the first record.
func (t *keyTable) child(key string) *node {
	i := t.find([]byte(key))
	if t.entries[i].node == nil {
		t.entries[i].node = &node{slot: noSlot}
	}
	t.wanted, t.learned = len(t.entries), 0
	return t.entries[i].node
}

// begin starts an object.
func (t *keyTable) begin() {
	if len(t.entries)-t.wanted > maxLearnedKeys || t.learned > maxLearnedKeyBytes {
		t.forget()
	}
	t.visit++
}

// find returns the index of the key's entry, learned if need be. The key is copied when it is learned.
func (t *keyTable) find(key []byte) int32 {
	mask := uint64(len(t.slots) - 1)
	at := maphash.Bytes(t.seed, key) & mask
	for t.slots[at] != 0 {
		if i := t.slots[at] - 1; t.entries[i].key == string(key) {
			return i
		}
		at = (at + 1) & mask
	}
	i := int32(len(t.entries))
	t.entries = append(t.entries, keyEntry{key: string(key), plain: isPlain(key)})
	t.slots[at] = i + 1
	t.learned += len(key)
	if 2*len(t.entries) > len(t.slots) {
		t.rehash(2 * len(t.slots))
	}
	return i
}

// forget drops the learned keys.
func (t *keyTable) forget() {
	t.entries = append([]keyEntry(nil), t.entries[:t.wanted]...)
	for i := range t.entries {
		t.entries[i].next = 0
	}
	t.first, t.learned = 0, 0
	size := 16
	for size < 2*t.wanted {
		size *= 2
	}
	t.rehash(size)
}

func (t *keyTable) rehash(size int) {
	t.slots = make([]int32, size)
	mask := uint64(size - 1)
	for i := range t.entries {
		at := maphash.String(t.seed, t.entries[i].key) & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = int32(i) + 1
	}
}

// isPlain says whether JSON may write the text without escapes.
func isPlain(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
