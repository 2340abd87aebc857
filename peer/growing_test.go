package peer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"drumlin/segment"
)

// growing is an owner's partition as a cache meets it: it grows, is committed, moves to another owner who reads again, begins
// anew under another spec, and is recreated. Rows of another reading have other values at the same offsets.
type growing struct {
	*fakeLocal
	m     *maker
	plain bool // no record is rejected

	mu         sync.Mutex
	reading    string
	generation int32
	facts      segment.Facts
	from, to   int64
	committed  int64
	data       []segment.HotBatch
	rejects    []segment.HotBatch
	ledger     map[string]*readRows // everything that there ever was, by reading
}

// readRows are the rows of one reading, written down, and their times.
type readRows struct{ data, rejects map[int64]map[string]string }

func newGrowing(m *maker) *growing {
	g := &growing{fakeLocal: &fakeLocal{}, m: m, facts: segment.Facts{SpecVersion: 1}, ledger: map[string]*readRows{}}
	g.begin(m.rnd.Int64N(1 << 40))
	return g
}

func (g *growing) begin(at int64) {
	releaseAll(g.data)
	releaseAll(g.rejects)
	g.data, g.rejects, g.from, g.to, g.committed = nil, nil, at, at, at
	g.reading = fmt.Sprintf("reading-%d", len(g.ledger))
	g.ledger[g.reading] = &readRows{map[int64]map[string]string{}, map[int64]map[string]string{}}
}

// view is what a query would ask by: it may be kept, and be an old one later.
func (g *growing) view() segment.HotRequest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return segment.HotRequest{Supervisor: "s", Topic: "t", Generation: g.generation, From: g.committed, Facts: g.facts, Revision: 7}
}

// step does something of what happens to a partition.
func (g *growing) step(rnd *rand.Rand) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch n := rnd.IntN(40); {
	case n < 25:
		g.grow(1 + rnd.IntN(3))
	case n < 32: // a handoff, up to where a batch ends
		next := g.committed
		for _, b := range g.data {
			if rnd.IntN(3) > 0 && b.ToOffset > next && !splits(g.rejects, b.ToOffset) {
				next = b.ToOffset
			}
		}
		g.committed = next
	case n < 35: // what is committed is dropped
		g.from = g.committed
		g.data, g.rejects = without(g.data, g.from), without(g.rejects, g.from)
	case n < 37: // the next owner reads again
		g.begin(g.committed)
		g.grow(rnd.IntN(20))
	case n < 38: // another spec: all is committed before
		g.begin(g.to)
		g.facts.SpecVersion++
	case n < 39: // the topic is recreated
		g.begin(rnd.Int64N(10))
		g.generation++
	}
}

func splits(list []segment.HotBatch, offset int64) bool {
	for _, b := range list {
		if b.FromOffset < offset && b.ToOffset > offset {
			return true
		}
	}
	return false
}

func without(list []segment.HotBatch, from int64) []segment.HotBatch {
	var kept []segment.HotBatch
	for _, b := range list {
		if b.ToOffset <= from {
			b.Record.Release()
			continue
		}
		kept = append(kept, b)
	}
	return kept
}

func (g *growing) grow(batches int) {
	s := schemas(true, "")[min(1, int(g.facts.SpecVersion)-1)]
	for range batches {
		b := g.m.batch(segment.HotArrowSchema(s), s.ID, g.to, 1+g.m.rnd.IntN(12), 5*hourMillis)
		g.data, g.to = append(g.data, b), b.ToOffset
		for offset, values := range contents([]segment.HotBatch{b}) {
			g.ledger[g.reading].data[offset] = values
		}
		if !g.plain && g.m.rnd.IntN(4) == 0 {
			b := g.m.batch(segment.HotRejectsArrowSchema(), segment.RejectsSchemaID, g.to, 1+g.m.rnd.IntN(5), 5*hourMillis)
			g.rejects, g.to = append(g.rejects, b), b.ToOffset
			for offset, values := range contents([]segment.HotBatch{b}) {
				g.ledger[g.reading].rejects[offset] = values
			}
		}
	}
	g.to += g.m.rnd.Int64N(3)
}

// Hot answers as a consumer does.
func (g *growing) Hot(_ context.Context, r segment.HotRequest) (*segment.HotRows, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case r.Generation != g.generation:
		return nil, &segment.HotUnavailable{Status: segment.HotWrongGeneration, Detail: "another generation"}
	case r.Facts != g.facts || r.From < g.from:
		return nil, &segment.HotUnavailable{Status: segment.HotStaleView, Revision: 8, Detail: "stale"}
	case r.From > g.to:
		return nil, &segment.HotUnavailable{Status: segment.HotNotOwner, Detail: "read less"}
	}
	out := &segment.HotRows{OffsetRange: segment.OffsetRange{Topic: "t", Generation: g.generation, From: r.From, To: g.to}, Reading: g.reading}
	for _, part := range []struct {
		list  []segment.HotBatch
		to    *[]segment.HotBatch
		count *int64
	}{{g.data, &out.Data, &out.Counters.Stored}, {g.rejects, &out.Rejects, &out.Counters.Rejected}} {
		for _, b := range part.list {
			if b.FromOffset >= r.From {
				b.Record.Retain()
				*part.to = append(*part.to, b)
				*part.count += b.Record.NumRows()
			}
		}
	}
	out.Counters.Skipped = g.to - r.From - out.Counters.Stored - out.Counters.Rejected
	return out, nil
}

func (g *growing) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	releaseAll(g.data)
	releaseAll(g.rejects)
	g.data, g.rejects = nil, nil
}
