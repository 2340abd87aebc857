package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drumlin/segment"
)

// trickle gives a byte at a time, each after the pause.
type trickle struct {
	*store
	pause time.Duration
}

func (s trickle) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, err := s.store.Get(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(readerFunc(func(b []byte) (int, error) {
		select {
		case <-time.After(s.pause):
			return body.Read(b[:1])
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})), nil
}

// TestOnlySilenceEndsAFetch: a slow object takes its time, one of which nothing comes fails.
func TestOnlySilenceEndsAFetch(t *testing.T) {
	for _, c := range []struct {
		pause time.Duration
		want  error
	}{{900 * time.Millisecond, nil}, {1100 * time.Millisecond, ErrSilent}} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			s := trickle{newStore(), c.pause}
			m := s.put("a", 100, 'a')
			cached, err := Open(Options{Dir: dir, Objects: s, Budget: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			p, err := cached.Pin(t.Context(), []segment.Meta{m})
			if !errors.Is(err, c.want) {
				t.Fatalf("a byte each %s: %v, want %v", c.pause, err, c.want)
			}
			if err == nil {
				p.Release()
			}
		})
	}
}

// TestManySmallSegmentsComeTogether: of hundreds of small segments, each some time away, most of the waits are one.
func TestManySmallSegmentsComeTogether(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := trickle{newStore(), 100 * time.Millisecond}
		var metas []segment.Meta
		for i := range 320 {
			metas = append(metas, s.put(fmt.Sprint(i), 1+i/256, byte(i)))
		}
		cached, err := Open(Options{Dir: dir, Objects: s})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		p, err := cached.Pin(t.Context(), metas)
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("%d segments of a byte or two took %s", len(metas), took)
		}
	})
}

// TestOneFailureServesAll: those who wait for a fetch that fails do not try one after the other.
func TestOneFailureServesAll(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.gate = make(chan struct{}) // never opened
		m := s.put("a", 100, 'a')
		cached, err := Open(Options{Dir: dir, Objects: s, Budget: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				if _, err := cached.Pin(t.Context(), []segment.Meta{m}); !errors.Is(err, ErrSilent) {
					t.Errorf("got %v", err)
				}
			})
		}
		callers.Wait()
		if took := time.Since(begun); took != time.Second || s.gets.Load() != 1 {
			t.Errorf("all were refused after %s and %d fetches", took, s.gets.Load())
		}
	})
}
