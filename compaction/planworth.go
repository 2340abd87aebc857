package compaction

import (
	"cmp"
	"fmt"
	"slices"

	"drumlin/catalog"
	"drumlin/segment"
)

// Limits of the standing policies. A row is written again at most about log(chunk's size) times for each of them.
const (
	// worthOneIn: settled segments are written again once the tail is this part of them, in bytes (identities count: they are
	// written again too) or in records. Rows would mislead: a folded row stands for many.
	worthOneIn = 10
	// tinyChunkBytes: up to here the recent policy compacts a whole chunk, where its tail is a tinyTailOneIn-th of it.
	tinyChunkBytes = 16 << 20
	tinyTailOneIn  = 4
	// minTierSegments are merged at a time at least, maxTierSegments and maxTierBytes at most.
	minTierSegments = 4
	maxTierSegments = 256
	maxTierBytes    = 512 << 20
	// tierFactor is the ratio of sizes of two tiers; all segments below firstTierBytes are in the first one.
	tierFactor     = 4
	firstTierBytes = 1 << 20
	// minAdoptCommits: commits that stand in the catalog for a chunk are absorbed from here on.
	minAdoptCommits = 8
	// poorRatio: below it a rollup has found next to nothing to fold.
	poorRatio = 1.05
)

// size sums segments.
type size struct {
	segments            int
	rows, bytes, events int64
}

func (s *size) add(m *segment.Meta) {
	s.segments, s.rows, s.bytes, s.events = s.segments+1, s.rows+m.Rows, s.bytes+m.Bytes, s.events+m.InputRows()
}

// sizes are those of a chunk.
type sizes struct {
	settled, tail size
	sidecars      int64 // bytes: a full compaction writes them again too
	commits       int   // not absorbed
	units         int   // of the tail: segments of one unit hold no copies of each other
}

func sizesOf(views []*catalog.BucketView) sizes {
	var s sizes
	units := map[string]bool{}
	for _, piece := range views {
		for i := range piece.Settled {
			s.settled.add(&piece.Settled[i])
		}
		for i := range piece.Tail {
			s.tail.add(&piece.Tail[i].Meta)
			units[piece.Tail[i].Unit] = true
		}
		if piece.Manifest != nil {
			for _, sidecar := range piece.Manifest.Sidecars {
				s.sidecars += sidecar.Bytes
			}
		}
		s.commits += len(piece.Commits)
	}
	s.units = len(units)
	return s
}

// recent merges what is small and new, and leaves settled segments alone unless they are hardly more than the tail.
func (r *request) recent(ds *catalog.DatasourceView, c *chunk, t *target, l layout, s sizes) (*Job, string) {
	settled := s.settled.bytes + s.sidecars
	tiny := settled+s.tail.bytes <= tinyChunkBytes && s.tail.segments > 1 && s.tail.bytes*tinyTailOneIn >= settled
	switch {
	case s.tail.segments == 0:
		return nil, "nothing new in it"
	case tiny && (s.settled.segments > 0 || s.units > 1):
		return r.job(ds, c, t, l, ModeFull), fmt.Sprintf("%s, and the whole chunk is small", count(s.tail.segments, "new segment"))
	}
	return r.tail(ds, c, t, l)
}

// tail merges the lowest tier of tail segments that has enough of them, with all that is smaller. Each merge makes a segment
// of a higher tier, so that a row is written once a tier, and settled rows never.
func (r *request) tail(ds *catalog.DatasourceView, c *chunk, t *target, l layout) (*Job, string) {
	piece := c.pieces[0]
	candidates := slices.Clone(piece.Tail)
	folded := 0
	for i := range candidates {
		if candidates[i].Folded {
			folded++
		}
	}
	// Raw rows and states do not merge into one segment: the kind that is more frequent goes first.
	most := folded*2 > len(candidates)
	candidates = slices.DeleteFunc(candidates, func(s catalog.TailSegment) bool {
		return s.Folded != most || s.Bytes > r.targetBytes/2
	})
	slices.SortFunc(candidates, func(a, b catalog.TailSegment) int {
		return cmp.Or(cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Object, b.Object))
	})
	chosen := chooseTier(candidates)
	if chosen == nil {
		return nil, fmt.Sprintf("%s in the tail: merged once %d are of one size", count(len(piece.Tail), "segment"), minTierSegments)
	}
	j := r.job(ds, c, t, l, ModeTail)
	j.keepHead(piece)
	j.Settled, j.Sidecars, j.Tail, j.PartitionDimensions, j.ForgetIDs = nil, nil, chosen, nil, false
	slices.SortFunc(j.Tail, func(a, b catalog.TailSegment) int { return cmp.Compare(a.Object, b.Object) })
	return j, fmt.Sprintf("%s of %s in the tail are merged", count(len(chosen), "small segment"), count(len(piece.Tail), "segment"))
}

// chooseTier takes segments in ascending size.
func chooseTier(ascending []catalog.TailSegment) []catalog.TailSegment {
	inTier, tierOf := 0, 0
	for i := range ascending {
		if tier := tierOfBytes(ascending[i].Bytes); tier != tierOf {
			tierOf, inTier = tier, 0
		}
		if inTier++; inTier < minTierSegments {
			continue
		}
		end := i + 1
		for end < len(ascending) && tierOfBytes(ascending[end].Bytes) == tierOf {
			end++
		}
		return bounded(ascending[:end])
	}
	return nil
}

// bounded leaves out the largest until the job is small enough; nil where nothing is left to merge.
func bounded(ascending []catalog.TailSegment) []catalog.TailSegment {
	var bytes int64
	for i := range ascending {
		bytes += ascending[i].Bytes
		if i == maxTierSegments || bytes > maxTierBytes {
			ascending = ascending[:i]
			break
		}
	}
	if len(ascending) < 2 {
		return nil
	}
	return slices.Clone(ascending)
}

func tierOfBytes(bytes int64) int {
	tier := 0
	for limit := int64(firstTierBytes); bytes > limit; limit *= tierFactor {
		tier++
	}
	return tier
}

// historical rewrites settled segments only where it is worth it.
func (r *request) historical(ds *catalog.DatasourceView, c *chunk, t *target, l layout, s sizes) (*Job, string) {
	full := func(reason string, args ...any) (*Job, string) {
		return r.job(ds, c, t, l, ModeFull), fmt.Sprintf(reason, args...)
	}
	switch least := leastSegments(c, l); {
	case s.tail.segments == 0 && (s.settled.segments < 2*least || wellCut(c, l)):
		return nil, "already compacted" + noGain(ds, c)
	case s.tail.segments == 0:
		return full("%s where %d would do", count(s.settled.segments, "settled segment"), least)
	case s.settled.segments == 0 && s.sidecars == 0:
		return r.first(ds, c, t, l, s, least)
	case s.tail.bytes*worthOneIn >= s.settled.bytes+s.sidecars, s.tail.events*worthOneIn >= s.settled.events && s.settled.segments > 0:
		return full("%s with %d records beside %d settled ones", count(s.tail.segments, "tail segment"), s.tail.events, s.settled.events)
	}
	if j, reason := r.tail(ds, c, t, l); j != nil {
		return j, reason + ": too few rows to write the settled ones again"
	}
	const little = "the tail has %d records beside %d settled ones: all is written again from %d %% on"
	if s.commits >= minAdoptCommits {
		return r.adopt(ds, c, t), fmt.Sprintf(little+"; %d commits are absorbed", s.tail.events, s.settled.events, 100/worthOneIn, s.commits)
	}
	return nil, fmt.Sprintf(little, s.tail.events, s.settled.events, 100/worthOneIn)
}

// first is the first compaction of a chunk. A raw chunk of one unit has no copies to remove: unless it has too many segments, or
// its plan works on rows, it stays as it was committed.
func (r *request) first(ds *catalog.DatasourceView, c *chunk, t *target, l layout, s sizes, least int) (*Job, string) {
	working := t.definition != nil && !(t.definition.Rollup && !ds.Schema.Dedup)
	if s.units > 1 || working || s.tail.segments >= 2*least {
		return r.job(ds, c, t, l, ModeFull), fmt.Sprintf("its first compaction: %s of %s", count(s.tail.segments, "segment"),
			count(s.units, "unit"))
	}
	if s.commits > 0 {
		return r.adopt(ds, c, t), "one unit, which is absorbed as it is"
	}
	return nil, "one unit, with nothing to gain from writing it again"
}

// adopt absorbs the commits without writing data.
func (r *request) adopt(ds *catalog.DatasourceView, c *chunk, t *target) *Job {
	j := r.job(ds, c, t, layout{}, ModeAdopt)
	j.keepHead(c.pieces[0])
	j.ForgetIDs = false
	return j
}

// cuts sums the settled segments by the chunks that segments are cut by.
func cuts(c *chunk, of func(piece *catalog.BucketView) []segment.Meta) map[int64]*size {
	out := map[int64]*size{}
	for _, piece := range c.pieces {
		for _, m := range of(piece) {
			start := int64(0)
			if !c.cut.IsZero() {
				start, _ = c.cut.Chunk(m.MinMillis)
			}
			if out[start] == nil {
				out[start] = &size{}
			}
			out[start].add(&m)
		}
	}
	return out
}

// leastSegments is about how many segments the chunk's rows need.
func leastSegments(c *chunk, l layout) int {
	n := 0
	for _, s := range cuts(c, func(piece *catalog.BucketView) []segment.Meta {
		all := slices.Clone(piece.Settled)
		for i := range piece.Tail {
			all = append(all, piece.Tail[i].Meta)
		}
		return all
	}) {
		n += least(s, l)
	}
	return max(n, 1)
}

func least(s *size, l layout) int {
	byRows := (s.rows + l.MaxRowsPerSegment - 1) / l.MaxRowsPerSegment
	byBytes := (s.bytes + l.TargetSegmentBytes - 1) / l.TargetSegmentBytes
	return max(1, int(byRows), int(byBytes))
}

// wellCut says whether the settled segments are as few as the layout lets them be, and none too large: because they were made by
// it, or because they look like it. Objects are cut by an estimate, so that half as much again counts as right.
func wellCut(c *chunk, l layout) bool {
	if was := layoutOf(c.pieces[0]); was != nil && was.MaxRowsPerSegment == l.MaxRowsPerSegment &&
		was.TargetSegmentBytes == l.TargetSegmentBytes {
		return true
	}
	for _, piece := range c.pieces {
		for i := range piece.Settled {
			if m := &piece.Settled[i]; m.Rows > l.MaxRowsPerSegment || m.Bytes > l.TargetSegmentBytes*3/2 && len(l.PartitionDimensions) == 0 {
				return false
			}
		}
	}
	for _, s := range cuts(c, func(piece *catalog.BucketView) []segment.Meta { return piece.Settled }) {
		if s.segments > least(s, l) {
			return false
		}
	}
	return true
}

// noGain tells where rolling up has found next to nothing to fold, so that nobody wonders why the rows stay as many.
func noGain(ds *catalog.DatasourceView, c *chunk) string {
	shape := shapeOf(c.pieces...)
	if shape.Rows == 0 || !slices.ContainsFunc(c.pieces, func(piece *catalog.BucketView) bool {
		return piece.Head != nil && piece.Head.State == catalog.HeadFolded
	}) || shape.RollupRatio >= poorRatio {
		return ""
	}
	return fmt.Sprintf("; rollup gains nothing: %d records are %d rows (ratio %.2f); a coarser queryGranularity or fewer "+
		"dimensions would fold more", shape.Events, shape.Rows, shape.RollupRatio)
}
