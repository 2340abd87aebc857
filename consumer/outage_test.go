package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/objectstore"
)

// shakyKV fails requests as a test wants: an etcd without a quorum, behind a bad network.
type shakyKV struct {
	catalog.Backend

	mu     sync.Mutex
	random *rand.Rand
	rate   float64 // share of transactions that fail; 1: nothing works, reads included
	apply  bool    // the next one that fails takes effect
	failed int
}

func (k *shakyKV) shake(random *rand.Rand, rate float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.random, k.rate = random, rate
}

// Txn loses the request, or the reply, or refuses.
func (k *shakyKV) Txn(ctx context.Context, t catalog.Txn) (*catalog.TxnResult, error) {
	k.mu.Lock()
	way := -1
	if k.rate > 0 && k.random.Float64() < k.rate {
		k.failed++
		way = k.random.IntN(3)
		if k.apply {
			k.apply, way = false, 0
		}
	}
	k.mu.Unlock()
	switch way {
	case 0:
		if _, err := k.Backend.Txn(ctx, t); err != nil {
			return nil, err
		}
		fallthrough
	case 1:
		return nil, fmt.Errorf("no reply: %w", catalog.ErrKVUnknown)
	case 2:
		return nil, fmt.Errorf("no quorum: %w", catalog.ErrKVUnavailable)
	}
	return k.Backend.Txn(ctx, t)
}

func (k *shakyKV) failures() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

func (k *shakyKV) down() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rate == 1
}

func (k *shakyKV) Range(ctx context.Context, prefix string, o catalog.RangeOptions) (*catalog.RangeResult, error) {
	if k.down() {
		return nil, fmt.Errorf("no quorum: %w", catalog.ErrKVUnavailable)
	}
	return k.Backend.Range(ctx, prefix, o)
}

func (k *shakyKV) KeepAlive(ctx context.Context, lease int64) error {
	if k.down() {
		return fmt.Errorf("no quorum: %w", catalog.ErrKVUnavailable)
	}
	return k.Backend.KeepAlive(ctx, lease)
}

// shakyObjects fails puts: at this rate, half of them after they have taken effect.
type shakyObjects struct {
	objectstore.Store

	mu     sync.Mutex
	random *rand.Rand
	rate   float64
	failed int
}

func (s *shakyObjects) shake(random *rand.Rand, rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.random, s.rate = random, rate
}

func (s *shakyObjects) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *shakyObjects) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error {
	s.mu.Lock()
	fails, before := s.rate > 0 && s.random.Float64() < s.rate, false
	if fails {
		before = s.random.IntN(2) == 0
		s.failed++
	}
	s.mu.Unlock()
	if fails && before {
		return errors.New("503 slow down")
	}
	if err := s.Store.Put(ctx, key, body, size, sha256); err != nil {
		return err
	}
	if fails {
		return fmt.Errorf("no reply: %w", objectstore.ErrUnknown)
	}
	return nil
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// objects counts what begins with the prefix.
func (r *rig) objects(prefix string) int {
	n := 0
	r.must(r.store.List(r.t.Context(), prefix, func(objectstore.Info) bool { n++; return true }))
	return n
}

func TestCatalogOutageIsSatOut(t *testing.T) {
	for _, way := range []string{"from the start of a commit", "from its reply"} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, nil)
			r.createTopic(1)
			r.start(r.submit(specText("", "", ", maxRowsInMemory: 50")))
			r.produceEvents(0, 50)
			r.waitFor("a commit", func(s PartitionStatus) bool { return s.Committed == 50 })
			random := seeded(t)
			r.kv.apply = way == "from its reply"
			r.kv.shake(random, 1)
			r.produceEvents(50, 950)
			s := r.waitFor("reading without a catalog", func(s PartitionStatus) bool {
				return s.Position == 1000 && s.Handoffs == 19 && s.LastError != ""
			})
			if s.Committed != 50 || s.State != StateRunning {
				t.Errorf("status %+v", s)
			}
			h, err := r.manager.Hot(t.Context(), requestAt(r.cat.View()))
			if err == nil {
				if h.To != 1000 {
					t.Errorf("hot rows up to %d", h.To)
				}
				h.Release()
			}
			r.kv.shake(nil, 0)
			s = r.waitFor("all commits", func(s PartitionStatus) bool { return s.Committed == 1000 })
			if s.LastError != "" || s.Counters.Stored != 1000 {
				t.Errorf("status %+v", s)
			}
			if c := r.committed(); c.rows != 1000 || len(c.ranges) != 20 {
				t.Errorf("committed %d rows, %v", c.rows, c.ranges)
			}
			if n := r.objects("data/"); n != r.committed().segments {
				t.Errorf("%d segments were uploaded for %d that are named: a commit was made anew", n, r.committed().segments)
			}
		})
	}
}

func TestFenceAfterAnOutageStepsDown(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	s := r.submit(specText("", "", ""))
	r.start(s)
	r.produceEvents(0, 10)
	r.waitPosition(10)
	r.kv.shake(rand.New(rand.NewPCG(1, 1)), 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := r.manager.Handoff(ctx, testKey, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("handoff without a catalog: %v", err)
	}
	if len(r.ended) != 0 {
		t.Fatalf("stepped down because the catalog did not answer: %v", <-r.ended)
	}
	// The lease runs out, and another node takes over, before this process hears of it.
	bound := r.kv.Backend
	other, err := catalog.Open(t.Context(), catalog.Options{KV: bound, Objects: r.store})
	r.must(err)
	defer func() { r.must(other.Close()) }()
	res, err := bound.Txn(t.Context(), catalog.Txn{Then: []catalog.Op{{Kind: catalog.OpDelete, Key: "own/t/t/0"}}})
	r.must(err)
	if !res.Succeeded {
		t.Fatal("the ownership was not taken")
	}
	session, err := other.Register(t.Context(), catalog.Node{ID: "node-2"}, time.Minute)
	r.must(err)
	defer func() { r.must(session.Close(context.WithoutCancel(t.Context()))) }()
	_, err = session.Acquire(t.Context(), testKey)
	r.must(err)
	r.kv.shake(nil, 0)
	r.produceEvents(10, 5)
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := r.manager.Handoff(ctx, testKey, 15); !errors.Is(err, catalog.ErrFenced) {
		t.Errorf("a zombie's handoff ends with %v", err)
	}
	if err := r.waitEnded(); !errors.Is(err, catalog.ErrFenced) {
		t.Errorf("ended with %v", err)
	}
	if c := r.committed(); c.rows != 0 && c.rows != 10 || c.rows == 10 && len(c.ranges) != 1 {
		t.Errorf("committed %+v", c)
	}
}

func TestSpecChangeDuringAnOutage(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 30)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(30)
	s := r.submit(replace(specText("", "", ""), "{name: n, type: long}", "{name: n, type: long}, extra"))
	for _, rate := range []float64{0.7, 1} {
		r.kv.shake(seeded(t), rate)
		if err := r.manager.Update(t.Context(), s, testKey); err != nil && rate < 1 {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // some attempts, none of which has to succeed
	}
	r.kv.shake(nil, 0)
	r.waitFor("the new version", func(s PartitionStatus) bool { return s.Facts.SpecVersion == 2 })
	r.produceEvents(30, 5)
	r.handoff(35)
	if c := r.committed(); c.rows != 35 || c.offset.Facts.SpecVersion != 2 {
		t.Errorf("committed %+v", c)
	}
}

// TestRandomOutages: whatever fails, and for how long, every record is committed exactly once, by one worker that never
// stepped down, within its memory.
func TestRandomOutages(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for i := range rounds {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			random := seeded(t)
			const budget = 4 << 20
			r := newRig(t, func(o *Options) { o.MaxHotBytes = budget })
			r.createTopic(1)
			s := r.submit(specText("", "", ", maxRowsInMemory: 100"))
			r.start(s)
			r.waitFor("the beginning", func(s PartitionStatus) bool { return s.State == StateRunning })
			total := r.firstStorm(random)
			for range 12 {
				rates := []float64{0, 0.1, 0.5, 0.9, 1}
				r.kv.shake(rand.New(rand.NewPCG(random.Uint64(), 1)), rates[random.IntN(len(rates))])
				r.store.shake(rand.New(rand.NewPCG(random.Uint64(), 2)), rates[random.IntN(len(rates))])
				n := 50 + random.IntN(300)
				r.produceEvents(total, n)
				total += n
				if random.IntN(2) == 0 {
					r.waitPosition(int64(total))
				}
				time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond) // the length of this weather
				if used := r.manager.HotBytes(); used > budget*11/10 {
					t.Errorf("%d bytes of hot memory, the budget is %d", used, budget)
				}
			}
			r.kv.shake(nil, 0)
			r.store.shake(nil, 0)
			r.handoff(int64(total))
			c := r.committed()
			if c.rows != int64(total) || c.offset.Next != int64(total) || c.offset.Counters.Stored != int64(total) {
				t.Errorf("%d records became %+v", total, c)
			}
			if len(r.ended) != 0 {
				t.Errorf("the worker stepped down: %v", <-r.ended)
			}
		})
	}
}

// firstStorm produces records while nothing works, until the object store and then the catalog have each failed a request: what
// comes by chance after it may be fair weather all along. It returns how many records it has produced.
func (r *rig) firstStorm(random *rand.Rand) int {
	r.t.Helper()
	const n = 150
	r.kv.shake(rand.New(rand.NewPCG(random.Uint64(), 3)), 1)
	r.store.shake(rand.New(rand.NewPCG(random.Uint64(), 4)), 1)
	r.produceEvents(0, n)
	r.waitFor("a put that fails", func(PartitionStatus) bool { return r.store.failures() > 0 })
	r.store.shake(nil, 0)
	r.waitFor("a transaction that fails", func(PartitionStatus) bool { return r.kv.failures() > 0 })
	return n
}

// TestStopIsNotTheAskersEnd: a handoff that waits when its partition is taken away, as after a lost lease, ends with an error by
// which it is asked for again elsewhere, and not as if the asker had given up.
func TestStopIsNotTheAskersEnd(t *testing.T) {
	for _, way := range []string{"before it is cut", "while it is committed"} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, nil)
			r.createTopic(1)
			r.start(r.submit(specText("", "", "")))
			r.produceEvents(0, 10)
			r.waitPosition(10)
			upTo := int64(11)
			if way == "while it is committed" {
				upTo = 10
				r.kv.shake(seeded(t), 1)
			}
			result := make(chan error, 1)
			go func() {
				_, err := r.manager.Handoff(t.Context(), testKey, upTo)
				result <- err
			}()
			r.waitWaiting(1)
			r.waitFor("the commit", func(s PartitionStatus) bool { return upTo > 10 || s.Handoffs > 0 && s.LastError != "" })
			r.must(r.manager.Stop(t.Context(), testKey, false))
			if err := <-result; !errors.Is(err, ErrNotRunning) || errors.Is(err, context.Canceled) {
				t.Errorf("the handoff ends with %v", err)
			}
			r.kv.shake(nil, 0)
			if err := r.waitEnded(); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// waitWaiting waits until so many handoffs of partition 0 are waited for.
func (r *rig) waitWaiting(want int) {
	r.t.Helper()
	w, err := r.manager.worker(testKey)
	r.must(err)
	for deadline, n := time.Now().Add(patience), -1; n != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%d handoffs are waited for, not %d", n, want)
		}
		r.must(w.command(r.t.Context(), func() error { n = len(w.waiters); return nil }))
	}
}

// TestAskersWhoLeaveAreForgotten: a handoff that is given up before its offset is reached cuts nothing later.
func TestAskersWhoLeaveAreForgotten(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.start(r.submit(specText("", "", "")))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := r.manager.Handoff(ctx, testKey, 5)
		result <- err
	}()
	r.waitWaiting(1)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the handoff ends with %v", err)
	}
	r.produceEvents(0, 10)
	r.waitPosition(10)
	r.waitWaiting(0)
	if s := r.status(); s.Committed != 0 || s.Handoffs != 0 {
		t.Errorf("status %+v", s)
	}
}
