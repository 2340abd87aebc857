package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"drumlin/segment"
)

// Collection is what decides which objects may go: references and living epochs, read at one revision.
type Collection struct {
	Revision    int64
	Incarnation string
	Referenced  map[string]struct{}
	LiveEpochs  map[int64]struct{}
	OldestPin   int64 // 0: nothing is pinned
	NewestPin   int64 // the same as OldestPin where there is one pin
	// Offsets are where partitions stand: what would begin before that cannot be committed any more.
	Offsets map[PartitionKey]Standing
}

// Standing is a partition's generation and the offset that its next commit begins at.
type Standing struct {
	Generation int32
	Next       int64
}

// Retired says since when an object is out of the view, as markers tell.
type Retired struct {
	Revision      int64
	WrittenMillis int64
}

// Collect reads references and epochs in one read, and makes sure that every manifest that is live has its marker.
// Only after that may anything that a swap replaced be deleted.
func (c *Catalog) Collect(ctx context.Context) (*Collection, error) {
	s, err := c.loadAside(ctx)
	if err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	if err := c.ensureMarkers(ctx, s); err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	out := &Collection{
		Revision: s.revision, Incarnation: s.incarnation, Referenced: map[string]struct{}{}, LiveEpochs: map[int64]struct{}{},
		Offsets: map[PartitionKey]Standing{},
	}
	refer := func(object string) { out.Referenced[object] = struct{}{} }
	for _, d := range s.datasources {
		for _, ref := range d.commits {
			refer(ref.Commit.Record)
			for i := range ref.Commit.Segments {
				if m := &ref.Commit.Segments[i]; !d.absorbed(ref, m.Bucket) { // else the head's manifest has the say
					refer(m.Object)
				}
			}
		}
		for _, h := range d.heads {
			refer(h.head.Manifest)
			h.manifest.objects(refer)
		}
	}
	for _, sup := range s.supervisors {
		for k, p := range sup.partitions {
			if p.OffsetRevision != 0 {
				refer(p.Offset.Record)
				out.Offsets[k] = Standing{Generation: p.Offset.Generation, Next: p.Offset.Next}
			}
		}
	}
	for _, epoch := range s.epochs {
		out.LiveEpochs[epoch] = struct{}{}
	}
	for _, p := range s.pins {
		if out.OldestPin == 0 || p.Revision < out.OldestPin {
			out.OldestPin = p.Revision
		}
		out.NewestPin = max(out.NewestPin, p.Revision)
	}
	return out, nil
}

// MayDelete says whether the object may be deleted, and why not. retired is nil for an object that no marker names. It
// is a pure function; the clock only lengthens the life of what a reader may still be using.
//
// An object that no marker names may go when its epoch is over: no transaction can name it any more. So may a record that
// its partition has passed, whatever its epoch: transactions compare the offset. One that a marker names has been live and
// was replaced: no transaction can bring it back.
func (g *Collection) MayDelete(object string, retired *Retired, nowMillis, graceMillis int64) (ok bool, reason string) {
	for _, mirror := range []string{"specs/", "floors/", "settings/", "markers/"} {
		if strings.HasPrefix(object, mirror) {
			return false, "a mirror is kept for a rebuild"
		}
	}
	incarnation, epoch, known := ObjectEpoch(object)
	_, live := g.LiveEpochs[epoch]
	_, referenced := g.Referenced[object]
	switch {
	case !known:
		return false, "its name is not one of ours"
	case incarnation != g.Incarnation:
		return false, "it belongs to another incarnation: a person decides"
	case referenced:
		return false, "it is referenced"
	case epoch > g.Revision:
		return false, "its epoch is younger than this read"
	case retired != nil && g.OldestPin != 0 && retired.Revision > g.OldestPin:
		return false, "a pinned revision still shows it"
	case retired != nil && nowMillis-retired.WrittenMillis < graceMillis:
		return false, "it was replaced a short while ago"
	case retired != nil:
		return true, ""
	case live && !g.passed(object):
		return false, "its epoch is alive"
	case epoch < g.NewestPin: // when it was replaced is not known: any pin after its epoch may show it
		return false, "a pinned revision may still show it"
	}
	return true, ""
}

// passed says whether the object is the record of a transaction that would begin before its partition's offset.
func (g *Collection) passed(object string) bool {
	k, at, ok := recordPosition(object)
	if !ok {
		return false
	}
	now, begun := g.Offsets[k]
	return begun && (at.Generation < now.Generation || at.Generation == now.Generation && at.Next < now.Next)
}

// MayForget says whether the manifest is not live and never will be, so that a rebuild does not need its marker. The marker
// is still needed while an object stands that it names as replaced.
func (g *Collection) MayForget(manifest string) bool {
	incarnation, epoch, known := ObjectEpoch(manifest)
	_, live := g.LiveEpochs[epoch]
	_, referenced := g.Referenced[manifest]
	return known && incarnation == g.Incarnation && epoch <= g.Revision && !live && !referenced
}

// loadAside reads everything at one revision, newer than any view. Objects that the view has verified are not read again.
func (c *Catalog) loadAside(ctx context.Context) (*state, error) {
	v := c.View()
	s, err := c.loadKnowing(ctx, nil, v.contents())
	switch {
	case err != nil:
		return nil, err
	case s.incarnation != c.incarnation:
		return nil, fmt.Errorf("%w: incarnation %s became %s", ErrIncarnation, c.incarnation, s.incarnation)
	case s.revision < v.Revision:
		return nil, fmt.Errorf("%w: revision %d is older than %d, which was seen already", ErrIncarnation, s.revision, v.Revision)
	}
	return s, nil
}

// contents are the objects that the view holds.
func (v *View) contents() contents {
	out := contents{commits: map[string]*Commit{}, manifests: map[string]*Manifest{}}
	for _, d := range v.Datasources {
		for _, b := range d.Buckets {
			if b.Head != nil {
				out.manifests[b.Head.Manifest] = b.absorbed
			}
			for _, ref := range b.Commits {
				out.commits[ref.Commit.Record] = ref.Commit
			}
		}
	}
	return out
}

// ensureMarkers writes the markers that are missing: those of swaps whose writer died between transaction and marker.
// What this process has seen marked is not asked for again.
func (c *Catalog) ensureMarkers(ctx context.Context, s *state) error {
	seen := map[string]struct{}{}
	for _, d := range s.datasources {
		for _, h := range d.heads {
			if _, done := seen[h.head.Manifest]; done {
				continue
			}
			if !c.isMarked(h.head.Manifest) {
				if err := c.ensureMarker(ctx, d, h); err != nil {
					return err
				}
			}
			seen[h.head.Manifest] = struct{}{}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marked = seen
	return nil
}

func (c *Catalog) isMarked(manifest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.marked[manifest]
	return ok
}

// noteMarked remembers that the manifest has its marker; those that are not live any more go with the next collection.
func (c *Catalog) noteMarked(manifest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.marked == nil {
		c.marked = map[string]struct{}{}
	}
	c.marked[manifest] = struct{}{}
}

func (c *Catalog) ensureMarker(ctx context.Context, d *datasourceState, h *headState) error {
	if c.hasMarker(ctx, h.head.Manifest) {
		return nil
	}
	// Missing, most likely; if it could merely not be read, writing it again fails, and collection waits.
	err := c.writeLateMarker(ctx, d, h)
	if err != nil && c.hasMarker(ctx, h.head.Manifest) {
		return nil // another process came first
	}
	return err
}

func (c *Catalog) writeLateMarker(ctx context.Context, d *datasourceState, h *headState) error {
	replaced, err := c.replacedBy(ctx, d, h)
	if err != nil {
		return err
	}
	data, err := encode(Marker{
		Incarnation: c.incarnation, Datasource: h.manifest.Datasource, Buckets: h.manifest.Buckets, Manifest: h.head.Manifest,
		ManifestSHA256: h.head.ManifestSHA256, Sequence: h.head.Sequence, Revision: h.mod, Replaced: replaced,
		WrittenMillis: c.o.Now().UnixMilli(),
	})
	if err != nil {
		return err
	}
	_, err = putObject(ctx, c.o.Objects, MarkerName(h.head.Manifest), data)
	return err
}

// hasMarker is false, too, where the marker could not be read.
func (c *Catalog) hasMarker(ctx context.Context, manifest string) bool {
	body, err := c.o.Objects.Get(ctx, MarkerName(manifest), 0, -1)
	return err == nil && body.Close() == nil
}

// replacedBy is what the head took out of the view: what the manifests before it list, and the segments of the commits that
// it absorbs. Both are still there: nothing of it is collected, and no key reaped, while the marker is missing.
func (c *Catalog) replacedBy(ctx context.Context, d *datasourceState, h *headState) ([]string, error) {
	listed := map[string]bool{}
	h.manifest.objects(func(object string) { listed[object] = true })
	var out []string
	gone := func(object string) {
		if !listed[object] {
			out = append(out, object)
		}
	}
	for _, p := range h.manifest.Previous {
		data, err := getObject(ctx, c.o.Objects, p.Object, p.SHA256)
		if err != nil {
			return nil, err
		}
		m, err := decodeManifest(p.Object, data)
		if err != nil {
			return nil, err
		}
		m.objects(gone)
		gone(p.Object)
	}
	for _, b := range h.manifest.Buckets {
		for _, ref := range d.byBucket[b.StartMillis] {
			for i := range ref.Commit.Segments {
				if m := &ref.Commit.Segments[i]; m.Bucket == b && ref.CreateRevision <= h.head.Absorbed {
					gone(m.Object)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// reapBatch is how many commit keys one transaction deletes: each takes a compare and a deletion.
const reapBatch = 100

// ReapCommits deletes the keys of commits that every bucket they belong to, the rejects bucket included, lists in its
// manifest. Views do not change by it. The markers of those manifests are written first. It returns how many went.
func (c *Catalog) ReapCommits(ctx context.Context) (reaped int, err error) {
	s, err := c.loadAside(ctx)
	if err != nil {
		return 0, fmt.Errorf("reap commits: %w", err)
	}
	var keys []CommitRef
	for _, d := range s.datasources {
		for _, ref := range d.commits {
			if d.absorbedByAll(ref) {
				keys = append(keys, *ref)
			}
		}
	}
	if len(keys) == 0 {
		return 0, nil
	}
	if err := c.ensureMarkers(ctx, s); err != nil {
		return 0, fmt.Errorf("reap commits: %w", err)
	}
	for len(keys) > 0 {
		n := min(len(keys), reapBatch)
		if err := c.deleteCommits(ctx, keys[:n]); err != nil {
			return reaped, fmt.Errorf("reap commits: %w", err)
		}
		reaped, keys = reaped+n, keys[n:]
	}
	return reaped, nil
}

// absorbedByAll reads heads, not views: a dropped head hides a later commit, but does not list it.
func (d *datasourceState) absorbedByAll(ref *CommitRef) bool {
	for _, b := range ref.Commit.Buckets() {
		if !d.absorbed(ref, b) {
			return false
		}
	}
	return true
}

// absorbed says whether the bucket's head covers the commit. It does so for ever.
func (d *datasourceState) absorbed(ref *CommitRef, b segment.Bucket) bool {
	h := d.heads[b.StartMillis]
	return h != nil && h.head.Absorbed >= ref.CreateRevision
}

func (c *Catalog) deleteCommits(ctx context.Context, refs []CommitRef) error {
	format, err := c.writable()
	if err != nil {
		return err
	}
	t := Txn{If: []Compare{format}}
	for _, ref := range refs {
		t.If = append(t.If, ifCreated(ref.Key, ref.CreateRevision))
		t.Then = append(t.Then, opDelete(ref.Key))
		t.Else = append(t.Else, opGets(ref.Key)...)
	}
	t.Else = append(t.Else, opGets(keyFormat)...)
	res, doubtful, err := c.settle(ctx, t)
	switch {
	case err != nil:
		return err
	case res.Succeeded:
		return nil
	}
	for _, ref := range refs {
		if _, there := res.Gets[ref.Key]; !there {
			if doubtful {
				return nil // the attempt whose reply was lost deleted them, or someone else did
			}
			return fmt.Errorf("%w: another process reaps at the same time", ErrConflict)
		}
	}
	return formatChanged(res)
}
