package compaction

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
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
	"drumlin/objectstore/mem"
	"drumlin/segment"
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
