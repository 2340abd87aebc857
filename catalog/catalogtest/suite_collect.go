package catalogtest

import (
	"slices"
	"testing"

	"drumlin/catalog"
	"drumlin/segment"
)

func runCollect(t *testing.T, factory Factory) {
	t.Run("reap", func(t *testing.T) { testReap(t, factory) })
	t.Run("decisions", func(t *testing.T) { testCollectDecisions(t, factory) })
	t.Run("marker", func(t *testing.T) { testLateMarker(t, factory) })
	t.Run("marker before replacement", func(t *testing.T) { testMarkerBeforeReplacement(t, factory) })
}

// testReap: a commit key goes only once all its buckets, the rejects bucket included, have absorbed it.
func testReap(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	if _, err := w.Append(t.Context(), w.Request(Hour(9), 0, map[segment.Bucket]int64{Hour(1): 5, Hour(2): 6})); err != nil {
		t.Fatal(err)
	}
	for _, hour := range []int64{1, 2, 9} {
		if n := e.reap(t); n != 0 {
			t.Fatalf("%d commits reaped before hour %d absorbed it", n, hour)
		}
		e.adopt(t, s, Hour(hour))
	}
	before := e.refresh(t)
	e.faulty.Next(LoseReply)
	if n := e.reap(t); n != 1 {
		t.Errorf("%d commits reaped", n)
	}
	after := e.refresh(t)
	if rows(before) != 11 || rows(after) != 11 {
		t.Errorf("%d rows before, %d after", rows(before), rows(after))
	}
	if err := catalog.Verify(after); err != nil {
		t.Error(err)
	}
	if n := len(mustRange(t, e.KV, "commit/", catalog.RangeOptions{}).KVs); n != 0 {
		t.Errorf("%d commit keys", n)
	}
	w.MustAppend(t, Hour(1), 7)
	if v := e.refresh(t); rows(v) != 18 || catalog.Verify(v) != nil {
		t.Errorf("%d rows, %v", rows(v), catalog.Verify(v))
	}
}

func (e *env) collect(t testing.TB) *catalog.Collection {
	t.Helper()
	g, err := e.c.Collect(t.Context())
	if err != nil {
		t.Fatalf("collect: %v", err)
	}
	return g
}

func testCollectDecisions(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	input := bucket(t, e.refresh(t), Hour(1)).Tail[0].Object
	orphan := Segment(e.c.Incarnation(), w.Owner.Epoch, "orphan", "ds", segment.KindData, Hour(1), 1, segment.OffsetRange{}).Object
	future := Segment(e.c.Incarnation(), 1<<60, "future", "ds", segment.KindData, Hour(1), 1, segment.OffsetRange{}).Object
	foreign := Segment("ffff", 1, "foreign", "ds", segment.KindData, Hour(1), 1, segment.OffsetRange{}).Object
	check := func(when, object string, retired *catalog.Retired, want bool) {
		t.Helper()
		if ok, reason := e.collect(t).MayDelete(object, retired, 1000, 100); ok != want {
			t.Errorf("%s: %s may go: %v (%s), want %v", when, object, ok, reason, want)
		}
	}
	check("live epoch", orphan, nil, false)
	newest := func() string { return e.refresh(t).Supervisors["s"].Partitions[partition(0)].Offset.Record }
	w.MustAppend(t, Hour(2), 5)
	passed := newest()
	w.MustAppend(t, Hour(2), 5)
	e.adopt(t, s, Hour(2))
	check("a record of a commit", passed, nil, false)
	e.reap(t)
	check("a record that its partition has passed", passed, nil, true)
	record := newest()
	check("live commit", input, nil, false)
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "merged")
	res := e.swap(t, r)
	mustDone(t, res)
	retired := &catalog.Retired{Revision: res.Revision, WrittenMillis: 0}
	check("replaced, with the commit's key still there", input, retired, true)
	e.reap(t)
	check("within grace", input, &catalog.Retired{Revision: res.Revision, WrittenMillis: 950}, false)
	check("replaced", input, retired, true)
	if err := e.c.PutPin(t.Context(), s, "snapshot", catalog.Pin{Revision: r.Base.Revision, Holder: "test"}); err != nil {
		t.Fatal(err)
	}
	check("pinned", input, retired, false)
	if err := e.c.RemovePin(t.Context(), "snapshot"); err != nil {
		t.Fatal(err)
	}
	check("output", r.Settled[0].Object, nil, false)
	check("manifest", res.Object, nil, false)
	check("newest record", record, nil, false)
	if err := s.Release(t.Context(), w.Owner); err != nil {
		t.Fatal(err)
	}
	check("dead epoch", orphan, nil, true)
	check("newest record of a dead epoch", record, nil, false)
	check("future epoch", future, nil, false)
	check("other incarnation", foreign, nil, false)
	check("mirror", "specs/"+e.c.Incarnation()+"/s/1-e1-x.json", nil, false)
	check("foreign file", "README", nil, false)
	marker, err := catalog.DecodeMarker(catalog.MarkerName(res.Object), e.objects.read(t, catalog.MarkerName(res.Object)))
	if err != nil || len(marker.Replaced) != 1 || marker.Replaced[0] != input || marker.Revision != res.Revision {
		t.Errorf("marker %+v, %v", marker, err)
	}
}

// testLateMarker: a marker that a dead writer left out is written before anything is collected or reaped, with what the
// swap took out of commits.
func testLateMarker(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	w.MustAppend(t, Hour(1), 6)
	input := bucket(t, e.refresh(t), Hour(1)).Tail[0].Object
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "merged")
	r.Consumed = r.Consumed[:1] // the other one is adopted
	r.Settled[0].Rows = 5
	r.Settled[0].Sources = []segment.OffsetRange{{Topic: "t", From: 0, To: 6}}
	res := e.swap(t, r)
	mustDone(t, res)
	name := catalog.MarkerName(res.Object)
	e.objects.Delete(name)
	other := e.open(t) // does not know that the marker has been written
	if n, err := other.ReapCommits(t.Context()); err != nil || n != 2 {
		t.Errorf("%d commits reaped, %v", n, err)
	}
	marker, err := catalog.DecodeMarker(name, e.objects.read(t, name))
	if err != nil || marker.Revision != res.Revision || !slices.Equal(marker.Replaced, []string{input}) {
		t.Errorf("marker %+v, %v; want that of %d that replaces %s", marker, err, res.Revision, input)
	}
	e.objects.Delete(name)
	if _, err := e.open(t).Collect(t.Context()); err != nil {
		t.Fatalf("collect: %v", err)
	}
	e.objects.read(t, name)
}

// testMarkerBeforeReplacement: a manifest whose writer died before the marker gets it before it is replaced.
func testMarkerBeforeReplacement(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	input := bucket(t, e.refresh(t), Hour(1)).Tail[0].Object
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "merged")
	first := e.swap(t, r)
	mustDone(t, first)
	name := catalog.MarkerName(first.Object)
	e.objects.Delete(name)
	other := e.open(t)
	again := r
	again.Base, again.Consumed, again.Settled = refresh(t, other), nil, nil
	e.merge(&again, "again")
	res, err := other.Swap(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	mustDone(t, res)
	marker, err := catalog.DecodeMarker(name, e.objects.read(t, name))
	if err != nil || marker.Revision != first.Revision || !slices.Equal(marker.Replaced, []string{input}) {
		t.Errorf("marker %+v, %v", marker, err)
	}
}
