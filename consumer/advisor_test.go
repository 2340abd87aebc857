package consumer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"drumlin/catalog"
	"drumlin/spec"
)

// adviceBroker takes advice, or refuses it.
type adviceBroker struct {
	Broker
	told  chan []int64 // offsets of one call, ascending
	fails atomic.Bool
}

func (b *adviceBroker) Advise(_ context.Context, list []Advice) error {
	if b.fails.Load() {
		return errors.New("COORDINATOR_NOT_AVAILABLE")
	}
	var offsets []int64
	for _, a := range list {
		offsets = append(offsets, a.Offset)
	}
	slices.Sort(offsets)
	b.told <- offsets
	return nil
}

func TestAdvice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &adviceBroker{told: make(chan []int64, 100)}
		left := catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: 9}
		a := newAdvisor(b, slog.New(slog.DiscardHandler), func(k catalog.PartitionKey) bool { return k != left })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.run(ctx) }()
		advise := func(partition int32, offset int64) {
			a.advise(Advice{Spec: &spec.Supervisor{ID: "s"}, Topic: "t", Partition: partition, Offset: offset})
		}
		want := func(what string, offsets ...int64) {
			t.Helper()
			synctest.Wait()
			select {
			case got := <-b.told:
				if !slices.Equal(got, offsets) {
					t.Errorf("%s: told %v, not %v", what, got, offsets)
				}
			default:
				if offsets != nil {
					t.Errorf("%s: nothing is told, not %v", what, offsets)
				}
			}
		}
		advise(0, 1)
		want("at once", 1)
		for offset := range int64(50) {
			advise(0, 100+offset)
			advise(1, 200+offset)
		}
		want("no more often than needed")
		time.Sleep(adviceEvery)
		want("the newest of each, together", 149, 249)

		b.fails.Store(true)
		time.Sleep(adviceEvery)
		advise(0, 300)
		advise(9, 9)
		time.Sleep(10 * adviceEvery)
		advise(1, 400)
		b.fails.Store(false)
		time.Sleep(adviceRetryMost)
		want("after failures, but for what another process reads now", 300, 400)

		time.Sleep(adviceEvery)
		advise(0, 500)
		want("at once again", 500)
		advise(0, 501)
		cancel()
		<-ended
		want("before the end", 501)
	})
}
