package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"drumlin/segment"
)

// SwapRequest replaces the compacted state of adjacent buckets. What it does not consume is carried over: the new
// manifest holds every segment of every commit that Base shows. With nothing consumed and nothing new it adopts small
// late segments as they are; with state dropped it hides the buckets for ever.
type SwapRequest struct {
	Claim      Claim // covers every bucket
	Base       *View // the view that the inputs were read at; its revision is what the buckets absorb
	Datasource string
	Buckets    []segment.Bucket // ascending and adjacent; empty ones too
	State      HeadState
	Plan       int64
	PlanSpec   json.RawMessage // of the plan; nil where Plan is 0
	Consumed   []string        // objects of Base that the new ones replace: segments, deletion vectors, sidecars
	Settled    []segment.Meta  // new; free of copies among themselves and with the settled segments that stay
	Adopted    []TailSegment   // new, but not compared with the settled ones
	Rejects    []segment.Meta  // new
	Deletions  []Deletion      // new, each in the place of the one that its segment had
	Sidecars   []Sidecar       // new
	// LastCompaction replaces the manifest's; nil: it stays while the settled segments do (of several manifests that become
	// one: none).
	LastCompaction json.RawMessage
	// Duplicates and Filtered are the records that the work removed, for the totals.
	Duplicates, Filtered int64
}

// ErrCannotRebase: the inputs of the swap have changed: do the work again on a new view.
var ErrCannotRebase = errors.New("the swap's inputs have changed")

// base is what a request finds in its view.
type base struct {
	buckets   []*BucketView
	heads     map[int64]int64 // bucket start → mod_revision of its head; 0: absent
	sequence  int64           // highest of the heads
	absorbed  int64           // highest of the heads
	settled   []segment.Meta
	tail      []TailSegment
	rejects   []segment.Meta
	deletions []Deletion
	sidecars  []Sidecar
	ranges    []AbsorbedRange
	totals    Totals
	hidden    []string // segments of commits that a dropped head hides without having absorbed them
}

// baseOf collects what the view shows of the buckets. A group of buckets is in it whole, or not at all.
func baseOf(v *View, datasource string, buckets []segment.Bucket) (*base, error) {
	d := v.Datasources[datasource]
	if d == nil {
		return nil, invalidf("datasource %q does not exist", datasource)
	}
	b := &base{heads: make(map[int64]int64, len(buckets))}
	for i, bucket := range buckets {
		if i > 0 && buckets[i-1].EndMillis != bucket.StartMillis || bucket.EndMillis <= bucket.StartMillis {
			return nil, invalidf("buckets must be ascending and adjacent, empty ones too; %d does not follow", bucket.StartMillis)
		}
		b.heads[bucket.StartMillis] = 0
	}
	for _, view := range d.Buckets {
		inside := 0
		for _, m := range view.Members {
			if _, ok := b.heads[m.StartMillis]; ok {
				inside++
				b.heads[m.StartMillis] = view.HeadRevision
				if !slices.Contains(buckets, m) {
					return nil, invalidf("bucket %d ends at %d", m.StartMillis, m.EndMillis)
				}
			}
		}
		if inside == 0 {
			continue
		}
		if inside < len(view.Members) {
			return nil, invalidf("buckets [%d, %d) share a manifest and only move together", view.Bucket.StartMillis,
				view.Bucket.EndMillis)
		}
		b.add(view)
	}
	return b, nil
}

func (b *base) add(v *BucketView) {
	b.buckets = append(b.buckets, v)
	if v.Head != nil {
		b.sequence, b.absorbed = max(b.sequence, v.Head.Sequence), max(b.absorbed, v.Head.Absorbed)
	}
	if v.absorbed != nil {
		b.ranges, b.totals = append(b.ranges, v.absorbed.Absorbed...), b.totals.Add(v.absorbed.Totals)
	}
	for _, ref := range v.Commits {
		b.ranges = append(b.ranges, AbsorbedRange{
			Supervisor: ref.Commit.Supervisor, OffsetRange: ref.Commit.Range, UUID: ref.Commit.UUID,
		})
		b.addTotals(v.Bucket, ref.Commit)
		b.addHidden(v, ref.Commit)
	}
	b.settled, b.tail, b.rejects = append(b.settled, v.Settled...), append(b.tail, v.Tail...), append(b.rejects, v.Rejects...)
	if v.Manifest != nil {
		b.deletions = append(b.deletions, v.Manifest.Deletions...)
		b.sidecars = append(b.sidecars, v.Manifest.Sidecars...)
	}
}

// addHidden notes the segments that the view of a dropped bucket leaves out.
func (b *base) addHidden(v *BucketView, c *Commit) {
	if !v.Dropped() {
		return
	}
	for i := range c.Segments {
		if within(c.Segments[i].Bucket, v.Bucket) {
			b.hidden = append(b.hidden, c.Segments[i].Object)
		}
	}
}

// addTotals counts the commit's data segments that belong to the bucket.
func (b *base) addTotals(bucket segment.Bucket, c *Commit) {
	for i := range c.Segments {
		m := &c.Segments[i]
		if m.Kind != segment.KindData || m.Bucket.StartMillis < bucket.StartMillis || m.Bucket.EndMillis > bucket.EndMillis {
			continue
		}
		b.totals.AbsorbedSegments++
		b.totals.AbsorbedRows += m.InputRows()
		b.totals.AbsorbedBytes += m.Bytes
	}
}

// objects calls fn for every object that the base shows.
func (b *base) objects(fn func(object string)) {
	m := Manifest{Settled: b.settled, Adopted: b.tail, Rejects: b.rejects, Deletions: b.deletions, Sidecars: b.sidecars}
	m.objects(fn)
}

// check holds the request against the rules of heads.
func (r *SwapRequest) check(b *base, incarnation string) error {
	if len(r.Buckets) == 0 || len(r.Buckets) > MaxSwapBuckets {
		return invalidf("a swap covers 1 to %d buckets, not %d: choose a finer granularity", MaxSwapBuckets, len(r.Buckets))
	}
	for _, bucket := range r.Buckets {
		if !slices.Contains(r.Claim.Keys, bucketClaim(r.Datasource, bucket.StartMillis)) {
			return invalidf("bucket %d is not claimed", bucket.StartMillis)
		}
	}
	if r.Base.Revision < b.absorbed {
		return invalidf("the view of revision %d is older than %d, which is absorbed already", r.Base.Revision, b.absorbed)
	}
	if err := r.checkHeads(b); err != nil {
		return err
	}
	return r.checkObjects(b, incarnation)
}

// checkObjects: what is consumed must be there, what is new must be named by the claim's epoch.
func (r *SwapRequest) checkObjects(b *base, incarnation string) error {
	there := map[string]bool{}
	b.objects(func(object string) { there[object] = true })
	for _, object := range r.Consumed {
		if !there[object] {
			return invalidf("object %s is consumed, but not part of the buckets at revision %d", object, r.Base.Revision)
		}
	}
	fresh := Manifest{
		Settled: r.Settled, Adopted: r.Adopted, Rejects: r.Rejects, Deletions: r.Deletions, Sidecars: r.Sidecars,
	}
	var err error
	fresh.objects(func(object string) {
		inc, epoch, ok := ObjectEpoch(object)
		if err == nil && (!ok || inc != incarnation || epoch != r.Claim.Epoch) {
			err = invalidf("object %s must be named by incarnation %s and epoch %d", object, incarnation, r.Claim.Epoch)
		}
		if err == nil && there[object] {
			err = invalidf("object %s is new, but part of the buckets already", object)
		}
	})
	return err
}

// compose makes the manifest that the request asks for. It is a function of the request alone.
func (r *SwapRequest) compose(b *base, incarnation string) (*Manifest, error) {
	consumed := make(map[string]bool, len(r.Consumed))
	for _, object := range r.Consumed {
		consumed[object] = true
	}
	m := &Manifest{
		Datasource: r.Datasource, Incarnation: incarnation, Epoch: r.Claim.Epoch, Sequence: b.sequence + 1,
		Buckets: r.Buckets, Plan: r.Plan, PlanSpec: r.PlanSpec, State: r.State, Absorbed: sortRanges(b.ranges),
		Totals: b.totals.Add(r.totals()), LastCompaction: r.lastCompaction(b),
	}
	for _, v := range b.buckets {
		if v.Head != nil {
			m.Previous = append(m.Previous, PreviousManifest{Object: v.Head.Manifest, SHA256: v.Head.ManifestSHA256})
		}
	}
	if r.State == HeadDropped {
		return m, checkManifest(m)
	}
	kept := func(object string) bool { return !consumed[object] }
	m.Settled = append(filter(b.settled, func(s segment.Meta) bool { return kept(s.Object) }), r.Settled...)
	m.Adopted = append(filter(b.tail, func(s TailSegment) bool { return kept(s.Object) }), r.Adopted...)
	m.Rejects = append(filter(b.rejects, func(s segment.Meta) bool { return kept(s.Object) }), r.Rejects...)
	m.Sidecars = append(filter(b.sidecars, func(s Sidecar) bool { return kept(s.Object) }), r.Sidecars...)
	renewed := map[string]bool{}
	for _, d := range r.Deletions {
		renewed[d.Segment] = true
	}
	m.Deletions = append(filter(b.deletions, func(d Deletion) bool {
		return kept(d.Object) && kept(d.Segment) && !renewed[d.Segment]
	}), r.Deletions...)
	return m, checkManifest(m)
}

// lastCompaction is the request's, or what the one manifest says that the swap replaces, while its settled segments stay
// as they are.
func (r *SwapRequest) lastCompaction(b *base) json.RawMessage {
	if r.LastCompaction != nil || r.State == HeadDropped || len(r.Settled) > 0 {
		return r.LastCompaction
	}
	var last json.RawMessage
	manifests := 0
	for _, v := range b.buckets {
		if v.absorbed != nil {
			manifests, last = manifests+1, v.absorbed.LastCompaction
		}
		for i := range v.Settled {
			if slices.Contains(r.Consumed, v.Settled[i].Object) {
				return nil
			}
		}
	}
	if manifests != 1 {
		return nil
	}
	return last
}

// totals are what the request itself adds.
func (r *SwapRequest) totals() Totals {
	t := Totals{Duplicates: r.Duplicates, Filtered: r.Filtered}
	for i := range r.Settled {
		t.WrittenSegments, t.WrittenBytes = t.WrittenSegments+1, t.WrittenBytes+r.Settled[i].Bytes
	}
	for i := range r.Adopted {
		t.WrittenSegments, t.WrittenBytes = t.WrittenSegments+1, t.WrittenBytes+r.Adopted[i].Bytes
	}
	for _, s := range r.Sidecars {
		t.WrittenBytes += s.Bytes
	}
	return t
}

func filter[T any](in []T, keep func(T) bool) []T {
	var out []T
	for _, v := range in {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

// Rebase moves a raw swap that lost its race onto a newer view: possible while every input is still there with the
// deletion vector that it was read with, and while no settled segment has come that the new ones were not compared
// with. A fold is never rebased: its claim is exclusive. It is a pure function.
func Rebase(r SwapRequest, newer *View) (SwapRequest, error) {
	if r.State != HeadRaw {
		return SwapRequest{}, fmt.Errorf("%w: only raw swaps are rebased", ErrCannotRebase)
	}
	was, err := baseOf(r.Base, r.Datasource, r.Buckets)
	if err != nil {
		return SwapRequest{}, err
	}
	now, err := baseOf(newer, r.Datasource, r.Buckets)
	if err != nil {
		return SwapRequest{}, fmt.Errorf("%w: %w", ErrCannotRebase, err)
	}
	for _, v := range now.buckets {
		if v.Head != nil && (v.Head.State != HeadRaw || v.Head.Plan != r.Plan || !sameJSON(v.absorbed.PlanSpec, r.PlanSpec)) {
			return SwapRequest{}, fmt.Errorf("%w: bucket %d has become %s with plan %d", ErrCannotRebase, v.Bucket.StartMillis,
				v.Head.State, v.Head.Plan)
		}
	}
	there := map[string]bool{}
	now.objects(func(object string) { there[object] = true })
	before, after := deletionsOf(was), deletionsOf(now)
	touched := slices.Clone(r.Consumed)
	for _, d := range r.Deletions {
		touched = append(touched, d.Segment)
	}
	for _, object := range touched {
		if !there[object] && !isNew(r, object) {
			return SwapRequest{}, fmt.Errorf("%w: %s has gone", ErrCannotRebase, object)
		}
		if before[object] != after[object] {
			return SwapRequest{}, fmt.Errorf("%w: the deletion vector of %s has changed", ErrCannotRebase, object)
		}
	}
	if len(r.Settled)+len(r.Sidecars) > 0 {
		if !slices.Equal(was.sidecars, now.sidecars) {
			return SwapRequest{}, fmt.Errorf("%w: there are sidecars that were not compared", ErrCannotRebase)
		}
		if err := sameSettled(was, now); err != nil {
			return SwapRequest{}, err
		}
	}
	r.Base = newer
	return r, nil
}

// isNew says whether the object is a segment that the request itself brings.
func isNew(r SwapRequest, object string) bool {
	for _, s := range r.Settled {
		if s.Object == object {
			return true
		}
	}
	return slices.ContainsFunc(r.Adopted, func(s TailSegment) bool { return s.Object == object })
}

func deletionsOf(b *base) map[string]Deletion {
	out := make(map[string]Deletion, len(b.deletions))
	for _, d := range b.deletions {
		out[d.Segment] = d
	}
	return out
}

// sameSettled: the new settled segments were compared with those of the old view. Another settled segment, or another
// deletion vector on one of them, would not have been.
func sameSettled(was, now *base) error {
	known := map[string]bool{}
	for _, s := range was.settled {
		known[s.Object] = true
	}
	before, after := deletionsOf(was), deletionsOf(now)
	for _, s := range now.settled {
		if !known[s.Object] || before[s.Object] != after[s.Object] {
			return fmt.Errorf("%w: settled segment %s was not compared", ErrCannotRebase, s.Object)
		}
	}
	return nil
}
