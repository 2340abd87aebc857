package consumer

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestBudgetHandsOffEarlyAndPauses(t *testing.T) {
	gate := make(chan struct{})
	b := &faultyBuilder{gate: gate}
	const budget = 1 << 20
	r := newRig(t, func(o *Options) { b.Builder = o.Builder; o.Builder = b; o.MaxHotBytes = budget; o.Grace = time.Hour })
	r.createTopic(1)
	const total = 60_000
	r.start(r.submit(specText("", "", "")))
	for i := 0; i < total; i += 5000 {
		r.produceEvents(i, 5000)
	}
	s := r.waitFor("a pause", func(s PartitionStatus) bool { return s.State == StatePaused })
	if s.Position >= total || s.Handoffs == 0 {
		t.Errorf("status %+v", s)
	}
	if used := r.manager.HotBytes(); used > budget*11/10 {
		t.Errorf("%d bytes are used of %d", used, budget)
	}
	close(gate)
	r.handoff(total)
	if c := r.committed(); c.rows != total || len(c.ranges) < 2 {
		t.Errorf("%d rows in %d commits", c.rows, len(c.ranges))
	}
}

// TestLargeRecordsStayWithinTheBudget: what one fetch has brought can be a good part of it.
func TestLargeRecordsStayWithinTheBudget(t *testing.T) {
	gate := make(chan struct{})
	b := &faultyBuilder{gate: gate}
	const budget, total = 32 << 20, 6000
	r := newRig(t, func(o *Options) { b.Builder = o.Builder; o.Builder = b; o.MaxHotBytes = budget; o.Grace = time.Hour })
	r.createTopic(1)
	note := strings.Repeat("n", 9<<10) // which compresses well: few bytes are fetched
	for i := 0; i < total; i += 500 {
		var values []string
		for n := i; n < i+500; n++ {
			values = append(values, event(fmt.Sprint(n, note), n, baseMillis))
		}
		r.produce(values...)
	}
	r.start(r.submit(specText("", "", "")))
	s := r.waitFor("a pause", func(s PartitionStatus) bool { return s.State == StatePaused })
	if used := r.manager.HotBytes(); used > budget || s.Position >= total {
		t.Errorf("%d bytes are used of %d, status %+v", used, budget, s)
	}
	close(gate)
	r.handoff(total)
	if c := r.committed(); c.rows != total {
		t.Errorf("committed %+v", c)
	}
}

func TestCatalogOutagePausesAtTheLimitOfMemory(t *testing.T) {
	const budget, total = 1 << 20, 60_000
	r := newRig(t, func(o *Options) { o.MaxHotBytes = budget })
	r.createTopic(1)
	r.start(r.submit(specText("", "", "")))
	r.waitFor("the beginning", func(s PartitionStatus) bool { return s.State == StateRunning })
	r.kv.shake(seeded(t), 1)
	for i := 0; i < total; i += 5000 {
		r.produceEvents(i, 5000)
	}
	s := r.waitFor("a pause", func(s PartitionStatus) bool { return s.State == StatePaused })
	if used := r.manager.HotBytes(); used > budget*11/10 || s.Position == 0 || s.Position >= total || s.Committed != 0 {
		t.Errorf("%d bytes of %d are used, status %+v", used, budget, s)
	}
	r.kv.shake(nil, 0)
	r.handoff(total)
	if c := r.committed(); c.rows != total || c.offset.Counters.Stored != total {
		t.Errorf("committed %+v", c)
	}
}
