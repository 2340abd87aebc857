package peer

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// script is a fetchHot that answers from a growing partition after a second, or fails, and notes what it was asked.
type script struct {
	g     *growing
	fail  error
	asked []segment.HotRequest
}

func (s *script) fetch(ctx context.Context, _ string, r segment.HotRequest, _ counted) (*segment.HotRows, int64, error) {
	s.g.mu.Lock()
	s.asked = append(s.asked, r)
	fail := s.fail
	s.g.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	if fail != nil {
		return nil, 0, fail
	}
	rows, err := s.g.Hot(ctx, r)
	if err != nil || r.Reading == "" {
		return rows, r.From, err
	}
	n := newNarrower(segment.HotRequest{From: r.Since}, rows.To, false, memory.DefaultAllocator)
	var since []segment.HotBatch
	for _, b := range rows.Data {
		pieces, err := n.narrow(b)
		if err != nil {
			return nil, 0, err
		}
		since = append(since, pieces...)
		b.Record.Release()
	}
	rows.Data = since
	return rows, r.Since, nil
}

// inCache runs f with a cache of so many bytes over a script.
func inCache(t *testing.T, bytes int64, f func(t *testing.T, s *script, c *hotCache)) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		s := &script{g: newGrowing(&maker{rand.New(rand.NewPCG(1, 1)), mem})}
		s.g.plain = true
		s.g.grow(30)
		c := newHotCache(ClientOptions{HotCacheBytes: bytes, Logger: slog.New(slog.DiscardHandler)}, mem, nil, s.fetch)
		defer mem.AssertSize(t, 0)
		defer s.g.end()
		defer c.close()
		f(t, s, c)
	})
}

func (s *script) request(columns ...string) segment.HotRequest {
	r := s.g.view()
	r.Columns = slices.Concat([]string{}, columns)
	return r
}

// TestQueriesAtOnceAskOnce: those who come while one asks share the next question, which is for all that they need together.
func TestQueriesAtOnceAskOnce(t *testing.T) {
	inCache(t, 1<<20, func(t *testing.T, s *script, c *hotCache) {
		var queries sync.WaitGroup
		for _, column := range []string{"id", "n", "d", "f", "n", "id"} {
			queries.Go(func() {
				rows, err := c.hot(t.Context(), "a", s.request(column))
				if err != nil {
					t.Error(err)
					return
				}
				rows.Release()
			})
		}
		queries.Wait()
		if n := len(s.asked); n > 2 || len(s.asked[n-1].Columns) < 4 { // one, where all came before the first had asked
			t.Errorf("asked were %+v", s.asked)
		}
		s.g.grow(2)
		rows, err := c.hot(t.Context(), "a", s.request("d"))
		if err != nil {
			t.Fatal(err)
		}
		rows.Release()
		if last := s.asked[len(s.asked)-1]; last.Since <= last.From || last.Reading == "" {
			t.Errorf("asked was %+v: what is held came again", last)
		}
	})
}

// TestAFailureIsSharedAndAGivingUpIsNot: an owner that is away is not tried by one query after the other.
func TestAFailureIsSharedAndAGivingUpIsNot(t *testing.T) {
	inCache(t, 1<<20, func(t *testing.T, s *script, c *hotCache) {
		s.fail = ErrUnreachable
		begun := time.Now()
		var queries sync.WaitGroup
		for range 6 {
			queries.Go(func() {
				if _, err := c.hot(t.Context(), "a", s.request("n")); !errors.Is(err, ErrUnreachable) {
					t.Error(err)
				}
			})
		}
		queries.Wait()
		if took := time.Since(begun); took > 2*time.Second || len(s.asked) > 2 {
			t.Errorf("%d questions in %s", len(s.asked), took)
		}
		s.fail = nil
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		queries.Go(func() {
			if _, err := c.hot(hasty, "a", s.request("n")); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		rows, err := c.hot(t.Context(), "a", s.request("n"))
		if err != nil {
			t.Fatal(err)
		}
		rows.Release()
		queries.Wait()
	})
}

// holding is what the cache holds now; its sweeper runs beside the test.
func holding(c *hotCache) (bytes int64, partitions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes, len(c.entries)
}

// TestTheCacheKeepsToItsBounds: rows that do not fit are not kept, nor asked for in others' shape; rows that nobody asks for go.
func TestTheCacheKeepsToItsBounds(t *testing.T) {
	ask := func(t *testing.T, c *hotCache, r segment.HotRequest) {
		t.Helper()
		rows, err := c.hot(t.Context(), "a", r)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows.Data) == 0 {
			t.Error("no rows came")
		}
		rows.Release()
	}
	inCache(t, 100, func(t *testing.T, s *script, c *hotCache) {
		ask(t, c, s.request("n"))
		ask(t, c, s.request("id"))
		bytes, _ := holding(c)
		if last := s.asked[len(s.asked)-1]; bytes != 0 || last.Since != 0 || !slices.Equal(last.Columns, []string{"id"}) {
			t.Errorf("%d bytes are held; asked was %+v", bytes, last)
		}
	})
	inCache(t, 1<<20, func(t *testing.T, s *script, c *hotCache) {
		ask(t, c, s.request("n"))
		if bytes, _ := holding(c); bytes == 0 {
			t.Error("nothing is held")
		}
		time.Sleep(2 * cacheIdleAfter)
		synctest.Wait()
		if bytes, partitions := holding(c); bytes != 0 || partitions != 0 {
			t.Errorf("%d bytes of %d partitions are held though nobody asks", bytes, partitions)
		}
	})
}

// TestSmallBatchesAreJoined: what comes by a few rows at a time does not stay in as many batches.
func TestSmallBatchesAreJoined(t *testing.T) {
	inCache(t, 8<<20, func(t *testing.T, s *script, c *hotCache) {
		for range 100 {
			s.g.grow(1)
			rows, err := c.hot(t.Context(), "a", s.request("n"))
			if err != nil {
				t.Fatal(err)
			}
			part := narrowed(t, s.request("n"), rows)
			s.g.check(t, s.request("n"), part)
			part.Release()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, e := range c.entries {
			var rows int64
			for _, b := range e.rows.data {
				rows += b.Record.NumRows()
			}
			if n := len(e.rows.data); rows < 500 || n > 40 {
				t.Errorf("%d rows are held in %d batches", rows, n)
			}
		}
	})
}
