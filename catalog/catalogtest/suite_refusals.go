package catalogtest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"drumlin/catalog"
	"drumlin/segment"
)

func testClaims(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	other := Register(t, e.c, "n2")
	r := e.claimed(t, s, Hour(1), Hour(2))
	if _, err := other.ClaimBuckets(t.Context(), "ds", []segment.Bucket{Hour(2), Hour(3)}); !errors.Is(err, catalog.ErrOwned) {
		t.Errorf("claim of a claimed bucket: %v", err)
	}
	if _, err := other.ClaimBuckets(t.Context(), "ds", []segment.Bucket{Hour(3)}); err != nil {
		t.Errorf("claim of a free bucket: %v", err)
	}
	if err := s.Unclaim(t.Context(), r.Claim); err != nil {
		t.Fatal(err)
	}
	if res := e.swap(t, r); res.Outcome != catalog.SwapFenced {
		t.Errorf("swap without its claim: %+v", res)
	}
	if _, err := s.ClaimBuckets(t.Context(), "ds", r.Buckets); err != nil {
		t.Fatal(err)
	}
	if res := e.swap(t, r); res.Outcome != catalog.SwapFenced {
		t.Errorf("swap under the epoch of an earlier claim: %+v", res)
	}
	if _, err := s.ClaimTask(t.Context(), "task-1"); err != nil {
		t.Error(err)
	}
	if _, err := other.ClaimTask(t.Context(), "task-1"); !errors.Is(err, catalog.ErrOwned) {
		t.Errorf("claim of a claimed task: %v", err)
	}
}

// testRebase: a raw merge that lost its race goes on while its inputs are as they were.
func testRebase(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "merged")
	w.MustAppend(t, Hour(1), 6)
	adopted := r
	adopted.Base, adopted.Consumed, adopted.Settled = e.refresh(t), nil, nil
	mustDone(t, e.swap(t, adopted))
	if res := e.swap(t, r); res.Outcome != catalog.SwapLost {
		t.Fatalf("swap: %+v", res)
	}
	next, err := catalog.Rebase(r, e.refresh(t))
	if err != nil {
		t.Fatal(err)
	}
	mustDone(t, e.swap(t, next))
	v := e.refresh(t)
	if b := bucket(t, v, Hour(1)); rows(v) != 11 || len(b.Settled) != 1 || len(b.Tail) != 1 {
		t.Errorf("%d rows, bucket %+v", rows(v), b)
	}
	if _, err := catalog.Rebase(r, v); !errors.Is(err, catalog.ErrCannotRebase) {
		t.Errorf("rebase without its inputs: %v", err)
	}
	testRebaseDeletions(t, e, next.Claim)
}

// testRebaseDeletions: an input whose deletion vector has changed is not the input that was read.
func testRebaseDeletions(t *testing.T, e *env, claim catalog.Claim) {
	r := catalog.SwapRequest{
		Claim: claim, Base: e.refresh(t), Datasource: "ds", Buckets: []segment.Bucket{Hour(1)}, State: catalog.HeadRaw,
	}
	e.merge(&r, "again")
	vector := r
	// The last input is an adopted one: settled ones are compared for another reason, too.
	name := fmt.Sprintf("deletions/%s-e%d-1.bin", e.c.Incarnation(), claim.Epoch)
	vector.Consumed, vector.Settled = nil, nil
	vector.Deletions = []catalog.Deletion{{Segment: r.Consumed[len(r.Consumed)-1], Object: name, Bytes: 1, SHA256: Sum(name), Rows: 1}}
	mustDone(t, e.swap(t, vector))
	v := e.refresh(t)
	if d := bucket(t, v, Hour(1)).Manifest.Deletions; len(d) != 1 || d[0].Object != name {
		t.Errorf("deletions: %+v", d)
	}
	if _, err := catalog.Rebase(r, v); !errors.Is(err, catalog.ErrCannotRebase) {
		t.Errorf("rebase over a new deletion vector: %v", err)
	}
	fold := r
	fold.State = catalog.HeadFolded
	if _, err := catalog.Rebase(fold, r.Base); !errors.Is(err, catalog.ErrCannotRebase) {
		t.Errorf("rebase of a fold: %v", err)
	}
}

func testSwapRefused(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	w.MustAppend(t, Hour(2), 5)
	good := e.claimed(t, s, Hour(1), Hour(2))
	e.merge(&good, "merged")
	for name, spoil := range map[string]func(*catalog.SwapRequest){
		"not claimed":    func(r *catalog.SwapRequest) { r.Buckets = append(slices.Clone(r.Buckets), Hour(3)) },
		"not adjacent":   func(r *catalog.SwapRequest) { r.Buckets = []segment.Bucket{Hour(2), Hour(1)} },
		"unknown input":  func(r *catalog.SwapRequest) { r.Consumed = []string{"data/nothing.parquet"} },
		"foreign name":   func(r *catalog.SwapRequest) { r.Settled = []segment.Meta{bucket(t, r.Base, Hour(1)).Tail[0].Meta} },
		"no buckets":     func(r *catalog.SwapRequest) { r.Buckets = nil },
		"other ds":       func(r *catalog.SwapRequest) { r.Datasource = "other" },
		"negative plan":  func(r *catalog.SwapRequest) { r.Plan = -1 },
		"unknown state":  func(r *catalog.SwapRequest) { r.State = "odd" },
		"lost a segment": func(r *catalog.SwapRequest) { r.Base = nil },
		"end of a bucket": func(r *catalog.SwapRequest) {
			r.Buckets = []segment.Bucket{{StartMillis: Hour(1).StartMillis, EndMillis: Hour(2).EndMillis}}
		},
	} {
		r := good
		spoil(&r)
		if _, err := e.c.Swap(t.Context(), r); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fold := good
	fold.State, fold.Plan, fold.PlanSpec = catalog.HeadFolded, 3, []byte(`{}`)
	fold.Settled = []segment.Meta{folded(good.Settled[0])}
	mustDone(t, e.swap(t, fold))
	for name, spoil := range map[string]func(*catalog.SwapRequest){
		"unfold":         func(r *catalog.SwapRequest) { r.State = catalog.HeadRaw },
		"plan goes back": func(r *catalog.SwapRequest) { r.Plan, r.PlanSpec = 2, []byte(`{}`) },
		"another plan":   func(r *catalog.SwapRequest) { r.PlanSpec = []byte(`{"a":1}`) },
		"no plan":        func(r *catalog.SwapRequest) { r.PlanSpec = nil },
		"settled stays":  func(r *catalog.SwapRequest) { r.Plan, r.PlanSpec = 4, []byte(`{"a":1}`) },
	} {
		r := fold
		r.Base, r.Consumed, r.Settled = e.refresh(t), nil, nil
		spoil(&r)
		if _, err := e.c.Swap(t.Context(), r); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// testIncompleteView: a swap based on a view that a broken watch left incomplete is refused, and mends the view.
func testIncompleteView(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	e.refresh(t)
	e.faulty.OnBatch(func(b catalog.WatchBatch) []catalog.WatchBatch {
		b.Events = slices.DeleteFunc(slices.Clone(b.Events), func(e catalog.Event) bool {
			return e.Key[:4] == "offs" || e.Key[:4] == "comm"
		})
		return []catalog.WatchBatch{b}
	})
	w.MustAppend(t, Hour(1), 6)
	r := e.claimed(t, s, Hour(1))
	if rows(r.Base) != 5 {
		t.Fatalf("the view shows %d rows", rows(r.Base))
	}
	e.faulty.OnBatch(nil)
	if _, err := e.c.Swap(t.Context(), r); !errors.Is(err, catalog.ErrConflict) {
		t.Fatalf("swap that would hide a commit for ever: %v", err)
	}
	waitFor(t, "the view to be loaded again", func() bool { return rows(e.c.View()) == 11 })
	r.Base = e.refresh(t)
	mustDone(t, e.swap(t, r))
	if v := e.refresh(t); rows(v) != 11 {
		t.Errorf("%d rows", rows(v))
	}
}
