package catalog

import (
	"encoding/json"
	"math"
	"slices"

	"drumlin/segment"
)

// AcknowledgedDedupFloor is the dedup floor in event time below which no row can come any more that a sidecar would have
// to be asked for: it is in force for the datasource, and every partition of its supervisors, idle ones included, has
// recorded it at an offset. A partition that begins later begins with it.
func (v *View) AcknowledgedDedupFloor(datasource string) int64 {
	d := v.Datasources[datasource]
	if d == nil {
		return 0
	}
	floor := d.DedupFloorMillis
	for _, sup := range v.Supervisors {
		if sup.Datasource != datasource {
			continue
		}
		for _, p := range sup.Partitions {
			if p.OffsetRevision != 0 {
				floor = min(floor, p.Offset.Facts.DedupFloorMillis)
			}
		}
	}
	return floor
}

// checkHeads holds the request against the heads that it replaces.
func (r *SwapRequest) checkHeads(b *base) error {
	for _, v := range b.buckets {
		if v.Head == nil {
			continue
		}
		switch from := v.Head.State; {
		case from == HeadDropped && r.State != HeadDropped:
			return invalidf("bucket %d is dropped for ever", v.Bucket.StartMillis)
		case from == HeadFolded && r.State == HeadRaw:
			return invalidf("bucket %d is folded: its rows cannot become raw again", v.Bucket.StartMillis)
		}
		if err := r.checkPlan(v); err != nil {
			return err
		}
	}
	end := r.Buckets[len(r.Buckets)-1].EndMillis
	if floor := r.Base.Datasources[r.Datasource].RetentionFloorMillis; r.State == HeadDropped && end > floor {
		return invalidf("buckets up to %d do not all lie below the retention floor %d", end, floor)
	}
	return nil
}

// checkPlan: a number means one plan for ever and never goes back, and a new plan makes every settled row anew.
func (r *SwapRequest) checkPlan(v *BucketView) error {
	switch was := v.Head.Plan; {
	case r.Plan < was:
		return invalidf("bucket %d has plan %d: a plan is never taken back to %d", v.Bucket.StartMillis, was, r.Plan)
	case r.Plan == was && !sameJSON(r.PlanSpec, v.absorbed.PlanSpec):
		return invalidf("bucket %d has another plan under the number %d: give the new one the next number", v.Bucket.StartMillis, was)
	case r.Plan == was || r.State == HeadDropped:
		return nil
	}
	for i := range v.Settled {
		if !slices.Contains(r.Consumed, v.Settled[i].Object) {
			return invalidf("segment %s was settled under plan %d and cannot stay under plan %d", v.Settled[i].Object,
				v.Head.Plan, r.Plan)
		}
	}
	return nil
}

func sameJSON(a, b json.RawMessage) bool { return slices.Equal(compactJSON(a), compactJSON(b)) }

// checkComposed holds the manifest that the request makes against the rows and identities that were there.
func (r *SwapRequest) checkComposed(b *base, m *Manifest) error {
	if r.Duplicates < 0 || r.Filtered < 0 {
		return invalidf("it removes %d duplicates and filters %d rows", r.Duplicates, r.Filtered)
	}
	if m.State == HeadDropped {
		return nil // it hides everything; nothing can rise
	}
	if was, now := totalRows(b.rejects), totalRows(m.Rejects); was != now {
		return invalidf("%d rejected records become %d: they are never removed", was, now)
	}
	if schema := r.Base.Datasources[r.Datasource].Schema; schema == nil || !schema.Dedup {
		if len(m.Sidecars) > 0 {
			return invalidf("sidecar %s: the datasource has no identities", m.Sidecars[0].Object)
		}
		return nil
	}
	for i := range m.Adopted {
		if m.Adopted[i].Folded {
			return invalidf("segment %s is folded, but not settled: its rows were never compared, and their identities are gone",
				m.Adopted[i].Object)
		}
	}
	return r.checkIdentities(b, m)
}

// checkIdentities: an identity that was known stays known, in a raw row or in a sidecar, or was that of a duplicate.
// Only where every partition has acknowledged a dedup floor past the buckets may identities be forgotten, and then no row
// may stay in the tail that was not compared with them.
func (r *SwapRequest) checkIdentities(b *base, m *Manifest) error {
	was := sidecarRows(b.sidecars)
	now := sidecarRows(m.Sidecars)
	for i := range b.settled {
		was = addRows(was, knownIdentities(&b.settled[i]))
	}
	for i := range b.tail {
		was = addRows(was, knownIdentities(&b.tail[i].Meta))
	}
	for i := range m.Settled {
		now = addRows(now, possibleIdentities(&m.Settled[i]))
	}
	for i := range m.Adopted {
		now = addRows(now, possibleIdentities(&m.Adopted[i].Meta))
	}
	if now >= was-r.Duplicates { // duplicates are not negative; a sum of the two could overflow
		return nil
	}
	end := r.Buckets[len(r.Buckets)-1].EndMillis
	floor := r.Base.AcknowledgedDedupFloor(r.Datasource)
	switch {
	case end > floor:
		return invalidf("%d identities and %d duplicates follow %d identities: %d would be forgotten, but copies may still come: the "+
			"dedup floor that every partition has acknowledged is %d, the buckets end at %d", now, r.Duplicates, was,
			was-r.Duplicates-now, floor, end)
	case len(m.Adopted) > 0:
		return invalidf("identities are forgotten while segment %s is not compared with them", m.Adopted[0].Object)
	}
	return nil
}

// knownIdentities is how many rows of the segment surely have an identity.
func knownIdentities(m *segment.Meta) int64 {
	for i := range m.Columns {
		if m.Columns[i].ID == segment.IDHighColumnID {
			return m.Rows - m.Columns[i].Nulls
		}
	}
	return 0
}

// possibleIdentities is how many rows of the segment may have an identity.
func possibleIdentities(m *segment.Meta) int64 {
	if m.Folded {
		return 0
	}
	if slices.ContainsFunc(m.Columns, func(c segment.ColumnStats) bool { return c.ID == segment.IDHighColumnID }) {
		return knownIdentities(m)
	}
	return m.Rows
}

func sidecarRows(all []Sidecar) int64 {
	var n int64
	for i := range all {
		n = addRows(n, all[i].Rows)
	}
	return n
}

func totalRows(all []segment.Meta) int64 {
	var n int64
	for i := range all {
		n = addRows(n, all[i].InputRows())
	}
	return n
}

// addRows adds what is not negative; a sum past the largest number stays there, so that it equals no honest one.
func addRows(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// checkRows is law 1 for a bucket or a group of buckets: every record that its commits stored is in a segment, or was
// counted as a duplicate or as filtered.
func (m *Manifest) checkRows() error {
	t := m.Totals
	if min(t.AbsorbedSegments, t.AbsorbedRows, t.AbsorbedBytes, t.WrittenSegments, t.WrittenBytes, t.Duplicates, t.Filtered) < 0 {
		return corruptf("its totals %+v cannot be", t)
	}
	if m.State == HeadDropped {
		return nil
	}
	rows := totalRows(m.Settled)
	for i := range m.Adopted {
		rows = addRows(rows, m.Adopted[i].InputRows())
	}
	if addRows(addRows(rows, t.Duplicates), t.Filtered) != t.AbsorbedRows {
		return corruptf("law 1: its commits stored %d records, but its segments hold %d, and %d duplicates and %d filtered records "+
			"were removed", t.AbsorbedRows, rows, t.Duplicates, t.Filtered)
	}
	return nil
}
