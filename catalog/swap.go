package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"drumlin/segment"
)

// SwapOutcome is what became of a swap.
type SwapOutcome string

// The outcomes. An unknown one is the error ErrUnknown: clean nothing up.
const (
	SwapDone   SwapOutcome = "done"
	SwapLost   SwapOutcome = "lost"   // a head has changed: rebase, or do the work again
	SwapFenced SwapOutcome = "fenced" // the claim is over: the new objects are orphans that collection finds
)

// SwapResult is the answer to a swap.
type SwapResult struct {
	Outcome  SwapOutcome
	Revision int64            // SwapDone: of the swap
	Object   string           // key of the manifest that was written
	Manifest *Manifest        // what was written
	Changed  []segment.Bucket // SwapLost: the buckets whose head has changed
	// Marked: the marker has been written, so that what was replaced may be collected. Where it could not be, the
	// swap stands all the same, and Collect writes it later.
	Marked bool
}

// Marker names a manifest that has been live: a rebuild uses marked manifests only, and nothing that a swap
// replaced is collected before its marker is there.
type Marker struct {
	Incarnation    string           `json:"incarnation"`
	Datasource     string           `json:"datasource"`
	Buckets        []segment.Bucket `json:"buckets"`
	Manifest       string           `json:"manifest"`
	ManifestSHA256 string           `json:"manifestSha256"`
	Sequence       int64            `json:"sequence"`
	Revision       int64            `json:"revision"`           // of the swap
	Replaced       []string         `json:"replaced,omitempty"` // objects that the swap took out of the view
	WrittenMillis  int64            `json:"written"`            // wall clock, for the grace period only
}

// MarkerName is the key of the marker of a manifest.
func MarkerName(manifest string) string {
	return "markers/" + strings.TrimPrefix(manifest, "manifests/")
}

// ManifestOfMarker is the key of the manifest that the marker of this name stands for.
func ManifestOfMarker(marker string) string {
	return "manifests/" + strings.TrimPrefix(marker, "markers/")
}

// DecodeMarker reads a marker object.
func DecodeMarker(object string, data []byte) (*Marker, error) {
	var m Marker
	if err := decode(object, data, &m); err != nil {
		return nil, err
	}
	if m.Manifest == "" || MarkerName(m.Manifest) != object {
		return nil, corruptf("marker %s is that of manifest %q", object, m.Manifest)
	}
	return &m, nil
}

// Swap changes the heads of all the request's buckets in one transaction, or none. It first proves that Base is what
// the store held at its revision: absorbing a revision hides every commit up to it, and one that a watch had left out
// would be lost for ever.
func (c *Catalog) Swap(ctx context.Context, r SwapRequest) (*SwapResult, error) {
	where := fmt.Sprintf("swap %d buckets of %s", len(r.Buckets), r.Datasource)
	b, m, err := c.prepareSwap(ctx, &r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if err := c.markBase(ctx, b); err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	data, err := encode(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	object := manifestName(c.incarnation, r.Datasource, r.Buckets[0].StartMillis, m.Sequence, m.Epoch, randomID(8))
	sum, err := putObject(ctx, c.o.Objects, object, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	head := Head{
		Manifest: object, ManifestSHA256: sum, Absorbed: r.Base.Revision, Plan: r.Plan, State: r.State, Sequence: m.Sequence,
	}
	t, err := c.swapTxn(&r, b, head)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if err := c.o.Failpoints.Hit("catalog.swap.before_txn"); err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	res, doubtful, err := c.settle(ctx, *t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if err := c.o.Failpoints.Hit("catalog.swap.after_txn"); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", where, ErrUnknown, err)
	}
	out := &SwapResult{Outcome: SwapDone, Revision: res.Revision, Object: object, Manifest: m}
	if !res.Succeeded {
		if err := r.verdict(res, doubtful, b, out); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
	}
	if out.Outcome == SwapDone {
		if out.Marked = c.mark(ctx, b, out, sum); out.Marked {
			c.noteMarked(out.Object)
		}
	}
	return out, nil
}

func (c *Catalog) prepareSwap(ctx context.Context, r *SwapRequest) (*base, *Manifest, error) {
	if r.Base == nil || r.Base.Incarnation != c.incarnation {
		return nil, nil, invalidf("it has no view of this catalog")
	}
	b, err := baseOf(r.Base, r.Datasource, r.Buckets)
	if err != nil {
		return nil, nil, err
	}
	if err := r.check(b, c.incarnation); err != nil {
		return nil, nil, err
	}
	m, err := r.compose(b, c.incarnation)
	if err != nil {
		return nil, nil, invalidf("%v", err)
	}
	if err := r.checkComposed(b, m); err != nil {
		return nil, nil, err
	}
	err = c.compareKeys(ctx, r.Base.Revision, r.Base.keys, r.Base.hash)
	var gap *gapError
	if errors.As(err, &gap) {
		signal(c.wantResync)
		return nil, nil, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return b, m, err
}

func (c *Catalog) swapTxn(r *SwapRequest, b *base, head Head) (*Txn, error) {
	format, err := c.writable()
	if err != nil {
		return nil, err
	}
	value, err := encode(head)
	if err != nil {
		return nil, err
	}
	t := &Txn{
		// The claim's keys were created together and go together: one of them stands for all.
		If:   []Compare{ifCreated(r.Claim.Keys[0], r.Claim.Epoch), format},
		Else: opGets(r.Claim.Keys[0], keyFormat),
	}
	for _, bucket := range r.Buckets {
		key := headKey(r.Datasource, bucket.StartMillis)
		t.If = append(t.If, ifModified(key, b.heads[bucket.StartMillis]))
		t.Then = append(t.Then, opPut(key, value))
		t.Else = append(t.Else, opGets(key)...)
	}
	return t, nil
}

// verdict reads the Else branch of a swap.
func (r *SwapRequest) verdict(res *TxnResult, doubtful bool, b *base, out *SwapResult) error {
	for _, bucket := range r.Buckets {
		kv := res.Gets[headKey(r.Datasource, bucket.StartMillis)]
		if kv.ModRevision == b.heads[bucket.StartMillis] {
			continue
		}
		head, err := decodeHead(kv.Key, kv.Value)
		if err != nil {
			return err
		}
		if head.Manifest == out.Object {
			out.Revision = kv.ModRevision
			return nil
		}
		out.Changed = append(out.Changed, bucket)
	}
	switch {
	case doubtful && len(out.Changed) > 0:
		return fmt.Errorf("%w: heads have changed after an attempt whose reply was lost", ErrUnknown)
	case res.Gets[r.Claim.Keys[0]].CreateRevision != r.Claim.Epoch:
		out.Outcome = SwapFenced
		return nil
	case len(out.Changed) > 0:
		out.Outcome = SwapLost
		return nil
	}
	return formatChanged(res)
}

// markBase writes the markers that are missing of the manifests that will be replaced: only while a manifest is live can be
// told what it took out of commits.
func (c *Catalog) markBase(ctx context.Context, b *base) error {
	for _, v := range b.buckets {
		if v.Head == nil || c.isMarked(v.Head.Manifest) {
			continue
		}
		if c.hasMarker(ctx, v.Head.Manifest) {
			c.noteMarked(v.Head.Manifest)
			continue
		}
		s, err := c.loadAside(ctx)
		if err != nil {
			return err
		}
		return c.ensureMarkers(ctx, s)
	}
	return nil
}

// mark writes the marker of a swap that is done. That it could not is not an error of the swap.
func (c *Catalog) mark(ctx context.Context, b *base, out *SwapResult, sum string) bool {
	kept := map[string]bool{}
	out.Manifest.objects(func(object string) { kept[object] = true })
	marker := Marker{
		Incarnation: c.incarnation, Datasource: out.Manifest.Datasource, Buckets: out.Manifest.Buckets, Manifest: out.Object,
		ManifestSHA256: sum, Sequence: out.Manifest.Sequence, Revision: out.Revision, WrittenMillis: c.o.Now().UnixMilli(),
	}
	b.objects(func(object string) {
		if !kept[object] {
			marker.Replaced = append(marker.Replaced, object)
		}
	})
	marker.Replaced = append(marker.Replaced, b.hidden...)
	for _, v := range b.buckets {
		if v.Head != nil {
			marker.Replaced = append(marker.Replaced, v.Head.Manifest)
		}
	}
	data, err := encode(marker)
	if err == nil {
		_, err = putObject(ctx, c.o.Objects, MarkerName(out.Object), data)
	}
	if err != nil && c.hasMarker(ctx, out.Object) {
		return true // a collection came first
	}
	if err != nil {
		c.o.Logger.Warn("the marker of a swap was not written; collection will write it", "manifest", out.Object, "error", err)
	}
	return err == nil
}
