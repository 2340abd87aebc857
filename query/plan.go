package query

import (
	"sort"

	"drumlin/segment"
)

// tablePlan says which rows of one datasource a query reads, and where copies may be among them. It is a pure function
// of the snapshot and of the statement's conditions.
type tablePlan struct {
	own *rules // the datasource's
	// parts are the rows to read, by the rules that show them; the datasource's own come first. Rules without rows have
	// none.
	parts []*planPart
	// narrow are the segments that decide which copies lose: every raw segment of each bucket that is read and in which an
	// identity may occur twice. Pruning by columns never takes one of these away, since the winner of an identity may
	// fail the WHERE clause.
	narrow []segment.Meta
	// sidecars hold the identities of rows that are no longer there raw: whoever bears one of them has lost.
	sidecars []segment.Meta
	// hotDedup says that hot rows take part in removing copies.
	hotDedup bool
	// hidden are the dropped buckets: their hot rows do not count.
	hidden []segment.Bucket
	// time holds every row that the statement can ask for, as the table shows it.
	time timeRange
	// narrowTime covers the buckets that are searched for copies, whole.
	narrowTime timeRange
	// dedupRows counts the rows that are compared to find losers.
	dedupRows int64
	pruned    int // segments that need not be read
}

// planPart is what is read by one set of rules.
type planPart struct {
	rules *rules
	// settled segments hold rows as the table shows them, none of which can be a copy.
	settled []segment.Meta
	// unsettled segments hold raw rows from which losers go, and to which the rules are applied.
	unsettled []segment.Meta
	// folded and merged are of rollup only: rolled-up segments whose rows are merged with others of the same key. Those
	// in merged have no two rows of one key among them, those in folded may.
	folded, merged []segment.Meta
	// hot are the buckets whose hot rows are read.
	hot []segment.Bucket
}

// hotCount counts one partition's hot rows of one bucket.
type hotCount struct {
	bucket segment.Bucket
	rows   int64
}

// planInput is what planTable decides from.
type planInput struct {
	dedup   bool
	columns columnsByName // those whose bounds may be used
	schemas map[int32]*segment.Schema
	rules   []*rules
	buckets []bucketInput // ascending
	hot     []hotCount    // one for each partition and bucket
	// mentions hold the conditions of each place in the statement that reads the table.
	mentions [][]condition
}

// bucketInput is a bucket's live cold rows. It may span several of the buckets that hot rows are counted by.
type bucketInput struct {
	bucket   segment.Bucket
	dropped  bool
	rules    int // place in planInput.rules
	settled  []segment.Meta
	tail     []tailInput
	sidecars []segment.Meta
}

type tailInput struct {
	segment.Meta
	unit string
}

func planTable(in planInput) tablePlan {
	p := &planner{in: in, wide: map[string]bool{}, chosen: map[string]bool{}}
	for _, conditions := range in.mentions {
		p.ranges = append(p.ranges, timeOf(conditions))
	}
	p.out.own, p.out.time = in.rules[0], hull(p.ranges)
	p.parts = make([]*planPart, len(in.rules))
	for i, r := range in.rules {
		p.parts[i] = &planPart{rules: r}
	}
	hot, alone := p.placeHot()
	for i, b := range in.buckets {
		if !b.dropped {
			p.bucket(b, hot[i])
		}
	}
	for _, h := range alone {
		p.bucket(bucketInput{bucket: h.bucket}, hotShare{rows: h.rows, buckets: []segment.Bucket{h.bucket}})
	}
	for _, part := range p.parts {
		p.shareUnsettled(part)
		if !part.empty() {
			p.out.parts = append(p.out.parts, part)
		}
	}
	return p.out
}

func (p *planPart) empty() bool {
	return len(p.settled)+len(p.unsettled)+len(p.folded)+len(p.merged)+len(p.hot) == 0
}

// segments are all that the part reads.
func (p *planPart) segments() []segment.Meta {
	var out []segment.Meta
	for _, s := range [][]segment.Meta{p.settled, p.unsettled, p.folded, p.merged} {
		out = append(out, s...)
	}
	return out
}

// readsHot says whether any hot rows are read.
func (t *tablePlan) readsHot() bool {
	for _, p := range t.parts {
		if len(p.hot) > 0 {
			return true
		}
	}
	return false
}

type planner struct {
	in     planInput
	ranges []timeRange // of each mention
	parts  []*planPart // by rules
	out    tablePlan
	// wide holds the objects that are read, chosen those in narrow: a segment that spans several buckets stands in each of
	// them, and is read once.
	wide, chosen map[string]bool
}

// hotShare are the hot rows of one bucket of the plan.
type hotShare struct {
	rows    int64
	buckets []segment.Bucket
}

// placeHot gives the hot rows that count to the cold buckets that hold theirs, and lists the others, ascending. It notes
// the hidden buckets that have some.
func (p *planner) placeHot() (hot []hotShare, alone []hotCount) {
	sums := map[segment.Bucket]int64{}
	for _, h := range p.in.hot {
		sums[h.bucket] += h.rows
	}
	hot = make([]hotShare, len(p.in.buckets))
	for _, bucket := range sortedBuckets(sums) {
		rows := sums[bucket]
		at := sort.Search(len(p.in.buckets), func(i int) bool { return p.in.buckets[i].bucket.EndMillis > bucket.StartMillis })
		switch {
		case rows == 0:
		case at == len(p.in.buckets) || p.in.buckets[at].bucket.StartMillis > bucket.StartMillis:
			alone = append(alone, hotCount{bucket, rows})
		case p.in.buckets[at].dropped:
			p.out.hidden = append(p.out.hidden, bucket)
		default:
			hot[at].rows += rows
			hot[at].buckets = append(hot[at].buckets, bucket)
		}
	}
	return hot, alone
}

func (p *planner) bucket(b bucketInput, hot hotShare) {
	part := p.parts[b.rules]
	segments := len(b.settled) + len(b.tail)
	if !timeOverlaps(p.ranges, part.rules, b.bucket) {
		p.out.pruned += segments
		return
	}
	part.hot = append(part.hot, hot.buckets...)
	settled, tail := p.matching(nil, b.settled), p.matching(part.rules, tailSegments(b))
	p.out.pruned += segments - len(settled) - len(tail)
	if len(settled)+len(tail) == 0 && hot.rows == 0 {
		return
	}
	if part.rules.rollup() {
		p.rolledUp(part, b, settled, tail, hot.rows)
		return
	}
	unsettled := p.in.dedup && mayHoldCopies(b, len(b.settled) > 0, tailUnits(b), hot.rows)
	if unsettled {
		p.searchCopies(b, allSegments(b), hot.rows)
	}
	p.read(&part.settled, &part.unsettled, unsettled, settled)
	p.read(&part.settled, &part.unsettled, unsettled || !part.rules.asStored(), tail)
}

// rolledUp reads a bucket whose rows are shown rolled up. Where compaction has left nothing to fold that the statement
// asks for, its rows are read as they are; otherwise all of them are merged by key.
func (p *planner) rolledUp(part *planPart, b bucketInput, settled, tail []segment.Meta, hotRows int64) {
	if len(tail) == 0 && hotRows == 0 && len(rawOf(settled)) == 0 {
		p.read(&part.settled, nil, false, settled)
		return
	}
	rawSettled := len(rawOf(b.settled)) > 0
	raw := rawOf(allSegments(b))
	units := map[string]bool{}
	for _, t := range b.tail {
		if !t.Folded {
			units[t.unit] = true
		}
	}
	if p.in.dedup && mayHoldCopies(b, rawSettled, units, hotRows) {
		p.searchCopies(b, raw, hotRows)
	}
	for _, m := range settled {
		p.read(&part.merged, &part.unsettled, !m.Folded, []segment.Meta{m})
	}
	for _, m := range tail {
		p.read(&part.folded, &part.unsettled, !m.Folded, []segment.Meta{m})
	}
}

// mayHoldCopies says whether an identity may occur twice among the raw rows of the bucket, or be known to a sidecar: they
// are of more than one unit, or beside a sidecar. The hot rows of one partition may hold copies among themselves.
func mayHoldCopies(b bucketInput, settled bool, units map[string]bool, hotRows int64) bool {
	if hotRows > 0 {
		return true
	}
	n := len(units)
	if n > 0 && len(b.sidecars) > 0 {
		return true
	}
	if settled {
		n++
	}
	return n > 1
}

// searchCopies notes what the search for copies in a bucket has to read.
func (p *planner) searchCopies(b bucketInput, raw []segment.Meta, hotRows int64) {
	for _, m := range raw {
		if !p.chosen[m.Object] {
			p.chosen[m.Object] = true
			p.out.narrow = append(p.out.narrow, m)
			p.out.dedupRows += m.Rows
		}
	}
	for _, m := range b.sidecars {
		if !p.chosen[m.Object] {
			p.chosen[m.Object] = true
			p.out.sidecars = append(p.out.sidecars, m)
			p.out.dedupRows += m.Rows
		}
	}
	if hotRows > 0 {
		p.out.hotDedup = true
		p.out.dedupRows += hotRows
	}
	p.out.narrowTime = union(p.out.narrowTime, timeRange{satMicros(b.bucket.StartMillis), satMicros(b.bucket.EndMillis)})
}

// read adds the segments to the second list or else to the first, each once.
func (p *planner) read(first, second *[]segment.Meta, useSecond bool, segments []segment.Meta) {
	list := first
	if useSecond {
		list = second
	}
	for _, m := range segments {
		if !p.wide[m.Object] {
			p.wide[m.Object] = true
			*list = append(*list, m)
		}
	}
}

// timeOverlaps says whether any of the ranges asks for what the rules make of a bucket's rows.
func timeOverlaps(ranges []timeRange, r *rules, b segment.Bucket) bool {
	from, _ := r.plan.Chunk(satMicros(b.StartMillis))
	for _, asked := range ranges {
		if asked.overlapsMillis(segment.FloorMillis(from), b.EndMillis) {
			return true
		}
	}
	return false
}

// matching are the segments that may hold rows that some mention asks for. Times are held against what the rules show;
// nil: rows are shown as they are.
func (p *planner) matching(r *rules, segments []segment.Meta) []segment.Meta {
	var out []segment.Meta
	for _, m := range segments {
		shown := m
		if r != nil {
			shown = r.shown(m)
		}
		for _, conditions := range p.in.mentions {
			if mayMatch(&shown, conditions, p.in.columns, p.in.schemas[m.SchemaID]) {
				out = append(out, m)
				break
			}
		}
	}
	return out
}

func allSegments(b bucketInput) []segment.Meta {
	return append(append([]segment.Meta(nil), b.settled...), tailSegments(b)...)
}

func tailSegments(b bucketInput) []segment.Meta {
	out := make([]segment.Meta, len(b.tail))
	for i, t := range b.tail {
		out[i] = t.Meta
	}
	return out
}

func tailUnits(b bucketInput) map[string]bool {
	units := map[string]bool{}
	for _, t := range b.tail {
		units[t.unit] = true
	}
	return units
}

func rawOf(segments []segment.Meta) []segment.Meta {
	var out []segment.Meta
	for _, m := range segments {
		if !m.Folded {
			out = append(out, m)
		}
	}
	return out
}

// shareUnsettled moves a segment of several buckets, one of which may hold copies, to where its copies are removed.
func (p *planner) shareUnsettled(part *planPart) {
	if part.rules.rollup() {
		return
	}
	kept := part.settled[:0]
	for _, m := range part.settled {
		if p.chosen[m.Object] {
			part.unsettled = append(part.unsettled, m)
		} else {
			kept = append(kept, m)
		}
	}
	part.settled = kept
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
