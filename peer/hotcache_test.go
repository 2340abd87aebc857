package peer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"

	"drumlin/segment"
)

// narrowed is what a request asks for of an answer that may have more, which it takes over.
func narrowed(t *testing.T, r segment.HotRequest, rows *segment.HotRows) *segment.HotRows {
	t.Helper()
	defer rows.Release()
	out := &segment.HotRows{OffsetRange: rows.OffsetRange, Counters: rows.Counters, Reading: rows.Reading}
	for _, part := range []struct {
		rejects bool
		from    []segment.HotBatch
		to      *[]segment.HotBatch
	}{{false, rows.Data, &out.Data}, {true, rows.Rejects, &out.Rejects}} {
		if part.rejects && !r.WithRejects {
			continue
		}
		n := newNarrower(r, rows.To, part.rejects, memory.DefaultAllocator)
		for _, b := range part.from {
			pieces, err := n.narrow(b)
			if err != nil {
				t.Fatal(err)
			}
			*part.to = append(*part.to, pieces...)
		}
	}
	return out
}

// TestTheCacheAnswersAsTheOwner lets a partition grow, be committed, move, begin anew and be recreated, by chance, and holds
// every answer of a client that keeps rows against the owner's own.
func TestTheCacheAnswersAsTheOwner(t *testing.T) {
	for range 3 {
		rnd := seeded(t, rand.Uint64())
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		g := newGrowing(&maker{rnd, mem})
		address := serve(t, ServerOptions{Local: g})
		registry := prometheus.NewRegistry()
		c := ask(t, ClientOptions{HotCacheBytes: 1 << 20, Registerer: registry})
		var views []segment.HotRequest
		answered := 0
		for range 150 {
			g.step(rnd)
			views = append(views, g.view())
			view := views[max(0, len(views)-1-rnd.IntN(4)*rnd.IntN(8))] // mostly the newest
			r := g.m.request(&segment.HotRows{}, 5*hourMillis)
			r.Topic, r.Generation, r.Partition, r.From, r.Facts = view.Topic, view.Generation, view.Partition, view.From, view.Facts
			owned, wantErr := g.Hot(t.Context(), r)
			got, err := c.Hot(t.Context(), address, r)
			var want, refused *segment.HotUnavailable
			if errors.As(wantErr, &want) {
				if !errors.As(err, &refused) || refused.Status != want.Status {
					t.Fatalf("got %v, want %v", err, wantErr)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			answered++
			part := narrowed(t, r, got)
			sameRows(t, r, owned, part)
			part.Release()
			owned.Release()
			switch rnd.IntN(40) {
			case 0:
				c.cache.shed()
			case 1:
				c.cache.forget(time.Now().Add(time.Hour))
			}
		}
		saved, mismatches := metricOf(t, registry, "drumlin_peer_hot_cache_saved_offsets_total"), metricOf(t, registry, "drumlin_peer_hot_cache_mismatches_total")
		if saved == 0 || mismatches != 0 {
			t.Errorf("%d answers, %v offsets spared, %v mismatches", answered, saved, mismatches)
		}
		g.end()
		mem.AssertSize(t, 0)
	}
}

// metricOf is a counter's or gauge's value.
func metricOf(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// TestTheCacheUnderManyQueries asks from many sides while the partition lives on, and holds each answer against what its
// reading had: rows of another reading, a row that is missing and one too many would all show.
func TestTheCacheUnderManyQueries(t *testing.T) {
	rnd := seeded(t, rand.Uint64())
	g := newGrowing(&maker{rnd, memory.NewGoAllocator()})
	defer g.end()
	address := serve(t, ServerOptions{Local: g})
	c := ask(t, ClientOptions{HotCacheBytes: 128 << 10}) // so that it is too little now and then
	type answer struct {
		request segment.HotRequest
		rows    *segment.HotRows
	}
	var mu sync.Mutex
	var answers []answer
	var askers sync.WaitGroup
	asked := make(chan struct{})
	for i := range 6 {
		own := rand.New(rand.NewPCG(rnd.Uint64(), uint64(i)))
		askers.Go(func() {
			m := &maker{own, nil}
			for range 25 {
				r, view := m.request(&segment.HotRows{}, 5*hourMillis), g.view()
				r.Topic, r.Generation, r.Partition, r.From, r.Facts = view.Topic, view.Generation, view.Partition, view.From, view.Facts
				rows, err := c.Hot(t.Context(), address, r)
				var refused *segment.HotUnavailable
				switch {
				case errors.As(err, &refused):
				case err != nil:
					t.Error(err)
				default:
					mu.Lock()
					answers = append(answers, answer{r, rows})
					mu.Unlock()
				}
				asked <- struct{}{}
			}
		})
	}
	done := make(chan struct{})
	go func() { askers.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-asked: // the partition lives at the questions' pace: on a slow machine it would be past them all
			for range rnd.IntN(3) {
				g.step(rnd)
			}
		}
	}
	if len(answers) == 0 {
		t.Error("every question was refused")
	}
	for _, a := range answers {
		part := narrowed(t, a.request, a.rows)
		g.check(t, a.request, part)
		part.Release()
	}
}

// check holds an answer against the ledger of its reading.
func (g *growing) check(t *testing.T, r segment.HotRequest, got *segment.HotRows) {
	t.Helper()
	ledger := g.ledger[got.Reading]
	if ledger == nil || got.From != r.From || got.Counters.Sum() != got.To-got.From {
		t.Fatalf("an answer of %+v in the reading %q: %+v", got.OffsetRange, got.Reading, got.Counters)
	}
	for _, part := range []struct {
		all  map[int64]map[string]string
		came []segment.HotBatch
		n    int64
		due  bool
	}{{ledger.data, got.Data, got.Counters.Stored, true}, {ledger.rejects, got.Rejects, got.Counters.Rejected, r.WithRejects}} {
		rows, whole := contents(part.came), int64(0)
		for offset, values := range part.all {
			if offset < got.From || offset >= got.To {
				continue
			}
			whole++
			for name, value := range rows[offset] {
				if values[name] != value {
					t.Fatalf("offset %d of %q: %s is %s, not %s", offset, got.Reading, name, value, values[name])
				}
			}
			delete(rows, offset)
		}
		if len(rows) > 0 || whole != part.n {
			t.Fatalf("%d rows came that nobody has; the reading has %d, its owner counts %d", len(rows), whole, part.n)
		}
		if part.due && r.FromMillis == 0 && r.ToMillis == 0 && int64(len(contents(part.came))) != whole {
			t.Fatalf("%d of %d rows came", len(contents(part.came)), whole)
		}
	}
}

func TestShapes(t *testing.T) {
	rnd := seeded(t, rand.Uint64())
	m := &maker{rnd, nil}
	random := func() shape {
		s := shapeOf(m.request(&segment.HotRows{}, 5*hourMillis))
		if rnd.IntN(6) == 0 {
			s.fromMillis, s.toMillis = 1, 1
		}
		return s
	}
	for range 5000 {
		a, b := random(), random()
		both := a.with(b)
		if !both.covers(a) || !both.covers(b) || !a.covers(a) {
			t.Fatalf("%+v with %+v is %+v", a, b, both)
		}
		if a.covers(b) && fmt.Sprint(shapeOf(both.on(segment.HotRequest{}))) != fmt.Sprint(shapeOf(a.on(segment.HotRequest{}))) {
			t.Fatalf("%+v covers %+v, and both are %+v", a, b, both)
		}
		if !both.covers(random()) && both.columns == nil && both.rejects && both.allTimes() {
			t.Fatalf("everything, %+v, does not cover all", both)
		}
	}
}
