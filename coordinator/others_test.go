package coordinator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"drumlin/consumer"
	"drumlin/peer"
)

// TestReportsOfOthers: a node that reads some partitions, and one that reads none and asks no brokers, show what all nodes know.
func TestReportsOfOthers(t *testing.T) {
	w := newWorld(t)
	a := w.pair(t, 4).a
	q, _, _ := w.node(t, "q", func(o *Options) {
		o.Topics, o.Ingest, o.Node.Roles = nil, nil, []string{"query"}
	})
	for _, co := range []*Coordinator{a, q} {
		eventually(t, "a whole report", func() bool {
			s, err := co.Status(t.Context(), "events")
			return err == nil && s.Healthy && s.State == StateRunning && s.AggregateLag != nil && *s.AggregateLag == 40 &&
				len(s.ActiveTasks) == 4 && len(s.RecentErrors) == 0 && s.PartitionStatus[3].State == consumer.StateRunning
		})
	}
	eventually(t, "q is ready", func() bool { return q.Ready(t.Context()) == nil })
	w.net.cut("b", true)
	s, err := a.Status(t.Context(), "events")
	if err != nil || s.AggregateLag != nil || len(s.RecentErrors) != 1 || !strings.Contains(s.RecentErrors[0].Message, "node b") {
		t.Errorf("with b out of reach: %+v, %v", s, err)
	}
	w.net.cut("b", false)
	if list, err := q.List(t.Context()); err != nil || len(list) != 1 || list[0].State != StateRunning {
		t.Errorf("list: %+v, %v", list, err)
	}
	if err := q.Handoff(t.Context(), "events", nil); !errors.Is(err, ErrNoTopics) || !errors.Is(err, ErrElsewhere) ||
		!strings.Contains(err.Error(), "a at ") {
		t.Errorf("handoff: %v", err)
	}
	mustSubmit(t, q, specText("topic: events, useEarliestOffset: true", "")) // that changes the catalog only
}

// TestHandoffFollowsPartitions: partitions move, and a node falls silent, while a handoff of all of them is under way.
func TestHandoffFollowsPartitions(t *testing.T) {
	w := newWorld(t)
	p := w.pair(t, 4)
	a, ingestA := p.a, p.ingestA
	w.net.cut("b", true)
	done := make(chan error, 1)
	go func() { done <- a.Handoff(context.Background(), "events", nil) }()
	eventually(t, "a's own are handed off", func() bool {
		ingestA.mu.Lock()
		defer ingestA.mu.Unlock()
		return len(ingestA.handoffs) == 2
	})
	p.endB()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ingestA.mu.Lock()
	defer ingestA.mu.Unlock()
	if len(ingestA.handoffs) != 4 {
		t.Errorf("handed off: %v", ingestA.handoffs)
	}
}

// TestHandoffOfSilentOwner gives an owner that lives and does not answer a while, and then says who it is.
func TestHandoffOfSilentOwner(t *testing.T) {
	w := newWorld(t)
	a := w.pair(t, 2, func(o *Options) { o.LeaseTTL = 300 * time.Millisecond }).a
	w.net.cut("b", true)
	if err := a.Handoff(t.Context(), "events", nil); !errors.Is(err, peer.ErrUnreachable) || !strings.Contains(err.Error(), "node b") {
		t.Errorf("handoff: %v", err)
	}
}

func TestGaps(t *testing.T) {
	w := newWorld(t)
	p := w.pair(t, 2)
	a, ctx := p.a, t.Context()
	if gaps, err := a.Gaps(ctx, "events"); err != nil || len(gaps) != 0 {
		t.Fatalf("without a halt: %+v, %v", gaps, err)
	}
	since := time.Now()
	p.ingestB.stall(&consumer.Halt{Reason: consumer.HaltLostRange, Message: "offsets are lost", From: 0, To: 20, Since: since})
	p.ingestA.stall(&consumer.Halt{Reason: consumer.HaltBatchTooLarge, Message: "too large"})
	var gaps []Gap
	eventually(t, "both halts are listed", func() bool {
		var err error
		if gaps, err = a.Gaps(ctx, "events"); err != nil {
			t.Fatal(err)
		}
		return len(gaps) == 2
	})
	slices.SortFunc(gaps, func(a, b Gap) int { return strings.Compare(a.Owner, b.Owner) })
	lost := gaps[1]
	if lost.Owner != "b" || lost.Records() != 20 || !lost.Since.Equal(since) || gaps[0].Records() != 0 ||
		!strings.Contains(gaps[0].Message, "kafka-delete-records") {
		t.Errorf("gaps: %+v", gaps)
	}
	accept := func(from, to int64) error { return a.AcceptGap(ctx, "events", "events", lost.Partition, from, to) }
	if err := accept(0, 19); !errors.Is(err, consumer.ErrOtherLoss) {
		t.Errorf("another range: %v", err)
	}
	if err := a.AcceptGap(ctx, "events", "events", gaps[0].Partition, 0, 20); !errors.Is(err, consumer.ErrNotHalted) {
		t.Errorf("halted for another reason: %v", err)
	}
	if err := a.AcceptGap(ctx, "events", "events", 9, 0, 20); !errors.Is(err, ErrNoPartition) {
		t.Errorf("no such partition: %v", err)
	}
	if err := accept(0, 20); err != nil {
		t.Fatal(err)
	}
	pv := partitionOf(a.o.Catalog.View(), key("events", lost.Partition))
	if pv.Offset.Next != 20 || pv.Offset.Counters.Lost != 20 {
		t.Errorf("recorded: %+v", pv.Offset)
	}
	if s, err := a.Status(ctx, "events"); err != nil || s.PartitionStatus[lost.Partition].Counters.Lost != 20 {
		t.Errorf("status: %+v, %v", s, err)
	}
	if err := accept(0, 20); !errors.Is(err, consumer.ErrNotHalted) {
		t.Errorf("accepted twice: %v", err)
	}
	w.net.cut("b", true)
	var silent *UnansweredError
	if gaps, err := a.Gaps(ctx, "events"); !errors.As(err, &silent) || len(gaps) != 1 || len(silent.Errs) != 1 {
		t.Errorf("with b out of reach: %+v, %v", gaps, err)
	}
	if _, err := a.Gaps(ctx, "nobody"); !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("gaps of nobody: %v", err)
	}
}
