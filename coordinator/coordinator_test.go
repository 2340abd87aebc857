package coordinator

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/internal/testkit"
	"drumlin/spec"
)

func key(topic string, partition int32) catalog.PartitionKey {
	return catalog.PartitionKey{Supervisor: "events", Topic: topic, Partition: partition}
}

func TestSubmit(t *testing.T) {
	w := newWorld(t)
	co := New(Options{Catalog: w.c, Topics: w.topics})
	ctx := t.Context()
	if _, _, err := co.Submit(ctx, []byte("type: kafka")); !errors.As(err, &spec.Problems{}) {
		t.Fatalf("a bad spec gives %v", err)
	}
	id, warnings, err := co.Submit(ctx, specText("topic: events, replicas: 2", ""))
	if err != nil || id != "events" || len(warnings) != 1 {
		t.Fatalf("%q %q %v", id, warnings, err)
	}
	first := w.c.View().Supervisors["events"]
	if first.Version != 1 || len(w.c.View().Datasources["events"].HashKey) != 32 {
		t.Fatalf("view: %+v", first)
	}
	revision := w.c.View().Revision
	mustSubmit(t, co, specText("topic: events, replicas: 2", ""))
	if again := w.c.View(); again.Revision != revision {
		t.Errorf("the same spec again moved the catalog from revision %d to %d", revision, again.Revision)
	}
	bad := strings.Replace(string(specText("topic: events", "")), "[event]", "[{name: event, type: long}]", 1)
	if _, _, err := co.Submit(ctx, []byte(bad)); !errors.As(err, &spec.Problems{}) {
		t.Errorf("a changed type gives %v", err)
	}
	if got := w.c.View(); got.Revision != revision {
		t.Error("a refused spec has changed the catalog")
	}
	if err := co.Suspend(ctx, "nobody"); !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("suspend nobody: %v", err)
	}
}

func TestSubmitConcurrently(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for i := range 6 {
		co := New(Options{Catalog: w.open(t), Topics: w.topics})
		wg.Go(func() {
			if _, _, err := co.Submit(t.Context(), specText(fmt.Sprintf("topic: t%d", i), "")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v, err := w.c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Supervisors["events"]; got.Version != 6 || got.SchemaID != 1 {
		t.Errorf("six submissions gave version %d, schema %d", got.Version, got.SchemaID)
	}
}

func TestTopicsComeAndGrow(t *testing.T) {
	w := newWorld(t)
	co, ingest, end := w.node(t, "a")
	mustSubmit(t, co, specText("topicPattern: events.*", ""))
	eventually(t, "ready without topics", func() bool { return co.Ready(t.Context()) == nil })
	if s, err := co.Status(t.Context(), "events"); err != nil || s.DetailedState != StateIdle || !s.Healthy {
		t.Errorf("status: %+v %v", s, err)
	}
	w.topics.set("events-1", 2)
	eventually(t, "partitions of a new topic", func() bool { return ingest.count() == 2 })
	w.topics.set("events-1", 3)
	w.topics.set("events-2", 1)
	w.topics.set("other", 1)
	eventually(t, "more partitions", func() bool { return ingest.count() == 4 })
	// The topic came after the supervisor had begun: nothing of it may be skipped.
	if ingest.logged("start events-1/0 v1 earliest=true") != 1 || ingest.logged("start events-1/2 v1 earliest=true") != 1 {
		t.Errorf("log: %v", ingest.log)
	}
	mustSubmit(t, co, specText("topicPattern: events.*, useEarliestOffset: true", ""))
	eventually(t, "the new version reaches all workers", func() bool {
		return ingest.logged("update events-1/0 v2") == 1 && ingest.logged("update events-2/0 v2") == 1
	})
	mustSubmit(t, co, specText("topic: other", ""))
	eventually(t, "another topic is read instead", func() bool {
		return ingest.count() == 1 && ingest.logged("stop events-1/0 handoff=true") == 1 &&
			ingest.logged("start other/0 v3 earliest=false") == 1 // it was there, and begins as the spec says
	})
	w.topics.set("other", 2)
	eventually(t, "a later partition of it", func() bool { return ingest.logged("start other/1 v3 earliest=true") == 1 })
	end()
	if ingest.logged("stop other/0 handoff=true") != 1 || ingest.count() != 0 {
		t.Errorf("log: %v", ingest.log)
	}
	v, err := w.c.Refresh(t.Context())
	if err != nil || len(v.Nodes) != 0 || v.Supervisors["events"].Partitions[key("other", 0)].Owner != nil {
		t.Errorf("something is still owned: %+v %v", v.Nodes, err)
	}
}

func TestExistingTopicBeginsAsTheSpecSays(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 2)
	co, ingest, end := w.node(t, "a")
	mustSubmit(t, co, specText("topic: events", ""))
	eventually(t, "both partitions", func() bool { return ingest.count() == 2 })
	w.topics.set("events", 3)
	eventually(t, "a third one", func() bool { return ingest.count() == 3 })
	for _, line := range []string{
		"start events/0 v1 earliest=false", "start events/1 v1 earliest=false", "start events/2 v1 earliest=true",
	} {
		if ingest.logged(line) != 1 {
			t.Errorf("no %q in %v", line, ingest.log)
		}
	}
	end()
	w.topics.set("events", 4)
	_, ingest, _ = w.node(t, "a")
	eventually(t, "all after a restart", func() bool { return ingest.count() == 4 })
	if ingest.logged("start events/3 v1 earliest=true") != 1 {
		t.Errorf("a partition that came meanwhile: %v", ingest.log)
	}
}

func TestSuspendAndResume(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 2)
	co, ingest, _ := w.node(t, "a")
	mustSubmit(t, co, specText("topic: events", ""))
	eventually(t, "running", func() bool { return ingest.count() == 2 })
	if err := co.Suspend(t.Context(), "events"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "suspended", func() bool {
		s, err := co.Get(t.Context(), "events")
		return err == nil && s.State == StateSuspended && ingest.count() == 0
	})
	if ingest.logged("stop events/1 handoff=true") != 1 {
		t.Errorf("log: %v", ingest.log)
	}
	if err := co.Handoff(t.Context(), "events", nil); !errors.Is(err, ErrSuspended) {
		t.Errorf("handoff: %v", err)
	}
	if err := co.Resume(t.Context(), "events"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "resumed", func() bool { return ingest.count() == 2 && co.Ready(t.Context()) == nil })
}

func TestFailuresStayTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 3)
	co, ingest, _ := w.node(t, "a")
	ingest.mu.Lock()
	ingest.failStart[1] = errBroken
	ingest.mu.Unlock()
	mustSubmit(t, co, specText("topic: events", ""))
	eventually(t, "the others run", func() bool { return ingest.count() == 2 })
	eventually(t, "unhealthy", func() bool {
		s, err := co.Status(t.Context(), "events")
		return err == nil && s.State == StateUnhealthyTasks && !s.Healthy && len(s.RecentErrors) > 0
	})
	if err := co.Ready(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("ready: %v", err)
	}
	if v := w.refresh(t); v.Supervisors["events"].Partitions[key("events", 1)] != nil {
		if o := v.Supervisors["events"].Partitions[key("events", 1)].Owner; o != nil && co.lastError(key("events", 1)) == nil {
			t.Errorf("a partition that cannot be read is kept by %v", o)
		}
	}
	ingest.mu.Lock()
	delete(ingest.failStart, 1)
	ingest.mu.Unlock()
	eventually(t, "it runs in the end", func() bool { return ingest.count() == 3 && co.Ready(t.Context()) == nil })

	for _, end := range []error{catalog.ErrFenced, catalog.ErrConflict, catalog.ErrUnknown, errBroken} {
		ingest.mu.Lock()
		before := ingest.running[key("events", 2)].Owner.Epoch
		ingest.mu.Unlock()
		ingest.stepDown(key("events", 2), end)
		eventually(t, "acquired anew", func() bool {
			ingest.mu.Lock()
			defer ingest.mu.Unlock()
			return ingest.running[key("events", 2)].Owner.Epoch > before
		})
	}
	eventually(t, "healthy again", func() bool {
		s, err := co.Status(t.Context(), "events")
		return err == nil && s.Healthy && s.State == StateRunning
	})
}

func (w *world) refresh(t *testing.T) *catalog.View {
	t.Helper()
	v, err := w.c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestHandoff(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 2)
	co, ingest, _ := w.node(t, "a")
	mustSubmit(t, co, specText("topic: events", ""))
	w.topics.set("events", 4) // a handoff finds them by itself
	if err := co.Handoff(t.Context(), "events", nil); err != nil {
		t.Fatal(err)
	}
	view := co.o.Catalog.View()
	for p := range int32(4) {
		if ingest.handoffs[key("events", p)] != 100 {
			t.Errorf("partition %d: %v", p, ingest.handoffs)
		}
		if pv := view.Supervisors["events"].Partitions[key("events", p)]; pv == nil || pv.Offset.Facts.DedupFloorMillis != 1 {
			t.Errorf("partition %d is not visible: %+v", p, pv)
		}
	}
	if err := co.Handoff(t.Context(), "events", []int{3}); err != nil {
		t.Fatal(err)
	}
	view = co.o.Catalog.View()
	if view.Supervisors["events"].Partitions[key("events", 3)].Offset.Facts.DedupFloorMillis != 2 ||
		view.Supervisors["events"].Partitions[key("events", 2)].Offset.Facts.DedupFloorMillis != 1 {
		t.Error("only partition 3 was asked for")
	}
	if err := co.Handoff(t.Context(), "events", []int{9}); !errors.Is(err, ErrNoPartition) {
		t.Errorf("partition 9: %v", err)
	}
	if err := co.Handoff(t.Context(), "nobody", nil); !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("nobody: %v", err)
	}
	w.topics.fail(errBroken)
	if err := co.Handoff(t.Context(), "events", nil); !errors.Is(err, errBroken) {
		t.Errorf("brokers away: %v", err)
	}
	eventually(t, "lost contact", func() bool {
		s, err := co.Status(t.Context(), "events")
		return err == nil && s.DetailedState == StateLostStream && !s.Healthy
	})
	if err := co.Ready(t.Context()); err != nil {
		t.Errorf("what was found stays ready: %v", err)
	}
}

func TestLostLease(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 2)
	co, ingest, _ := w.node(t, "a")
	mustSubmit(t, co, specText("topic: events", ""))
	eventually(t, "begun", func() bool {
		begun := 0
		if v := w.c.View().Supervisors["events"]; v != nil {
			for _, p := range v.Partitions {
				if p.OffsetRevision > 0 {
					begun++
				}
			}
		}
		return begun == 2 && ingest.count() == 2
	})
	ingest.mu.Lock()
	before := ingest.running[key("events", 0)].Owner.Epoch
	ingest.mu.Unlock()
	// Another process of the same node id takes the lease away, and goes.
	s, err := w.c.Register(t.Context(), catalog.Node{ID: "a"}, 5e9)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "registered and running anew", func() bool {
		ingest.mu.Lock()
		defer ingest.mu.Unlock()
		return len(ingest.running) == 2 && ingest.running[key("events", 0)].Owner.Epoch > before
	})
	if ingest.logged("stop events/0 handoff=false") != 1 {
		t.Errorf("log: %v", ingest.log)
	}
}

func TestReadyAndStatus(t *testing.T) {
	w := newWorld(t)
	idle := New(Options{Catalog: w.c, Topics: w.topics})
	if err := idle.Ready(t.Context()); err == nil {
		t.Error("ready without being registered")
	}
	w.topics.set("events", 2)
	co, ingest, _ := w.node(t, "a")
	ingest.mu.Lock()
	ingest.behind = true
	ingest.mu.Unlock()
	mustSubmit(t, co, specText("topic: events, replicas: 3, consumerProperties: {security.protocol: SASL_SSL, "+
		"sasl.mechanism: PLAIN, sasl.jaas.config: 'username=\"u\" password=\"hunter2\"'}", "id: my-id,"))
	eventually(t, "running", func() bool { return ingest.count() == 2 })
	if err := co.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "read to offset 50 of 100") {
		t.Errorf("ready while behind: %v", err)
	}
	ingest.mu.Lock()
	ingest.behind = false
	ingest.mu.Unlock()
	eventually(t, "ready", func() bool { return co.Ready(t.Context()) == nil })
	w.topics.set("later", 1)
	mustSubmit(t, co, bytes.Replace(specText("topic: later", ""), []byte("dataSource: events"), []byte("dataSource: later"), 1))
	if err := co.Ready(t.Context()); err != nil {
		t.Errorf("a supervisor that came later has taken readiness away: %v", err)
	}
	s, err := co.Status(t.Context(), "my-id")
	if err != nil {
		t.Fatal(err)
	}
	if s.State != StateRunning || s.Partitions != 2 || *s.AggregateLag != 20 || s.LatestOffsets["1"] != 110 || len(s.Warnings) != 1 ||
		len(s.ActiveTasks) != 2 || s.PartitionStatus[1].Owner != "a" || *s.PartitionStatus[1].CurrentOffset != 100 {
		t.Errorf("status: %+v", s)
	}
	ingest.mu.Lock()
	ingest.halt = &consumer.Halt{Reason: consumer.HaltLostRange, Message: "offsets are lost"}
	ingest.mu.Unlock()
	if s, err = co.Status(t.Context(), "my-id"); err != nil || s.State != StateUnhealthyTasks || s.PartitionStatus[0].Halted != consumer.HaltLostRange {
		t.Errorf("status: %+v %v", s, err)
	}
	list, err := co.List(t.Context())
	if err != nil || len(list) != 2 || list[1].Healthy || list[1].DataSource != "events" {
		t.Errorf("list: %+v %v", list, err)
	}
	if text := fmt.Sprintf("%s %+v", list[1].Spec, s); strings.Contains(text, "hunter2") || !strings.Contains(text, "SASL_SSL") {
		t.Errorf("shown: %s", text)
	}
}

func TestRaisedFloorsReachTheWorkers(t *testing.T) {
	w := newWorld(t)
	w.topics.set("events", 1)
	co, ingest, _ := w.node(t, "a")
	mustSubmit(t, co, specText("topic: events", ""))
	// A floor that rises while a partition begins is what it begins with, and nobody has to be told.
	eventually(t, "begun", func() bool {
		for _, s := range w.c.View().Supervisors {
			for _, p := range s.Partitions {
				return ingest.count() == 1 && p.OffsetRevision != 0
			}
		}
		return false
	})
	if _, err := w.c.RaiseFloors(t.Context(), "events", catalog.Floors{RetentionMillis: 1000}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "updated", func() bool { return ingest.logged("update events/0 v1") == 1 })
}

// TestExamplesCanBeDecoded holds the spec's idea of a valid spec to the decoder's.
func TestExamplesCanBeDecoded(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(testkit.RepoRoot(t), "configs", "specs", "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no specs: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		_, warnings, err := New(Options{Catalog: w.c, Topics: w.topics}).Submit(t.Context(), text)
		warnings = slices.DeleteFunc(warnings, func(w string) bool { return strings.Contains(w, "exchanged with") }) // sketches
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", path, warnings, err)
		}
	}
}
