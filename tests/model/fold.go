package model

import "slices"

// choosePlan keeps the plan of a fold, or narrows it. It refuses groups whose plans cannot be met by one.
func (s *sim) choosePlan(v *view, j *job) *job {
	var plans []int
	for _, b := range j.buckets {
		if n := v.byBucket[b].plan(); !slices.Contains(plans, n) {
			plans = append(plans, n)
		}
	}
	j.plan = plans[0]
	next, changed := s.plans[plans[0]], len(plans) > 1
	for _, n := range plans[1:] {
		next = meet(next, s.plans[n])
	}
	if s.pct(25) {
		next, changed = s.alter(next), true
	}
	if !changed {
		return j
	}
	for _, n := range plans {
		if s.on(PlanNarrows) && !narrows(s.plans[n], next) {
			return nil
		}
	}
	s.plans = append(s.plans, next)
	j.plan = len(s.plans) - 1
	return j
}

// meet is the widest plan that is no wider than either.
func meet(a, b plan) plan {
	out := plan{gran: max(a.gran, b.gran)}
	for d := range out.keep {
		out.keep[d] = a.keep[d] && b.keep[d]
		out.filters[d] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.filters[d], b.filters[d]))))
	}
	return out
}

// alter proposes another plan; whether it narrows is decided elsewhere.
func (s *sim) alter(p plan) plan {
	d := s.rng.IntN(2)
	p.filters = [2][]int{slices.Clone(p.filters[0]), slices.Clone(p.filters[1])}
	switch s.rng.IntN(5) {
	case 0:
		p.gran = min(p.gran*2, 2*bucketLen)
	case 1:
		p.keep[d] = false
	case 2, 3:
		p.filters[d] = append(p.filters[d], s.rng.IntN(3))
	default: // wider
		p.gran, p.keep[d] = max(p.gran/2, 1), true
	}
	return p
}

// narrows says whether rows that were folded by a plan can follow to the next: a multiple of the granularity, a subset
// of the dimensions, filters that only accumulate and read what is kept.
func narrows(from, to plan) bool {
	if to.gran%from.gran != 0 {
		return false
	}
	for d := range to.keep {
		if to.keep[d] && !from.keep[d] || len(to.filters[d]) > 0 && !to.keep[d] {
			return false
		}
		for _, v := range from.filters[d] {
			if !slices.Contains(to.filters[d], v) {
				return false
			}
		}
	}
	return true
}

// foldInput is what a fold has read: rows that no fold has seen, folded rows, and the identities already in them.
type foldInput struct {
	rows   []row
	folded []map[groupKey]agg
	known  map[ident]bool
}

func (s *sim) readFold(j *job, in *input) (*foldInput, bool) {
	f := &foldInput{known: map[ident]bool{}}
	for _, name := range in.sidecars {
		o := s.objects[name]
		if o == nil {
			return nil, false
		}
		j.consumed[name] = true
		for id := range o.ids {
			f.known[id] = true
		}
	}
	for _, seg := range append(slices.Clone(in.settled), tailNames(in.tail)...) {
		o, rows, ok := s.load(seg, in.dvs[seg])
		if !ok {
			return nil, false
		}
		j.consumed[seg] = true
		if dv := in.dvs[seg]; dv != "" {
			j.consumed[dv] = true
		}
		if o.isFolded {
			f.folded = append(f.folded, o.folded)
		}
		f.rows = append(f.rows, rows...)
	}
	return f, true
}

// buildFold deduplicates, then filters and rolls up. The sidecar names every identity that was folded, also those that
// the plan's filter removed. It is left out where every partition has acknowledged a floor above the buckets.
func (s *sim) buildFold(c *compactor, j *job, in *input) bool {
	f, ok := s.readFold(j, in)
	if !ok {
		s.stats.replanned++
		return false
	}
	if len(f.rows) == 0 && j.plan == j.base.byBucket[j.buckets[0]].plan() && s.pct(50) {
		return false
	}
	p := s.plans[j.plan]
	rows := f.rows
	if s.on(DedupBeforeAggregate) {
		rows = s.dedup(rows)
	}
	if s.on(RefoldChecksSidecar) {
		rows = without(s, rows, f.known)
	}
	out := map[groupKey]agg{}
	for _, old := range f.folded {
		for k, a := range old {
			if !p.pass(k.dims) {
				continue
			}
			if !s.on(CountBySum) {
				a.count = 1
			}
			add(out, p.key(k.time, k.dims), a)
		}
	}
	p.aggregate(out, rows)
	j.settled = []string{s.put("folded", c.epoch, object{folded: out, isFolded: true})}
	if s.sidecarMayGo(j.base, j.buckets) {
		s.stats.expired++
		return true
	}
	ids := f.known
	for _, r := range rows {
		if r.key != 0 && (p.pass(r.dims) || s.on(FilteredIdsKept)) {
			ids[s.identity(r)] = true
		}
	}
	j.sidecars = []string{s.put("ids", c.epoch, object{ids: ids})}
	return true
}

// sidecarMayGo: once every partition, idle and new ones included, had acknowledged the floor before the fold's inputs
// were read.
func (s *sim) sidecarMayGo(base *view, buckets []int) bool {
	end := endOf(buckets[len(buckets)-1])
	if end > s.st.floors.dedup {
		return false
	}
	if !s.on(SidecarNeedsAcknowledgement) {
		return true
	}
	offs := base.offs
	if !s.on(AcknowledgedBeforeRead) {
		offs = s.st.off
	}
	for p, o := range offs {
		if o.facts.dedup < end && (base.owned[p] || s.on(IdleAcknowledge)) {
			return false
		}
	}
	return true
}
