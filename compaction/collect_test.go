package compaction

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/internal/testkit"
	"drumlin/objectstore"
	"drumlin/objectstore/faulty"
	"drumlin/segment"
	"drumlin/spec"
)

// collect collects: all, or until it is stopped, or as far as the store lets it, or one hour without grace.
func (w *collectWorld) collect() {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	store, only, grace := objectstore.Store(w.objects), (*CollectFilter)(nil), int64(collectGraceMillis)
	fails := false
	limit := func(*CollectorOptions) {}
	switch w.r.IntN(5) {
	case 0:
		f, err := faulty.New(w.objects, fmt.Sprintf("fail delete nth=%d times=2", 1+w.r.IntN(4)))
		if err != nil {
			w.t.Fatal(err)
		}
		store, fails = f, true
	case 1:
		left := w.r.IntN(5)
		stopping := &stoppingStore{Store: w.objects, cancel: cancel}
		stopping.left.Store(int64(left))
		store, fails = stopping, true
	case 2:
		hour := catalogtest.Hour(int64(w.r.IntN(5)))
		only = &CollectFilter{Datasource: "ds", Intervals: []spec.Interval{{StartMillis: hour.StartMillis, EndMillis: hour.EndMillis}}}
		grace = 0
	case 3:
		limit = func(o *CollectorOptions) { o.MaxRetired = 1 + w.r.IntN(4) }
	}
	report, err := w.collector(store, limit).Collect(ctx, only, grace)
	if err != nil && !fails {
		w.t.Fatal(err)
	}
	w.done["collect"]++
	w.done["deleted"] += int(report.Deleted)
	w.check()
}

// collectAt collects while a transaction stands at the point: its objects are there, and nothing names them yet.
func (w *collectWorld) collectAt(point string) {
	w.points.Arm(point, 1, func(string) error {
		w.collect()
		w.done["collect within a transaction"]++
		return nil
	})
}

// stoppingStore cancels the collection after some deletions.
type stoppingStore struct {
	objectstore.Store
	left   atomic.Int64
	cancel context.CancelFunc
}

func (s *stoppingStore) Delete(ctx context.Context, key string) error {
	if s.left.Add(-1) < 0 {
		s.cancel()
	}
	return s.Store.Delete(ctx, key)
}

// shown are the objects that a reader of the view opens.
func shown(v *catalog.View) map[string]string {
	out := map[string]string{}
	for _, b := range v.Datasources["ds"].Buckets {
		for i := range b.Settled {
			out[b.Settled[i].Object] = "settled"
		}
		for i := range b.Tail {
			out[b.Tail[i].Object] = "tail"
		}
		for i := range b.Rejects {
			out[b.Rejects[i].Object] = "rejects"
		}
		if b.Manifest != nil {
			for _, s := range b.Manifest.Sidecars {
				out[s.Object] = "sidecar"
			}
		}
	}
	return out
}

// live are all objects that the catalog of now needs, for readers, writers and a rebuild.
func (w *collectWorld) live() map[string]string {
	v := w.view()
	out := shown(v)
	for _, b := range v.Datasources["ds"].Buckets {
		if b.Head != nil {
			out[b.Head.Manifest], out[catalog.MarkerName(b.Head.Manifest)] = "manifest", "marker"
		}
		for _, ref := range b.Commits {
			out[ref.Commit.Record] = "record of a commit"
		}
	}
	for _, p := range v.Supervisors["s"].Partitions {
		out[p.Offset.Record] = "newest record"
	}
	for id, revision := range w.tasks {
		out[catalog.TaskObject(id, 1, revision, "report.json")] = "report"
	}
	return out
}

func (w *collectWorld) check() {
	w.t.Helper()
	for object, what := range w.live() {
		if _, err := w.objects.Head(w.t.Context(), object); err != nil {
			w.t.Fatalf("live %s is missing: %v", what, err)
		}
	}
	for id, v := range w.pinned {
		for object, what := range shown(v) {
			if _, err := w.objects.Head(w.t.Context(), object); err != nil {
				w.t.Fatalf("%s of %s at revision %d is missing: %v", what, id, v.Revision, err)
			}
		}
	}
	if err := catalog.Verify(w.view()); err != nil {
		w.t.Fatal(err)
	}
}

// absorb lets every bucket absorb what has been committed, so that no commit key is needed any more.
func (w *collectWorld) absorb() {
	w.t.Helper()
	v := w.view()
	var all [][]segment.Bucket
	for _, b := range v.Datasources["ds"].Buckets {
		all = append(all, b.Members)
	}
	for _, members := range all {
		claim, err := w.session.ClaimBuckets(w.t.Context(), "ds", members)
		if err != nil {
			w.t.Fatal(err)
		}
		r := catalog.SwapRequest{Claim: claim, Base: w.view(), Datasource: "ds", Buckets: members, State: catalog.HeadRaw}
		for _, b := range r.Base.Datasources["ds"].Buckets {
			if b.Members[0] == members[0] && b.Dropped() {
				r.State = catalog.HeadDropped
			}
		}
		if _, err := w.c.Swap(w.t.Context(), r); err != nil {
			w.t.Fatal(err)
		}
		if err := w.session.Unclaim(w.t.Context(), claim); err != nil {
			w.t.Fatal(err)
		}
	}
}

// end lets every epoch and every pin go: then nothing may stay that is not live.
func (w *collectWorld) end() {
	w.t.Helper()
	for id := range w.pinned {
		if err := w.c.RemovePin(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
	}
	clear(w.pinned)
	w.absorb()
	w.settle("while all epochs live", func(object string) bool {
		return w.orphans[object] || strings.HasPrefix(object, "commits/") || strings.HasPrefix(object, "offsets/")
	})
	for _, writer := range w.writers {
		if err := w.session.Release(w.t.Context(), writer.Owner); err != nil {
			w.t.Fatal(err)
		}
	}
	w.settle("when no epoch lives", func(string) bool { return false })
}

// settle collects twice. Then nothing stays that is not live, a mirror, or excused.
func (w *collectWorld) settle(when string, excused func(object string) bool) {
	w.t.Helper()
	for range 2 {
		w.now = w.now.Add(2 * collectGraceMillis * time.Millisecond)
		if _, err := w.collector(w.objects).Collect(w.t.Context(), nil, collectGraceMillis); err != nil {
			w.t.Fatal(err)
		}
		w.check()
	}
	live := w.live()
	report, err := w.collector(w.objects).Collect(w.t.Context(), nil, collectGraceMillis)
	if err != nil || report.Deleted != 0 {
		w.t.Errorf("%s, one collection more: %+v, %v", when, report, err)
	}
	err = w.objects.List(w.t.Context(), "", func(info objectstore.Info) bool {
		_, needed := live[strings.TrimSuffix(info.Key, sweptSuffix)]
		if !needed && !excused(info.Key) && !strings.HasPrefix(info.Key, "specs/") && !strings.HasPrefix(info.Key, "floors/") {
			w.t.Errorf("%s: dead, but still there: %s", when, info.Key)
		}
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestCollectorKeepsWhatLivesAndNothingElse(t *testing.T) {
	first, seeds := uint64(time.Now().UnixNano()), uint64(testkit.Rounds(8, 2))
	if text := os.Getenv("DRUMLIN_SEED"); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		seeds = 1
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Logf("DRUMLIN_SEED=%d", seed)
			w := newCollectWorld(t, seed)
			for range 120 {
				w.step()
			}
			w.end()
			t.Logf("%v", w.done)
		})
	}
}

func (w *collectWorld) step() {
	switch n := w.r.IntN(20); {
	case n < 6:
		w.append()
	case n < 11:
		w.swap()
	case n < 12:
		w.move()
	case n < 14:
		w.pin()
	case n < 15:
		w.task()
	case n < 16:
		w.now = w.now.Add(time.Duration(w.r.Int64N(collectGraceMillis)) * time.Millisecond)
	default:
		w.collect()
	}
}

// meanwhileCatalog lets something happen after the facts have been read, before anything is listed.
type meanwhileCatalog struct {
	*catalog.Catalog
	meanwhile func()
}

func (c *meanwhileCatalog) Collect(ctx context.Context) (*catalog.Collection, error) {
	facts, err := c.Catalog.Collect(ctx)
	c.meanwhile()
	return facts, err
}

// TestCollectorLeavesWhatComesMeanwhile: what an owner, a claim or a task brings after the facts were read is not judged by
// them.
func TestCollectorLeavesWhatComesMeanwhile(t *testing.T) {
	w := newCollectWorld(t, 1)
	hour := catalogtest.Hour(1)
	commit := func(upload func()) {
		writer := w.writers[0]
		req := writer.Request(hour, 1, map[segment.Bucket]int64{hour: 5})
		for i := range req.Commit.Segments {
			w.upload(&req.Commit.Segments[i], writer.Owner.Epoch, false)
		}
		upload()
		if _, err := writer.Append(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	commit(func() {})
	r := catalog.SwapRequest{Datasource: "ds", Buckets: []segment.Bucket{hour}, State: catalog.HeadRaw}
	begin := func(upload func()) func() {
		return func() {
			if err := w.session.Release(t.Context(), w.writers[0].Owner); err != nil {
				t.Fatal(err)
			}
			w.writers[0] = catalogtest.Write(t, w.c, w.session, collectPartition(0))
			claim, err := w.session.ClaimBuckets(t.Context(), "ds", r.Buckets)
			if err != nil {
				t.Fatal(err)
			}
			r.Claim, r.Base = claim, w.view()
			for len(r.Settled) == 0 {
				w.merge(&r)
			}
			w.task()
			upload()
		}
	}
	collect := func(meanwhile func()) {
		c, err := NewCollector(CollectorOptions{Catalog: &meanwhileCatalog{w.c, meanwhile}, Objects: w.objects})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Collect(t.Context(), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	// The append's objects are uploaded while the collector lists; both transactions come after it.
	collect(begin(func() {}))
	if res, err := w.c.Swap(t.Context(), r); err != nil || res.Outcome != catalog.SwapDone {
		t.Fatalf("swap: %+v, %v", res, err)
	}
	w.check()
	commit(func() {
		collect(func() {})
	})
	w.check()
	// A swap that comes between the facts and the list: its manifest and marker are not judged by them.
	if err := w.session.Unclaim(t.Context(), r.Claim); err != nil {
		t.Fatal(err)
	}
	r.Consumed, r.Settled, r.Sidecars = nil, nil, nil
	collect(begin(func() {
		if res, err := w.c.Swap(t.Context(), r); err != nil || res.Outcome != catalog.SwapDone {
			t.Fatalf("swap: %+v, %v", res, err)
		}
	}))
	w.check()
}

func TestBucketStart(t *testing.T) {
	const hour = 3_600_000
	for _, b := range []segment.Bucket{
		catalogtest.Hour(1),
		{StartMillis: 24 * hour, EndMillis: 48 * hour},
		{StartMillis: 0, EndMillis: 365 * 24 * hour},
		{StartMillis: 15 * 60_000, EndMillis: 30 * 60_000},
		{StartMillis: 61_000, EndMillis: 62_000},
		{StartMillis: 1, EndMillis: 2},
		{StartMillis: -hour, EndMillis: 0},
	} {
		key := segment.ObjectName{Kind: segment.KindData, Datasource: "a/b", Bucket: b, Incarnation: "i", Epoch: 1}.Key()
		if at, known := bucketStart(key); !known || at != b.StartMillis {
			t.Errorf("%s: %d, %t; want %d", key, at, known, b.StartMillis)
		}
	}
	if at, known := bucketStart(catalog.ManifestPrefix("i", "a/b") + "-0000000000000003600-5-e7-x.json"); !known || at != -3600 {
		t.Errorf("manifest: %d, %t", at, known)
	}
	for _, bad := range []string{"", "data", "data/table=x/y.parquet", "data/table=x/m=01/y.parquet", "data/table=x/y=z/f", "manifests/i/d/short"} {
		if at, known := bucketStart(bad); known {
			t.Errorf("%q: %d", bad, at)
		}
	}
}

// TestCollectorOfOneInterval: kill takes what is dead in its interval without a grace period, and nothing else.
func TestCollectorOfOneInterval(t *testing.T) {
	w := newCollectWorld(t, 2)
	for n := range int64(3) {
		w.writers[0].MustAppend(t, catalogtest.Hour(n), 5)
		orphan := segment.Meta{Kind: segment.KindData, Datasource: "ds", Bucket: catalogtest.Hour(n), Sources: []segment.OffsetRange{{Topic: "t"}}}
		w.upload(&orphan, 1, true)
		orphan.Datasource = "ds2"
		w.upload(&orphan, 1, true)
	}
	hour := catalogtest.Hour(1)
	only := &CollectFilter{Datasource: "ds", Intervals: []spec.Interval{{StartMillis: hour.StartMillis, EndMillis: hour.EndMillis}}}
	report, err := w.collector(w.objects).Collect(t.Context(), only, 0)
	if err != nil || report.Deleted != 1 || report.Kept[keptOutsideFilter] != 2 {
		t.Errorf("one hour: %+v, %v", report, err)
	}
	if report, err = w.collector(w.objects).Collect(t.Context(), nil, 0); err != nil || report.Deleted != 6 { // one is the record of the beginning, which its partition has passed
		t.Errorf("all: %+v, %v", report, err)
	}
}
