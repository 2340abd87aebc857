package model

import (
	"cmp"
	"slices"
)

// stepRebuild loses etcd, with every process, and rebuilds it from the object store under a new incarnation.
func (s *sim) stepRebuild() {
	old := s.st
	s.st = newStore(old.inc + 1)
	s.st.spec, s.st.floors = s.mirror.spec, s.mirror.floors
	s.st.floors.mod = s.st.rev
	s.processes()
	s.stats.rebuilds++
	// A rebuild acknowledges at its frontier: what hot rows were judged by is promised up to there.
	clear(s.oracle.shown)
	s.logf("etcd is lost; incarnation %d", s.st.inc)
	listed, ok := s.rebuildHeads()
	if !ok {
		return
	}
	for p := range s.cfg.parts {
		s.rebuildPartition(p, listed)
	}
	s.checkCold("after a rebuild")
}

// listedBy says which commits each bucket's manifest lists.
type listedBy map[int][]absorbedRange

// has says whether the bucket has absorbed the commit. Without the commit's name a range is all there is to go by.
func (l listedBy) has(s *sim, bucket int, c *commit) bool {
	return slices.ContainsFunc(l[bucket], func(r absorbedRange) bool {
		if !s.on(RangesNameCommits) {
			return r.part == c.part && r.gen == c.gen && r.from <= c.from && c.from < r.to
		}
		return r.uuid == c.uuid
	})
}

// startsAt gives the name of the commit that a manifest lists at this position; "": none does.
func (l listedBy) startsAt(k commitKey) string {
	for _, b := range sortedKeys(l) {
		for _, r := range l[b] {
			if r.commitKey == k {
				return r.uuid
			}
		}
	}
	return ""
}

// rebuildHeads gives every bucket the marked manifest of the highest incarnation and sequence, written anew.
func (s *sim) rebuildHeads() (listedBy, bool) {
	best := map[int]*object{}
	for _, name := range sortedKeys(s.objects) {
		o := s.objects[name]
		if o.manifest == nil || !o.marked && s.on(RebuildMarkedOnly) {
			continue
		}
		for _, b := range o.manifest.buckets {
			was := best[b]
			if was == nil || cmp.Or(cmp.Compare(o.inc, was.inc), cmp.Compare(o.manifest.seq, was.manifest.seq)) > 0 {
				best[b] = o
			}
		}
	}
	s.st.rev++
	listed := listedBy{}
	written := map[*object]string{}
	for b := range s.cfg.buckets {
		o := best[b]
		if o == nil {
			s.oracle.noteRebuiltHead(b, "", nil, s.st.stamp(), "")
			continue
		}
		for _, m := range o.manifest.buckets {
			if best[m] != o {
				s.failf("rebuild: buckets %d and %d shared manifest %s, but only one has it now", b, m, o.name)
				return nil, false
			}
		}
		if written[o] == "" {
			m := *o.manifest
			m.seq++
			m.name = s.put("manifest", s.st.rev, object{marked: true})
			s.objects[m.name].manifest = &m
			written[o] = m.name
		}
		m := s.objects[written[o]].manifest
		h := head{manifest: m.name, absorbed: s.st.rev, plan: m.plan, seq: m.seq, state: m.state, mod: s.st.rev}
		if !s.on(RebuildNotFromR) {
			h.absorbed = m.absorbed
		}
		s.st.heads[b] = h
		listed[b] = m.ranges
		s.oracle.noteRebuiltHead(b, o.name, m, s.st.stamp(), m.name)
		s.logf("bucket %d: %s as %s", b, o.name, m.name)
	}
	return listed, true
}

// rebuildPartition takes the newest complete record of the partition as its position, and makes every commit live that
// some bucket has not absorbed.
func (s *sim) rebuildPartition(part int, listed listedBy) {
	records := s.recordsOf(part, listed)
	if len(records) == 0 {
		if len(s.oracle.offs[part]) > 0 {
			s.failf("rebuild: no record of p%d is left", part)
		}
		return
	}
	newest := records[len(records)-1]
	off := newest.record.off
	type start struct{ gen, from int }
	chosen := map[start]*object{}
	var order []start
	for _, o := range records { // ascending: the highest wins
		at := start{o.record.off.gen, o.record.off.next}
		if c := o.record.commit; c != nil {
			at.from = c.from
		}
		if chosen[at] == nil {
			order = append(order, at)
		} else if !s.on(HighestRecordWins) {
			continue
		}
		chosen[at] = o
		if name := listed.startsAt(commitKey{part, at.gen, at.from}); name != "" && s.on(RangesNameCommits) {
			if c := s.recordNamed(records, name); c != nil {
				chosen[at] = c
			}
		}
	}
	for _, at := range order {
		c := chosen[at].record.commit
		// What begins where the partition stands, or where a generation was closed, was never committed.
		closed := at.gen == off.gen && at.from >= off.next ||
			s.on(GenerationEnds) && at.gen < len(off.ends) && at.from >= off.ends[at.gen]
		name := listed.startsAt(commitKey{part, at.gen, at.from})
		foreign := c != nil && name != "" && name != c.uuid && s.on(RangesNameCommits)
		if c == nil || closed || foreign {
			continue
		}
		s.adopt(chosen[at], c, listed)
	}
	s.rebuildOffset(part, newest, off)
}

func (s *sim) recordNamed(records []*object, uuid string) *object {
	for _, o := range records {
		if o.record.commit != nil && o.record.commit.uuid == uuid {
			return o
		}
	}
	return nil
}

// recordsOf are the complete records of the partition by incarnation, epoch and attempt. A commit is complete if every
// bucket has absorbed it or finds its segments.
func (s *sim) recordsOf(part int, listed listedBy) []*object {
	var out []*object
	for _, name := range sortedKeys(s.objects) {
		o := s.objects[name]
		if o.record == nil || o.record.part != part {
			continue
		}
		complete := true
		if c := o.record.commit; c != nil {
			for _, seg := range c.segs {
				complete = complete && (s.objects[seg.object] != nil || listed.has(s, seg.bucket, c))
			}
		}
		if complete {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *object) int {
		return cmp.Or(cmp.Compare(a.inc, b.inc), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.record.attempt, b.record.attempt))
	})
	return onePerPredecessor(out)
}

// onePerPredecessor: of the records that would replace the same offset one was put at most, and only the highest may be it.
func onePerPredecessor(records []*object) []*object {
	type predecessor struct{ inc, mod int }
	highest := map[predecessor]*object{}
	for _, o := range records {
		highest[predecessor{o.inc, o.record.prev}] = o
	}
	return slices.DeleteFunc(records, func(o *object) bool { return highest[predecessor{o.inc, o.record.prev}] != o })
}

// adopt makes a commit live in the buckets that have not absorbed it.
func (s *sim) adopt(o *object, was *commit, listed listedBy) {
	c := *was
	c.segs, c.record = nil, o.name
	if c.rejects >= 0 && listed.has(s, c.rejects, was) {
		c.rejects = -1
	}
	for _, seg := range was.segs {
		if !listed.has(s, seg.bucket, was) {
			c.segs = append(c.segs, seg)
		}
	}
	if c.rejects < 0 && len(c.segs) == 0 {
		return
	}
	s.st.rev++
	c.create = s.st.rev
	s.st.commits[c.commitKey] = &c
	s.logf("p%d adopts %s gen %d [%d,%d) for %v", c.part, c.uuid, c.gen, c.from, c.to, c.buckets())
}

// rebuildOffset puts the position. It acknowledges mirrored floors and the newest spec.
func (s *sim) rebuildOffset(part int, newest *object, off offset) {
	before := s.oracle.offs[part]
	if len(before) > 0 {
		last := before[len(before)-1].off
		if cmp.Or(cmp.Compare(off.gen, last.gen), cmp.Compare(off.next, last.next)) < 0 {
			s.failf("rebuild: p%d falls back from gen %d @%d to gen %d @%d", part, last.gen, last.next, off.gen, off.next)
			return
		}
		if off.gen == last.gen && off.next > last.next && off.facts != last.facts {
			s.failf("rebuild: p%d adopts [%d,%d) judged under %+v, its facts are %+v", part, last.next, off.next, off.facts,
				last.facts)
			return
		}
	}
	off.facts = facts{spec: s.st.spec, retention: s.st.floors.retention, dedup: s.st.floors.dedup}
	s.st.rev++
	off.mod = s.st.rev
	off.record = s.put("record", s.st.rev, object{record: &offRecord{kind: recordRebuild, part: part, prev: -1, off: off}})
	s.st.off[part] = off
	s.oracle.noteOffset(s.st.stamp(), part, off)
	s.logf("p%d stands at gen %d @%d by %s", part, off.gen, off.next, newest.name)
}

// noteRebuiltHead forgets the swaps of a bucket after the one whose manifest was found, and notes it anew.
func (o *oracle) noteRebuiltHead(bucket int, found string, m *manifest, at int, name string) {
	h := o.heads[bucket]
	i := slices.IndexFunc(h, func(e oracleHead) bool { return e.manifest == found })
	h = h[:i+1]
	if m != nil {
		h = append(h, oracleHead{stamp: at, manifest: name, plan: m.plan, dropped: m.state == droppedHead})
	}
	o.heads[bucket] = h
}
