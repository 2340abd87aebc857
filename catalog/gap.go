package catalog

import (
	"fmt"
	"hash/fnv"
)

func keyHash(key string, mod int64) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d", key, mod)
	return h.Sum64()
}

// gapError says that the watch has left something out. The state is loaded again.
type gapError struct{ detail string }

func (e *gapError) Error() string { return "the watch has missed a change: " + e.detail }

func gapf(format string, args ...any) error { return &gapError{detail: fmt.Sprintf(format, args...)} }

// note records that the event is the next one of its key. skip is true for an event that has been applied already. An
// event of the past that was not applied is a gap, whatever revision the store has reported meanwhile.
func (s *state) note(e Event) (skip bool, err error) {
	old, exists := s.keys[e.Key]
	if exists && e.ModRevision <= old.mod || e.Deleted && !exists && e.ModRevision <= s.revision {
		return true, nil
	}
	if e.ModRevision <= s.revision {
		return false, gapf("%s changed at revision %d, which was passed at %d", e.Key, e.ModRevision, s.revision)
	}
	if e.Deleted {
		if !exists {
			return false, gapf("%s is deleted, but was never seen", e.Key)
		}
		s.hash ^= keyHash(e.Key, old.mod)
		delete(s.keys, e.Key)
		return false, nil
	}
	switch {
	case exists && (e.CreateRevision != old.create || e.Version != old.version+1):
		return false, gapf("%s goes from version %d to %d", e.Key, old.version, e.Version)
	case !exists && e.Version != 1:
		return false, gapf("%s appears at version %d", e.Key, e.Version)
	case exists:
		s.hash ^= keyHash(e.Key, old.mod)
	}
	s.set(e.KeyValue)
	return false, nil
}

func (s *state) set(kv KeyValue) {
	s.keys[kv.Key] = keyState{create: kv.CreateRevision, mod: kv.ModRevision, version: kv.Version}
	s.hash ^= keyHash(kv.Key, kv.ModRevision)
}
