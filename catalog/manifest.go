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

// checkManifestSegments checks what the manifest lists, and law 1 over it.
func checkManifestSegments(m *Manifest) error {
	l := listed{m: m, seen: map[string]bool{}, span: segment.Bucket{
		StartMillis: m.Buckets[0].StartMillis, EndMillis: m.Buckets[len(m.Buckets)-1].EndMillis,
	}}
	for i := range m.Settled {
		if err := l.segment(&m.Settled[i], segment.KindData); err != nil {
			return err
		}
		if m.Settled[i].Folded != (m.State == HeadFolded) {
			return corruptf("settled segment %s: folded %t in a head that is %s", m.Settled[i].Object, m.Settled[i].Folded, m.State)
		}
	}
	for i := range m.Adopted {
		if m.Adopted[i].Unit == "" {
			return corruptf("adopted segment %s has no unit", m.Adopted[i].Object)
		}
		if err := l.segment(&m.Adopted[i].Meta, segment.KindData); err != nil {
			return err
		}
	}
	if err := l.deletions(); err != nil {
		return err
	}
	for i := range m.Rejects {
		if err := l.segment(&m.Rejects[i], segment.KindRejects); err != nil {
			return err
		}
	}
	for i := range m.Sidecars {
		if err := l.sidecar(&m.Sidecars[i]); err != nil {
			return err
		}
	}
	switch m.State {
	case HeadRaw, HeadFolded:
	case HeadDropped:
		if len(l.seen) > 0 {
			return corruptf("a dropped manifest lists segments")
		}
	default:
		return corruptf("state %q is not known", m.State)
	}
	return m.checkRows()
}

// listed goes through the objects of one manifest.
type listed struct {
	m    *Manifest
	span segment.Bucket
	seen map[string]bool
}

func (l *listed) segment(s *segment.Meta, kind segment.Kind) error {
	if err := checkMeta(s, l.m.Datasource); err != nil {
		return err
	}
	if s.Kind != kind || l.seen[s.Object] || !within(s.Bucket, l.span) {
		return corruptf("segment %s does not belong where it is listed", s.Object)
	}
	l.seen[s.Object] = true
	return nil
}

// deletions is called when data segments alone have been seen.
func (l *listed) deletions() error {
	deleted := map[string]bool{}
	for _, d := range l.m.Deletions {
		if !l.seen[d.Segment] || deleted[d.Segment] || d.Object == "" || d.Rows < 0 || d.Bytes < 0 {
			return corruptf("deletion vector %s of segment %s cannot be, or is not the only one", d.Object, d.Segment)
		}
		if err := checkSHA256(d.Object, d.SHA256); err != nil {
			return err
		}
		deleted[d.Segment] = true
	}
	return nil
}

func (l *listed) sidecar(s *Sidecar) error {
	if s.Object == "" || l.seen[s.Object] || s.Rows < 0 || s.Bytes <= 0 {
		return corruptf("sidecar %s of %d identities in %d bytes cannot be, or is listed twice", s.Object, s.Rows, s.Bytes)
	}
	l.seen[s.Object] = true
	if err := checkBucket("sidecar "+s.Object, s.Bucket); err != nil {
		return err
	}
	if !within(s.Bucket, l.span) {
		return corruptf("sidecar %s does not belong where it is listed", s.Object)
	}
	return checkSHA256(s.Object, s.SHA256)
}

func within(b, span segment.Bucket) bool {
	return b.StartMillis >= span.StartMillis && b.EndMillis <= span.EndMillis
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
