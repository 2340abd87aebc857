package model

import "slices"

// checkCommit holds a commit against conservation, tiling and the oracle: its segments exist, lie where they belong and
// hold the winners of its own range, and every record of the range is accounted for.
func (s *sim) checkCommit(c *commit) {
	history := s.oracle.until(c.part, s.st.stamp())
	if len(history) == 0 {
		s.failf("commit %s of a partition that has not begun", c.uuid)
		return
	}
	last := history[len(history)-1].off
	if last.gen != c.gen || last.next != c.from {
		s.failf("commit %s begins at gen %d @%d, the partition stands at gen %d @%d", c.uuid, c.gen, c.from, last.gen, last.next)
		return
	}
	var rows []row
	for _, seg := range c.segs {
		o := s.objects[seg.object]
		if o == nil {
			s.failf("commit %s names %s, which is missing", c.uuid, seg.object)
			return
		}
		rows = append(rows, o.rows...)
	}
	first := slices.IndexFunc(history, func(e oracleOffset) bool { return e.off.gen == c.gen })
	want := map[ident]row{}
	for _, r := range s.oracle.generation(c.part, history[first:], c.to) {
		if _, seen := want[identOf(r)]; r.pos.off >= c.from && !seen {
			want[identOf(r)] = r
		}
	}
	for _, r := range rows {
		if w, ok := want[identOf(r)]; !ok || w != r {
			s.failf("commit %s stores %+v, the oracle %+v", c.uuid, r, w)
			return
		}
		delete(want, identOf(r))
	}
	if len(want) > 0 {
		s.failf("commit %s lacks %d of the rows of its range", c.uuid, len(want))
	}
}

// checkHead runs after every swap: everything that is live exists, no identity is settled twice, nothing above the
// retention floor is dropped, and the cold answer is the oracle's.
func (s *sim) checkHead(j *job, m *manifest) {
	if last := j.buckets[len(j.buckets)-1]; m.state == droppedHead && endOf(last) > s.st.floors.retention {
		s.failf("bucket %d is dropped, but ends above the retention floor", last)
		return
	}
	seen := map[ident]string{}
	for _, seg := range m.settled {
		_, rows, ok := s.load(seg, m.dvs[seg])
		if !ok {
			s.failf("manifest %s names %s, which is missing", m.name, seg)
			return
		}
		for _, r := range rows {
			if was := seen[identOf(r)]; was != "" {
				s.failf("manifest %s settles %+v twice, in %s and %s", m.name, identOf(r), was, seg)
				return
			}
			seen[identOf(r)] = seg
		}
	}
	s.checkCold("after a swap")
}

// checkCold compares the cold rows of this very revision with the oracle.
func (s *sim) checkCold(when string) {
	v := s.view()
	if v == nil || s.failure != "" {
		return
	}
	for _, g := range v.groups {
		names := append(slices.Clone(g.settled), tailNames(g.tail)...)
		if g.man != nil && !g.dropped() {
			names = append(names, g.man.objects()...)
		}
		for _, name := range names {
			if s.objects[name] == nil {
				s.failf("%s: live object %s of buckets %v is missing", when, name, g.buckets)
				return
			}
		}
	}
	got, ok := s.evaluate(v, nil)
	if !ok {
		s.failf("%s: a live object is missing", when)
		return
	}
	s.stats.answers++
	s.compare("cold answer "+when, got, committedCut(v))
}
