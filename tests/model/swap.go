package model

import "slices"

// compose makes the manifest. What is not consumed is carried over, so that it holds every commit up to the base.
func (s *sim) compose(j *job, in *input) manifest {
	m := manifest{
		seq: in.seq + 1, buckets: j.buckets, plan: j.plan, state: j.state, dvs: map[string]string{}, ranges: in.ranges,
		absorbed: j.base.rev,
	}
	if j.state == droppedHead {
		return m
	}
	for _, seg := range in.settled {
		if !j.consumed[seg] {
			m.settled = append(m.settled, seg)
		}
	}
	for _, t := range in.tail {
		if !j.consumed[t.object] && s.on(MergeKeepsUnmerged) {
			m.adopted = append(m.adopted, t)
		}
	}
	for _, name := range in.sidecars {
		if !j.consumed[name] {
			m.sidecars = append(m.sidecars, name)
		}
	}
	m.settled, m.adopted = append(m.settled, j.settled...), append(m.adopted, j.adopted...)
	m.sidecars = append(m.sidecars, j.sidecars...)
	for seg, dv := range in.dvs {
		if !j.consumed[seg] {
			m.dvs[seg] = dv
		}
	}
	for seg, dv := range j.dvs {
		m.dvs[seg] = dv
	}
	return m
}

// swap sends the transaction. A raw merge that loses the race may rebase.
func (s *sim) swap(c *compactor, j *job) {
	in := inputOf(j.base, j.buckets)
	m := s.compose(j, in)
	m.name = s.put("manifest", c.epoch, object{})
	s.objects[m.name].manifest = &m
	lost := s.pct(s.cfg.lostPct)
	if lost && s.pct(50) {
		s.stats.lost++
		return // not applied: the same job is sent again, with another manifest
	}
	switch s.applySwap(c, j, &m) {
	case swapDone:
		j.swapped, j.replaced = m.name, replaced(in, &m)
		if s.pct(15) {
			s.unclaim(c) // it dies, or its reply is lost, before the marker
		}
	case swapFenced:
		s.stats.fenced++
		s.unclaim(c)
	case swapLost:
		if !s.rebase(j) {
			s.unclaim(c)
		}
	}
}

type swapOutcome int

const (
	swapDone swapOutcome = iota
	swapLost
	swapFenced
)

// applySwap is the transaction.
func (s *sim) applySwap(c *compactor, j *job, m *manifest) swapOutcome {
	if s.on(ClaimFence) && s.st.claims[c.claims[0]] != c.epoch {
		s.logf("c%d swap of %v fenced", c.id, j.buckets)
		return swapFenced
	}
	for i, b := range j.buckets {
		if s.st.heads[b].mod != j.base.mods[b] && (i == 0 || s.on(SwapComparesEveryHead)) {
			s.logf("c%d swap of %v lost: head %d has changed", c.id, j.buckets, b)
			return swapLost
		}
	}
	s.st.rev++
	h := head{manifest: m.name, absorbed: j.base.rev, plan: m.plan, seq: m.seq, state: m.state, mod: s.st.rev}
	if !s.on(AbsorbedIsReadRevision) {
		h.absorbed = s.st.rev
	}
	for _, b := range j.buckets {
		s.st.heads[b] = h
	}
	s.stats.swaps[j.kind]++
	if len(j.buckets) > 1 {
		s.stats.coarse++
	}
	s.logf("c%d swaps %v by %s at %d: %s seq %d R %d plan %d settled %v adopted %v", c.id, j.buckets, j.kind, s.st.rev,
		m.name, m.seq, h.absorbed, m.plan, m.settled, tailNames(m.adopted))
	s.oracle.noteSwap(s.st.stamp(), j.buckets, m, j.kind == foldAll, committedCut(j.base))
	s.checkHead(j, m)
	return swapDone
}

// replaced are the objects of the base that the manifest does not name any more.
func replaced(in *input, m *manifest) []string {
	var was []string
	was = append(append(was, in.settled...), tailNames(in.tail)...)
	was = append(was, in.sidecars...)
	for _, seg := range sortedKeys(in.dvs) {
		was = append(was, in.dvs[seg])
	}
	for _, g := range in.groups {
		if g.has {
			was = append(was, g.head.manifest)
		}
	}
	now := m.objects()
	return slices.DeleteFunc(was, func(name string) bool { return slices.Contains(now, name) })
}

// mark writes the marker: from now on what was replaced may be collected, and a rebuild may use the manifest.
func (s *sim) mark(manifest string, replaced []string) {
	if o := s.objects[manifest]; o != nil {
		o.marked = true
	}
	for _, name := range replaced {
		if o := s.objects[name]; o != nil && o.retired == 0 {
			o.retired, o.retiredAt = s.st.rev, s.step
		}
	}
}

// rebase moves a raw merge that lost its race onto a fresh view: possible while its inputs are still there with the
// deletion vectors that it read, and while no settled segment has come that its own were not compared with.
func (s *sim) rebase(j *job) bool {
	fresh := s.view()
	if fresh == nil || j.state != rawHead || j.kind == foldAll {
		return false
	}
	was := inputOf(j.base, j.buckets)
	for _, b := range j.buckets {
		if g := fresh.byBucket[b]; g.has && (g.head.state != rawHead || g.head.plan != j.plan) {
			return false
		}
		for _, m := range fresh.byBucket[b].buckets {
			if !slices.Contains(j.buckets, m) {
				return false
			}
		}
	}
	now := inputOf(fresh, j.buckets)
	if s.on(RebaseChecksInputs) && !s.inputsStand(j, was, now) {
		return false
	}
	if s.on(RebaseChecksSettled) && j.compared && !sameSettled(was, now) {
		return false
	}
	j.base = fresh
	s.stats.rebased++
	s.logf("rebase of %s %v to revision %d", j.kind, j.buckets, fresh.rev)
	return true
}

func (s *sim) inputsStand(j *job, was, now *input) bool {
	there := append(slices.Clone(now.settled), tailNames(now.tail)...)
	touched := sortedKeys(j.dvs)
	for _, seg := range append(slices.Clone(was.settled), tailNames(was.tail)...) {
		if j.consumed[seg] {
			touched = append(touched, seg)
		}
	}
	for _, seg := range touched {
		if !slices.Contains(there, seg) || s.on(RebaseChecksVectors) && was.dvs[seg] != now.dvs[seg] {
			return false
		}
	}
	return true
}

func sameSettled(was, now *input) bool {
	for _, seg := range now.settled {
		if !slices.Contains(was.settled, seg) || was.dvs[seg] != now.dvs[seg] {
			return false
		}
	}
	return true
}
