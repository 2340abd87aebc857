package consumer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/catalog"
	"drumlin/segment"
)

func TestRecordsBecomeHotThenCommitted(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 100)
	r.start(r.submit(specText("", "", "")))
	r.waitFor("readable rows", func(PartitionStatus) bool {
		h, err := r.manager.Hot(t.Context(), r.hotRequest())
		if err != nil {
			return false
		}
		defer h.Release()
		return h.To == 100
	})
	h, err := r.manager.Hot(t.Context(), r.hotRequest())
	r.must(err)
	offsets := hotOffsets(h)
	if len(offsets) != 100 || offsets[0] != 0 || offsets[99] != 99 || h.Counters.Stored != 100 || h.Counters.Sum() != 100 {
		t.Errorf("hot rows %v, counters %+v", offsets, h.Counters)
	}
	h.Release()
	r.handoff(100)
	c := r.committed()
	if c.rows != 100 || c.offset.Next != 100 || c.offset.Counters.Stored != 100 || c.offset.ClockMillis != baseMillis+99_000 {
		t.Errorf("committed %+v", c)
	}
	h, err = r.manager.Hot(t.Context(), r.hotRequest())
	r.must(err)
	if len(h.Data) != 0 || h.From != 100 || h.To != 100 {
		t.Errorf("committed rows are still given: %+v", h)
	}
	h.Release()
}

func TestRestartReadsOnExactly(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 50)
	s := r.submit(specText("", "", ""))
	r.start(s)
	r.handoff(50)
	r.produceEvents(50, 25)
	r.waitPosition(75)
	r.stop(false) // hot rows are dropped
	if c := r.committed(); c.rows != 50 {
		t.Fatalf("%d rows are committed, not 50", c.rows)
	}
	r.produceEvents(75, 25)
	r.start(s)
	r.waitPosition(100)
	r.stop(true) // hot rows are committed
	if c := r.committed(); c.rows != 100 || c.offset.Next != 100 || len(c.ranges) != 2 {
		t.Fatalf("committed %+v", c)
	}
}

func TestCatchingUpIsRefused(t *testing.T) {
	hold := make(chan struct{})
	r := newRig(t, func(o *Options) { o.Broker = &heldBroker{Broker: o.Broker, hold: hold} })
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitFor("catching up", func(s PartitionStatus) bool { return s.State == StateCatchingUp })
	_, err := r.manager.Hot(t.Context(), r.hotRequest())
	wantHot(t, err, segment.HotCatchingUp)
	close(hold)
	r.waitFor("running", func(s PartitionStatus) bool { return s.State == StateRunning && s.CaughtUp() })
}

// heldBroker opens no source before hold is closed.
type heldBroker struct {
	Broker
	hold chan struct{}
}

func (b *heldBroker) Open(ctx context.Context, r OpenRequest) (Source, error) {
	select {
	case <-b.hold:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return b.Broker.Open(ctx, r)
}

func wantHot(t *testing.T, err error, status segment.HotStatus) {
	t.Helper()
	u, ok := errors.AsType[*segment.HotUnavailable](err)
	if !ok || u.Status != status {
		t.Errorf("hot rows: %v, not status %d", err, status)
	}
}

func TestHotRefusals(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Grace = -1 })
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(10)
	before := r.hotRequest()
	revision := r.handoff(10)
	r.waitFor("the end of the grace", func(PartitionStatus) bool {
		_, err := r.manager.Hot(t.Context(), before)
		u, ok := errors.AsType[*segment.HotUnavailable](err)
		return ok && u.Status == segment.HotStaleView && u.Revision == revision
	})
	now := r.hotRequest()
	other := now
	other.Generation++
	_, err := r.manager.Hot(t.Context(), other)
	wantHot(t, err, segment.HotWrongGeneration)
	other = now
	other.Facts.SpecVersion++
	_, err = r.manager.Hot(t.Context(), other)
	wantHot(t, err, segment.HotStaleView)
	other = now
	other.From = 1000
	_, err = r.manager.Hot(t.Context(), other)
	wantHot(t, err, segment.HotNotOwner)
	other = now
	other.Topic = "elsewhere"
	_, err = r.manager.Hot(t.Context(), other)
	wantHot(t, err, segment.HotNotOwner)
}

func TestGraceServesOlderViews(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(10)
	before := r.hotRequest()
	r.handoff(10)
	h, err := r.manager.Hot(t.Context(), before)
	r.must(err)
	defer h.Release()
	if h.From != 0 || h.To < 10 || len(hotOffsets(h)) != 10 {
		t.Errorf("an older view gets %+v", h)
	}
}

func TestTransactionsAndHoles(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.start(r.submit(specText("", "", "")))
	tx, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.TransactionalID("x"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r.must(err)
	defer tx.Close()
	commits := []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort}
	for i, end := range commits {
		r.must(tx.BeginTransaction())
		for j := range 10 {
			n := i*10 + j
			tx.Produce(t.Context(), &kgo.Record{
				Topic: "t", Value: []byte(event(fmt.Sprint(n), n, baseMillis)), Timestamp: time.UnixMilli(baseMillis),
			}, nil)
		}
		r.must(tx.Flush(t.Context()))
		r.must(tx.EndTransaction(t.Context(), end))
	}
	r.handoff(44) // 40 records and 4 markers
	c := r.committed()
	if c.rows != 20 || c.offset.Next != 44 || c.offset.Counters.Skipped != 24 {
		t.Errorf("committed %+v", c)
	}
}

func TestRejectsAreKept(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produce(event("a", 1, baseMillis), "{broken", event("old", 1, -5), event("ahead", 1, baseMillis+3*maxAheadMillis), event("b", 2, baseMillis))
	r.start(r.submit(specText("", ", lateMessageRejectionPeriod: P7D", "")))
	r.handoff(5)
	c := r.committed()
	if c.rows != 2 || c.rejects != 3 || c.offset.Counters.Rejected != 3 || c.offset.Counters.Skipped != 0 {
		t.Errorf("committed %+v", c)
	}
}

func TestMaxParseExceptionsHalts(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	old := event("c", 3, -1) // rejected for its time: it can be read, and does not count
	r.produce("bad", old, old, event("a", 1, baseMillis), "bad", event("b", 2, baseMillis))
	r.start(r.submit(specText("", "", ", maxParseExceptions: 1")))
	s := r.waitFor("a halt", func(s PartitionStatus) bool { return s.State == StateHalted && s.Committed == 4 })
	if s.Halt.Reason != HaltParseErrors || s.Position != 4 || s.Counters.Rejected != 3 || s.Counters.Unparseable != 1 {
		t.Errorf("status %+v", s)
	}
	r.must(r.manager.Update(t.Context(), r.submit(specText("", "", ", maxParseExceptions: 5")), testKey))
	r.handoff(6)
	r.waitFor("the new version", func(s PartitionStatus) bool { return s.Facts.SpecVersion == 2 })
	if c := r.committed(); c.rows != 2 || c.rejects != 4 || c.offset.Counters.Unparseable != 2 || c.offset.Facts.SpecVersion != 2 {
		t.Errorf("committed %+v", c)
	}
}

func TestHaltBeforeTheFirstRowWaitsQuietly(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produce("bad")
	r.start(r.submit(specText("", "", ", maxParseExceptions: 0, intermediateHandoffPeriod: PT0.001S")))
	r.waitFor("a halt", func(s PartitionStatus) bool { return s.State == StateHalted })
	w, err := r.manager.worker(testKey)
	r.must(err)
	r.waitFor("the handoff's age", func(PartitionStatus) bool {
		var wake time.Duration
		r.must(w.command(t.Context(), func() error { wake = w.untilWake(); return nil }))
		return wake > 0
	})
}

func TestDuplicatesAndKeyless(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produce(event("a", 1, baseMillis), event("a", 2, baseMillis), event("b", 3, baseMillis), `{"n":4,"ts":1767225600000}`,
		event("a", 5, baseMillis+3_600_000)) // the same key in another hour is another identity
	r.start(r.submit(specText("dedupSpec: {key: id},", "", "")))
	r.handoff(5)
	c := r.committed()
	want := segment.Counters{Stored: 4, Duplicates: 1, Keyless: 1}
	if c.rows != 4 || c.offset.Counters != want {
		t.Errorf("committed %+v", c)
	}
}

func TestLostRangeHaltsUntilAccepted(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 20)
	s := r.submit(specText("", "", ""))
	r.start(s)
	r.handoff(20)
	r.stop(false)
	r.produceEvents(20, 30)
	r.must(r.cluster.DeleteRecords("t", 0, 40))
	r.start(s)
	st := r.waitFor("a halt", func(s PartitionStatus) bool { return s.State == StateHalted })
	if st.Halt.Reason != HaltLostRange || st.Halt.From != 20 || st.Halt.To != 40 {
		t.Errorf("halted %+v", st.Halt)
	}
	_, err := r.manager.Hot(t.Context(), r.hotRequest())
	wantHot(t, err, segment.HotHalted)
	if err := r.manager.AcceptLoss(t.Context(), testKey, 20, 30); !errors.Is(err, ErrOtherLoss) {
		t.Errorf("a part of the range accepted: %v", err)
	}
	r.must(r.manager.AcceptLoss(t.Context(), testKey, 20, 40))
	r.handoff(50)
	c := r.committed()
	if c.rows != 30 || c.offset.Counters.Lost != 20 || c.offset.Counters.Sum() != 50 {
		t.Errorf("committed %+v", c)
	}
}

func TestLostRangeByPolicy(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 20)
	s := r.submit(specText("", "", ", resetOffsetAutomatically: true"))
	r.start(s)
	r.handoff(20)
	r.stop(false)
	r.produceEvents(20, 30)
	r.must(r.cluster.DeleteRecords("t", 0, 40))
	r.start(s)
	r.handoff(50)
	if c := r.committed(); c.rows != 30 || c.offset.Counters.Lost != 20 {
		t.Errorf("committed %+v", c)
	}
}

func TestRecreatedTopicHalts(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			r := newRig(t, nil)
			r.createTopic(1)
			r.produceEvents(0, 20)
			s := r.submit(specText("", "", ""))
			r.start(s)
			r.handoff(20)
			if !running {
				r.stop(false)
			}
			r.must(r.cluster.DeleteTopic("t"))
			r.createTopic(1)
			r.client.PurgeTopicsFromClient("t")
			r.produceEvents(100, 40)
			if !running {
				r.start(s)
			}
			st := r.waitFor("a halt", func(s PartitionStatus) bool { return s.State == StateHalted })
			if st.Halt.Reason != HaltRecreated || st.Position != 20 {
				t.Errorf("status %+v", st)
			}
			if c := r.committed(); c.rows != 20 || c.offset.Next != 20 {
				t.Errorf("records of two topics are mixed: %+v", c)
			}
		})
	}
}

func TestSpecChange(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 30)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(30)
	old := r.hotRequest()
	wider := specText("", "", "")
	s := r.submit(replace(wider, "{name: n, type: long}", "{name: n, type: long}, extra"))
	r.must(r.manager.Update(t.Context(), s, testKey))
	r.waitFor("the new version", func(s PartitionStatus) bool { return s.Facts.SpecVersion == 2 })
	_, err := r.manager.Hot(t.Context(), old)
	wantHot(t, err, segment.HotStaleView)
	r.produceEvents(30, 5)
	r.handoff(35)
	c := r.committed()
	if c.rows != 35 || len(c.ranges) != 2 || c.offset.Facts.SpecVersion != 2 {
		t.Errorf("committed %+v", c)
	}
}

func TestNewOwnerKeepsOldFactsUntilCaughtUp(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	s := r.submit(specText("", "", ""))
	r.start(s)
	r.produceEvents(0, 10)
	r.waitPosition(10)
	r.stop(false)
	s2 := r.submit(replace(specText("", "", ""), "{name: n, type: long}", "{name: n, type: long}, extra"))
	r.start(s2)
	r.waitFor("the new version", func(s PartitionStatus) bool { return s.Facts.SpecVersion == 2 })
	view, err := r.cat.Refresh(t.Context())
	r.must(err)
	for _, b := range view.Datasources["t"].Buckets {
		for _, c := range b.Commits {
			if c.Commit.Facts.SpecVersion != 1 || c.Commit.Range.To < 10 {
				t.Errorf("commit %+v was judged by newer facts than its offset recorded", c.Commit)
			}
		}
	}
}

func TestFencedZombieStepsDown(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 10)
	s := r.submit(specText("", "", ""))
	r.start(s)
	r.waitPosition(10)
	r.must(r.session.Release(t.Context(), r.owner)) // as if the lease had run out while the process slept
	other, err := r.cat.Register(t.Context(), catalog.Node{ID: "node-2"}, time.Minute)
	r.must(err)
	defer func() { r.must(other.Close(context.WithoutCancel(t.Context()))) }()
	_, err = other.Acquire(t.Context(), testKey)
	r.must(err)
	_, err = r.manager.Handoff(t.Context(), testKey, 10)
	if !errors.Is(err, catalog.ErrFenced) {
		t.Errorf("a zombie's handoff ends with %v", err)
	}
	if err := r.waitEnded(); !errors.Is(err, catalog.ErrFenced) {
		t.Errorf("the zombie ended with %v", err)
	}
	_, err = r.manager.Hot(t.Context(), r.hotRequest())
	wantHot(t, err, segment.HotNotOwner)
	if c := r.committed(); c.rows != 0 {
		t.Errorf("a zombie committed %+v", c)
	}
}
