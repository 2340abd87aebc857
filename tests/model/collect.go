package model

import "slices"

// references are the objects that the store names, and the epochs of which a transaction may still come.
type references struct {
	named     map[string]bool
	alive     map[int]bool
	rev       int
	oldestPin int // 0: none
	newestPin int
}

func (s *sim) references() *references {
	st := s.st
	r := &references{named: map[string]bool{}, alive: map[int]bool{}, rev: st.rev}
	for _, c := range st.commits {
		r.named[c.record] = true
		for _, seg := range c.segs {
			if h, ok := st.heads[seg.bucket]; !ok || h.absorbed < c.create {
				r.named[seg.object] = true
			}
		}
	}
	for _, h := range st.heads {
		r.named[h.manifest] = true
		if o := s.objects[h.manifest]; o != nil {
			for _, name := range o.manifest.objects() {
				r.named[name] = true
			}
		}
	}
	for _, off := range st.off {
		r.named[off.record] = r.named[off.record] || s.on(NewestRecordKept)
	}
	for _, k := range st.own {
		r.alive[k.create] = true
	}
	for _, create := range st.claims {
		r.alive[create] = true
	}
	for _, rev := range st.pins {
		if r.oldestPin == 0 || rev < r.oldestPin {
			r.oldestPin = rev
		}
		r.newestPin = max(r.newestPin, rev)
	}
	return r
}

// stepCollect reads what may go, or deletes some of it: the two are steps apart.
func (s *sim) stepCollect() {
	if len(s.doomed) > 0 {
		s.deleteSome()
		return
	}
	if s.on(MarkerBeforeCollection) {
		s.ensureMarkers()
	}
	now := s.references()
	refs := now
	if !s.on(CollectAtOneRevision) {
		if s.oldRefs == nil {
			s.oldRefs = now
			return
		}
		mixed := *now
		mixed.named = s.oldRefs.named
		refs = &mixed
		s.oldRefs = nil
	}
	for _, name := range sortedKeys(s.objects) {
		if s.mayDelete(s.objects[name], refs) {
			s.doomed = append(s.doomed, name)
		}
	}
	if len(s.doomed) > 0 {
		s.logf("collection at %d dooms %v", now.rev, s.doomed)
	}
}

// deleteSome deletes a few doomed objects, in any order: a collection may end halfway.
func (s *sim) deleteSome() {
	for range min(len(s.doomed), 3) {
		i := s.rng.IntN(len(s.doomed))
		delete(s.objects, s.doomed[i])
		s.doomed = slices.Delete(s.doomed, i, i+1)
		s.stats.collected++
	}
	if s.pct(5) {
		s.doomed = nil
	}
}

// mayDelete says whether the object may go. The clock only lengthens the life of what a reader may still use.
func (s *sim) mayDelete(o *object, refs *references) bool {
	pinned := refs.oldestPin != 0 && s.on(PinsRespected)
	switch {
	case o.inc != s.st.inc || refs.named[o.name] || o.epoch > refs.rev:
		return false
	case o.retired != 0:
		return !(pinned && o.retired > refs.oldestPin) && s.step-o.retiredAt >= graceSteps
	case refs.alive[o.epoch] && s.on(CollectionByEpoch):
		return false
	}
	// Nobody has noted when the object was replaced: any pin younger than it may show it, not only the oldest.
	youngest := refs.newestPin
	if !s.on(EveryPinCounts) {
		youngest = refs.oldestPin
	}
	return !pinned || o.epoch >= youngest
}

// graceSteps is how long a replaced object stays, for the sake of readers.
const graceSteps = 20

func (s *sim) ensureMarkers() {
	for _, b := range sortedKeys(s.st.heads) {
		s.mark(s.st.heads[b].manifest, nil)
	}
}

// stepReap deletes the keys of commits that all their buckets have absorbed.
func (s *sim) stepReap() {
	var gone []commitKey
	for _, c := range s.st.sortedCommits() {
		all, any := true, false
		for _, b := range c.buckets() {
			h, ok := s.st.heads[b]
			absorbed := ok && h.absorbed >= c.create
			all, any = all && absorbed, any || absorbed
		}
		if all || any && !s.on(ReapWhenAllAbsorbed) {
			gone = append(gone, c.commitKey)
		}
	}
	if len(gone) == 0 {
		return
	}
	if s.on(MarkerBeforeCollection) {
		s.ensureMarkers()
	}
	s.st.rev++
	for _, k := range gone {
		delete(s.st.commits, k)
	}
	s.logf("reaps %v at %d", gone, s.st.rev)
}
