package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"drumlin/catalog"
	"drumlin/consumer/decode"
	"drumlin/segment"
	"drumlin/spec"
)

// simBroker serves a log that the test writes, and fails as the test says. It stands for faults that the embedded
// broker cannot show.
type simBroker struct {
	mu      sync.Mutex
	records []Record
	fails   []error // of the next polls; nil: none
	opened  []OpenRequest
	changed chan struct{}
}

func newSimBroker() *simBroker { return &simBroker{changed: make(chan struct{})} }

const simTopicID = "000102030405060708090a0b0c0d0e0f"

func (b *simBroker) write(offset int64, epoch int32, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, Record{
		Record:      decode.Record{Topic: "t", Offset: offset, TimestampMillis: baseMillis, Value: []byte(value)},
		LeaderEpoch: epoch,
	})
	b.wakeLocked()
}

func (b *simBroker) failNext(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails = append(b.fails, err)
	b.wakeLocked()
}

func (b *simBroker) wakeLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *simBroker) Open(_ context.Context, r OpenRequest) (Source, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened = append(b.opened, r)
	return &simSource{b: b, next: r.Offset}, nil
}

func (b *simBroker) Bounds(context.Context, *spec.Supervisor, string, int32) (Bounds, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := Bounds{TopicID: simTopicID}
	for _, r := range b.records {
		out.End = max(out.End, r.Offset+1)
	}
	out.StableEnd = out.End
	return out, nil
}

func (b *simBroker) Advise(context.Context, []Advice) error { return errors.New("no groups here") }

type simSource struct {
	b    *simBroker
	next int64
	sent int // records of the log delivered or passed over already
	live bool
}

func (s *simSource) Close() {}

func (s *simSource) Poll(ctx context.Context) (Fetch, error) {
	for {
		s.b.mu.Lock()
		changed := s.b.changed
		if len(s.b.fails) > 0 {
			err := s.b.fails[0]
			s.b.fails = s.b.fails[1:]
			s.b.mu.Unlock()
			return Fetch{}, err
		}
		out := Fetch{TopicID: simTopicID, StableEnd: -1}
		for ; s.sent < len(s.b.records); s.sent++ {
			if s.live || s.b.records[s.sent].Offset >= s.next {
				out.Records, s.live = append(out.Records, s.b.records[s.sent]), true
			}
		}
		s.b.mu.Unlock()
		if len(out.Records) > 0 {
			return out, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Fetch{}, ctx.Err()
		}
	}
}

func TestOffsetsThatGoBackEndTheWorker(t *testing.T) {
	b := newSimBroker()
	r := newRig(t, func(o *Options) { o.Broker = b })
	for i := range int64(5) {
		b.write(i, 0, event(fmt.Sprint(i), int(i), baseMillis))
	}
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(5)
	b.write(3, 0, event("again", 3, baseMillis))
	if err := r.waitEnded(); !errors.Is(err, errOrder) {
		t.Errorf("ended with %v", err)
	}
}

func TestTruncationBelowTheCommitHalts(t *testing.T) {
	b := newSimBroker()
	r := newRig(t, func(o *Options) { o.Broker = b })
	for i := range int64(5) {
		b.write(i, 2, event(fmt.Sprint(i), int(i), baseMillis))
	}
	r.start(r.submit(specText("", "", "")))
	r.handoff(5)
	b.failNext(&TruncatedError{ConsumedTo: 5, ResetTo: 3, ResetToEpoch: 1})
	s := r.waitFor("a halt", func(s PartitionStatus) bool { return s.State == StateHalted })
	if s.Halt.Reason != HaltTruncated {
		t.Errorf("status %+v", s)
	}
}

func TestTruncationOfHotRowsStartsOver(t *testing.T) {
	b := newSimBroker()
	r := newRig(t, func(o *Options) { o.Broker = b })
	for i := range int64(5) {
		b.write(i, 2, event(fmt.Sprint(i), int(i), baseMillis))
	}
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(5)
	b.failNext(&TruncatedError{ConsumedTo: 5, ResetTo: 3, ResetToEpoch: 1})
	if err := r.waitEnded(); !errors.Is(err, errDiverged) {
		t.Errorf("ended with %v", err)
	}
	if c := r.committed(); c.rows != 0 {
		t.Errorf("rows of a truncated log are committed: %+v", c)
	}
}

func TestBrokenConnectionsAreSurvived(t *testing.T) {
	b := newSimBroker()
	r := newRig(t, func(o *Options) { o.Broker = b })
	r.start(r.submit(specText("", "", "")))
	for i := range int64(5) {
		b.failNext(errors.New("connection reset"))
		b.write(i, 7, event(fmt.Sprint(i), int(i), baseMillis))
		r.waitPosition(i + 1)
	}
	b.mu.Lock()
	last := b.opened[len(b.opened)-1]
	b.mu.Unlock()
	if last.Offset == 0 || last.LeaderEpoch != 7 {
		t.Errorf("opened again at %+v", last)
	}
	r.handoff(5)
	if c := r.committed(); c.rows != 5 {
		t.Errorf("committed %+v", c)
	}
}

// BenchmarkRead decodes, judges and publishes real events; nothing is fetched over a network or handed off.
func BenchmarkRead(b *testing.B) {
	s, err := planFromText(specText("dedupSpec: {key: id},", "", ""))
	if err != nil {
		b.Fatal(err)
	}
	p, err := newPlan(segment.Facts{SpecVersion: 1}, s, schemaOf(s), catalog.Datasource{
		Name: "t", SegmentGranularity: "hour", HashKey: simTopicID,
	})
	if err != nil {
		b.Fatal(err)
	}
	d := &deps{memory: &meter{inner: offHeap{}}, Options: Options{MaxHotBytes: 1 << 40}}
	d.setDefaults()
	d.budget = newBudget(d.MaxHotBytes, d.memory)
	w := newWorker(d, Assignment{})
	if w.batches, err = newBuilders(p); err != nil {
		b.Fatal(err)
	}
	w.plan, w.target = p, p
	records := make([]Record, b.N)
	for i := range records {
		records[i] = Record{Record: decode.Record{
			Offset: int64(i), TimestampMillis: baseMillis, Value: []byte(event(fmt.Sprintf("0f8fad5b-d9cb-469f-a165-%012d", i), i, baseMillis)),
		}}
	}
	b.ResetTimer()
	b.ReportAllocs()
	w.pending = records
	for len(w.pending) > 0 {
		if err := w.read(); err != nil {
			b.Fatal(err)
		}
		w.hot.restart(w.next, 1, p.facts)
		w.cutFrom = w.next
	}
}
