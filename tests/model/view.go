package model

import "slices"

type tailSeg struct{ object, unit string }

// absorbedRange is a commit that a manifest absorbs.
type absorbedRange struct {
	commitKey
	to   int
	uuid string
}

// manifest is what a head names. It is self-contained.
type manifest struct {
	name     string
	seq      int
	buckets  []int
	plan     int
	state    headState
	absorbed int // the revision, for the guard that rebuilds from it
	settled  []string
	adopted  []tailSeg
	dvs      map[string]string // segment → deletion vector
	sidecars []string
	ranges   []absorbedRange
}

func (m *manifest) objects() []string {
	out := slices.Concat(m.settled, m.sidecars)
	for _, a := range m.adopted {
		out = append(out, a.object)
	}
	for _, seg := range sortedKeys(m.dvs) {
		out = append(out, m.dvs[seg])
	}
	return out
}

// group is the live content of one bucket, or of several that share a manifest.
type group struct {
	buckets []int
	has     bool
	head    head
	man     *manifest
	settled []string
	tail    []tailSeg
	commits []*commit
}

func (g *group) dropped() bool { return g.has && g.head.state == droppedHead }

func (g *group) plan() int {
	if g.has {
		return g.head.plan
	}
	return 1
}

func (g *group) dv(seg string) string {
	if g.man == nil {
		return ""
	}
	return g.man.dvs[seg]
}

// view is the catalog at one revision: immutable.
type view struct {
	inc, rev int
	groups   []*group
	byBucket map[int]*group
	mods     map[int]int // bucket → mod_revision of its head
	offs     map[int]offset
	owned    map[int]bool
	floors   floors
}

func (v *view) stamp() int { return stamp(v.inc, v.rev) }

// view builds the view of the store's revision. nil: a manifest is missing, and the run has failed.
func (s *sim) view() *view {
	st := s.st
	v := &view{
		inc: st.inc, rev: st.rev, byBucket: map[int]*group{}, mods: map[int]int{}, offs: map[int]offset{},
		owned: map[int]bool{}, floors: st.floors,
	}
	byManifest := map[string]*group{}
	for b := range s.cfg.buckets {
		h, ok := st.heads[b]
		g := &group{}
		if ok {
			v.mods[b] = h.mod
			if there := byManifest[h.manifest]; there != nil {
				g = there
			} else if g = s.headGroup(h); g == nil {
				return nil
			}
			byManifest[h.manifest] = g
		}
		if len(g.buckets) == 0 {
			v.groups = append(v.groups, g)
		}
		g.buckets = append(g.buckets, b)
		v.byBucket[b] = g
	}
	for _, c := range st.sortedCommits() {
		v.addCommit(st, c, !s.on(DroppedHides))
	}
	for p, o := range st.off {
		v.offs[p] = o
		_, v.owned[p] = st.own[p]
	}
	return v
}

func (s *sim) headGroup(h head) *group {
	o := s.objects[h.manifest]
	if o == nil {
		s.failf("live manifest %s is missing", h.manifest)
		return nil
	}
	g := &group{has: true, head: h, man: o.manifest}
	if h.state != droppedHead {
		g.settled, g.tail = o.manifest.settled, slices.Clone(o.manifest.adopted)
	}
	return g
}

// addCommit shows the commit in those of its buckets that have not absorbed it.
func (v *view) addCommit(st *store, c *commit, showDropped bool) {
	for _, b := range c.buckets() {
		g := v.byBucket[b]
		if c.create <= st.heads[b].absorbed {
			continue
		}
		if n := len(g.commits); n == 0 || g.commits[n-1] != c {
			g.commits = append(g.commits, c)
		}
		if g.dropped() && !showDropped {
			continue
		}
		for _, seg := range c.segs {
			if seg.bucket == b {
				g.tail = append(g.tail, tailSeg{object: seg.object, unit: c.uuid})
			}
		}
	}
}

// load reads the rows of a segment that its deletion vector leaves. ok is false where an object is missing.
func (s *sim) load(seg, dv string) (o *object, rows []row, ok bool) {
	o = s.objects[seg]
	if o == nil {
		return nil, nil, false
	}
	if dv == "" {
		return o, o.rows, true
	}
	d := s.objects[dv]
	if d == nil {
		return nil, nil, false
	}
	for _, r := range o.rows {
		if !d.dead[s.placed(r.pos)] {
			rows = append(rows, r)
		}
	}
	return o, rows, true
}
