package catalogtest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"drumlin/catalog"
	"drumlin/segment"
)

// claimed gives a request over the newest view that changes nothing yet.
func (e *env) claimed(t testing.TB, s *catalog.Session, buckets ...segment.Bucket) catalog.SwapRequest {
	t.Helper()
	claim, err := s.ClaimBuckets(t.Context(), "ds", buckets)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return catalog.SwapRequest{
		Claim: claim, Base: e.refresh(t), Datasource: "ds", Buckets: buckets, State: catalog.HeadRaw,
	}
}

// merge makes the request merge all data segments of its buckets into one settled segment.
func (e *env) merge(r *catalog.SwapRequest, name string) {
	var n int64
	var source segment.OffsetRange
	first := r.Buckets[0]
	for _, b := range r.Base.Datasources["ds"].Buckets {
		if b.Bucket.StartMillis < first.StartMillis || b.Bucket.EndMillis > r.Buckets[len(r.Buckets)-1].EndMillis {
			continue
		}
		for i := range b.Settled {
			r.Consumed, n, source = append(r.Consumed, b.Settled[i].Object), n+b.Settled[i].Rows, b.Settled[i].Sources[0]
		}
		for i := range b.Tail {
			r.Consumed, n, source = append(r.Consumed, b.Tail[i].Object), n+b.Tail[i].Rows, b.Tail[i].Sources[0]
		}
	}
	if n > 0 {
		span := segment.Bucket{StartMillis: first.StartMillis, EndMillis: r.Buckets[len(r.Buckets)-1].EndMillis}
		m := Segment(e.c.Incarnation(), r.Claim.Epoch, name, "ds", segment.KindData, span, n, source)
		r.Settled = []segment.Meta{m}
	}
}

func (e *env) swap(t testing.TB, r catalog.SwapRequest) *catalog.SwapResult {
	t.Helper()
	res, err := e.c.Swap(t.Context(), r)
	if err != nil {
		t.Fatalf("swap: %v", err)
	}
	return res
}

func mustDone(t testing.TB, res *catalog.SwapResult) {
	t.Helper()
	if res.Outcome != catalog.SwapDone || !res.Marked {
		t.Fatalf("swap: %s, marked %v, changed %v", res.Outcome, res.Marked, res.Changed)
	}
}

// adopt absorbs the buckets' tail as it is.
func (e *env) adopt(t testing.TB, s *catalog.Session, buckets ...segment.Bucket) {
	t.Helper()
	r := e.claimed(t, s, buckets...)
	mustDone(t, e.swap(t, r))
	if err := s.Unclaim(t.Context(), r.Claim); err != nil {
		t.Fatal(err)
	}
}

func (e *env) reap(t testing.TB) int {
	t.Helper()
	n, err := e.c.ReapCommits(t.Context())
	if err != nil {
		t.Fatalf("reap: %v", err)
	}
	return n
}

func runSwap(t *testing.T, factory Factory) {
	t.Run("absorbs what was read", func(t *testing.T) { testSwapAbsorbs(t, factory) })
	t.Run("adoption", func(t *testing.T) { testAdoption(t, factory) })
	t.Run("coarse", func(t *testing.T) { testCoarseSwap(t, factory) })
	t.Run("group of adopted segments", func(t *testing.T) {
		e := newEnv(t, factory)
		s, w := e.writer(t)
		w.MustAppend(t, Hour(1), 5)
		e.adopt(t, s, Hour(1), Hour(2))
		for _, part := range []segment.Bucket{Hour(1), Hour(2)} {
			if _, err := e.c.Swap(t.Context(), e.claimed(t, s, part)); !errors.Is(err, catalog.ErrInvalid) {
				t.Errorf("swap of a part of a group: %v", err)
			}
		}
	})
	t.Run("coarse race", func(t *testing.T) { testCoarseRace(t, factory) })
	t.Run("widest", func(t *testing.T) { testWidestSwap(t, factory) })
	t.Run("lost replies", func(t *testing.T) { testSwapLostReplies(t, factory) })
	t.Run("claims", func(t *testing.T) { testClaims(t, factory) })
	t.Run("rebase", func(t *testing.T) { testRebase(t, factory) })
	t.Run("drop", func(t *testing.T) { testDrop(t, factory) })
	t.Run("law 1", func(t *testing.T) { testSwapConserves(t, factory) })
	t.Run("last compaction", func(t *testing.T) { testLastCompaction(t, factory) })
	t.Run("folded", func(t *testing.T) { testFoldedHead(t, factory) })
	t.Run("identities", func(t *testing.T) { testIdentities(t, factory) })
	t.Run("forgotten identities", func(t *testing.T) { testForgottenIdentities(t, factory) })
	t.Run("refused", func(t *testing.T) { testSwapRefused(t, factory) })
	t.Run("incomplete view", func(t *testing.T) { testIncompleteView(t, factory) })
}

func testSwapAbsorbs(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	w.MustAppend(t, Hour(1), 6)
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "merged")
	w.MustAppend(t, Hour(1), 7) // after the inputs were read, before the swap
	mustDone(t, e.swap(t, r))
	v := e.refresh(t)
	b := bucket(t, v, Hour(1))
	if len(b.Settled) != 1 || b.Settled[0].Rows != 11 || len(b.Tail) != 1 || b.Tail[0].Rows != 7 || b.Head.Absorbed != r.Base.Revision {
		t.Errorf("bucket: %+v", b)
	}
	if err := catalog.Verify(v); err != nil {
		t.Error(err)
	}
	if fresh := refresh(t, e.open(t)); !reflect.DeepEqual(fresh.Datasources, v.Datasources) {
		t.Error("a view that was loaded differs from one that was followed")
	}
	again := r
	if res := e.swap(t, again); res.Outcome != catalog.SwapLost || !slices.Equal(res.Changed, r.Buckets) {
		t.Errorf("swap on an old head: %+v", res)
	}
}

func testAdoption(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	if _, err := w.Append(t.Context(), w.Request(Hour(1), 3, map[segment.Bucket]int64{Hour(1): 5})); err != nil {
		t.Fatal(err)
	}
	before := bucket(t, e.refresh(t), Hour(1))
	e.adopt(t, s, Hour(1))
	after := bucket(t, e.refresh(t), Hour(1))
	if !reflect.DeepEqual(before.Tail, after.Tail) || !reflect.DeepEqual(before.Rejects, after.Rejects) ||
		len(after.Settled) != 0 || len(after.Commits) != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// testCoarseSwap makes three hours one group, an empty one among them.
func testCoarseSwap(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	w.MustAppend(t, Hour(3), 6)
	e.adopt(t, s, Hour(1))
	r := e.claimed(t, s, Hour(1), Hour(2), Hour(3))
	e.merge(&r, "day")
	mustDone(t, e.swap(t, r))
	w.MustAppend(t, Hour(2), 7)
	v := e.refresh(t)
	if n := len(v.Datasources["ds"].Buckets); n != 1 || rows(v) != 18 {
		t.Fatalf("%d buckets, %d rows", n, rows(v))
	}
	b := bucket(t, v, Hour(1))
	if len(b.Members) != 3 || b.Bucket.EndMillis != Hour(3).EndMillis || len(b.Settled) != 1 || len(b.Tail) != 1 {
		t.Errorf("group: %+v", b)
	}
	if b.Head.Sequence != 2 {
		t.Errorf("sequence %d, want one more than the highest", b.Head.Sequence)
	}
	if err := s.Unclaim(t.Context(), r.Claim); err != nil {
		t.Fatal(err)
	}
	apart := e.claimed(t, s, Hour(1))
	if _, err := e.c.Swap(t.Context(), apart); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("swap of a part of a group: %v", err)
	}
	if err := s.Unclaim(t.Context(), apart.Claim); err != nil {
		t.Fatal(err)
	}
	wider := e.claimed(t, s, Hour(0), Hour(1), Hour(2), Hour(3))
	mustDone(t, e.swap(t, wider))
	v = e.refresh(t)
	if n := len(v.Datasources["ds"].Buckets); n != 1 || rows(v) != 18 || len(v.Datasources["ds"].Buckets[0].Members) != 4 {
		t.Errorf("%d buckets, %d rows", n, rows(v))
	}
	if fresh := refresh(t, e.open(t)); !reflect.DeepEqual(fresh.Datasources, v.Datasources) {
		t.Error("a view that was loaded differs from one that was followed")
	}
	if err := catalog.Verify(v); err != nil {
		t.Error(err)
	}
}

// testCoarseRace: the head of any one bucket, an empty one included, decides the race.
func testCoarseRace(t *testing.T, factory Factory) {
	for i, hour := range []int64{1, 2, 3} {
		t.Run(fmt.Sprintf("bucket %d", i), func(t *testing.T) {
			e := newEnv(t, factory)
			s, w := e.writer(t)
			w.MustAppend(t, Hour(1), 5)
			w.MustAppend(t, Hour(3), 5)
			r := e.claimed(t, s, Hour(1), Hour(2), Hour(3))
			e.merge(&r, "day")
			if err := s.Unclaim(t.Context(), r.Claim); err != nil {
				t.Fatal(err)
			}
			e.adopt(t, s, Hour(hour))
			claim, err := s.ClaimBuckets(t.Context(), "ds", r.Buckets)
			if err != nil {
				t.Fatal(err)
			}
			r.Claim, r.Settled, r.Consumed = claim, nil, nil
			e.merge(&r, "day")
			res := e.swap(t, r)
			if res.Outcome != catalog.SwapLost || !slices.Equal(res.Changed, []segment.Bucket{Hour(hour)}) {
				t.Errorf("swap: %+v", res)
			}
			if v := e.refresh(t); rows(v) != 10 || catalog.Verify(v) != nil {
				t.Errorf("%d rows, %v", rows(v), catalog.Verify(v))
			}
		})
	}
}

func testWidestSwap(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	var hours []segment.Bucket
	for n := range int64(catalog.MaxSwapBuckets) {
		hours = append(hours, Hour(n))
	}
	r := e.claimed(t, s, hours...)
	mustDone(t, e.swap(t, r))
	if v := e.refresh(t); rows(v) != 5 || len(v.Datasources["ds"].Buckets) != 1 {
		t.Errorf("%d rows in %d buckets", rows(v), len(v.Datasources["ds"].Buckets))
	}
	if _, err := s.ClaimBuckets(t.Context(), "ds", append(hours, Hour(catalog.MaxSwapBuckets))); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("claim of more: %v", err)
	}
}

func testSwapLostReplies(t *testing.T, factory Factory) {
	for name, faults := range map[string][]TxnFault{
		"applied": {LoseReply}, "not applied": {LoseRequest}, "refused": {Refuse}, "lost twice": {LoseRequest, LoseReply},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, factory)
			s, w := e.writer(t)
			w.MustAppend(t, Hour(1), 5)
			r := e.claimed(t, s, Hour(1))
			e.merge(&r, "merged")
			e.faulty.Next(faults...)
			res := e.swap(t, r)
			mustDone(t, res)
			if b := bucket(t, e.refresh(t), Hour(1)); b.Head.Manifest != res.Object || b.HeadRevision != res.Revision {
				t.Errorf("bucket %+v after %+v", b.Head, res)
			}
		})
	}
	t.Run("never answered", func(t *testing.T) {
		e := newEnv(t, factory)
		s, w := e.writer(t)
		w.MustAppend(t, Hour(1), 5)
		r := e.claimed(t, s, Hour(1))
		e.faulty.Next(LoseRequest, LoseReply, LoseRequest, LoseRequest)
		if _, err := e.c.Swap(t.Context(), r); !errors.Is(err, catalog.ErrUnknown) {
			t.Errorf("swap without any reply: %v", err)
		}
	})
}

func testDrop(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	w.MustAppend(t, Hour(2), 6)
	r := e.claimed(t, s, Hour(1))
	r.State = catalog.HeadDropped
	if _, err := e.c.Swap(t.Context(), r); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("drop above the floor: %v", err)
	}
	if _, err := e.c.RaiseFloors(t.Context(), "ds", catalog.Floors{RetentionMillis: Hour(1).EndMillis}); err != nil {
		t.Fatal(err)
	}
	r.Base = e.refresh(t)
	mustDone(t, e.swap(t, r))
	w.MustAppend(t, Hour(1), 7) // an owner that has not acknowledged the floor yet
	v := e.refresh(t)
	b := bucket(t, v, Hour(1))
	if rows(v) != 6 || !b.Dropped() || b.Manifest != nil || len(b.Tail)+len(b.Settled)+len(b.Rejects) != 0 {
		t.Errorf("%d rows, bucket %+v", rows(v), b)
	}
	if n := e.reap(t); n != 1 {
		t.Errorf("%d commits reaped, want the one that the dropped manifest lists", n)
	}
	v = e.refresh(t)
	if err := catalog.Verify(v); err != nil {
		t.Error(err)
	}
	back := r
	back.Base, back.State = v, catalog.HeadRaw
	if _, err := e.c.Swap(t.Context(), back); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("swap of a dropped bucket: %v", err)
	}
}
