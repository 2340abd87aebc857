package compaction

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/catalog/memkv"
	"drumlin/internal/failpoint"
	"drumlin/objectstore"
	"drumlin/objectstore/faulty"
	"drumlin/objectstore/mem"
	"drumlin/segment"
	"drumlin/spec"
)

const collectGraceMillis = 600_000

// collectWorld is a catalog over objects that really are there, so that what collection takes away is missed.
type collectWorld struct {
	t       *testing.T
	r       *rand.Rand
	now     time.Time
	objects *mem.Store
	points  *failpoint.Set
	c       *catalog.Catalog
	session *catalog.Session
	writers []*catalogtest.Writer
	pinned  map[string]*catalog.View
	tasks   map[string]int64 // revision by id
	n       int              // makes names unique
	orphans map[string]bool  // data of uploads that no commit followed: they stay as long as their epoch lives
	done    map[string]int
}

func newCollectWorld(t *testing.T, seed uint64) *collectWorld {
	t.Helper()
	w := &collectWorld{
		t: t, r: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_800_000_000, 0), objects: mem.New(), points: failpoint.New(),
		pinned: map[string]*catalog.View{}, tasks: map[string]int64{}, orphans: map[string]bool{}, done: map[string]int{},
	}
	c, err := catalog.Open(t.Context(), catalog.Options{
		KV: memkv.New(nil), Objects: w.objects, Now: func() time.Time { return w.now }, CheckEvery: -1, MaxInlineBytes: 1500,
		Failpoints: w.points,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.c = c
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	catalogtest.Supervise(t, c, "s", "ds")
	w.session = catalogtest.Register(t, c, "n")
	for p := range int32(3) {
		w.writers = append(w.writers, catalogtest.Write(t, c, w.session, collectPartition(p)))
	}
	return w
}

func collectPartition(p int32) catalog.PartitionKey {
	return catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: p}
}

func (w *collectWorld) view() *catalog.View {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	v, err := w.c.Refresh(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// put writes an object whose content is its name.
func (w *collectWorld) put(object string) {
	w.t.Helper()
	if err := w.objects.Put(w.t.Context(), object, strings.NewReader(object), int64(len(object)), catalogtest.Sum(object)); err != nil {
		w.t.Fatal(err)
	}
}

// upload gives the segment a name as the indexer and the executor do, and writes it.
func (w *collectWorld) upload(m *segment.Meta, epoch int64, compacted bool) {
	w.t.Helper()
	w.n++
	m.Object = segment.ObjectName{
		Kind: m.Kind, Datasource: m.Datasource, Bucket: m.Bucket, Incarnation: w.c.Incarnation(), Epoch: epoch,
		Source: m.Sources[0], Compacted: compacted, Random: fmt.Sprintf("%08x", w.n),
	}.Key()
	m.SHA256 = catalogtest.Sum(m.Object)
	w.put(m.Object)
}

// append uploads and commits, or dies in between.
func (w *collectWorld) append() {
	writer := w.writers[w.r.IntN(len(w.writers))]
	rows := map[segment.Bucket]int64{}
	for range 1 + w.r.IntN(3) {
		rows[catalogtest.Hour(int64(w.r.IntN(5)))] += int64(1 + w.r.IntN(9))
	}
	req := writer.Request(catalogtest.Hour(int64(w.r.IntN(5))), int64(w.r.IntN(2)), rows)
	for i := range req.Commit.Segments {
		w.upload(&req.Commit.Segments[i], writer.Owner.Epoch, false)
	}
	n := w.r.IntN(8)
	if n < 2 {
		for i := range req.Commit.Segments {
			w.orphans[req.Commit.Segments[i].Object] = true
		}
	}
	switch n {
	case 0:
		w.done["orphaned upload"]++
		return
	case 1: // the record is there, the transaction never came
		w.points.Arm("catalog.append.before_txn", 1, func(string) error { return fmt.Errorf("injected") })
		if _, err := w.c.Append(w.t.Context(), req); err == nil {
			w.t.Fatal("append passed an armed point")
		}
		w.done["orphaned record"]++
		return
	case 2:
		w.collect()
	case 3:
		w.collectAt("catalog.append.before_txn")
	}
	if _, err := writer.Append(w.t.Context(), req); err != nil {
		w.t.Fatal(err)
	}
	w.done["append"]++
}

// move ends an epoch and begins another; now and then the topic is made anew.
func (w *collectWorld) move() {
	p := w.r.IntN(len(w.writers))
	old := w.writers[p]
	if w.r.IntN(3) == 0 {
		next := old.Offset
		next.Generation, next.Next, next.Counters, next.ClockMillis = next.Generation+1, 0, segment.Counters{}, 0
		if _, err := w.c.Reset(w.t.Context(), old.Owner, old.Revision, old.Offset, next); err != nil {
			w.t.Fatal(err)
		}
		w.done["reset"]++
	}
	if err := w.session.Release(w.t.Context(), old.Owner); err != nil {
		w.t.Fatal(err)
	}
	w.writers[p] = catalogtest.Write(w.t, w.c, w.session, collectPartition(int32(p)))
	w.done["move"]++
}

// swap merges, adopts or drops some hours; it may die before the transaction, or before the marker.
func (w *collectWorld) swap() {
	v := w.view()
	buckets, dropped := w.choose(v)
	if dropped {
		return
	}
	claim, err := w.session.ClaimBuckets(w.t.Context(), "ds", buckets)
	if err != nil {
		w.t.Fatal(err)
	}
	r := catalog.SwapRequest{Claim: claim, Base: w.view(), Datasource: "ds", Buckets: buckets, State: catalog.HeadRaw}
	if w.r.IntN(4) > 0 {
		w.merge(&r)
	}
	end := buckets[len(buckets)-1].EndMillis
	if buckets[0] == catalogtest.Hour(0) && w.r.IntN(12) == 0 {
		if v.Datasources["ds"].RetentionFloorMillis < end {
			if _, err := w.c.RaiseFloors(w.t.Context(), "ds", catalog.Floors{RetentionMillis: end}); err != nil {
				w.t.Fatal(err)
			}
		}
		r.Base, r.State = w.view(), catalog.HeadDropped
	}
	switch w.r.IntN(6) {
	case 0:
		w.done["orphaned merge"]++
	case 1:
		w.points.Arm("catalog.swap.after_txn", 1, func(string) error { return fmt.Errorf("injected") })
		if _, err := w.c.Swap(w.t.Context(), r); err == nil {
			w.t.Fatal("swap passed an armed point")
		}
		w.done["unmarked swap"]++
	default:
		switch w.r.IntN(12) {
		case 0, 1:
			w.collect()
		case 2, 3:
			w.collectAt("catalog.swap.before_txn")
		case 4:
			w.collectAt("catalog.swap.after_txn")
		}
		if res, err := w.c.Swap(w.t.Context(), r); err != nil || res.Outcome != catalog.SwapDone {
			w.t.Fatalf("swap: %+v, %v", res, err)
		}
		w.done["swap to "+string(r.State)]++
	}
	if err := w.session.Unclaim(w.t.Context(), claim); err != nil {
		w.t.Fatal(err)
	}
}

// choose picks adjacent hours that cut no group.
func (w *collectWorld) choose(v *catalog.View) (buckets []segment.Bucket, dropped bool) {
	const hour = 3_600_000
	first := int64(w.r.IntN(5))
	last := min(4, first+int64(w.r.IntN(2)))
	for changed := true; changed; {
		changed = false
		for _, b := range v.Datasources["ds"].Buckets {
			lo, hi := b.Bucket.StartMillis/hour, b.Bucket.EndMillis/hour-1
			if hi < first || lo > last {
				continue
			}
			dropped = dropped || b.Dropped()
			if lo < first || hi > last {
				first, last, changed = min(first, lo), max(last, hi), true
			}
		}
	}
	for n := first; n <= last; n++ {
		buckets = append(buckets, catalogtest.Hour(n))
	}
	return buckets, dropped
}

// merge makes one settled segment of all data, or of all but one tail segment, with a new sidecar.
func (w *collectWorld) merge(r *catalog.SwapRequest) {
	span := segment.Bucket{StartMillis: r.Buckets[0].StartMillis, EndMillis: r.Buckets[len(r.Buckets)-1].EndMillis}
	out := segment.Meta{Bytes: 1, Kind: segment.KindData, Datasource: "ds", Bucket: span, SchemaID: 1, MinMillis: span.StartMillis, MaxMillis: span.StartMillis}
	known := int64(1)
	take := func(m *segment.Meta) {
		r.Consumed, out.Rows, out.Sources = append(r.Consumed, m.Object), out.Rows+m.Rows, m.Sources
	}
	for _, b := range r.Base.Datasources["ds"].Buckets {
		if b.Bucket.StartMillis < span.StartMillis || b.Bucket.EndMillis > span.EndMillis {
			continue
		}
		for i := range b.Settled {
			take(&b.Settled[i])
		}
		for i := range b.Tail {
			if w.r.IntN(5) > 0 {
				take(&b.Tail[i].Meta)
			}
		}
		if b.Manifest != nil {
			for _, s := range b.Manifest.Sidecars {
				r.Consumed, known = append(r.Consumed, s.Object), known+s.Rows
			}
		}
	}
	if out.Rows == 0 {
		r.Consumed = nil
		return
	}
	w.upload(&out, r.Claim.Epoch, true)
	r.Settled = []segment.Meta{out}
	side := segment.Meta{Kind: segment.KindIDs, Datasource: "ds", Bucket: span, Sources: out.Sources}
	w.upload(&side, r.Claim.Epoch, true)
	r.Sidecars = []catalog.Sidecar{{Bucket: span, Object: side.Object, Bytes: 1, SHA256: side.SHA256, Rows: known}}
}

// pin keeps what a view shows, or lets go of it.
func (w *collectWorld) pin() {
	if len(w.pinned) > 0 && w.r.IntN(2) == 0 {
		id := slices.Sorted(maps.Keys(w.pinned))[w.r.IntN(len(w.pinned))]
		if err := w.c.RemovePin(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		delete(w.pinned, id)
		return
	}
	w.n++
	id, v := "pin"+strconv.Itoa(w.n), w.view()
	if err := w.c.PutPin(w.t.Context(), nil, id, catalog.Pin{Revision: v.Revision, Holder: "test"}); err != nil {
		w.t.Fatal(err)
	}
	w.pinned[id] = v
	w.done["pin"]++
}

// task submits a task with a report, or deletes one.
func (w *collectWorld) task() {
	if len(w.tasks) > 0 && w.r.IntN(2) == 0 {
		id := slices.Sorted(maps.Keys(w.tasks))[0]
		if err := w.c.DeleteTask(w.t.Context(), id, w.tasks[id]); err != nil {
			w.t.Fatal(err)
		}
		delete(w.tasks, id)
		return
	}
	w.n++
	id := fmt.Sprintf("task/%d", w.n)
	revision, err := w.c.PutTask(w.t.Context(), catalogtest.TaskOf(id, "ds"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.tasks[id] = revision
	w.put(catalog.TaskObject(id, 1, revision, "report.json"))
}

func (w *collectWorld) collector(objects objectstore.Store, change ...func(*CollectorOptions)) *Collector {
	w.t.Helper()
	o := CollectorOptions{Catalog: w.c, Objects: objects, Now: func() time.Time { return w.now }, Parallel: 1 + w.r.IntN(4)}
	for _, fn := range change {
		fn(&o)
	}
	c, err := NewCollector(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

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
		store, fails = &stoppingStore{Store: w.objects, left: left, cancel: cancel}, true
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
	left   int
	cancel context.CancelFunc
}

func (s *stoppingStore) Delete(ctx context.Context, key string) error {
	if s.left--; s.left < 0 {
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
	first, seeds := uint64(time.Now().UnixNano()), uint64(8)
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
