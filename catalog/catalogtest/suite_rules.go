package catalogtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"drumlin/catalog"
	"drumlin/segment"
)

// folded is the segment as if its rows were groups of one record each.
func folded(m segment.Meta) segment.Meta {
	m.Folded, m.Events, m.Columns = true, m.Rows, nil
	return m
}

// identified is the segment with all but keyless of its rows having an identity.
func identified(m segment.Meta, keyless int64) segment.Meta {
	m.Columns = []segment.ColumnStats{{ID: segment.IDHighColumnID, Nulls: keyless}}
	return m
}

// sidecar is a sidecar of n identities over the request's buckets.
func (e *env) sidecar(r *catalog.SwapRequest, name string, n int64) catalog.Sidecar {
	span := segment.Bucket{StartMillis: r.Buckets[0].StartMillis, EndMillis: r.Buckets[len(r.Buckets)-1].EndMillis}
	object := fmt.Sprintf("ids/table=ds/%d/%s-e%d-%s.parquet", span.StartMillis, e.c.Incarnation(), r.Claim.Epoch, name)
	return catalog.Sidecar{Bucket: span, Object: object, Bytes: 16*n + 100, SHA256: Sum(object), Rows: n}
}

func mustRefuse(t testing.TB, e *env, what string, r catalog.SwapRequest, says string) {
	t.Helper()
	if _, err := e.c.Swap(t.Context(), r); !errors.Is(err, catalog.ErrInvalid) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want a refusal that says %q", what, err, says)
	}
}

// appendIdentified appends n rows, of which some have no key.
func appendIdentified(t testing.TB, w *Writer, b segment.Bucket, n, keyless int64) {
	t.Helper()
	r := w.Request(b, 0, map[segment.Bucket]int64{b: n})
	r.Commit.Counters.Keyless = keyless
	r.Next.Counters.Keyless += keyless
	r.Commit.Segments[0] = identified(r.Commit.Segments[0], keyless)
	if _, err := w.Append(t.Context(), r); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// testSwapConserves: every record of a bucket's commits is in its segments or counted, over single buckets and over groups
// with a segment that spans their members.
func testSwapConserves(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	if _, err := w.Append(t.Context(), w.Request(Hour(1), 4, map[segment.Bucket]int64{Hour(1): 10, Hour(2): 20})); err != nil {
		t.Fatal(err)
	}
	w.MustAppend(t, Hour(3), 7)
	e.adopt(t, s, Hour(2))
	w.MustAppend(t, Hour(2), 5)
	r := e.claimed(t, s, Hour(1), Hour(2), Hour(3))
	e.merge(&r, "day")
	with := func(change func(*catalog.SwapRequest)) catalog.SwapRequest {
		out := r
		out.Settled = slices.Clone(r.Settled)
		change(&out)
		return out
	}
	for what, bad := range map[string]catalog.SwapRequest{
		"a row is missing":              with(func(r *catalog.SwapRequest) { r.Settled[0].Rows-- }),
		"a row too many":                with(func(r *catalog.SwapRequest) { r.Settled[0].Rows++ }),
		"a duplicate that was counted":  with(func(r *catalog.SwapRequest) { r.Duplicates = 1 }),
		"a filtered row that stays":     with(func(r *catalog.SwapRequest) { r.Filtered = 1 }),
		"one duplicate for two":         with(func(r *catalog.SwapRequest) { r.Settled[0].Rows -= 2; r.Duplicates = 1 }),
		"an input that was not merged":  with(func(r *catalog.SwapRequest) { r.Consumed = r.Consumed[1:] }),
		"inputs that go without output": with(func(r *catalog.SwapRequest) { r.Settled = nil }),
	} {
		mustRefuse(t, e, what, bad, "law 1")
	}
	mustRefuse(t, e, "negative duplicates", with(func(r *catalog.SwapRequest) { r.Settled[0].Rows++; r.Duplicates = -1 }), "uplicates")
	rejects := bucket(t, r.Base, Hour(1)).Rejects[0].Object
	mustRefuse(t, e, "lost rejects", with(func(r *catalog.SwapRequest) { r.Consumed = append(slices.Clone(r.Consumed), rejects) }), "rejected")
	good := with(func(r *catalog.SwapRequest) { r.Settled[0].Rows -= 5; r.Duplicates, r.Filtered = 3, 2 })
	mustDone(t, e.swap(t, good))
	v := e.refresh(t)
	want := catalog.Totals{
		AbsorbedSegments: 4, AbsorbedRows: 42, AbsorbedBytes: 4200, WrittenSegments: 1, WrittenBytes: r.Settled[0].Bytes,
		Duplicates: 3, Filtered: 2,
	}
	if got := bucket(t, v, Hour(1)).Manifest.Totals; got != want {
		t.Errorf("totals %+v, want %+v", got, want)
	}
	w.MustAppend(t, Hour(3), 6)
	again := r
	again.Base, again.Consumed, again.Settled = e.refresh(t), nil, nil
	e.merge(&again, "again")
	again.Settled[0].Rows--
	mustRefuse(t, e, "a row is missing in a merge of a group", again, "law 1")
	again.Settled[0].Rows++
	mustDone(t, e.swap(t, again))
	if err := catalog.Verify(e.refresh(t)); err != nil {
		t.Error(err)
	}
	e.reap(t)
	if err := catalog.Verify(e.refresh(t)); err != nil {
		t.Errorf("after the commits were reaped: %v", err)
	}
}

// testLastCompaction: what is said of the settled segments stays as long as they do.
func testLastCompaction(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "one")
	r.LastCompaction = json.RawMessage(`{"n":1}`)
	mustDone(t, e.swap(t, r))
	says := func(when, want string) {
		t.Helper()
		if got := string(bucket(t, e.refresh(t), Hour(1)).Manifest.LastCompaction); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	says("compacted", `{"n":1}`)
	next := func() catalog.SwapRequest {
		out := r
		out.Base, out.Consumed, out.Settled, out.LastCompaction = e.refresh(t), nil, nil, nil
		return out
	}
	w.MustAppend(t, Hour(1), 6)
	mustDone(t, e.swap(t, next()))
	says("adopted beside", `{"n":1}`)
	merged := next()
	e.merge(&merged, "two")
	mustDone(t, e.swap(t, merged))
	says("compacted without a word", "")
	merged = next()
	e.merge(&merged, "three")
	merged.LastCompaction = json.RawMessage(`{"n":3}`)
	mustDone(t, e.swap(t, merged))
	if err := s.Unclaim(t.Context(), r.Claim); err != nil {
		t.Fatal(err)
	}
	e.adopt(t, s, Hour(1), Hour(2))
	says("joined by a bucket that was never compacted", `{"n":3}`)
	e.adopt(t, s, Hour(0))
	e.adopt(t, s, Hour(0), Hour(1), Hour(2))
	if got := bucket(t, e.refresh(t), Hour(0)).Manifest.LastCompaction; got != nil {
		t.Errorf("of two manifests: %s", got)
	}
}

// testFoldedHead: which segments may stand beside which.
func testFoldedHead(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	appendIdentified(t, w, Hour(1), 5, 0)
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "fold")
	raw := r.Settled[0]
	r.State = catalog.HeadFolded
	mustRefuse(t, e, "a raw settled segment in a folded head", r, "folded")
	r.State, r.Settled = catalog.HeadRaw, []segment.Meta{folded(raw)}
	mustRefuse(t, e, "a folded settled segment in a raw head", r, "folded")
	tail := r
	tail.Settled, tail.Adopted = nil, []catalog.TailSegment{{Meta: folded(raw), Unit: "u"}}
	mustRefuse(t, e, "a folded tail segment with dedup", tail, "never compared")
	r.State = catalog.HeadFolded
	mustRefuse(t, e, "a fold without a sidecar", r, "would be forgotten")
	r.Sidecars = []catalog.Sidecar{e.sidecar(&r, "a", 5)}
	twice := r
	twice.Sidecars = append(slices.Clone(r.Sidecars), r.Sidecars[0])
	mustRefuse(t, e, "a sidecar listed twice", twice, "twice")
	away := r
	away.Sidecars = slices.Clone(r.Sidecars)
	away.Sidecars[0].Bucket = Hour(2)
	mustRefuse(t, e, "a sidecar of another bucket", away, "does not belong")
	mustDone(t, e.swap(t, r))
	// Late rows stay raw in the tail; a small merge of them changes neither the folded rows nor the sidecar.
	appendIdentified(t, w, Hour(1), 3, 1)
	appendIdentified(t, w, Hour(1), 2, 0)
	small := r
	small.Base, small.Consumed, small.Settled, small.Sidecars = e.refresh(t), nil, nil, nil
	for _, seg := range bucket(t, small.Base, Hour(1)).Tail {
		small.Consumed = append(small.Consumed, seg.Object)
	}
	unit := Segment(e.c.Incarnation(), r.Claim.Epoch, "unit", "ds", segment.KindData, Hour(1), 5, raw.Sources[0])
	small.Adopted = []catalog.TailSegment{{Meta: identified(unit, 1), Unit: "unit"}}
	mustDone(t, e.swap(t, small))
	b := bucket(t, e.refresh(t), Hour(1))
	if len(b.Settled) != 1 || len(b.Tail) != 1 || b.Tail[0].Unit != "unit" || len(b.Manifest.Sidecars) != 1 || b.Head.State != catalog.HeadFolded {
		t.Errorf("bucket %+v", b)
	}
	commit := w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 2})
	commit.Commit.Segments[0] = folded(commit.Commit.Segments[0])
	if _, err := w.C.Append(t.Context(), commit); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("append of folded rows that have identities: %v", err)
	}
	if err := catalog.Verify(e.refresh(t)); err != nil {
		t.Error(err)
	}
}

// testIdentities: each identity stays in a raw row or in a sidecar, or was a duplicate's.
func testIdentities(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	appendIdentified(t, w, Hour(1), 10, 2)
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "filtered")
	r.Settled[0] = identified(r.Settled[0], 1)
	r.Settled[0].Rows, r.Duplicates, r.Filtered = 6, 1, 3 // of the filtered, one without a key
	mustRefuse(t, e, "identities of filtered rows are lost", r, "2 would be forgotten")
	r.Sidecars = []catalog.Sidecar{e.sidecar(&r, "one", 1)}
	mustRefuse(t, e, "one identity is lost", r, "1 would be forgotten")
	r.Sidecars = []catalog.Sidecar{e.sidecar(&r, "two", 2)}
	mustDone(t, e.swap(t, r))
	old := r.Sidecars[0].Object
	next := r
	next.Base, next.Settled, next.Duplicates, next.Filtered = e.refresh(t), nil, 0, 0
	next.Consumed, next.Sidecars = []string{old}, nil
	mustRefuse(t, e, "a sidecar goes without another", next, "would be forgotten")
	next.Sidecars = []catalog.Sidecar{e.sidecar(&next, "less", 1)}
	mustRefuse(t, e, "a sidecar is followed by a smaller one", next, "would be forgotten")
	next.Sidecars = []catalog.Sidecar{e.sidecar(&next, "same", 2)}
	mustDone(t, e.swap(t, next))
	// Discarding what is there remembers all of it.
	gone := next
	gone.Base, gone.Consumed, gone.Sidecars = e.refresh(t), []string{next.Sidecars[0].Object, r.Settled[0].Object}, nil
	gone.Filtered, gone.Sidecars = 6, []catalog.Sidecar{e.sidecar(&gone, "all", 6)}
	mustRefuse(t, e, "one of the discarded is lost", gone, "1 would be forgotten")
	gone.Sidecars = []catalog.Sidecar{e.sidecar(&gone, "all", 7)}
	mustDone(t, e.swap(t, gone))
	if b := bucket(t, e.refresh(t), Hour(1)); len(b.Settled) != 0 || b.Manifest.Totals.Filtered != 9 {
		t.Errorf("bucket %+v", b)
	}
}

// testForgottenIdentities: a sidecar goes only once every partition has acknowledged a floor past the buckets, and nothing
// stays in the tail that was not compared with it.
func testForgottenIdentities(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	idle := Write(t, e.c, s, partition(1))
	appendIdentified(t, w, Hour(1), 5, 0)
	r := e.claimed(t, s, Hour(1))
	e.merge(&r, "fold")
	r.Settled[0], r.State = folded(r.Settled[0]), catalog.HeadFolded
	r.Sidecars = []catalog.Sidecar{e.sidecar(&r, "a", 5)}
	mustDone(t, e.swap(t, r))
	appendIdentified(t, w, Hour(1), 3, 0)
	forget := func() catalog.SwapRequest {
		out := r
		out.Base, out.Consumed, out.Settled, out.Sidecars = e.refresh(t), nil, nil, nil
		e.merge(&out, "forgetful")
		out.Settled[0] = folded(out.Settled[0])
		out.Consumed = append(out.Consumed, r.Sidecars[0].Object)
		return out
	}
	end := Hour(1).EndMillis
	refused := func(when string) {
		t.Helper()
		mustRefuse(t, e, when, forget(), "would be forgotten")
		if got := e.refresh(t).AcknowledgedDedupFloor("ds"); got >= end {
			t.Errorf("%s: acknowledged floor %d", when, got)
		}
	}
	refused("no floor")
	if _, err := e.c.RaiseFloors(t.Context(), "ds", catalog.Floors{DedupMillis: end}); err != nil {
		t.Fatal(err)
	}
	refused("nobody has acknowledged")
	acknowledge := func(w *Writer, floor int64) {
		t.Helper()
		facts := w.Offset.Facts
		facts.DedupFloorMillis = floor
		rev, err := e.c.Acknowledge(t.Context(), w.Owner, w.Revision, w.Offset, facts)
		if err != nil {
			t.Fatal(err)
		}
		w.Offset.Facts, w.Revision = facts, rev
	}
	acknowledge(w, end)
	refused("an idle partition has not acknowledged")
	before := forget()
	acknowledge(idle, end)
	mustRefuse(t, e, "read before the last acknowledgement", before, "would be forgotten")
	if got := e.refresh(t).AcknowledgedDedupFloor("ds"); got != end {
		t.Errorf("acknowledged floor %d, want %d", got, end)
	}
	careless := forget()
	tail := bucket(t, careless.Base, Hour(1)).Tail[0]
	careless.Consumed = slices.DeleteFunc(careless.Consumed, func(object string) bool { return object == tail.Object })
	careless.Settled[0].Rows, careless.Settled[0].Events = 5, 5
	mustRefuse(t, e, "the tail was not compared", careless, "not compared")
	mustDone(t, e.swap(t, forget()))
	if b := bucket(t, e.refresh(t), Hour(1)); len(b.Manifest.Sidecars) != 0 || len(b.Tail) != 0 {
		t.Errorf("bucket %+v", b)
	}
}
