package catalogtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"drumlin/catalog"
)

func put(key, value string) catalog.Op {
	return catalog.Op{Kind: catalog.OpPut, Key: key, Value: []byte(value)}
}

func mustTxn(t *testing.T, kv catalog.Backend, txn catalog.Txn) *catalog.TxnResult {
	t.Helper()
	res, err := kv.Txn(t.Context(), txn)
	if err != nil {
		t.Fatalf("transaction: %v", err)
	}
	return res
}

func mustRange(t *testing.T, kv catalog.Backend, prefix string, o catalog.RangeOptions) *catalog.RangeResult {
	t.Helper()
	res, err := kv.Range(t.Context(), prefix, o)
	if err != nil {
		t.Fatalf("range: %v", err)
	}
	return res
}

func runKV(t *testing.T, factory Factory) {
	t.Run("revisions", func(t *testing.T) { testKVRevisions(t, factory(t).KV) })
	t.Run("limits", func(t *testing.T) { testKVLimits(t, factory(t).KV) })
	t.Run("pages", func(t *testing.T) { testKVPages(t, factory(t).KV) })
	t.Run("leases", func(t *testing.T) { testKVLeases(t, factory(t).KV) })
	t.Run("watch", func(t *testing.T) { testKVWatch(t, factory(t).KV) })
	t.Run("compaction", func(t *testing.T) { testKVCompaction(t, factory(t)) })
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := factory(t).KV.Txn(ctx, catalog.Txn{Then: []catalog.Op{put("a", "1")}}); !errors.Is(err, catalog.ErrKVUnavailable) {
			t.Errorf("a transaction that was never sent: %v", err)
		}
	})
}

func testKVRevisions(t *testing.T, kv catalog.Backend) {
	first := mustTxn(t, kv, catalog.Txn{Then: []catalog.Op{put("a/1", "x"), put("a/2", "y"), put("b", "z")}})
	second := mustTxn(t, kv, catalog.Txn{
		If:   []catalog.Compare{{Key: "a/1", Target: catalog.CompareMod, Revision: first.Revision}},
		Then: []catalog.Op{put("a/1", "x2"), {Kind: catalog.OpDelete, Key: "a/2"}},
	})
	if !second.Succeeded || second.Revision != first.Revision+1 {
		t.Fatalf("second transaction: %+v after %+v", second, first)
	}
	third := mustTxn(t, kv, catalog.Txn{
		If: []catalog.Compare{
			{Key: "a/1", Target: catalog.CompareCreate, Revision: first.Revision},
			{Key: "a/2", Target: catalog.CompareCreate, Revision: first.Revision},
		},
		Then: []catalog.Op{put("b", "no")},
		Else: []catalog.Op{{Kind: catalog.OpGet, Key: "a/1"}, {Kind: catalog.OpGet, Key: "a/2"}},
	})
	got := third.Gets["a/1"]
	if third.Succeeded || len(third.Gets) != 1 || string(got.Value) != "x2" || got.CreateRevision != first.Revision ||
		got.ModRevision != second.Revision || got.Version != 2 {
		t.Errorf("else branch: %+v", third)
	}
	if third.Revision != second.Revision {
		t.Errorf("a transaction that changes nothing moved the revision from %d to %d", second.Revision, third.Revision)
	}
	now := mustRange(t, kv, "a/", catalog.RangeOptions{})
	was := mustRange(t, kv, "a/", catalog.RangeOptions{Revision: first.Revision})
	if len(now.KVs) != 1 || len(was.KVs) != 2 || string(was.KVs[0].Value) != "x" || now.Revision < second.Revision {
		t.Errorf("now %+v, at revision %d %+v", now, first.Revision, was)
	}
	exact := mustRange(t, kv, "a/1", catalog.RangeOptions{Exact: true, KeysOnly: true})
	if len(exact.KVs) != 1 || len(exact.KVs[0].Value) != 0 {
		t.Errorf("exact range of keys: %+v", exact)
	}
	if _, err := kv.Range(t.Context(), "a", catalog.RangeOptions{Revision: now.Revision + 1000}); !errors.Is(err, catalog.ErrKVFutureRevision) {
		t.Errorf("range in the future: %v", err)
	}
}

func testKVLimits(t *testing.T, kv catalog.Backend) {
	var txn catalog.Txn
	for i := range catalog.MaxTxnOps + 1 {
		txn.Then = append(txn.Then, put(fmt.Sprintf("k/%d", i), "v"))
	}
	if _, err := kv.Txn(t.Context(), txn); !errors.Is(err, catalog.ErrKVTooLarge) {
		t.Errorf("%d operations: %v", len(txn.Then), err)
	}
	txn.Then = txn.Then[:catalog.MaxTxnOps]
	for i := range txn.Then {
		txn.If = append(txn.If, catalog.Compare{Key: txn.Then[i].Key, Target: catalog.CompareCreate})
	}
	if res := mustTxn(t, kv, txn); !res.Succeeded {
		t.Errorf("%d compares and operations: %+v", len(txn.Then), res)
	}
	big := string(bytes.Repeat([]byte("v"), 2<<20))
	if _, err := kv.Txn(t.Context(), catalog.Txn{Then: []catalog.Op{put("big", big)}}); !errors.Is(err, catalog.ErrKVTooLarge) {
		t.Errorf("2 MiB value: %v", err)
	}
}

func testKVPages(t *testing.T, kv catalog.Backend) {
	const n = 1100
	for done := 0; done < n; {
		var txn catalog.Txn
		for ; done < n && len(txn.Then) < 100; done++ {
			txn.Then = append(txn.Then, put(fmt.Sprintf("p/%05d", done), "v"))
		}
		mustTxn(t, kv, txn)
	}
	res := mustRange(t, kv, "p/", catalog.RangeOptions{})
	if len(res.KVs) != n {
		t.Fatalf("%d keys, want %d", len(res.KVs), n)
	}
	for i, kv := range res.KVs {
		if want := fmt.Sprintf("p/%05d", i); kv.Key != want {
			t.Fatalf("key %d is %s, want %s", i, kv.Key, want)
		}
	}
}

func testKVLeases(t *testing.T, kv catalog.Backend) {
	lease, err := kv.Grant(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	held := func(key string) catalog.Op {
		return catalog.Op{Kind: catalog.OpPut, Key: key, Value: []byte("v"), Lease: lease}
	}
	put := mustTxn(t, kv, catalog.Txn{Then: []catalog.Op{held("l/1"), held("l/2")}})
	if err := kv.KeepAlive(t.Context(), lease); err != nil {
		t.Errorf("keep alive: %v", err)
	}
	if res := mustRange(t, kv, "l/", catalog.RangeOptions{}); len(res.KVs) != 2 || res.KVs[0].Lease != lease {
		t.Errorf("held keys: %+v", res)
	}
	if err := kv.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	res := mustRange(t, kv, "l/", catalog.RangeOptions{})
	if len(res.KVs) != 0 || res.Revision != put.Revision+1 {
		t.Errorf("after the revocation of revision %d: %+v", put.Revision+1, res)
	}
	if err := kv.Revoke(t.Context(), lease); err != nil {
		t.Errorf("revoke again: %v", err)
	}
	if err := kv.KeepAlive(t.Context(), lease); !errors.Is(err, catalog.ErrKVLeaseNotFound) {
		t.Errorf("keep a revoked lease alive: %v", err)
	}
	if _, err := kv.Txn(t.Context(), catalog.Txn{Then: []catalog.Op{held("l/3")}}); !errors.Is(err, catalog.ErrKVLeaseNotFound) {
		t.Errorf("put with a revoked lease: %v", err)
	}
}

// nextBatch waits for a batch.
func nextBatch(t *testing.T, w catalog.Watcher) catalog.WatchBatch {
	t.Helper()
	select {
	case b, ok := <-w.Batches:
		if !ok {
			t.Fatal("the watch was closed")
		}
		return b
	case <-time.After(time.Minute):
		t.Fatal("the watch is silent")
	}
	return catalog.WatchBatch{}
}

func testKVWatch(t *testing.T, kv catalog.Backend) {
	first := mustTxn(t, kv, catalog.Txn{Then: []catalog.Op{put("w/1", "a"), put("w/2", "b")}})
	ctx, cancel := context.WithCancel(t.Context())
	w := kv.Watch(ctx, "w/", first.Revision)
	defer func() {
		cancel()
		for range w.Batches {
		}
	}()
	second := mustTxn(t, kv, catalog.Txn{Then: []catalog.Op{put("w/1", "c"), put("elsewhere", "x"), {Kind: catalog.OpDelete, Key: "w/2"}}})
	var events []catalog.Event
	for len(events) < 4 {
		b := nextBatch(t, w)
		if b.Err != nil {
			t.Fatal(b.Err)
		}
		events = append(events, b.Events...)
		if n := len(events); n == 1 || n == 3 {
			t.Errorf("a batch ends within a revision: %+v", b)
		}
	}
	if e := events[0]; e.Key != "w/1" || e.ModRevision != first.Revision || e.Version != 1 {
		t.Errorf("first event: %+v", e)
	}
	seen := map[string]catalog.Event{events[2].Key: events[2], events[3].Key: events[3]}
	if e := seen["w/1"]; string(e.Value) != "c" || e.Version != 2 || e.CreateRevision != first.Revision || e.ModRevision != second.Revision {
		t.Errorf("put: %+v", e)
	}
	if e := seen["w/2"]; !e.Deleted || e.ModRevision != second.Revision {
		t.Errorf("deletion: %+v", e)
	}
	foreign := mustTxn(t, kv, catalog.Txn{Then: []catalog.Op{put("elsewhere", "y")}})
	for revision := int64(0); revision < foreign.Revision; {
		if err := w.RequestProgress(ctx); err != nil {
			t.Fatal(err)
		}
		b := nextBatch(t, w)
		if b.Err != nil || len(b.Events) > 0 {
			t.Fatalf("progress: %+v", b)
		}
		revision = b.Revision
	}
}

func testKVCompaction(t *testing.T, f Fixture) {
	first := mustTxn(t, f.KV, catalog.Txn{Then: []catalog.Op{put("c/1", "a")}})
	mustTxn(t, f.KV, catalog.Txn{Then: []catalog.Op{put("c/1", "b")}})
	third := mustTxn(t, f.KV, catalog.Txn{Then: []catalog.Op{put("c/1", "c")}})
	f.Compact(t, third.Revision)
	if _, err := f.KV.Range(t.Context(), "c/", catalog.RangeOptions{Revision: first.Revision}); !errors.Is(err, catalog.ErrKVCompacted) {
		t.Errorf("read of a compacted revision: %v", err)
	}
	if res := mustRange(t, f.KV, "c/", catalog.RangeOptions{Revision: third.Revision}); len(res.KVs) != 1 {
		t.Errorf("read of the oldest revision: %+v", res)
	}
	w := f.KV.Watch(t.Context(), "c/", first.Revision)
	if b := nextBatch(t, w); !errors.Is(b.Err, catalog.ErrKVCompacted) {
		t.Errorf("watch from a compacted revision: %+v", b)
	}
	if _, open := <-w.Batches; open {
		t.Error("the watch goes on after its error")
	}
}
