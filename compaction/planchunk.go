package compaction

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// chunk is one output chunk before it is decided what to do with it: adjacent buckets, and what the view shows of them.
type chunk struct {
	interval spec.Interval
	buckets  []segment.Bucket
	pieces   []*catalog.BucketView // what it is made of now, ascending: buckets, or groups of buckets that already share a manifest
	cut      spec.Granularity      // of the segments inside; zero: as they are
	partly   bool                  // the request's intervals cover it only in part
	problems spec.Problems
}

// always is all of time.
func always() spec.Interval {
	return spec.Interval{StartMillis: math.MinInt64, EndMillis: math.MaxInt64}
}

// overlapping are the datasource's buckets and groups that the span touches.
func overlapping(ds *catalog.DatasourceView, span spec.Interval) []*catalog.BucketView {
	first, _ := slices.BinarySearchFunc(ds.Buckets, span.StartMillis, func(piece *catalog.BucketView, start int64) int {
		if piece.Bucket.EndMillis <= start {
			return -1
		}
		return 1
	})
	end := first
	for end < len(ds.Buckets) && ds.Buckets[end].Bucket.StartMillis < span.EndMillis {
		end++
	}
	return ds.Buckets[first:end]
}

// existingChunks are the datasource's chunks as they are, where they touch the span and the intervals.
func existingChunks(ds *catalog.DatasourceView, intervals []spec.Interval, within spec.Interval) []*chunk {
	var out []*chunk
	for _, piece := range overlapping(ds, within) {
		span := intervalOf(piece.Bucket)
		if !touches(intervals, span) {
			continue
		}
		out = append(out, &chunk{
			interval: span, buckets: piece.Members, pieces: []*catalog.BucketView{piece}, partly: !covers(intervals, span),
		})
	}
	return out
}

// chunks cuts what the intervals touch into output chunks. A segmentGranularity that is coarser joins adjacent chunks, empty
// buckets among them; a finer one cuts segments inside a chunk, since buckets and groups stay together for ever.
func (r *request) chunks(ds *catalog.DatasourceView, intervals []spec.Interval, within spec.Interval) ([]*chunk, spec.Problems) {
	existing := existingChunks(ds, intervals, within)
	if r.granularity == nil {
		return existing, nil
	}
	problems := r.checkAligned(intervals)
	var out []*chunk
	done := map[int64]bool{}
	for _, c := range existing {
		start, end := r.granularity.Chunk(c.interval.StartMillis)
		switch {
		case done[start] && end >= c.interval.EndMillis:
		case start <= c.interval.StartMillis && end >= c.interval.EndMillis:
			done[start] = true
			out = append(out, r.joined(ds, intervals, spec.Interval{StartMillis: start, EndMillis: end}))
		case start == c.interval.StartMillis && endsChunk(*r.granularity, c.interval.EndMillis):
			c.cut = *r.granularity
			out = append(out, c)
		default:
			c.problems = append(c.problems, spec.Problem{Path: granularityPath, Message: fmt.Sprintf(
				"the chunk %s is neither part of a %s nor made of whole ones: its rows stay together for ever",
				c.interval.String(), r.granularity)})
			out = append(out, c)
		}
	}
	return out, problems
}

const granularityPath = "granularitySpec.segmentGranularity"

func endsChunk(g spec.Granularity, millis int64) bool {
	_, end := g.Chunk(millis - 1)
	return end == millis
}

// checkAligned is Druid's rule: an interval that cuts through a chunk of the segmentGranularity asked for is refused, unless the
// task allows it, and then whole chunks are taken.
func (r *request) checkAligned(intervals []spec.Interval) spec.Problems {
	if r.allowUnaligned {
		return nil
	}
	var problems spec.Problems
	for _, i := range intervals {
		start, _ := r.granularity.Chunk(i.StartMillis)
		_, end := r.granularity.Chunk(i.EndMillis - 1)
		if start != i.StartMillis || end != i.EndMillis {
			problems = append(problems, spec.Problem{Path: "interval", Message: fmt.Sprintf(
				"%s is not made of whole chunks of segmentGranularity %s: ask for %s, or set ioConfig.allowNonAlignedInterval, "+
					"so that whole chunks are taken", i.String(), r.granularity,
				spec.Interval{StartMillis: start, EndMillis: end}.String())})
		}
	}
	return problems
}

// joined makes one chunk of all the buckets in the span, empty ones too.
func (r *request) joined(ds *catalog.DatasourceView, intervals []spec.Interval, span spec.Interval) *chunk {
	c := &chunk{interval: span, partly: !covers(intervals, span)}
	refuse := func(format string, args ...any) *chunk {
		c.problems = append(c.problems, spec.Problem{Path: granularityPath, Message: fmt.Sprintf(format, args...)})
		return c
	}
	for _, piece := range overlapping(ds, span) {
		c.pieces = append(c.pieces, piece)
		if piece.Bucket.StartMillis < span.StartMillis || piece.Bucket.EndMillis > span.EndMillis {
			return refuse("the chunk %s has been compacted together for ever, and lies only partly in %s",
				intervalOf(piece.Bucket).String(), span.String())
		}
	}
	if len(c.pieces) == 1 && intervalOf(c.pieces[0].Bucket) == span {
		c.buckets = c.pieces[0].Members
		return c
	}
	bucket, err := spec.ParseGranularity(ds.SegmentGranularity)
	if err != nil {
		return refuse("the datasource's segmentGranularity cannot be read: %v", err)
	}
	for at := span.StartMillis; at < span.EndMillis; {
		start, end := bucket.Chunk(at)
		if start != at || end > span.EndMillis {
			return refuse("a %s is not made of whole chunks of the datasource's segmentGranularity %s", r.granularity, bucket)
		}
		if len(c.buckets) == catalog.MaxSwapBuckets {
			return refuse("%s has more than %d chunks of %s, the most that can be joined: choose a finer segmentGranularity",
				span.String(), catalog.MaxSwapBuckets, bucket)
		}
		c.buckets, at = append(c.buckets, segment.Bucket{StartMillis: start, EndMillis: end}), end
	}
	return c
}

// taskIntervals are the task's intervals, sorted and joined. Ids of segments stand for the chunks that hold them.
func taskIntervals(ds *catalog.DatasourceView, t *spec.Task) ([]spec.Interval, spec.Problems) {
	out := slices.Clone(t.Intervals)
	var problems spec.Problems
	for i, id := range t.Segments {
		interval, err := segmentInterval(ds.Name, id)
		if err != nil {
			problems = append(problems, spec.Problem{Path: fmt.Sprintf("segments[%d]", i), Message: err.Error()})
			continue
		}
		out = append(out, interval)
	}
	return joinIntervals(out), problems
}

// segmentInterval reads Druid's form of a segment's id: {datasource}_{start}_{end}_{version}[_{number}].
func segmentInterval(datasource, id string) (spec.Interval, error) {
	rest, ours := strings.CutPrefix(id, datasource+"_")
	parts := strings.Split(rest, "_")
	if !ours || len(parts) < 3 {
		return spec.Interval{}, fmt.Errorf("%q is no segment of %s: ids are written %s_start_end_version_number, as sys.segments shows them",
			id, datasource, datasource)
	}
	start, err := time.Parse(time.RFC3339, parts[0])
	if err != nil {
		return spec.Interval{}, fmt.Errorf("segment id %q: its start %q is no time", id, parts[0])
	}
	end, err := time.Parse(time.RFC3339, parts[1])
	if err != nil || !end.After(start) {
		return spec.Interval{}, fmt.Errorf("segment id %q: its end %q is no time after the start", id, parts[1])
	}
	return spec.Interval{StartMillis: start.UnixMilli(), EndMillis: end.UnixMilli()}, nil
}

func joinIntervals(in []spec.Interval) []spec.Interval {
	slices.SortFunc(in, func(a, b spec.Interval) int { return cmp.Compare(a.StartMillis, b.StartMillis) })
	var out []spec.Interval
	for _, i := range in {
		if n := len(out); n > 0 && i.StartMillis <= out[n-1].EndMillis {
			out[n-1].EndMillis = max(out[n-1].EndMillis, i.EndMillis)
			continue
		}
		out = append(out, i)
	}
	return out
}

// emptyParts are the intervals without the chunks.
func emptyParts(intervals []spec.Interval, chunks []ChunkPlan) []spec.Interval {
	var out []spec.Interval
	for _, i := range intervals {
		at := i.StartMillis
		for _, c := range chunks {
			if c.Interval.EndMillis <= at || c.Interval.StartMillis >= i.EndMillis {
				continue
			}
			if c.Interval.StartMillis > at {
				out = append(out, spec.Interval{StartMillis: at, EndMillis: c.Interval.StartMillis})
			}
			at = c.Interval.EndMillis
		}
		if at < i.EndMillis {
			out = append(out, spec.Interval{StartMillis: at, EndMillis: i.EndMillis})
		}
	}
	return out
}

func intervalOf(b segment.Bucket) spec.Interval {
	return spec.Interval{StartMillis: b.StartMillis, EndMillis: b.EndMillis}
}

func touches(intervals []spec.Interval, i spec.Interval) bool {
	return slices.ContainsFunc(intervals, i.Overlaps)
}

// covers needs joined intervals.
func covers(intervals []spec.Interval, i spec.Interval) bool {
	return slices.ContainsFunc(intervals, func(o spec.Interval) bool { return o.Contains(i) })
}
