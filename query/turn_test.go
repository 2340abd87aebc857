package query

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"drumlin/query/cache"
	"drumlin/segment"
)

// eventually waits for a condition that comes by itself.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for begun := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// TestAQueryThatWaitsForOwnersLendsItsTurn: with one query at a time, one that waits for an owner that is gone stops no other.
func TestAQueryThatWaitsForOwnersLendsItsTurn(t *testing.T) {
	w, _ := small(t)
	e := w.engine(func(o *Options) { o.MaxConcurrent, o.QueueTimeout, o.HotBudget = 1, time.Minute, time.Hour })
	var back atomic.Bool
	w.refuse = func(segment.HotRequest) error {
		if back.Load() {
			return nil
		}
		return errors.New("connection refused")
	}
	type outcome struct {
		lines []string
		err   error
	}
	waited := make(chan outcome, 2)
	for range cap(waited) {
		go func() {
			lines, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events", Context: map[string]any{"timeout": 0.0}})
			waited <- outcome{lines, err}
		}()
	}
	eventually(t, "both queries wait", func() bool { return len(e.turns.lenders) == 2 })
	if got := mustAsk(t, e, "SELECT 1"); got[0] != "1" {
		t.Errorf("got %v", got)
	}
	back.Store(true)
	for range cap(waited) {
		if got := <-waited; got.err != nil || got.lines[0] != "10" {
			t.Errorf("once the owner is back: %v, %v", got.lines, got.err)
		}
	}
	if len(e.turns.slots) != 0 || len(e.turns.lenders) != 0 {
		t.Errorf("%d turns are held, %d are lent, and nobody asks", len(e.turns.slots), len(e.turns.lenders))
	}
}

// silentStore gives some objects only once it is let go, and says so in the errors of those who did not wait.
type silentStore struct {
	cache.Getter
	open atomic.Pointer[chan struct{}] // nil: it answers; waits until the channel is closed
}

func (s *silentStore) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if open := s.open.Load(); open != nil {
		select {
		case <-*open:
		case <-ctx.Done():
			return nil, errors.New("get " + key + " in s3://bucket: " + context.Cause(ctx).Error())
		}
	}
	return s.Getter.Get(ctx, key, offset, length)
}

// TestAStoreThatDoesNotAnswer: a query is refused once nothing has come for the budget, or its own time is over, naming the
// object and the store; meanwhile it stops nobody whose segments are at hand.
func TestAStoreThatDoesNotAnswer(t *testing.T) {
	w, tab := small(t)
	store := &silentStore{Getter: w.objects}
	const budget = time.Second
	e := w.engine(func(o *Options) {
		o.Objects, o.ObjectBudget, o.MaxConcurrent, o.QueueTimeout = store, budget, 1, time.Minute
	})
	const cold = "SELECT COUNT(*) FROM events"
	mustAsk(t, e, cold)
	w.commit(tab, tab.partitions[1], 4) // not in the cache
	shut := make(chan struct{})
	store.open.Store(&shut)
	begun := time.Now()
	_, _, err := ask(e, Request{SQL: cold})
	wantKind(t, err, Unavailable, "data/", "s3://bucket", "nothing has come for 1s", "see whether the object store answers")
	if !errors.Is(err, cache.ErrSilent) {
		t.Errorf("%v is not ErrSilent", err)
	}
	if took := time.Since(begun); took < budget || took > 30*time.Second {
		t.Errorf("refused after %s", took)
	}
	far := w.engine(func(o *Options) { o.Objects, o.MaxConcurrent, o.QueueTimeout = store, 1, time.Minute })
	_, _, err = ask(far, Request{SQL: cold, Context: map[string]any{"timeout": 2000.0}})
	wantKind(t, err, Timeout, "segments were read from the object store", "data/", "s3://bucket")
	patient := make(chan error, 1)
	go func() {
		_, _, err := ask(far, Request{SQL: cold})
		patient <- err
	}()
	eventually(t, "the query waits for the store", func() bool { return len(far.turns.lenders) == 1 })
	mustAsk(t, far, "SELECT 1")
	close(shut)
	if err := <-patient; err != nil {
		t.Errorf("once the store answers: %v", err)
	}
	if got := mustAsk(t, far, cold); got[0] != "10" {
		t.Errorf("once the store answers: %v", got)
	}
}

// TestAllowedPartialAnswersWaitLess: who can do without some rows does not wait through a takeover, unless he says so.
func TestAllowedPartialAnswersWaitLess(t *testing.T) {
	o, err := Options{Catalog: &world{}, Hot: &world{}, Objects: &silentStore{}, CacheDir: "x"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		context map[string]any
		want    time.Duration
	}{
		{nil, DefaultHotBudget},
		{map[string]any{"allowPartial": false}, DefaultHotBudget},
		{map[string]any{"allowPartial": true}, partialBudget},
		{map[string]any{"allowPartial": true, "hotTimeout": 20000.0}, 20 * time.Second},
		{map[string]any{"hotTimeout": 0.0}, 0},
	} {
		got, err := o.settings(c.context)
		if err != nil || got.hotBudget != c.want {
			t.Errorf("%v: waits for %s, want %s (%v)", c.context, got.hotBudget, c.want, err)
		}
	}
}
