package catalogtest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
)

func runView(t *testing.T, factory Factory) {
	for name, fn := range map[string]func(catalog.WatchBatch) []catalog.WatchBatch{
		"dropped":    func(catalog.WatchBatch) []catalog.WatchBatch { return nil },
		"duplicated": func(b catalog.WatchBatch) []catalog.WatchBatch { return []catalog.WatchBatch{b, b} },
		"broken": func(catalog.WatchBatch) []catalog.WatchBatch {
			return []catalog.WatchBatch{{Err: errors.New("injected: the watch broke")}}
		},
		"half": func(b catalog.WatchBatch) []catalog.WatchBatch {
			b.Events = b.Events[:len(b.Events)/2]
			return []catalog.WatchBatch{b}
		},
	} {
		t.Run("watch "+name, func(t *testing.T) { testWatchFault(t, factory, fn) })
	}
	t.Run("watch silent", func(t *testing.T) { testSilentWatch(t, factory) })
	t.Run("anti-entropy", func(t *testing.T) { testAntiEntropy(t, factory) })
	t.Run("compacted watch", func(t *testing.T) { testCompactedWatch(t, factory) })
	t.Run("unrelated writes", func(t *testing.T) {
		e := newEnv(t, factory)
		for range 3 {
			mustTxn(t, e.KV, catalog.Txn{Then: []catalog.Op{put("other/1", "x")}})
			e.refresh(t)
		}
	})
	t.Run("wait", func(t *testing.T) {
		e := newEnv(t, factory)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := e.c.WaitRevision(ctx, 1<<60); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait for a revision that does not come: %v", err)
		}
		if _, err := e.c.WaitChange(ctx, 1<<60); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait for a change that does not come: %v", err)
		}
	})
	t.Run("object fails", func(t *testing.T) { testObjectFails(t, factory) })
	t.Run("immutable", func(t *testing.T) { testImmutable(t, factory) })
}

// testWatchFault lets one batch meet the fault; what the view shows in the end is right all the same.
func testWatchFault(t *testing.T, factory Factory, fn func(catalog.WatchBatch) []catalog.WatchBatch) {
	e := newEnv(t, factory)
	_, w := e.writer(t)
	e.refresh(t)
	hit := make(chan struct{}, 1)
	hit <- struct{}{}
	e.faulty.OnBatch(func(b catalog.WatchBatch) []catalog.WatchBatch {
		if len(b.Events) > 0 {
			select {
			case <-hit:
				return fn(b)
			default:
			}
		}
		return []catalog.WatchBatch{b}
	})
	w.MustAppend(t, Hour(1), 5)
	waitFor(t, "the fault", func() bool { return len(hit) == 0 })
	for range 3 {
		w.MustAppend(t, Hour(1), 5)
	}
	v := e.refresh(t)
	if rows(v) != 20 {
		t.Errorf("%d rows, want 20", rows(v))
	}
	if err := catalog.Verify(v); err != nil {
		t.Error(err)
	}
	if fresh := refresh(t, e.open(t)); !reflect.DeepEqual(fresh.Datasources, v.Datasources) {
		t.Error("a view that was loaded differs from one that was followed")
	}
}

// testSilentWatch: a watch that neither delivers nor ends does not hold up those who wait for a revision.
func testSilentWatch(t *testing.T, factory Factory) {
	e := newEnv(t, factory, func(o *catalog.Options) { o.WatchSilence = 50 * time.Millisecond })
	_, w := e.writer(t)
	e.refresh(t)
	e.faulty.HangWatches()
	w.MustAppend(t, Hour(1), 5)
	if v := e.refresh(t); rows(v) != 5 || catalog.Verify(v) != nil {
		t.Errorf("%d rows, want 5; %v", rows(v), catalog.Verify(v))
	}
	if n := e.c.Resyncs(); n != 0 {
		t.Errorf("the view was loaded %d times anew, though nothing was left out", n)
	}
}

// testAntiEntropy drops the last event, which no later event gives away.
func testAntiEntropy(t *testing.T, factory Factory) {
	e := newEnv(t, factory, func(o *catalog.Options) { o.CheckEvery = 20 * time.Millisecond })
	_, w := e.writer(t)
	e.refresh(t)
	e.faulty.OnBatch(func(b catalog.WatchBatch) []catalog.WatchBatch {
		if len(b.Events) > 0 && strings.HasPrefix(b.Events[0].Key, "offset/") {
			b.Events = nil // the revision is reported, its events are not
		}
		return []catalog.WatchBatch{b}
	})
	w.MustAppend(t, Hour(1), 5)
	waitFor(t, "the missing commit", func() bool { return rows(e.c.View()) == 5 })
	if e.c.Resyncs() == 0 {
		t.Error("the view was not loaded again")
	}
}

func testCompactedWatch(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	_, w := e.writer(t)
	blocked, release := make(chan struct{}), make(chan struct{})
	first := true
	e.faulty.OnBatch(func(b catalog.WatchBatch) []catalog.WatchBatch {
		if !first {
			return []catalog.WatchBatch{b}
		}
		first = false
		close(blocked)
		<-release
		return []catalog.WatchBatch{{Err: errors.New("injected: the watch broke")}}
	})
	w.MustAppend(t, Hour(1), 5)
	<-blocked
	var last int64
	for range 3 {
		last = w.MustAppend(t, Hour(1), 5)
	}
	e.Compact(t, last)
	close(release)
	if v := e.refresh(t); rows(v) != 20 || catalog.Verify(v) != nil {
		t.Errorf("%d rows, %v", rows(v), catalog.Verify(v))
	}
}

// testObjectFails: a view is not published before its objects have been read and verified.
func testObjectFails(t *testing.T, factory Factory) {
	e := newEnv(t, factory, func(o *catalog.Options) { o.MaxInlineBytes = 1 })
	s, w := e.writer(t)
	e.refresh(t)
	e.objects.FailGets(3)
	w.MustAppend(t, Hour(1), 5)
	if v := e.refresh(t); rows(v) != 5 {
		t.Errorf("%d rows after failing reads", rows(v))
	}
	before := e.c.View()
	e.faulty.BeforeTxn(func() {
		for _, key := range e.objects.Keys() {
			if strings.HasPrefix(key, "commits/") {
				e.objects.Corrupt(key)
			}
		}
	})
	if _, err := w.Append(t.Context(), w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 7})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if v, err := e.c.Refresh(ctx); err == nil {
		t.Errorf("a view of %d rows was published with a corrupt object; before it had %d", rows(v), rows(before))
	}
	for _, key := range e.objects.Keys() {
		if strings.HasPrefix(key, "commits/") {
			e.objects.Corrupt(key) // flips the same bit back
		}
	}
	if v := e.refresh(t); rows(v) != 12 {
		t.Errorf("%d rows after the repair", rows(v))
	}
	_ = s
}

// testImmutable: views that were handed out do not change by what happens later.
func testImmutable(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	w.MustAppend(t, Hour(2), 6)
	old := e.refresh(t)
	hour2 := bucket(t, old, Hour(2))
	w.MustAppend(t, Hour(1), 7)
	e.adopt(t, s, Hour(1))
	v := e.refresh(t)
	if rows(old) != 11 || rows(v) != 18 || len(bucket(t, old, Hour(1)).Tail) != 1 {
		t.Errorf("the old view has %d rows, the new one %d", rows(old), rows(v))
	}
	if bucket(t, v, Hour(2)) != hour2 {
		t.Error("a bucket that has not changed was built again")
	}
}
