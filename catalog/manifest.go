package catalog

import (
	"cmp"
	"slices"

	"drumlin/segment"
)

// checkManifest checks a manifest by itself.
func checkManifest(m *Manifest) error {
	if m.Datasource == "" || m.Incarnation == "" || m.Sequence < 1 || m.Epoch <= 0 || m.Plan < 0 {
		return corruptf("datasource, incarnation, sequence, epoch or plan is missing")
	}
	if len(m.Buckets) == 0 {
		return corruptf("it has no bucket")
	}
	if (m.Plan != 0) != (len(m.PlanSpec) > 0) {
		return corruptf("plan %d stands with a definition of %d bytes", m.Plan, len(m.PlanSpec))
	}
	for i, b := range m.Buckets {
		if err := checkBucket("manifest", b); err != nil {
			return err
		}
		if i > 0 && m.Buckets[i-1].EndMillis != b.StartMillis {
			return corruptf("bucket %d does not begin where the one before it ends", b.StartMillis)
		}
	}
	return checkManifestSegments(m)
}

func checkManifestSegments(m *Manifest) error {
	span := segment.Bucket{StartMillis: m.Buckets[0].StartMillis, EndMillis: m.Buckets[len(m.Buckets)-1].EndMillis}
	seen := map[string]bool{}
	check := func(s *segment.Meta, kind segment.Kind) error {
		if err := checkMeta(s, m.Datasource); err != nil {
			return err
		}
		if s.Kind != kind || seen[s.Object] || s.Bucket.StartMillis < span.StartMillis || s.Bucket.EndMillis > span.EndMillis {
			return corruptf("segment %s does not belong where it is listed", s.Object)
		}
		seen[s.Object] = true
		return nil
	}
	for i := range m.Settled {
		if err := check(&m.Settled[i], segment.KindData); err != nil {
			return err
		}
	}
	for i := range m.Adopted {
		if m.Adopted[i].Unit == "" {
			return corruptf("adopted segment %s has no unit", m.Adopted[i].Object)
		}
		if err := check(&m.Adopted[i].Meta, segment.KindData); err != nil {
			return err
		}
	}
	dataSegments := len(seen)
	deleted := map[string]bool{}
	for _, d := range m.Deletions {
		if !seen[d.Segment] || deleted[d.Segment] || d.Object == "" {
			return corruptf("deletion vector %s names segment %s, which is not there or has one already", d.Object, d.Segment)
		}
		deleted[d.Segment] = true
	}
	for i := range m.Rejects {
		if err := check(&m.Rejects[i], segment.KindRejects); err != nil {
			return err
		}
	}
	switch m.State {
	case HeadRaw, HeadFolded:
	case HeadDropped:
		if dataSegments+len(m.Rejects)+len(m.Sidecars) > 0 {
			return corruptf("a dropped manifest lists segments")
		}
	default:
		return corruptf("state %q is not known", m.State)
	}
	return nil
}

// sortRanges sorts absorbed commits by position; one that several buckets of a group have absorbed stands there once.
func sortRanges(ranges []AbsorbedRange) []AbsorbedRange {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b AbsorbedRange) int {
		return cmp.Or(cmp.Compare(a.Supervisor, b.Supervisor), cmp.Compare(a.Topic, b.Topic),
			cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.From, b.From),
			cmp.Compare(a.To, b.To), cmp.Compare(a.UUID, b.UUID))
	})
	return slices.Compact(sorted)
}

// objects are all objects that the manifest keeps alive.
func (m *Manifest) objects(fn func(object string)) {
	for i := range m.Settled {
		fn(m.Settled[i].Object)
	}
	for i := range m.Adopted {
		fn(m.Adopted[i].Object)
	}
	for i := range m.Rejects {
		fn(m.Rejects[i].Object)
	}
	for _, d := range m.Deletions {
		fn(d.Object)
	}
	for _, s := range m.Sidecars {
		fn(s.Object)
	}
}
