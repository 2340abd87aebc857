package model

import (
	"fmt"
	"slices"
)

// A compactor takes one job after the other, in steps: claim and read, build and upload, swap, mark.

type jobKind int

const (
	adoptTail    jobKind = iota // nothing is rewritten: commits become adopted segments
	mergeTail                   // tail segments into one, adopted as a unit of its own
	mergeSettled                // settled segments into one
	settleAll                   // everything into settled segments, raw
	settleSome                  // some tail segments become settled, copies of settled rows become deletion vectors
	markTail                    // copies among tail and settled rows become deletion vectors, nothing else changes
	foldAll                     // everything into rolled-up segments, with a sidecar
	drop                        // by retention
)

func (k jobKind) String() string {
	return [...]string{"adopt", "mergeTail", "mergeSettled", "settleAll", "settleSome", "markTail", "fold", "drop"}[k]
}

// job is a swap in the making.
type job struct {
	kind     jobKind
	buckets  []int
	base     *view
	state    headState
	plan     int
	consumed map[string]bool
	settled  []string
	adopted  []tailSeg
	dvs      map[string]string
	sidecars []string
	compared bool // new settled rows were compared with the settled ones of the base
	built    bool
	swapped  string // the manifest that became live, not yet marked
	replaced []string
}

type compactor struct {
	id     int
	epoch  int
	claims []string
	job    *job

	pausedUntil int // step
}

func (s *sim) stepCompactor() {
	c := s.compactors[s.rng.IntN(len(s.compactors))]
	j := c.job
	switch {
	case s.step < c.pausedUntil:
	case c.epoch == 0:
		s.startJob(c)
	case j.swapped != "":
		s.mark(j.swapped, j.replaced)
		s.unclaim(c)
	case !j.built && (j.kind == foldAll || len(j.buckets) > 1) && s.pct(s.cfg.buildWaitPct):
	case !j.built:
		if !s.build(c, j) {
			s.unclaim(c)
		}
	default:
		s.swap(c, j)
	}
}

func (s *sim) unclaim(c *compactor) {
	for _, k := range c.claims {
		if s.st.claims[k] == c.epoch {
			s.st.rev++
			delete(s.st.claims, k)
		}
	}
	c.epoch, c.claims, c.job = 0, nil, nil
}

// startJob chooses a job, claims what it needs and reads the view. Raw merges hold a claim of their own and may race
// each other; folds, drops and coarser swaps claim every bucket that they cover.
func (s *sim) startJob(c *compactor) {
	v := s.view()
	if v == nil {
		return
	}
	j := s.choose(v)
	if j == nil {
		return
	}
	keys := []string{fmt.Sprintf("task-%d", c.id)}
	if j.kind == foldAll || j.kind == drop || len(j.buckets) > 1 {
		keys = nil
		for _, b := range j.buckets {
			keys = append(keys, bucketClaim(b))
		}
	}
	for _, k := range keys {
		if s.st.claims[k] != 0 {
			return
		}
	}
	s.st.rev++
	for _, k := range keys {
		s.st.claims[k] = s.st.rev
	}
	c.epoch, c.claims, c.job = s.st.rev, keys, j
	if j.base = s.view(); j.base == nil {
		return
	}
	s.logf("c%d claims %v for %s at revision %d, epoch %d", c.id, j.buckets, j.kind, j.base.rev, c.epoch)
}

// choose draws a job that the view admits; nil: none.
func (s *sim) choose(v *view) *job {
	g := v.groups[s.rng.IntN(len(v.groups))]
	j := &job{
		buckets: slices.Clone(g.buckets), state: g.head.state, plan: g.plan(), consumed: map[string]bool{},
		dvs: map[string]string{},
	}
	alone := !s.on(GroupMovesTogether) && len(j.buckets) > 1
	if alone {
		j.buckets = j.buckets[:1]
	}
	// A group drops when all of it lies below the floor.
	below := endOf(g.buckets[len(g.buckets)-1])
	if !s.on(DropWholeGroup) {
		below = endOf(g.buckets[0])
	}
	switch n := s.rng.IntN(10); {
	case g.dropped():
		return nil
	case below <= v.floors.retention:
		j.kind, j.state = drop, droppedHead
		return j
	case s.cfg.rollup && n < 4:
		j.kind, j.state = foldAll, foldedHead
		if s.pct(50) && !alone {
			s.widen(v, j)
		}
		return s.choosePlan(v, j)
	case g.head.state == rawHead && !alone && s.pct(s.cfg.coarsePct):
		j.kind = settleAll
		s.widen(v, j)
		return s.keepPlan(v, j)
	case g.head.state == foldedHead:
		j.kind = []jobKind{adoptTail, mergeTail}[s.rng.IntN(2)]
	default:
		j.kind = s.cfg.kinds[s.rng.IntN(len(s.cfg.kinds))]
	}
	return j
}

// widen makes the job a coarser one: the groups beside it join, empty ones too, while their states agree.
func (s *sim) widen(v *view, j *job) {
	last := j.buckets[len(j.buckets)-1] + 1
	for last < s.cfg.buckets && len(j.buckets) < 4 && s.pct(60) {
		g := v.byBucket[last]
		if g.dropped() || j.state == rawHead && g.head.state != rawHead {
			return
		}
		j.buckets = append(j.buckets, g.buckets...)
		last = j.buckets[len(j.buckets)-1] + 1
	}
}

// keepPlan lets a raw swap pass where all its groups have one plan.
func (s *sim) keepPlan(v *view, j *job) *job {
	for _, b := range j.buckets {
		if v.byBucket[b].plan() != j.plan {
			return nil
		}
	}
	return j
}

// input is what a job finds in its base.
type input struct {
	groups   []*group
	settled  []string
	tail     []tailSeg
	dvs      map[string]string
	sidecars []string
	ranges   []absorbedRange
	seq      int
}

func inputOf(v *view, buckets []int) *input {
	in := &input{dvs: map[string]string{}}
	for _, b := range buckets {
		g := v.byBucket[b]
		if slices.Contains(in.groups, g) {
			continue
		}
		in.groups = append(in.groups, g)
		in.settled, in.tail = append(in.settled, g.settled...), append(in.tail, g.tail...)
		in.seq = max(in.seq, g.head.seq)
		if g.man != nil {
			in.sidecars = append(in.sidecars, g.man.sidecars...)
			in.ranges = append(in.ranges, g.man.ranges...)
			for seg, dv := range g.man.dvs {
				in.dvs[seg] = dv
			}
		}
		for _, c := range g.commits {
			in.ranges = append(in.ranges, absorbedRange{commitKey: c.commitKey, to: c.to, uuid: c.uuid})
		}
	}
	return in
}

// build reads the inputs and uploads the outputs. false: an input is missing, or there is nothing to do.
func (s *sim) build(c *compactor, j *job) bool {
	if j.base == nil {
		return false
	}
	in := inputOf(j.base, j.buckets)
	j.built = true
	switch j.kind {
	case adoptTail, drop:
		return true
	case mergeTail, mergeSettled, settleAll:
		return s.buildMerge(c, j, in)
	case settleSome, markTail:
		return s.buildVectors(c, j, in)
	}
	return s.buildFold(c, j, in)
}

// some keeps each segment with a chance of two in three.
func (s *sim) some(names []string) []string {
	var out []string
	for _, n := range names {
		if s.pct(66) {
			out = append(out, n)
		}
	}
	return out
}

func tailNames(tail []tailSeg) []string {
	var out []string
	for _, t := range tail {
		out = append(out, t.object)
	}
	return out
}

func (s *sim) buildMerge(c *compactor, j *job, in *input) bool {
	var segs []string
	switch j.kind {
	case mergeTail:
		segs = s.some(tailNames(in.tail))
	case mergeSettled:
		segs = s.some(in.settled)
	default:
		segs = append(slices.Clone(in.settled), tailNames(in.tail)...)
	}
	if len(segs) == 0 {
		return false
	}
	rows, ok := s.consume(j, in, segs)
	if !ok {
		return false
	}
	name := s.put("merged", c.epoch, object{rows: s.dedup(rows)})
	if j.kind == mergeTail {
		j.adopted = []tailSeg{{object: name, unit: name}}
		return true
	}
	j.settled, j.compared = []string{name}, j.kind == settleAll
	return true
}

// consume reads the live rows of the segments, which the job replaces with their deletion vectors.
func (s *sim) consume(j *job, in *input, segs []string) (rows []row, ok bool) {
	for _, seg := range segs {
		dv := in.dvs[seg]
		j.consumed[seg] = true
		if dv != "" {
			j.consumed[dv] = true
		}
		if !s.on(MergeReadsVectors) {
			dv = ""
		}
		_, live, ok := s.load(seg, dv)
		if !ok {
			s.stats.replanned++
			return nil, false
		}
		rows = append(rows, live...)
	}
	return rows, true
}

// buildVectors finds the losers among settled rows and some tail rows. Losing is permanent, so they may be recorded.
func (s *sim) buildVectors(c *compactor, j *job, in *input) bool {
	chosen := s.some(tailNames(in.tail))
	if len(chosen) == 0 {
		return false
	}
	best := map[ident]row{}
	live := map[string][]row{}
	for _, seg := range append(slices.Clone(in.settled), chosen...) {
		_, rows, ok := s.load(seg, in.dvs[seg])
		if !ok {
			s.stats.replanned++
			return false
		}
		live[seg] = rows
		for _, r := range rows {
			if was, seen := best[s.identity(r)]; !seen || s.wins(r, was) {
				best[s.identity(r)] = r
			}
		}
	}
	vectors := in.settled
	if j.kind == settleSome {
		var rows []row
		for _, seg := range chosen {
			rows = append(rows, s.winnersOf(live[seg], best)...)
			j.consumed[seg] = true
			if dv := in.dvs[seg]; dv != "" {
				j.consumed[dv] = true
			}
		}
		j.settled, j.compared = []string{s.put("settled", c.epoch, object{rows: s.dedup(rows)})}, true
	} else {
		vectors = append(slices.Clone(vectors), chosen...)
	}
	for _, seg := range vectors {
		s.addVector(c, j, in, seg, live[seg], best)
	}
	return true
}

func (s *sim) winnersOf(rows []row, best map[ident]row) []row {
	var out []row
	for _, r := range rows {
		if best[s.identity(r)].pos == r.pos {
			out = append(out, r)
		}
	}
	return out
}

// addVector gives the segment a deletion vector that also names the rows that have lost now.
func (s *sim) addVector(c *compactor, j *job, in *input, seg string, rows []row, best map[ident]row) {
	dead := map[pos]bool{}
	if dv := in.dvs[seg]; dv != "" {
		for p := range s.objects[dv].dead {
			dead[p] = true
		}
	}
	before := len(dead)
	for _, r := range rows {
		if best[s.identity(r)].pos != r.pos {
			dead[s.placed(r.pos)] = true
		}
	}
	if len(dead) > before {
		j.dvs[seg] = s.put("dv", c.epoch, object{dead: dead})
		s.stats.vectors++
	}
}
