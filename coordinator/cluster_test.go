package coordinator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
)

// begun waits until the newest view shows an offset of every partition.
func (w *world) begun(t *testing.T, partitions int) {
	t.Helper()
	eventually(t, "all partitions have begun", func() bool {
		n := 0
		sup := w.c.View().Supervisors["events"]
		if sup == nil {
			return false
		}
		for _, p := range sup.Partitions {
			if p.OffsetRevision > 0 && p.Owner != nil {
				n++
			}
		}
		return n == partitions
	})
}

// pair is two nodes that share the partitions of the topic events evenly.
type pair struct {
	a                *Coordinator
	ingestA, ingestB *fakeIngest
	endA, endB       func()
}

// pair starts two nodes, a with the changes, and waits until every partition has begun.
func (w *world) pair(t *testing.T, partitions int, changesOfA ...func(*Options)) (p pair) {
	t.Helper()
	w.topics.set("events", partitions)
	p.a, p.ingestA, p.endA = w.node(t, "a", changesOfA...)
	mustSubmit(t, p.a, specText("topic: events", ""))
	_, p.ingestB, p.endB = w.node(t, "b")
	eventually(t, "shared evenly", func() bool { return p.ingestA.count() == partitions/2 && p.ingestB.count() == partitions/2 })
	w.begun(t, partitions)
	return p
}

func TestTwoNodesShare(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 5)
	a, ingestA, _ := w.node(t, "a")
	mustSubmit(t, a, specText("topic: events", ""))
	eventually(t, "a has all", func() bool { return ingestA.count() == 5 })
	_, ingestB, endB := w.node(t, "b")
	eventually(t, "b has its share", func() bool { return ingestA.count() == 3 && ingestB.count() == 2 })
	if err := a.Handoff(t.Context(), "events", nil); err != nil {
		t.Errorf("handoff of what b reads: %v", err)
	}
	if len(ingestB.handoffs) != 2 {
		t.Errorf("b handed off %v", ingestB.handoffs)
	}
	a.o.Peers = nil
	if err := a.Handoff(t.Context(), "events", nil); !errors.Is(err, ErrElsewhere) {
		t.Errorf("handoff without a way to b: %v", err)
	}
	endB()
	eventually(t, "a has all again", func() bool { return ingestA.count() == 5 && ingestB.count() == 0 })
}

// TestPlannedStopHandsOverOneByOne: what a stopping node has handed off is another's while its slowest handoff is still under
// way, and the node that stops gets nothing more.
func TestPlannedStopHandsOverOneByOne(t *testing.T) {
	w := newWorld(t)
	p := w.pair(t, 6)
	ingestA, ingestB := p.ingestA, p.ingestB
	gate := make(chan struct{})
	ingestA.mu.Lock()
	slow := slices.MinFunc(slices.Collect(maps.Keys(ingestA.running)), comparePartitions)
	ingestA.slowStop = map[catalog.PartitionKey]chan struct{}{slow: gate}
	ingestA.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.endA()
	}()
	eventually(t, "b has all but the slow one", func() bool { return ingestB.count() == 5 })
	w.topics.set("events", 8)
	eventually(t, "new partitions go to b only", func() bool { return ingestB.count() == 7 })
	if owner := partitionOf(w.refresh(t), slow).Owner; owner == nil || owner.Node != "a" {
		t.Errorf("the slow partition is owned by %+v before its handoff", owner)
	}
	close(gate)
	<-ended
	eventually(t, "b has all", func() bool { return ingestB.count() == 8 })
	if n := len(w.refresh(t).Nodes); n != 1 {
		t.Errorf("%d nodes are registered", n)
	}
}

// TestNodesComeAndGo: whoever comes and goes, in the end all is read once, evenly, and nothing moves any more.
func TestNodesComeAndGo(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 12)
	a, ingestA, _ := w.node(t, "a")
	mustSubmit(t, a, specText("topic: events", ""))
	eventually(t, "a has all", func() bool { return ingestA.count() == 12 })
	_, ingestB, endB := w.node(t, "b")
	_, ingestC, _ := w.node(t, "c")
	eventually(t, "three share", func() bool {
		return ingestA.count() == 4 && ingestB.count() == 4 && ingestC.count() == 4
	})
	moved := func() int {
		n := 0
		for _, i := range []*fakeIngest{ingestA, ingestB, ingestC} {
			n += i.started()
		}
		return n
	}
	if n := moved(); n > 12+6+4 { // as many as where b has come before c
		t.Errorf("%d starts of 12 partitions, of which 6 and then 4 had to move", n)
	}
	before := moved()
	endB()
	eventually(t, "two share", func() bool { return ingestA.count() == 6 && ingestC.count() == 6 })
	if n := moved() - before; n != 4 {
		t.Errorf("%d partitions moved for the 4 of b", n)
	}
}

// TestUnansweredRequestsLeaveNothingBehind: an acquisition or a release whose outcome nobody knows must not leave a partition
// owned by a living node that does not read it.
func TestUnansweredRequestsLeaveNothingBehind(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 4)
	faulty := catalogtest.NewFaulty(w.kv)
	slow := func(o *Options) {
		c, err := catalog.Open(t.Context(), catalog.Options{KV: faulty, Objects: w.objs})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		o.Catalog, o.Ingest = c, newFakeIngest(c)
	}
	a, _, _ := w.node(t, "a", slow)
	mustSubmit(t, a, specText("topic: events", ""))
	ingestA := a.o.Ingest.(*fakeIngest)
	eventually(t, "a has all", func() bool { return ingestA.count() == 4 })
	w.begun(t, 4)
	// Each release is sent four times, and answered never.
	for range 3 {
		faulty.Next(catalogtest.Refuse, catalogtest.LoseRequest, catalogtest.LoseRequest, catalogtest.LoseRequest)
	}
	_, ingestB, endB := w.node(t, "b")
	eventually(t, "b has its share in spite of it", func() bool { return ingestA.count() == 2 && ingestB.count() == 2 })
	// Each acquisition takes effect, and is answered never.
	for range 2 {
		faulty.Next(catalogtest.LoseReply, catalogtest.LoseRequest, catalogtest.LoseRequest, catalogtest.LoseRequest)
	}
	endB()
	eventually(t, "a has all again", func() bool { return ingestA.count() == 4 })
	w.node(t, "c")
	eventually(t, "everything is read by whoever owns it", func() bool {
		owned := map[string]int{}
		for _, p := range w.refresh(t).Supervisors["events"].Partitions {
			if p.Owner != nil {
				owned[p.Owner.Node]++
			}
		}
		return ingestA.count() == 2 && owned["a"] == 2 && owned["c"] == 2
	})
}

func TestDoubtfulSessionGoesOn(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 2)
	faulty := catalogtest.NewFaulty(w.kv)
	registry := prometheus.NewRegistry()
	a, _, _ := w.node(t, "a", func(o *Options) {
		c, err := catalog.Open(t.Context(), catalog.Options{KV: faulty, Objects: w.objs})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		o.Catalog, o.Ingest, o.LeaseTTL, o.Registerer = c, newFakeIngest(c), 300*time.Millisecond, registry
	})
	ingest := a.o.Ingest.(*fakeIngest)
	mustSubmit(t, a, specText("topic: events", ""))
	eventually(t, "both run", func() bool { return ingest.count() == 2 })
	faulty.SilenceLeases(true)
	eventually(t, "the metric tells", func() bool { return gauge(t, registry, "drumlin_session_doubtful") == 1 })
	s, err := a.Status(t.Context(), "events")
	if err != nil || len(s.RecentErrors) != 1 || !strings.Contains(s.RecentErrors[0].Message, "has not answered since") {
		t.Errorf("status: %+v, %v", s, err)
	}
	if ingest.count() != 2 || gauge(t, registry, "drumlin_coordinator_partitions_owned") != 2 {
		t.Errorf("%d workers, owned %v", ingest.count(), gauge(t, registry, "drumlin_coordinator_partitions_owned"))
	}
	faulty.SilenceLeases(false) // the lease has ended meanwhile
	eventually(t, "registered and reading anew", func() bool {
		return gauge(t, registry, "drumlin_sessions_total") >= 2 && gauge(t, registry, "drumlin_session_doubtful") == 0 && ingest.count() == 2
	})
}

// TestANodeThatReturnsWithAnOldView: a node whose lease ended while its view stood still finds in that view what it owned
// before. When the view is new again, it takes what is its own now, and not for ever what another one has.
func TestANodeThatReturnsWithAnOldView(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 2)
	faulty := catalogtest.NewFaulty(w.kv)
	a, _, _ := w.node(t, "a", func(o *Options) {
		c, err := catalog.Open(t.Context(), catalog.Options{KV: faulty, Objects: w.objs, WatchSilence: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		o.Catalog, o.Ingest, o.LeaseTTL = c, newFakeIngest(c), 300*time.Millisecond
	})
	ingestA := a.o.Ingest.(*fakeIngest)
	mustSubmit(t, a, specText("topic: events", ""))
	_, ingestB, _ := w.node(t, "b")
	eventually(t, "shared", func() bool { return ingestA.count() == 1 && ingestB.count() == 1 })
	w.begun(t, 2)
	eventually(t, "a sees what it owns", func() bool {
		owned := 0
		for _, p := range a.o.Catalog.View().Supervisors["events"].Partitions {
			if p.Owner != nil && p.Owner.Node == "a" {
				owned++
			}
		}
		return owned == 1
	})
	faulty.HangWatches()
	faulty.SilenceLeases(true)
	eventually(t, "b has taken over", func() bool { return ingestB.count() == 2 })
	faulty.SilenceLeases(false)
	eventually(t, "a has been refused what its view says is its own", func() bool {
		s, err := a.Status(t.Context(), "events")
		return err == nil && slices.ContainsFunc(s.RecentErrors, func(e RecentError) bool { return strings.Contains(e.Message, catalog.ErrOwned.Error()) })
	})
	if _, err := a.o.Catalog.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "shared again", func() bool { return ingestA.count() == 1 && ingestB.count() == 1 })
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// TestShareSpreadsTopics: a node that starts with nothing gets of every topic about what it gets of all.
func TestShareSpreadsTopics(t *testing.T) {
	for nodes := 1; nodes < 7; nodes++ {
		for partitions := range 20 {
			var ids []string
			for n := range nodes {
				ids = append(ids, fmt.Sprint("n", n))
			}
			var wanted []catalog.PartitionKey
			sizes := map[string]int{"a": partitions, "b": 2 * partitions, "c": 8}
			for topic, size := range sizes {
				for p := range size {
					wanted = append(wanted, catalog.PartitionKey{Supervisor: topic, Topic: topic, Partition: int32(p)})
				}
			}
			count := map[string]map[string]int{}
			for k, n := range share(ids, wanted, nil) {
				if count[k.Topic] == nil {
					count[k.Topic] = map[string]int{}
				}
				count[k.Topic][n]++
			}
			for topic, size := range sizes {
				for _, n := range ids {
					if got := count[topic][n]; got < size/nodes-1 || got > (size+nodes-1)/nodes+1 {
						t.Errorf("%d nodes: %s gets %d of the %d partitions of topic %s", nodes, n, got, size, topic)
					}
				}
			}
		}
	}
}
