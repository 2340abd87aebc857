package seams

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/objectstore"
)

// weather is one node's way to the catalog's store.
type weather struct {
	catalog.Backend

	mu      sync.Mutex
	random  *rand.Rand
	rate    float64 // share of transactions that fail
	isDown  bool    // nothing comes through, watches included
	changed chan struct{}
	late    sync.WaitGroup // transactions that take effect after they were given up
	failed  int
}

func newWeather(b catalog.Backend, seed uint64) *weather {
	return &weather{Backend: b, random: rand.New(rand.NewPCG(seed, 3)), changed: make(chan struct{})}
}

func (w *weather) set(down bool, rate float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isDown, w.rate = down, rate
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *weather) down() (bool, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.isDown, w.changed
}

var errDown = fmt.Errorf("cut off: %w", catalog.ErrKVUnavailable)

// The ways in which a transaction fails.
const (
	lostRequest = iota
	lostReply
	refused
	lateRequest // it takes effect when nobody waits for it any more
	ways
)

func (w *weather) way() (way int, delay time.Duration, fails bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rate == 0 || w.random.Float64() >= w.rate {
		return 0, 0, false
	}
	w.failed++
	return w.random.IntN(ways), time.Duration(w.random.IntN(80)) * time.Millisecond, true
}

func (w *weather) Txn(ctx context.Context, t catalog.Txn) (*catalog.TxnResult, error) {
	if down, _ := w.down(); down {
		return nil, errDown
	}
	way, delay, fails := w.way()
	if !fails {
		return w.Backend.Txn(ctx, t)
	}
	switch way {
	case refused:
		return nil, errDown
	case lostReply:
		if _, err := w.Backend.Txn(ctx, t); err != nil {
			return nil, err
		}
	case lateRequest:
		w.late.Go(func() {
			time.Sleep(delay) // the network's time, which nobody can wait for
			_, _ = w.Backend.Txn(context.WithoutCancel(ctx), t)
		})
	}
	return nil, fmt.Errorf("no reply: %w", catalog.ErrKVUnknown)
}

func (w *weather) Range(ctx context.Context, prefix string, o catalog.RangeOptions) (*catalog.RangeResult, error) {
	if down, _ := w.down(); down {
		return nil, errDown
	}
	return w.Backend.Range(ctx, prefix, o)
}

func (w *weather) Grant(ctx context.Context, ttl time.Duration) (int64, error) {
	if down, _ := w.down(); down {
		return 0, errDown
	}
	return w.Backend.Grant(ctx, ttl)
}

func (w *weather) KeepAlive(ctx context.Context, lease int64) error {
	if down, _ := w.down(); down {
		return errDown
	}
	return w.Backend.KeepAlive(ctx, lease)
}

func (w *weather) Revoke(ctx context.Context, lease int64) error {
	if down, _ := w.down(); down {
		return errDown
	}
	return w.Backend.Revoke(ctx, lease)
}

// Watch holds changes back while the store is away, as a network does that has not noticed yet.
func (w *weather) Watch(ctx context.Context, prefix string, from int64) catalog.Watcher {
	inner := w.Backend.Watch(ctx, prefix, from)
	out := make(chan catalog.WatchBatch)
	go func() {
		defer close(out)
		for b := range inner.Batches {
			if !w.waitUp(ctx) {
				continue // the backend closes its channel
			}
			select {
			case out <- b:
			case <-ctx.Done():
			}
		}
	}()
	return catalog.Watcher{Batches: out, RequestProgress: func(ctx context.Context) error {
		if down, _ := w.down(); down {
			return nil // it is lost
		}
		return inner.RequestProgress(ctx)
	}}
}

func (w *weather) waitUp(ctx context.Context) bool {
	for {
		down, changed := w.down()
		if !down {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// shelf is one node's way to the object store: puts fail as often as transactions do.
type shelf struct {
	objectstore.Store
	weather *weather
}

func (s *shelf) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error {
	way, delay, fails := s.weather.way()
	if !fails {
		return s.Store.Put(ctx, key, body, size, sha256)
	}
	switch way {
	case refused:
		return errors.New("503 slow down")
	case lostReply:
		if err := s.Store.Put(ctx, key, body, size, sha256); err != nil {
			return err
		}
	case lateRequest:
		content, err := io.ReadAll(io.NewSectionReader(body, 0, size)) // the caller's body goes with its call
		if err != nil {
			return err
		}
		s.weather.late.Go(func() {
			time.Sleep(delay)
			_ = s.Store.Put(context.WithoutCancel(ctx), key, bytes.NewReader(content), size, sha256)
		})
	}
	return fmt.Errorf("no reply: %w", objectstore.ErrUnknown)
}
