package metamorphic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

// raceStep compacts the same hours at once: hours, a day of them, handoffs, and a collection,
// and asks meanwhile.
func (w *world) raceStep(r *rand.Rand) (string, error) {
	t := w.table(r)
	day := someDay(r)
	texts := []string{compactText(t, day, pick(r, "", recentMore)), compactText(t, day, pick(r, dayMore, ""))}
	if _, err := w.revealSome(r, 6); err != nil {
		return "", err
	}
	errs := make([]error, len(texts)+3)
	asking := rand.New(rand.NewPCG(r.Uint64(), 1))
	var both sync.WaitGroup
	for i, text := range texts {
		n := w.compactors[i]
		task, _, err := spec.ParseTask([]byte(text))
		if err != nil {
			return text, err
		}
		both.Go(func() {
			_, err := n.worker.Run(w.ctx, task, compaction.RunOptions{Claims: n.session})
			var plan *compaction.PlanError
			var busy *compaction.Busy
			if !errors.As(err, &plan) && !errors.As(err, &busy) {
				errs[i] = err
			}
		})
	}
	both.Go(func() {
		for _, key := range w.keys() {
			if key.Supervisor == t.name && errs[len(texts)] == nil {
				errs[len(texts)] = w.handoff(key)
			}
		}
	})
	if r.IntN(2) == 0 {
		both.Go(func() { _, errs[len(texts)+1] = w.collector.Collect(w.ctx, nil, 0) })
	}
	both.Go(func() {
		for range 4 {
			errs[len(texts)+2] = errors.Join(errs[len(texts)+2], w.check(asking, t))
		}
	})
	both.Wait()
	return fmt.Sprint(texts), errors.Join(append(errs, w.settle(nil))...)
}

// stealStep takes a compactor's claim away between its work and its swap, and has another one do the same.
func (w *world) stealStep(r *rand.Rand) (string, error) {
	t := w.table(r)
	text := compactText(t, someInterval(r), pick(r, "", smallMore))
	a, b := w.compactors[0], w.compactors[1]
	stale := b.session
	var stolen error
	b.fail.Arm("catalog.swap.before_txn", 1, func(string) error {
		w.activity.Steals++
		b.session, stolen = a.cat.Register(w.ctx, catalog.Node{ID: b.id}, time.Hour)
		if stolen == nil {
			stolen = w.run(a, text)
		}
		return nil
	})
	err := w.run(b, text)
	b.fail.Arm("catalog.swap.before_txn", 1, func(string) error { return nil })
	if b.session != stale {
		if errors.Is(err, catalog.ErrSessionLost) {
			err = nil
		}
		err = errors.Join(err, stale.Close(w.ctx))
	}
	return text, errors.Join(err, stolen)
}

// ofKind are the folded segments of a tail, or the others.
func ofKind(tail []catalog.TailSegment, folded bool) []catalog.TailSegment {
	return slices.DeleteFunc(slices.Clone(tail), func(s catalog.TailSegment) bool { return s.Folded != folded })
}

// tailStep merges some tail segments of a bucket, or adopts what there is: work of the recent policy that small chunks do
// not lead to.
func (w *world) tailStep(r *rand.Rand) (string, error) {
	n, t := w.node(r), w.table(r)
	view, err := n.cat.Refresh(w.ctx)
	if err != nil {
		return "", err
	}
	ds := view.Datasources[t.name]
	var some, many []*catalog.BucketView
	for _, b := range ds.Buckets {
		if b.Dropped() || len(b.Commits) == 0 {
			continue
		}
		some = append(some, b)
		if len(ofKind(b.Tail, true)) > 1 || len(ofKind(b.Tail, false)) > 1 {
			many = append(many, b)
		}
	}
	if len(some) == 0 {
		return "nothing", nil
	}
	if len(many) > 0 && r.IntN(4) > 0 { // there are few such
		some = many
	}
	b := some[r.IntN(len(some))]
	request := catalog.SwapRequest{Base: view, Datasource: t.name, Buckets: b.Members, State: catalog.HeadRaw}
	if b.Head != nil {
		request.State, request.Plan = b.Head.State, b.Head.Plan
		if b.Manifest.Plan > 0 {
			request.PlanSpec = b.Manifest.PlanSpec
		}
	}
	request.Claim, err = n.session.ClaimBuckets(w.ctx, t.name, b.Members)
	if err != nil {
		return "", err
	}
	folded := r.IntN(2) == 0
	tail := ofKind(b.Tail, folded)
	if len(tail) < 2 {
		tail = ofKind(b.Tail, !folded)
	}
	r.Shuffle(len(tail), func(i, j int) { tail[i], tail[j] = tail[j], tail[i] })
	what := "adopted"
	if len(tail) > 1 {
		w.activity.TailMerges++
		tail = tail[:2+r.IntN(len(tail)-1)]
		what = fmt.Sprintf("merged %d of the tail", len(tail))
		if err := w.mergeTail(n, ds, b, tail, &request); err != nil {
			return what, err
		}
	}
	res, err := n.cat.Swap(w.ctx, request)
	if err == nil && res.Outcome != catalog.SwapDone {
		err = fmt.Errorf("nobody else is there, and yet the swap was %s", res.Outcome)
	}
	return fmt.Sprintf("%s %s %s", t.name, iso(b.Bucket.StartMillis), what), errors.Join(err, n.session.Unclaim(w.ctx, request.Claim))
}

func (w *world) mergeTail(n *compactNode, ds *catalog.DatasourceView, b *catalog.BucketView, tail []catalog.TailSegment,
	request *catalog.SwapRequest,
) error {
	definition, err := definitionOf(b.PlanSpec)
	if err != nil {
		return err
	}
	out, err := n.executor.Run(w.ctx, &compaction.Job{
		Datasource: ds.Name, Schema: ds.Schema, Mode: compaction.ModeTail, Buckets: b.Members, State: request.State,
		Definition: definition, Plan: request.Plan, PlanSpec: request.PlanSpec, Tail: tail,
	}, compaction.Naming{Incarnation: n.cat.Incarnation(), Epoch: request.Claim.Epoch}, nil)
	if err != nil {
		return err
	}
	request.Consumed, request.Adopted = out.Consumed, out.Adopted
	request.Duplicates, request.Filtered = out.Stats.Duplicates, out.Stats.Filtered
	return nil
}
