package catalogtest

import (
	"errors"
	"reflect"
	"testing"

	"drumlin/catalog"
	"drumlin/segment"
)

func runOpen(t *testing.T, factory Factory) {
	t.Run("incarnation", func(t *testing.T) {
		e := newEnv(t, factory)
		other := e.open(t)
		if e.c.Incarnation() == "" || e.c.Incarnation() != other.Incarnation() || e.c.View().Incarnation != e.c.Incarnation() {
			t.Errorf("incarnations %q and %q", e.c.Incarnation(), other.Incarnation())
		}
	})
	t.Run("lost reply", func(t *testing.T) {
		f := factory(t)
		faulty := NewFaulty(f.KV)
		faulty.Next(LoseReply)
		c, err := catalog.Open(t.Context(), catalog.Options{KV: faulty, Objects: NewObjects()})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.WaitChange(t.Context(), c.View().Revision); !errors.Is(err, catalog.ErrClosed) {
			t.Errorf("wait on a closed catalog: %v", err)
		}
	})
	t.Run("newer format", func(t *testing.T) {
		e := newEnv(t, factory)
		_, w := e.writer(t)
		r := w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 1})
		mustTxn(t, e.KV, catalog.Txn{Then: []catalog.Op{put("format", `{"reader":1,"writer":2,"written":2}`)}})
		if _, err := w.Append(t.Context(), r); !errors.Is(err, catalog.ErrFormat) {
			t.Errorf("append under a format for newer writers: %v", err)
		}
		mustTxn(t, e.KV, catalog.Txn{Then: []catalog.Op{put("format", `{"reader":2,"writer":2,"written":2}`)}})
		_, err := catalog.Open(t.Context(), catalog.Options{KV: e.KV, Objects: e.objects})
		if !errors.Is(err, catalog.ErrFormat) {
			t.Errorf("open under a format for newer readers: %v", err)
		}
		if _, err := e.c.WaitRevision(t.Context(), 1<<60); !errors.Is(err, catalog.ErrFormat) {
			t.Errorf("wait under a format for newer readers: %v", err)
		}
	})
}

func runAppend(t *testing.T, factory Factory) {
	t.Run("visible", func(t *testing.T) { testAppendVisible(t, factory) })
	t.Run("outside", func(t *testing.T) { testAppendOutside(t, factory) })
	t.Run("refused", func(t *testing.T) { testAppendRefused(t, factory) })
	t.Run("lost replies", func(t *testing.T) { testAppendLostReplies(t, factory) })
	t.Run("made again", func(t *testing.T) { testAppendAgain(t, factory) })
	t.Run("fenced", func(t *testing.T) {
		e := newEnv(t, factory)
		s, w := e.writer(t)
		r := w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 5})
		e.faulty.BeforeTxn(func() {
			if err := s.Release(t.Context(), w.Owner); err != nil {
				t.Error(err)
			}
		})
		if _, err := w.Append(t.Context(), r); !errors.Is(err, catalog.ErrFenced) {
			t.Errorf("append after the release: %v", err)
		}
		if _, err := s.Acquire(t.Context(), partition(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Append(t.Context(), r); !errors.Is(err, catalog.ErrFenced) {
			t.Errorf("append under the epoch of an earlier ownership: %v", err)
		}
		if n := rows(e.refresh(t)); n != 0 {
			t.Errorf("%d rows are live", n)
		}
	})
	t.Run("conflict", func(t *testing.T) {
		e := newEnv(t, factory)
		_, w := e.writer(t)
		stale := *w
		w.MustAppend(t, Hour(1), 5)
		if _, err := stale.Append(t.Context(), stale.Request(Hour(1), 0, nil)); !errors.Is(err, catalog.ErrConflict) {
			t.Errorf("append at an offset that has moved: %v", err)
		}
	})
	t.Run("record cannot be written", func(t *testing.T) {
		e := newEnv(t, factory)
		_, w := e.writer(t)
		r := w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 5})
		e.objects.FailPuts(100)
		if _, err := w.Append(t.Context(), r); err == nil {
			t.Error("append without its record succeeded")
		}
		e.objects.FailPuts(1)
		if _, err := w.Append(t.Context(), r); err != nil {
			t.Errorf("append with one failing put: %v", err)
		}
	})
}

func testAppendVisible(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	_, w := e.writer(t)
	w.MustAppend(t, Hour(5), 10)
	r := w.Request(Hour(9), 2, map[segment.Bucket]int64{Hour(5): 3, Hour(6): 4})
	rev, err := w.Append(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	v, err := e.c.WaitRevision(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	if b := bucket(t, v, Hour(5)); len(b.Tail) != 2 || len(b.Commits) != 2 || b.Tail[0].Unit == b.Tail[1].Unit {
		t.Errorf("hour 5: %+v", b)
	}
	if b := bucket(t, v, Hour(9)); len(b.Rejects) != 1 || b.Rejects[0].Rows != 2 || len(b.Tail) != 0 || len(b.Commits) != 1 {
		t.Errorf("hour 9: %+v", b)
	}
	p := v.Supervisors["s"].Partitions[partition(0)]
	if p.Offset.Next != r.Next.Next || p.OffsetRevision != rev || p.Offset.Counters.Stored != 17 || p.Owner.Epoch != w.Owner.Epoch {
		t.Errorf("partition: %+v", p)
	}
	if err := catalog.Verify(v); err != nil {
		t.Error(err)
	}
	if second := refresh(t, e.open(t)); !reflect.DeepEqual(second.Datasources, v.Datasources) {
		t.Error("a view that was loaded differs from one that was followed")
	}
	checkRecord(t, e, p.Offset.Record, r.Commit)
}

// checkRecord holds the record object against the commit.
func checkRecord(t *testing.T, e *env, object string, want *catalog.Commit) {
	t.Helper()
	r, err := catalog.DecodeRecord(object, e.objects.read(t, object))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Commit, want) || r.Kind != catalog.RecordCommit || r.Offset.Next != want.Range.To {
		t.Errorf("record %s: %+v", object, r)
	}
}

func testAppendOutside(t *testing.T, factory Factory) {
	e := newEnv(t, factory, func(o *catalog.Options) { o.MaxInlineBytes = 1 })
	_, w := e.writer(t)
	rev := w.MustAppend(t, Hour(5), 10)
	v, err := e.c.WaitRevision(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	if b := bucket(t, v, Hour(5)); len(b.Tail) != 1 || b.Tail[0].Rows != 10 {
		t.Errorf("hour 5: %+v", b)
	}
	stored := mustRange(t, e.KV, "commit/", catalog.RangeOptions{}).KVs
	if len(stored) != 1 || len(stored[0].Value) > 1000 {
		t.Errorf("the commit's value lists its segments: %s", stored[0].Value)
	}
	if second := refresh(t, e.open(t)); !reflect.DeepEqual(second.Datasources, v.Datasources) {
		t.Error("a view that was loaded differs from one that was followed")
	}
}

func testAppendRefused(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	_, w := e.writer(t)
	for name, spoil := range map[string]func(*catalog.AppendRequest){
		"law 1":             func(r *catalog.AppendRequest) { r.Commit.Counters.Skipped++ },
		"rows of segments":  func(r *catalog.AppendRequest) { r.Commit.Segments[0].Rows++ },
		"gap":               func(r *catalog.AppendRequest) { r.Prev.Next-- },
		"generation":        func(r *catalog.AppendRequest) { r.Next.Generation++ },
		"facts":             func(r *catalog.AppendRequest) { r.Next.Facts.SpecVersion++ },
		"commit's facts":    func(r *catalog.AppendRequest) { r.Commit.Facts.SpecVersion++ },
		"counters":          func(r *catalog.AppendRequest) { r.Next.Counters.Stored++ },
		"clock":             func(r *catalog.AppendRequest) { r.Prev.ClockMillis = 1 << 50 },
		"topic id":          func(r *catalog.AppendRequest) { r.Next.TopicID = "other" },
		"epoch":             func(r *catalog.AppendRequest) { r.Commit.Epoch-- },
		"epoch in the name": func(r *catalog.AppendRequest) { r.Commit.Segments[0].Object = "data/x-e1-y.parquet" },
		"two of a name":     func(r *catalog.AppendRequest) { r.Commit.Segments[1].Object = r.Commit.Segments[0].Object },
		"datasource":        func(r *catalog.AppendRequest) { r.Commit.Segments[0].Datasource = "other" },
		"checksum":          func(r *catalog.AppendRequest) { r.Commit.Segments[0].SHA256 = "ABC" },
		"partition":         func(r *catalog.AppendRequest) { r.Commit.Range.Partition++ },
		"not begun":         func(r *catalog.AppendRequest) { r.PrevRevision = 0 },
		"rejects bucket":    func(r *catalog.AppendRequest) { r.Commit.RejectsBucket = segment.Bucket{} },
		"end of a bucket":   func(r *catalog.AppendRequest) { r.Commit.RejectsBucket.EndMillis++ },
	} {
		r := w.Request(Hour(1), 2, map[segment.Bucket]int64{Hour(1): 5})
		spoil(&r)
		before := len(e.objects.Keys())
		if _, err := w.Append(t.Context(), r); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if len(e.objects.Keys()) != before {
			t.Errorf("%s: something was written", name)
		}
	}
}

func testAppendLostReplies(t *testing.T, factory Factory) {
	for name, faults := range map[string][]TxnFault{
		"applied":               {LoseReply},
		"not applied":           {LoseRequest},
		"applied, then refused": {LoseReply, Refuse},
		"lost twice":            {LoseRequest, LoseReply},
		"refused":               {Refuse, Refuse},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, factory)
			_, w := e.writer(t)
			e.faulty.Next(faults...)
			first := w.MustAppend(t, Hour(1), 5)
			kv := mustRange(t, e.KV, "commit/", catalog.RangeOptions{}).KVs
			if len(kv) != 1 || kv[0].CreateRevision != first {
				t.Fatalf("revision %d, commits %+v", first, kv)
			}
			w.MustAppend(t, Hour(1), 7)
			if v := e.refresh(t); rows(v) != 12 || catalog.Verify(v) != nil {
				t.Errorf("%d rows, %v", rows(v), catalog.Verify(v))
			}
		})
	}
	t.Run("never answered", func(t *testing.T) {
		e := newEnv(t, factory)
		_, w := e.writer(t)
		e.faulty.Next(LoseReply, LoseRequest, LoseRequest, LoseRequest)
		if _, err := w.Append(t.Context(), w.Request(Hour(1), 0, nil)); !errors.Is(err, catalog.ErrUnknown) {
			t.Errorf("append without any reply: %v", err)
		}
	})
	t.Run("applied, absorbed and reaped", func(t *testing.T) {
		e := newEnv(t, factory)
		s, w := e.writer(t)
		e.faulty.Next(LoseReply)
		e.faulty.BeforeTxn(func() { e.faulty.BeforeTxn(func() { e.adopt(t, s, Hour(1)); e.reap(t) }) })
		if _, err := w.Append(t.Context(), w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 5})); err != nil {
			t.Errorf("append whose commit key is gone: %v", err)
		}
		w.MustAppend(t, Hour(1), 7)
		if v := e.refresh(t); rows(v) != 12 || catalog.Verify(v) != nil {
			t.Errorf("%d rows, %v", rows(v), catalog.Verify(v))
		}
	})
}
