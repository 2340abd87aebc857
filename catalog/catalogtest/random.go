package catalogtest

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
)

// runRandom runs random operations of two processes under faults and holds every view against a plain model: for each
// partition the commits that succeeded, in order.
func runRandom(t *testing.T, factory Factory) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DRUMLIN_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DRUMLIN_SEED=%d", seed)
	steps := 150
	if testing.Short() {
		steps = 40
	}
	newModel(t, factory, seed).run(steps)
}

const (
	modelPartitions = 3
	faultRate       = 0.35
)

type model struct {
	t        *testing.T
	e        *env
	r        *rand.Rand
	nodes    []*catalog.Catalog
	sessions []*catalog.Session
	writers  []*Writer               // by partition
	commits  map[string]*modelCommit // by uuid: those that are in
	outcomes map[string]int
}

type modelCommit struct{ rows map[segment.Bucket]int64 }

func newModel(t *testing.T, factory Factory, seed uint64) *model {
	m := &model{
		t: t, e: newEnv(t, factory, func(o *catalog.Options) { o.MaxInlineBytes = 1200 }),
		r: rand.New(rand.NewPCG(seed, 1)), commits: map[string]*modelCommit{}, outcomes: map[string]int{},
	}
	m.nodes = []*catalog.Catalog{m.e.c, m.e.open(t)}
	Supervise(t, m.e.c, "s", "ds")
	for i, c := range m.nodes {
		m.sessions = append(m.sessions, Register(t, c, "n"+strconv.Itoa(i)))
	}
	for p := range int32(modelPartitions) {
		m.writers = append(m.writers, Write(t, m.e.c, m.sessions[0], partition(p)))
	}
	return m
}

func (m *model) run(steps int) {
	m.e.faulty.Randomly(rand.New(rand.NewPCG(m.r.Uint64(), 2)), faultRate)
	batches := rand.New(rand.NewPCG(m.r.Uint64(), 3))
	var mu sync.Mutex // both processes' watches draw from batches
	m.e.faulty.OnBatch(func(b catalog.WatchBatch) []catalog.WatchBatch {
		mu.Lock()
		defer mu.Unlock()
		return spoil(batches, b)
	})
	for range steps {
		switch n := m.r.IntN(20); {
		case n < 9:
			m.append()
		case n < 11:
			m.move()
		case n < 16:
			m.swap()
		case n < 17:
			if _, err := m.node().ReapCommits(m.t.Context()); err == nil {
				m.outcomes["reaped"]++
			}
		case n < 18:
			m.drop()
		default:
			m.check(m.node())
		}
	}
	m.e.faulty.Randomly(nil, 0)
	m.check(m.nodes[0])
	m.check(m.nodes[1])
	m.check(m.e.open(m.t))
	m.t.Logf("outcomes: %v, faults: %d, resyncs: %d and %d", m.outcomes, m.e.faulty.Fired(), m.nodes[0].Resyncs(),
		m.nodes[1].Resyncs())
}

// spoil repeats or breaks one batch in twenty. Lost events have tests of their own: what no later event gives away is
// left to the periodic comparison, which would make this run depend on time.
func spoil(r *rand.Rand, b catalog.WatchBatch) []catalog.WatchBatch {
	switch r.IntN(40) {
	case 0:
		return []catalog.WatchBatch{b, b}
	case 1:
		return []catalog.WatchBatch{{Err: errors.New("injected: the watch broke")}}
	}
	return []catalog.WatchBatch{b}
}

func (m *model) node() *catalog.Catalog { return m.nodes[m.r.IntN(len(m.nodes))] }

// append appends a random commit to a random partition.
func (m *model) append() {
	p := m.r.IntN(modelPartitions)
	w := m.writers[p]
	rows := map[segment.Bucket]int64{}
	for range m.r.IntN(4) {
		rows[Hour(int64(m.r.IntN(6)))] += int64(1 + m.r.IntN(9))
	}
	req := w.Request(Hour(int64(m.r.IntN(6))), int64(m.r.IntN(2)), rows)
	rev, err := w.C.Append(m.t.Context(), req)
	switch {
	case err == nil:
		m.outcomes["appended"]++
		w.Offset, w.Revision = req.Next, rev
		m.commits[req.Commit.UUID] = &modelCommit{rows: rows}
		return
	case errors.Is(err, catalog.ErrUnknown):
		m.outcomes["append unknown"]++
	case catalog.IsUnavailable(err):
		m.outcomes["append unavailable"]++
		return
	default:
		m.t.Fatalf("append: %v", err)
	}
	// What a consumer does after an unknown outcome: it reloads. The offset tells whether the commit is in.
	off, rev, _, err := w.C.ReadOffset(m.t.Context(), w.Owner.PartitionKey)
	if err != nil {
		m.t.Fatal(err)
	}
	if off.Next == req.Next.Next {
		m.commits[req.Commit.UUID] = &modelCommit{rows: rows}
	}
	w.Offset, w.Revision = off, rev
}

// move gives a partition to the other process; the zombie's next append is refused.
func (m *model) move() {
	p := m.r.IntN(modelPartitions)
	old := m.writers[p]
	from := 0
	if old.Owner.Node == "n1" {
		from = 1
	}
	err := m.sessions[from].Release(m.t.Context(), old.Owner)
	m.e.faulty.Randomly(nil, 0)
	if err != nil {
		// Released or not: who stepped down acquires anew before it may release for certain.
		m.outcomes["release failed"]++
		again := Write(m.t, m.nodes[from], m.sessions[from], old.Owner.PartitionKey)
		if err := m.sessions[from].Release(m.t.Context(), again.Owner); err != nil {
			m.t.Fatalf("release: %v", err)
		}
	}
	to := m.sessions[1-from]
	m.writers[p] = Write(m.t, m.nodes[1-from], to, old.Owner.PartitionKey)
	zombie := old.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 1})
	if _, err := old.C.Append(m.t.Context(), zombie); !errors.Is(err, catalog.ErrFenced) {
		m.t.Fatalf("append of a zombie: %v", err)
	}
	m.outcomes["moved"]++
	m.e.faulty.Randomly(rand.New(rand.NewPCG(m.r.Uint64(), 2)), faultRate)
}

// group widens the range of hours until no group of the view is cut.
func group(v *catalog.View, first, last int64) []segment.Bucket {
	for changed := true; changed; {
		changed = false
		for _, b := range v.Datasources["ds"].Buckets {
			lo, hi := b.Bucket.StartMillis/hourMillis, b.Bucket.EndMillis/hourMillis-1
			if hi < first || lo > last || lo >= first && hi <= last {
				continue
			}
			first, last, changed = min(first, lo), max(last, hi), true
		}
	}
	var out []segment.Bucket
	for n := first; n <= last; n++ {
		out = append(out, Hour(n))
	}
	return out
}

// swap merges or adopts some adjacent buckets; appends and other swaps may come between reading and swapping.
func (m *model) swap() {
	i := m.r.IntN(2)
	c, s := m.nodes[i], m.sessions[i]
	v := refresh(m.t, c)
	first := int64(m.r.IntN(6))
	buckets := group(v, first, min(5, first+int64(m.r.IntN(2))))
	for _, b := range v.Datasources["ds"].Buckets {
		if b.Dropped() && b.Bucket.EndMillis > buckets[0].StartMillis && b.Bucket.StartMillis < buckets[len(buckets)-1].EndMillis {
			return
		}
	}
	claim, err := s.ClaimBuckets(m.t.Context(), "ds", buckets)
	if err != nil {
		m.outcomes["claim failed"]++
		return
	}
	r := catalog.SwapRequest{Claim: claim, Base: v, Datasource: "ds", Buckets: buckets, State: catalog.HeadRaw}
	if m.r.IntN(3) > 0 {
		m.e.merge(&r, "merge"+strconv.Itoa(m.r.Int()))
	}
	if m.r.IntN(2) == 0 {
		m.append()
	}
	if m.r.IntN(4) == 0 {
		m.race(c, s, r)
		return
	}
	m.send(c, r)
	if err := s.Unclaim(m.t.Context(), claim); err != nil {
		m.outcomes["unclaim failed"]++
	}
}

// race lets another swap of the same buckets come first. The late one loses, is rebased where that is possible, and
// otherwise given up.
func (m *model) race(c *catalog.Catalog, s *catalog.Session, late catalog.SwapRequest) {
	early := late
	early.Base, early.Consumed, early.Settled = refresh(m.t, c), nil, nil
	m.send(c, early)
	if res := m.send(c, late); res == nil || res.Outcome != catalog.SwapLost {
		m.outcomes["race undecided"]++
	} else if next, err := catalog.Rebase(late, refresh(m.t, c)); err == nil {
		m.outcomes["rebased"]++
		m.send(c, next)
	}
	if err := s.Unclaim(m.t.Context(), late.Claim); err != nil {
		m.outcomes["unclaim failed"]++
	}
}

func (m *model) send(c *catalog.Catalog, r catalog.SwapRequest) *catalog.SwapResult {
	res, err := c.Swap(m.t.Context(), r)
	switch {
	case err == nil:
		m.outcomes["swap "+string(res.Outcome)]++
	case errors.Is(err, catalog.ErrUnknown):
		m.outcomes["swap unknown"]++
	case catalog.IsUnavailable(err), errors.Is(err, catalog.ErrConflict):
		m.outcomes["swap put off"]++
	default:
		m.t.Fatalf("swap: %v", err)
	}
	return res
}

// drop drops the first hours, now and then.
func (m *model) drop() {
	if m.r.IntN(3) > 0 {
		return
	}
	c, s := m.nodes[0], m.sessions[0]
	v := refresh(m.t, c)
	buckets := group(v, 0, 0)
	claim, err := s.ClaimBuckets(m.t.Context(), "ds", buckets)
	if err != nil {
		return
	}
	end := buckets[len(buckets)-1].EndMillis
	if v.Datasources["ds"].RetentionFloorMillis < end {
		if _, err := c.RaiseFloors(m.t.Context(), "ds", catalog.Floors{RetentionMillis: end}); err != nil {
			m.outcomes["floor failed"]++
			return
		}
	}
	m.send(c, catalog.SwapRequest{
		Claim: claim, Base: refresh(m.t, c), Datasource: "ds", Buckets: buckets, State: catalog.HeadDropped,
	})
	if err := s.Unclaim(m.t.Context(), claim); err != nil {
		m.outcomes["unclaim failed"]++
	}
}

// check holds a view as new as the store against the model.
func (m *model) check(c *catalog.Catalog) {
	m.t.Helper()
	v := refresh(m.t, c)
	if err := catalog.Verify(v); err != nil {
		m.t.Fatalf("revision %d: %v", v.Revision, err)
	}
	var hidden []segment.Bucket
	for _, b := range v.Datasources["ds"].Buckets {
		if b.Dropped() {
			hidden = append(hidden, b.Members...)
		}
	}
	var want int64
	for _, commit := range m.commits {
		for b, n := range commit.rows {
			if !slices.Contains(hidden, b) {
				want += n
			}
		}
	}
	if got := rows(v); got != want {
		m.t.Fatalf("revision %d shows %d rows, the model has %d", v.Revision, got, want)
	}
	for p, w := range m.writers {
		have := v.Supervisors["s"].Partitions[partition(int32(p))]
		if have.Offset.Next != w.Offset.Next {
			m.t.Fatalf("partition %d is at %d, the model at %d", p, have.Offset.Next, w.Offset.Next)
		}
	}
	m.outcomes["checked"]++
}
