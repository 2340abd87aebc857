package compaction

import (
	"fmt"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// planDiscard is markUnused. Where there is dedup only whole chunks go, and their identities stay: a copy of a row that went
// with one segment may lie in another one, and would rise. Without dedup those segments go that lie wholly inside.
func (r *request) planDiscard(ds *catalog.DatasourceView, c *chunk) ChunkPlan {
	p := newChunkPlan(c)
	piece := c.pieces[0]
	if piece.Dropped() {
		p.Reason = "the retention floor has dropped it"
		return p
	}
	if c.partly && ds.Schema.Dedup {
		p.Problems = spec.Problems{{Path: "interval", Message: fmt.Sprintf(
			"the chunk %s lies only partly in it, and the datasource removes copies: name the whole chunk, or compact it with a "+
				"transformSpec.filter", c.interval.String())}}
		return p.refused()
	}
	if withDeletions(c) != nil {
		p.Problems = spec.Problems{{Path: "interval", Message: fmt.Sprintf(
			"the chunk %s has deletion vectors, which this version cannot apply", c.interval.String())}}
		return p.refused()
	}
	t, problems := (&request{plans: r.plans}).target(ds, c)
	if p.Problems = problems; len(problems) > 0 {
		return p.refused()
	}
	j := r.job(ds, c, t, layout{}, ModeDiscard)
	if !ds.Schema.Dedup || t.state() == catalog.HeadRaw {
		j.keepHead(piece)
	}
	all := len(j.Settled) + len(j.Tail)
	if c.partly {
		j.keepInside(r.intervals, t)
	}
	chosen := len(j.Settled) + len(j.Tail)
	switch {
	case all == 0:
		p.Reason = "no rows are left in it"
		return p
	case chosen == 0:
		p.Reason = fmt.Sprintf("none of its %s lies wholly in the interval", count(all, "segment"))
		return p
	}
	p.Job, p.Reason = j, fmt.Sprintf("%s of %d are marked unused", count(chosen, "segment"), all)
	return p
}

// keepInside leaves the segments out that do not lie wholly in the intervals. A folded row may stand for any time of its
// chunk of queryGranularity.
func (j *Job) keepInside(intervals []spec.Interval, t *target) {
	inside := func(m *segment.Meta) bool {
		end := m.MaxMillis + 1
		if m.Folded && t.definition != nil && !t.definition.QueryGranularity.IsZero() {
			_, end = t.definition.QueryGranularity.Chunk(m.MaxMillis)
		}
		return covers(intervals, spec.Interval{StartMillis: m.MinMillis, EndMillis: end})
	}
	var settled []segment.Meta
	for i := range j.Settled {
		if inside(&j.Settled[i]) {
			settled = append(settled, j.Settled[i])
		}
	}
	var tail []catalog.TailSegment
	for i := range j.Tail {
		if inside(&j.Tail[i].Meta) {
			tail = append(tail, j.Tail[i])
		}
	}
	j.Settled, j.Tail = settled, tail
}
