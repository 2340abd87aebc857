package model

// answer is what a query of the whole datasource gives.
type answer map[groupKey]agg

// cut is what an answer is about: a revision, and an offset for each partition.
type cut struct {
	stamp int
	offs  map[int]cutOffset
}

type cutOffset struct{ gen, next int }

// querier asks one query after the other. Its view may be old, and every step of a query is a step of its own.
type querier struct {
	view *view // what its watch has shown
	busy bool
	ask  *view // the view of the running query
	next int   // the partition to ask next
	hot  []row
	cut  cut
}

func (s *sim) stepWatch() {
	if v := s.view(); v != nil {
		s.queriers[s.rng.IntN(len(s.queriers))].view = v
	}
}

func (s *sim) stepQuery() {
	q := s.queriers[s.rng.IntN(len(s.queriers))]
	switch {
	case q.view == nil || s.pct(15):
		q.view = s.view()
		q.busy = false
	case !q.busy:
		*q = querier{view: q.view, busy: true, ask: q.view, cut: cut{stamp: q.view.stamp(), offs: map[int]cutOffset{}}}
	case q.next < s.cfg.parts:
		s.askOwner(q, q.next)
		q.next++
	default:
		q.busy = false
		s.finish(q)
	}
}

// askOwner asks a process that owns the partition, or believes to, for hot rows. Where there is none, or it refuses, the
// answer ends at the committed offset.
func (s *sim) askOwner(q *querier, part int) {
	off, begun := q.ask.offs[part]
	if !begun {
		return
	}
	q.cut.offs[part] = cutOffset{gen: off.gen, next: off.next}
	o := s.owners[part*s.cfg.nodes+s.rng.IntN(s.cfg.nodes)]
	if !o.loaded || o.read <= off.next || s.on(HotSameGeneration) && o.off.gen != off.gen {
		return
	}
	if o.hotBase() > off.next && s.on(HotRefusesStale) || s.on(HotSameFacts) && o.facts != off.facts {
		s.stats.refused++
		return
	}
	for _, h := range o.hot {
		if h.outcome == stored && (h.off >= off.next || !s.on(HotCutAtSeam)) {
			q.hot = append(q.hot, h.row)
		}
	}
	q.cut.offs[part] = cutOffset{gen: off.gen, next: o.read}
	s.stats.hot++
	if s.st.own[part].create == o.epoch {
		s.oracle.noteShown(part, off.gen, off.next, o.read, o.facts)
	}
}

// finish reads the cold rows. A missing object means that the query plans again.
func (s *sim) finish(q *querier) {
	got, ok := s.evaluate(q.ask, q.hot)
	if !ok {
		s.stats.replanned++
		q.view = nil
		return
	}
	s.stats.answers++
	s.compare("answer", got, q.cut)
}

// compare holds an answer against the oracle's.
func (s *sim) compare(what string, got answer, c cut) {
	want := s.oracle.answer(c)
	if d := difference(got, want); d != "" {
		s.failf("%s at stamp %d, offsets %v: %s", what, c.stamp, c.offs, d)
	}
}

// evaluate answers over a view's cold rows and the given hot rows. ok is false where an object is missing.
func (s *sim) evaluate(v *view, hot []row) (out answer, ok bool) {
	out = answer{}
	byBucket := map[int][]row{}
	for _, r := range hot {
		byBucket[r.bucket] = append(byBucket[r.bucket], r)
	}
	for _, g := range v.groups {
		if g.dropped() && s.on(DroppedHides) || !s.on(RetentionByHead) && endOf(g.buckets[0]) <= v.floors.retention {
			continue
		}
		var rows []row
		for _, b := range g.buckets {
			rows = append(rows, byBucket[b]...)
		}
		if !s.evaluateGroup(g, rows, out) {
			return nil, false
		}
	}
	return out, true
}

func (s *sim) evaluateGroup(g *group, hot []row, out answer) bool {
	settled, folded, ok := s.settledRows(g)
	if !ok {
		return false
	}
	tail, trusted, ok := s.tailRows(g)
	if !ok {
		return false
	}
	fresh := s.dedup(append(tail, hot...))
	settled = append(settled, trusted...)
	for k, a := range folded {
		add(out, k, a)
	}
	if g.has && g.head.state == foldedHead {
		known, ok := s.known(g)
		if !ok {
			return false
		}
		if s.on(FoldWithSidecar) {
			fresh = without(s, fresh, known)
		}
	} else {
		settled, fresh = s.versus(settled, fresh)
	}
	rows := append(settled, fresh...)
	if !s.cfg.rollup {
		for _, r := range rows {
			add(out, groupKey{pos: r.pos, time: r.time, dims: r.dims}, agg{count: 1, sum: r.val})
		}
		return true
	}
	p := s.plans[g.plan()]
	if !s.on(TailFollowsPlan) && folded != nil {
		p = s.plans[1]
	}
	p.aggregate(out, rows)
	return true
}

// versus removes copies between settled rows, which are free of copies among themselves, and fresh ones, both ways.
func (s *sim) versus(settled, fresh []row) (keptSettled, keptFresh []row) {
	at := make(map[ident]int, len(fresh))
	lost := make([]bool, len(fresh))
	for i, r := range fresh {
		at[s.identity(r)] = i
	}
	for _, r := range settled {
		i, copied := at[s.identity(r)]
		copied = copied && r.key != 0
		switch {
		case copied && s.wins(fresh[i], r) && s.on(TailChecksBothWays):
			continue
		case copied:
			lost[i] = true
		}
		keptSettled = append(keptSettled, r)
	}
	for i, r := range fresh {
		if !lost[i] {
			keptFresh = append(keptFresh, r)
		}
	}
	return keptSettled, keptFresh
}

func without(s *sim, rows []row, known map[ident]bool) []row {
	var out []row
	for _, r := range rows {
		if !known[s.identity(r)] {
			out = append(out, r)
		}
	}
	return out
}

// settledRows reads the settled segments: raw rows that deletion vectors leave, or folded rows.
func (s *sim) settledRows(g *group) (rows []row, folded map[groupKey]agg, ok bool) {
	for _, seg := range g.settled {
		o, live, ok := s.read1(seg, g.dv(seg))
		if !ok {
			return nil, nil, false
		}
		rows = append(rows, live...)
		if o.isFolded {
			if folded == nil {
				folded = map[groupKey]agg{}
			}
			for k, a := range o.folded {
				add(folded, k, a)
			}
		}
	}
	return rows, folded, true
}

// tailRows reads the tail. trusted are rows that a mistaken reader takes for settled.
func (s *sim) tailRows(g *group) (rows, trusted []row, ok bool) {
	adopted := map[string]bool{}
	if g.man != nil && !s.on(AdoptedIsTail) {
		for _, a := range g.man.adopted {
			adopted[a.object] = true
		}
	}
	for _, t := range g.tail {
		_, live, ok := s.read1(t.object, g.dv(t.object))
		if !ok {
			return nil, nil, false
		}
		if adopted[t.object] {
			trusted = append(trusted, live...)
		} else {
			rows = append(rows, live...)
		}
	}
	return rows, trusted, true
}

// known are the identities in the sidecars of the group.
func (s *sim) known(g *group) (map[ident]bool, bool) {
	out := map[ident]bool{}
	for _, name := range g.man.sidecars {
		o := s.objects[name]
		if o == nil {
			if !s.on(MissingReplans) {
				continue
			}
			return nil, false
		}
		for id := range o.ids {
			out[id] = true
		}
	}
	return out, true
}

// read1 is load, for a reader that plans again where an object is missing.
func (s *sim) read1(seg, dv string) (*object, []row, bool) {
	o, rows, ok := s.load(seg, dv)
	if !ok && !s.on(MissingReplans) {
		return &object{}, nil, true
	}
	return o, rows, ok
}

// stepPin takes a pin for a reader that cannot plan again, lets it read, or removes it.
func (s *sim) stepPin() {
	id := s.rng.IntN(2)
	v := s.pinned[id]
	if v == nil {
		v = s.view()
		if v == nil {
			return
		}
		s.st.rev++
		s.st.pins[id], s.pinned[id] = v.rev, v
		s.logf("reader %d pins %d", id, v.rev)
		return
	}
	got, ok := s.evaluate(v, nil)
	if !ok {
		s.failf("an object of the pinned revision %d is missing", v.rev)
		return
	}
	s.stats.answers++
	s.compare("pinned answer", got, committedCut(v))
	if s.pct(50) {
		s.st.rev++
		delete(s.st.pins, id)
		s.logf("reader %d unpins", id)
		delete(s.pinned, id)
	}
}

// committedCut is the cut of an answer over cold rows alone.
func committedCut(v *view) cut {
	c := cut{stamp: v.stamp(), offs: map[int]cutOffset{}}
	for p, o := range v.offs {
		c.offs[p] = cutOffset{gen: o.gen, next: o.next}
	}
	return c
}
