package query

import (
	"sort"

	"drumlin/segment"
)

// tablePlan says which rows of one datasource a query reads, and where copies may be among them. It is a pure function
// of the snapshot and of the statement's conditions.
type tablePlan struct {
	// settled and unsettled are the segments that may hold rows the statement asks for: from buckets in which no
	// identity can occur twice, and from the others.
	settled, unsettled []segment.Meta
	// narrow are the segments that decide which copies lose: every segment of each unsettled bucket that is read.
	// Pruning by columns never takes one of these away, since the winner of an identity may fail the WHERE clause.
	narrow []segment.Meta
	// hotData says that hot rows are read, hotDedup that they take part in removing copies.
	hotData, hotDedup bool
	// hidden are the dropped buckets: their hot rows do not count.
	hidden []segment.Bucket
	// time holds every row that the statement can ask for.
	time timeRange
	// narrowTime covers the unsettled buckets that are read, whole.
	narrowTime timeRange
	// dedupRows counts the rows that are compared to find losers.
	dedupRows int64
	pruned    int // segments that need not be read
}

// hotCount counts one partition's hot rows of one bucket.
type hotCount struct {
	bucket segment.Bucket
	rows   int64
}

// planInput is what planTable decides from.
type planInput struct {
	schema  *segment.Schema
	schemas map[int32]*segment.Schema
	buckets []bucketInput // ascending
	hot     []hotCount    // one for each partition and bucket
	// mentions hold the conditions of each place in the statement that reads the table.
	mentions [][]condition
}

// bucketInput is a bucket's live cold rows.
type bucketInput struct {
	bucket  segment.Bucket
	dropped bool
	settled []segment.Meta
	tail    []tailInput
}

type tailInput struct {
	segment.Meta
	unit string
}

func planTable(in planInput) tablePlan {
	p := &planner{in: in, columns: newColumnsByName(in.schema), wide: map[string]bool{}, chosen: map[string]bool{}}
	for _, conditions := range in.mentions {
		p.ranges = append(p.ranges, timeOf(conditions))
	}
	p.out.time = hull(p.ranges)
	dropped := map[segment.Bucket]bool{}
	for _, b := range in.buckets {
		if b.dropped {
			dropped[b.bucket] = true
		}
	}
	hot := p.hotBuckets(dropped)
	seen := map[segment.Bucket]bool{}
	for _, b := range in.buckets {
		seen[b.bucket] = true
		if !b.dropped {
			p.bucket(b, hot[b.bucket])
		}
	}
	for _, bucket := range sortedBuckets(hot) {
		if !seen[bucket] {
			p.bucket(bucketInput{bucket: bucket}, hot[bucket])
		}
	}
	p.shareUnsettled()
	return p.out
}

type planner struct {
	in      planInput
	columns columnsByName
	ranges  []timeRange // of each mention
	out     tablePlan
	// wide holds the objects in settled and unsettled, chosen those in narrow: a segment that spans several buckets
	// stands in each of them, and is read once.
	wide, chosen map[string]bool
}

// hotBuckets sums the hot rows that count, by bucket, and notes the hidden buckets that have some.
func (p *planner) hotBuckets(dropped map[segment.Bucket]bool) map[segment.Bucket]int64 {
	hot := map[segment.Bucket]int64{}
	hidden := map[segment.Bucket]int64{}
	for _, h := range p.in.hot {
		switch {
		case h.rows == 0:
		case dropped[h.bucket]:
			hidden[h.bucket] += h.rows
		default:
			hot[h.bucket] += h.rows
		}
	}
	p.out.hidden = sortedBuckets(hidden)
	return hot
}

func (p *planner) bucket(b bucketInput, hotRows int64) {
	if !p.timeOverlaps(b.bucket) {
		p.out.pruned += len(b.settled) + len(b.tail)
		return
	}
	wide := p.wideSegments(b)
	p.out.pruned += len(b.settled) + len(b.tail) - len(wide)
	if hotRows > 0 {
		p.out.hotData = true
	}
	if !p.in.schema.Dedup || !unsettled(b, hotRows) {
		p.out.settled = append(p.out.settled, p.once(p.wide, wide)...)
		return
	}
	if len(wide) == 0 && hotRows == 0 {
		return
	}
	p.out.unsettled = append(p.out.unsettled, p.once(p.wide, wide)...)
	for _, m := range p.once(p.chosen, allSegments(b)) {
		p.out.narrow = append(p.out.narrow, m)
		p.out.dedupRows += m.Rows
	}
	if hotRows > 0 {
		p.out.hotDedup = true
		p.out.dedupRows += hotRows
	}
	p.out.narrowTime = union(p.out.narrowTime, timeRange{satMicros(b.bucket.StartMillis), satMicros(b.bucket.EndMillis)})
}

// unsettled says whether an identity may occur twice in the bucket: it has more than one unit. The hot rows of one
// partition may hold copies among themselves.
func unsettled(b bucketInput, hotRows int64) bool {
	if hotRows > 0 {
		return true
	}
	units := map[string]bool{}
	for _, t := range b.tail {
		units[t.unit] = true
	}
	n := len(units)
	if len(b.settled) > 0 {
		n++
	}
	return n > 1
}

func (p *planner) timeOverlaps(b segment.Bucket) bool {
	for _, r := range p.ranges {
		if r.overlapsMillis(b.StartMillis, b.EndMillis) {
			return true
		}
	}
	return false
}

func (p *planner) wideSegments(b bucketInput) []segment.Meta {
	var out []segment.Meta
	for _, m := range allSegments(b) {
		for _, conditions := range p.in.mentions {
			if mayMatch(&m, conditions, p.columns, p.in.schemas[m.SchemaID]) {
				out = append(out, m)
				break
			}
		}
	}
	return out
}

func allSegments(b bucketInput) []segment.Meta {
	out := append([]segment.Meta(nil), b.settled...)
	for _, t := range b.tail {
		out = append(out, t.Meta)
	}
	return out
}

// once returns the segments that are not in seen, and puts them there.
func (p *planner) once(seen map[string]bool, segments []segment.Meta) []segment.Meta {
	var out []segment.Meta
	for _, m := range segments {
		if !seen[m.Object] {
			seen[m.Object] = true
			out = append(out, m)
		}
	}
	return out
}

// shareUnsettled moves a segment of several buckets, one of which is unsettled, to where its copies are removed.
func (p *planner) shareUnsettled() {
	kept := p.out.settled[:0]
	for _, m := range p.out.settled {
		if p.chosen[m.Object] {
			p.out.unsettled = append(p.out.unsettled, m)
		} else {
			kept = append(kept, m)
		}
	}
	p.out.settled = kept
}

func sortedBuckets(m map[segment.Bucket]int64) []segment.Bucket {
	out := make([]segment.Bucket, 0, len(m))
	for b := range m {
		out = append(out, b)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].StartMillis < out[j].StartMillis })
	return out
}

func hull(ranges []timeRange) timeRange {
	var out timeRange
	for _, r := range ranges {
		out = union(out, r)
	}
	return out
}

// union is the smallest range that holds both; empty ranges add nothing.
func union(a, b timeRange) timeRange {
	switch {
	case a.empty():
		return b
	case b.empty():
		return a
	}
	return timeRange{min(a.from, b.from), max(a.to, b.to)}
}
