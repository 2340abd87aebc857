package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"drumlin/catalog"
	"drumlin/catalog/memkv"
	"drumlin/consumer"
	"drumlin/objectstore/mem"
	"drumlin/segment"
	"drumlin/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTopics are brokers that only know names.
type fakeTopics struct {
	mu     sync.Mutex
	topics map[string]int // partitions by topic
	err    error
	ends   error // of questions where partitions end
}

func (f *fakeTopics) set(topic string, partitions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topics == nil {
		f.topics = map[string]int{}
	}
	f.topics[topic] = partitions
}

func (f *fakeTopics) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeTopics) Discover(_ context.Context, s *spec.Supervisor) ([]consumer.TopicPartitions, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	var out []consumer.TopicPartitions
	for _, topic := range slices.Sorted(maps.Keys(f.topics)) {
		if topic != s.IO.Topic && (s.IO.TopicPattern == "" || !strings.HasPrefix(topic, "events")) {
			continue
		}
		t := consumer.TopicPartitions{Topic: topic, TopicID: strings.Repeat("0", 32)}
		for p := range f.topics[topic] {
			t.Partitions = append(t.Partitions, int32(p))
		}
		out = append(out, t)
	}
	return out, nil
}

func (f *fakeTopics) HighWatermarks(_ context.Context, _ *spec.Supervisor, topics []string) (map[string]map[int32]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]map[int32]int64{}
	for _, t := range topics {
		out[t] = map[int32]int64{}
		for p := range f.topics[t] {
			out[t][int32(p)] = 100
		}
	}
	return out, errors.Join(f.err, f.ends)
}

// fakeIngest keeps assignments, and puts a first offset into the catalog as a real worker does.
type fakeIngest struct {
	c         *catalog.Catalog
	mu        sync.Mutex
	log       []string
	running   map[catalog.PartitionKey]consumer.Assignment
	failStart map[int32]error
	handoffs  map[catalog.PartitionKey]int64
	halt      *consumer.Halt
	behind    bool
	slowStop  map[catalog.PartitionKey]chan struct{} // the end of a partition waits for it, or for its context
	silent    time.Time                              // since when the brokers answer no reader; zero: they answer
}

func newFakeIngest(c *catalog.Catalog) *fakeIngest {
	return &fakeIngest{
		c: c, running: map[catalog.PartitionKey]consumer.Assignment{}, failStart: map[int32]error{},
		handoffs: map[catalog.PartitionKey]int64{},
	}
}

func (f *fakeIngest) note(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *fakeIngest) logged(line string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, l := range f.log {
		if l == line {
			n++
		}
	}
	return n
}

// started counts how often a partition was begun.
func (f *fakeIngest) started() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, l := range f.log {
		if strings.HasPrefix(l, "start ") {
			n++
		}
	}
	return n
}

func (f *fakeIngest) stall(h *consumer.Halt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.halt = h
}

func (f *fakeIngest) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.running)
}

func (f *fakeIngest) Start(ctx context.Context, a consumer.Assignment) error {
	key := a.Owner.PartitionKey
	f.mu.Lock()
	if err := f.failStart[key.Partition]; err != nil {
		f.mu.Unlock()
		return err
	}
	if _, ok := f.running[key]; ok {
		f.mu.Unlock()
		return consumer.ErrRunning
	}
	f.running[key] = a
	f.note("start %s/%d v%d earliest=%t", key.Topic, key.Partition, a.Supervisor.Version, a.FromEarliest)
	f.mu.Unlock()
	_, _, found, err := f.c.ReadOffset(ctx, key)
	if err == nil && !found {
		_, err = f.c.Begin(ctx, a.Owner, catalog.Offset{
			TopicID: strings.Repeat("0", 32), LeaderEpoch: -1, Facts: segment.Facts{SpecVersion: a.Supervisor.Version},
		})
	}
	if err != nil { // what could not start does not run
		f.mu.Lock()
		delete(f.running, key)
		f.mu.Unlock()
	}
	return err
}

func (f *fakeIngest) Update(_ context.Context, s catalog.Supervisor, key catalog.PartitionKey) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("update %s/%d v%d", key.Topic, key.Partition, s.Version)
	return nil
}

func (f *fakeIngest) Stop(ctx context.Context, key catalog.PartitionKey, handoff bool) error {
	f.mu.Lock()
	gate := f.slowStop[key]
	f.mu.Unlock()
	var dropped error
	if gate != nil && handoff {
		select {
		case <-gate:
		case <-ctx.Done():
			dropped = ctx.Err()
		}
	}
	f.mu.Lock()
	a, ok := f.running[key]
	delete(f.running, key)
	f.note("stop %s/%d handoff=%t", key.Topic, key.Partition, handoff && dropped == nil)
	f.mu.Unlock()
	if !ok {
		return consumer.ErrNotRunning
	}
	a.Ended(key, nil)
	return dropped
}

// stepDown ends a worker as a lost epoch would.
func (f *fakeIngest) stepDown(key catalog.PartitionKey, err error) {
	f.mu.Lock()
	a := f.running[key]
	delete(f.running, key)
	f.mu.Unlock()
	a.Ended(key, err)
}

func (f *fakeIngest) Handoff(ctx context.Context, key catalog.PartitionKey, upTo int64) (int64, error) {
	f.mu.Lock()
	a, ok := f.running[key]
	f.mu.Unlock()
	if !ok {
		return 0, consumer.ErrNotRunning
	}
	off, mod, _, err := f.c.ReadOffset(ctx, key)
	if err != nil {
		return 0, err
	}
	facts := off.Facts
	facts.DedupFloorMillis++ // any change of the offset gives a revision to wait for
	revision, err := f.c.Acknowledge(ctx, a.Owner, mod, off, facts)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handoffs[key] = upTo
	return revision, err
}

// AcceptLoss records the loss as a real worker does: in a commit.
func (f *fakeIngest) AcceptLoss(ctx context.Context, key catalog.PartitionKey, from, to int64) error {
	f.mu.Lock()
	a, ok := f.running[key]
	h := f.halt
	f.mu.Unlock()
	switch {
	case !ok:
		return consumer.ErrNotRunning
	case h == nil || h.Reason != consumer.HaltLostRange:
		return consumer.ErrNotHalted
	case h.From != from || h.To != to:
		return consumer.ErrOtherLoss
	}
	off, mod, _, err := f.c.ReadOffset(ctx, key)
	if err != nil {
		return err
	}
	counters := segment.Counters{Lost: to - off.Next}
	next := off
	next.Next, next.Counters = to, off.Counters.Add(counters)
	_, err = f.c.Append(ctx, catalog.AppendRequest{Owner: a.Owner, Prev: off, PrevRevision: mod, Next: next, Commit: &catalog.Commit{
		UUID: uuid.NewString(), Datasource: a.Supervisor.Datasource, Supervisor: key.Supervisor, Epoch: a.Owner.Epoch, Facts: off.Facts,
		Range:    segment.OffsetRange{Topic: key.Topic, Partition: key.Partition, From: off.Next, To: to},
		Counters: counters, RejectsBucket: segment.Bucket{StartMillis: 0, EndMillis: 3_600_000},
	}})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.halt = nil
	return err
}

func (f *fakeIngest) Status(key catalog.PartitionKey) (consumer.PartitionStatus, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.running[key]
	s := consumer.PartitionStatus{
		Key: key, State: consumer.StateRunning, Position: 100, Committed: 40, CatchUp: 100, StableEnd: 110, Lag: 10, HotRows: 60,
		Halt: f.halt, SilentSince: f.silent,
	}
	if f.behind {
		s.State, s.Position = consumer.StateCatchingUp, 50
	}
	return s, ok
}

type world struct {
	kv     *memkv.Store
	objs   *mem.Store
	c      *catalog.Catalog
	topics *fakeTopics
	net    *fakeNet
}

func newWorld(t *testing.T) *world {
	w := &world{kv: memkv.New(nil), objs: mem.New(), topics: &fakeTopics{}, net: newFakeNet()}
	w.c = w.open(t)
	return w
}

func (w *world) open(t *testing.T) *catalog.Catalog {
	c, err := catalog.Open(t.Context(), catalog.Options{KV: w.kv, Objects: w.objs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// node runs a coordinator until the test ends, or until the returned function is called.
func (w *world) node(t *testing.T, id string, change ...func(*Options)) (*Coordinator, *fakeIngest, func()) {
	c := w.open(t)
	ingest := newFakeIngest(c)
	o := Options{
		Catalog: c, Topics: w.topics, Ingest: ingest, Node: catalog.Node{ID: id, Roles: []string{RoleIngest}},
		LeaseTTL: 5 * time.Second, DiscoverEvery: 20 * time.Millisecond, Backoff: 50 * time.Millisecond,
	}
	for _, fn := range change {
		fn(&o)
	}
	o.Peers = &fakePeers{w.net, o.Catalog}
	co := New(o)
	ingest, _ = o.Ingest.(*fakeIngest) // nil: reads nothing
	w.net.join(id, &endpoint{ingest, co})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- co.Run(ctx) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return co, ingest, end
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func specText(topic, more string) []byte {
	return fmt.Appendf(nil, `{type: kafka, %s spec: {dataSchema: {dataSource: events, dimensionsSpec: {dimensions: [event]},
granularitySpec: {rollup: false}}, ioConfig: {%s, inputFormat: {type: json}}}}`, more, topic)
}

func mustSubmit(t *testing.T, co *Coordinator, text []byte) {
	t.Helper()
	if _, _, err := co.Submit(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

var errBroken = errors.New("broken on purpose")
