package compaction

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// layout is how the settled segments of a chunk were made: the manifest's LastCompaction. A chunk whose layout is the one asked
// for gains nothing by being written again.
type layout struct {
	Version             int      `json:"version"`
	Chunk               string   `json:"chunk"` // granularity that segments are cut by; none: one chunk
	MaxRowsPerSegment   int64    `json:"maxRowsPerSegment"`
	TargetSegmentBytes  int64    `json:"targetSegmentBytes"`
	PartitionDimensions []string `json:"partitionDimensions,omitempty"`
	SortBy              []string `json:"sortBy"`
}

const layoutVersion = 1

// layoutOf reads what the piece's settled segments were made by; nil where that is not known: they are then judged by size.
func layoutOf(piece *catalog.BucketView) *layout {
	if piece.Manifest == nil || len(piece.Manifest.LastCompaction) == 0 {
		return nil
	}
	var l layout
	if err := json.Unmarshal(piece.Manifest.LastCompaction, &l); err != nil || l.Version != layoutVersion {
		return nil // written by another version of the planner: one rewrite makes it known
	}
	return &l
}

// layout is the one asked for. What the request does not say stays as the chunk has it, the chunk's cut too.
func (r *request) layout(c *chunk, t *target) layout {
	l := layout{
		Version: layoutVersion, Chunk: c.cut.String(), MaxRowsPerSegment: r.maxRows, TargetSegmentBytes: r.targetBytes,
		PartitionDimensions: r.partition, SortBy: t.sortBy,
	}
	if len(c.pieces) != 1 {
		return l
	}
	was := layoutOf(c.pieces[0])
	if was == nil {
		return l
	}
	if g, err := spec.ParseQueryGranularity(was.Chunk); err == nil && r.granularity == nil {
		c.cut, l.Chunk = g, was.Chunk
	}
	if r.partition == nil && r.keepPartition {
		l.PartitionDimensions = was.PartitionDimensions
	}
	return l
}

func newChunkPlan(c *chunk) ChunkPlan {
	p := ChunkPlan{Interval: c.interval, Buckets: c.buckets, Before: shapeOf(c.pieces...)}
	for _, piece := range c.pieces {
		if piece.Manifest != nil {
			p.totals = p.totals.Add(piece.Manifest.Totals)
		}
	}
	return p
}

// planChunk decides what becomes of one chunk.
func (r *request) planChunk(ds *catalog.DatasourceView, c *chunk) ChunkPlan {
	p := newChunkPlan(c)
	p.Problems = append(p.Problems, c.problems...)
	if dropped := slices.ContainsFunc(c.pieces, (*catalog.BucketView).Dropped); dropped {
		p.Reason = "the retention floor has dropped it"
		if !p.Before.Dropped {
			p.Reason = "the retention floor has dropped a part of it: what is left goes with the floor, as it is"
		}
		return p
	}
	if piece := withDeletions(c); piece != nil {
		p.Problems = append(p.Problems, spec.Problem{Path: "interval", Message: fmt.Sprintf(
			"the chunk %s has deletion vectors, which this version cannot apply", intervalOf(piece.Bucket).String())})
	}
	if len(p.Problems) > 0 {
		return p.refused()
	}
	t, problems := r.target(ds, c)
	if p.Problems = append(p.Problems, problems...); len(p.Problems) > 0 {
		return p.refused()
	}
	l := r.layout(c, t)
	p.Job, p.Reason = r.decide(ds, c, t, l)
	if c.partly {
		p.Reason += "; it lies only partly in the interval, and is taken whole"
	}
	return p
}

// refused tells the reasons in one line.
func (p ChunkPlan) refused() ChunkPlan {
	p.Reason = "refused"
	for i, problem := range p.Problems {
		p.Reason += map[bool]string{true: ": ", false: "; "}[i == 0] + problem.String()
	}
	return p
}

func withDeletions(c *chunk) *catalog.BucketView {
	for _, piece := range c.pieces {
		if piece.Manifest != nil && len(piece.Manifest.Deletions) > 0 {
			return piece
		}
	}
	return nil
}

// decide chooses between a full compaction, a cheaper job, and none, and says why.
func (r *request) decide(ds *catalog.DatasourceView, c *chunk, t *target, l layout) (*Job, string) {
	s := sizesOf(c.pieces)
	if s.settled.segments+s.tail.segments == 0 {
		return r.withoutRows(ds, c, t)
	}
	if r.policy == PolicyRecent {
		return r.recent(ds, c, t, l, s)
	}
	reason, gain := r.structural(c, t, l, s)
	if !gain && r.policy == PolicyHistorical {
		return r.historical(ds, c, t, l, s)
	}
	switch {
	case gain:
	case s.tail.segments > 0:
		reason = fmt.Sprintf("%s in the tail", count(s.tail.segments, "segment"))
	case !wellCut(c, l):
		reason = fmt.Sprintf("%s: more than the limits ask for, or larger than they allow", count(s.settled.segments, "settled segment"))
	case r.forgets(ds, c) && s.sidecars > 0:
		return r.job(ds, c, t, l, ModeAdopt), "its identities are below the dedup floor of every partition, and can go"
	default:
		return nil, "already compacted" + noGain(ds, c)
	}
	return r.job(ds, c, t, l, ModeFull), reason
}

// withoutRows: there is nothing to write, but commits to absorb, a plan to put, or chunks to join.
func (r *request) withoutRows(ds *catalog.DatasourceView, c *chunk, t *target) (*Job, string) {
	commits := 0
	for _, piece := range c.pieces {
		commits += len(piece.Commits)
	}
	switch {
	case r.policy != PolicyRecent && t.changed:
		return r.job(ds, c, t, layout{}, ModeAdopt), "its plan changes, and no rows are left in it"
	case r.policy == PolicyRecent && 0 < commits && commits < minAdoptCommits: // a manifest for each would be dearer
		return nil, fmt.Sprintf("%s without rows of it wait to be absorbed; from %d on they are", count(commits, "commit"), minAdoptCommits)
	case commits > 0:
		return r.job(ds, c, t, layout{}, ModeAdopt), fmt.Sprintf("%s without rows of it are absorbed", count(commits, "commit"))
	}
	return nil, "no rows are left in it"
}

// structural says whether the chunk must become another one, whatever its size.
func (r *request) structural(c *chunk, t *target, l layout, s sizes) (reason string, gain bool) {
	if len(c.pieces) > 1 || len(c.pieces[0].Members) != len(c.buckets) {
		return fmt.Sprintf("%s with data become one of %s", count(len(c.pieces), "chunk"), count(len(c.buckets), "bucket")), true
	}
	if t.changed {
		return "its plan changes", true
	}
	was := layoutOf(c.pieces[0])
	switch {
	case was == nil && s.settled.segments > 0 && l.PartitionDimensions != nil:
		return "segments become ranges", true
	case was == nil && l.Chunk != spec.Granularity{}.String() && !cutBy(c):
		return "segments are cut by " + l.Chunk, true
	case was == nil:
		return "", false
	case was.Chunk != l.Chunk:
		return fmt.Sprintf("segments are cut by %s instead of %s", l.Chunk, was.Chunk), true
	case !slices.Equal(was.PartitionDimensions, l.PartitionDimensions):
		return "segments become ranges of other dimensions", true
	case !slices.Equal(was.SortBy, l.SortBy) && (r.policy == "" || r.change.SortBy != nil):
		// A standing policy does not rewrite all of history because a new schema orders rows differently.
		return "rows are sorted in another order", true
	}
	return "", false
}

// cutBy says whether every segment lies in one chunk of the cut already.
func cutBy(c *chunk) bool {
	inside := func(m *segment.Meta) bool {
		_, end := c.cut.Chunk(m.MinMillis)
		return m.MaxMillis < end
	}
	for _, piece := range c.pieces {
		for i := range piece.Settled {
			if !inside(&piece.Settled[i]) {
				return false
			}
		}
		for i := range piece.Tail {
			if !inside(&piece.Tail[i].Meta) {
				return false
			}
		}
	}
	return true
}

// forgets says whether the chunk's identities may be forgotten: no copy of them can arrive any more.
func (r *request) forgets(ds *catalog.DatasourceView, c *chunk) bool {
	return ds.Schema.Dedup && r.acknowledgedMillis > 0 && c.interval.EndMillis <= r.acknowledgedMillis
}

// job writes the decision down. ModeTail chooses its inputs itself.
func (r *request) job(ds *catalog.DatasourceView, c *chunk, t *target, l layout, mode Mode) *Job {
	j := &Job{
		Datasource: ds.Name, Schema: ds.Schema, Mode: mode, Buckets: c.buckets, State: t.state(),
		Definition: t.definition, Plan: t.number, PlanSpec: t.planSpec, ForgetIDs: r.forgets(ds, c), Chunk: c.cut,
		MaxRowsPerSegment: r.maxRows, TargetSegmentBytes: r.targetBytes, PartitionDimensions: l.PartitionDimensions,
	}
	for _, piece := range c.pieces {
		j.Settled, j.Tail = append(j.Settled, piece.Settled...), append(j.Tail, piece.Tail...)
		if piece.Manifest != nil {
			j.Sidecars = append(j.Sidecars, piece.Manifest.Sidecars...)
		}
	}
	// Equal inputs give equal bytes whatever order the view lists them in.
	slices.SortFunc(j.Settled, func(a, b segment.Meta) int { return cmp.Compare(a.Object, b.Object) })
	slices.SortFunc(j.Tail, func(a, b catalog.TailSegment) int { return cmp.Compare(a.Object, b.Object) })
	if mode == ModeFull {
		// A layout always has a JSON form: texts and numbers.
		j.LastCompaction, _ = json.Marshal(l)
	}
	return j
}

// keepHead leaves the head's state and plan as they are.
func (j *Job) keepHead(piece *catalog.BucketView) {
	j.State, j.Plan, j.PlanSpec = catalog.HeadRaw, 0, nil
	if piece.Head != nil {
		j.State, j.Plan = piece.Head.State, piece.Head.Plan
	}
	if j.Plan != 0 {
		j.PlanSpec = piece.PlanSpec
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
