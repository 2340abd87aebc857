package compaction

import (
	"context"
	"errors"
	"fmt"

	"drumlin/catalog"
	"drumlin/segment"
)

// Drop hides the chunks that lie wholly below the datasource's retention floor: chunks that were dropped before too, where
// commits came later, so that their keys can go. A group goes only as a whole. It also lets identities go that no copy can
// ask for any more, where that needs no writing. Chunks that others work on are left for the next call. dropped counts the
// chunks that were hidden by this call.
func (w *Worker) Drop(ctx context.Context, datasource string, claims Claims) (dropped int, err error) {
	view, err := w.o.Heads.Refresh(ctx)
	if err != nil {
		return 0, fmt.Errorf("drop chunks of %s: %w", datasource, err)
	}
	if view.Datasources[datasource] == nil {
		return 0, nil
	}
	var failed []error
	for _, c := range planFloors(view, datasource) {
		if ctx.Err() != nil {
			return dropped, ctx.Err()
		}
		done, err := w.dropOne(ctx, datasource, claims, c.Buckets)
		if err != nil {
			failed = append(failed, fmt.Errorf("drop %s of %s: %w", c.Interval.String(), datasource, err))
		}
		if done {
			dropped++
		}
	}
	return dropped, errors.Join(failed...)
}

// planFloors are the jobs that the floors ask for: whole chunks to hide, and sidecars to let go. It is a pure function.
func planFloors(view *catalog.View, datasource string) []ChunkPlan {
	ds := view.Datasources[datasource]
	var out []ChunkPlan
	if ds.Schema == nil {
		return nil
	}
	r := &request{acknowledgedMillis: view.AcknowledgedDedupFloor(datasource)}
	for _, piece := range ds.Buckets {
		p := ChunkPlan{Interval: intervalOf(piece.Bucket), Buckets: piece.Members, Before: shapeOf(piece)}
		j := &Job{Datasource: ds.Name, Schema: ds.Schema, Buckets: piece.Members}
		j.keepHead(piece)
		switch {
		case piece.Bucket.EndMillis <= ds.RetentionFloorMillis:
			if piece.Dropped() && len(piece.Commits) == 0 {
				continue
			}
			j.Mode, j.State = ModeDrop, catalog.HeadDropped
			p.Reason = "below the retention floor"
		case piece.Manifest != nil && len(piece.Manifest.Sidecars) > 0 && len(piece.Tail) == 0 &&
			r.forgets(ds, &chunk{interval: p.Interval}):
			j.Mode, j.ForgetIDs, j.Sidecars = ModeAdopt, true, piece.Manifest.Sidecars
			p.Reason = "below the dedup floor that every partition has acknowledged"
		default:
			continue
		}
		p.Job = j
		out = append(out, p)
	}
	return out
}

// dropOne does again what it planned, on a view read under the claim.
func (w *Worker) dropOne(ctx context.Context, datasource string, claims Claims, buckets []segment.Bucket) (dropped bool, err error) {
	claim, err := claims.ClaimBuckets(ctx, datasource, buckets)
	if errors.Is(err, catalog.ErrOwned) {
		return false, nil // somebody works on it: the next call comes
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, claims.Unclaim(context.WithoutCancel(ctx), claim)) }()
	view, err := w.o.Heads.Refresh(ctx)
	if err != nil || view.Datasources[datasource] == nil {
		return false, err
	}
	for _, p := range planFloors(view, datasource) {
		if p.Buckets[0] != buckets[0] || len(p.Buckets) != len(buckets) {
			continue
		}
		out, err := w.write(ctx, p.Job, claim, nil)
		if err != nil {
			return false, err
		}
		swapped, err := w.o.Heads.Swap(ctx, swapOf(view, claim, p.Job, out))
		switch {
		case errors.Is(err, catalog.ErrConflict), errors.Is(err, catalog.ErrUnknown):
			return false, nil // the next call reads what has become of it
		case err != nil:
			return false, err
		}
		if swapped.Outcome != catalog.SwapDone {
			return false, nil
		}
		w.o.Logger.Info("chunk", "datasource", datasource, "interval", p.Interval.String(), "mode", string(p.Job.Mode),
			"reason", p.Reason)
		return p.Job.Mode == ModeDrop && !p.Before.Dropped, nil
	}
	return false, nil
}
