package coordinator

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/compaction"
	"drumlin/spec"
)

// TestTaskEndsInAnOutage: a task that is done while the catalog answers nothing is written down as done once it answers.
func TestTaskEndsInAnOutage(t *testing.T) {
	for range 5 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) {
			w := newTaskWorld(t)
			w.ingest(t, 10, 1)
			w.worker.works(func(_ context.Context, _ *spec.Task, _ compaction.RunOptions) (*compaction.Report, error) {
				w.faulty.Randomly(rand.New(rand.NewPCG(seed, 1)), 1)
				return &compaction.Report{}, nil
			})
			co, _ := w.compactor(t, "a", nil)
			mustSubmitTask(t, co, "one", "")
			time.Sleep(3 * time.Minute)
			w.faulty.Randomly(nil, 0)
			if got := w.ends(t, "one", catalog.TaskSuccess); got.Attempt != 1 || w.worker.ran("one") != 1 {
				t.Errorf("seed %d: %d runs: %+v", seed, w.worker.ran("one"), got)
			}
			until(t, "its claim is given up", func() bool { return !w.c.View().Tasks["one"].Claimed })
		})
	}
}

// TestUnansweredClaim: a claim that took effect, and was never answered, does not keep its task from being run.
func TestUnansweredClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		submitter := New(Options{Catalog: w.c, Topics: w.topics})
		co, _ := w.compactor(t, "a", func(o *Options) { o.LeaseTTL = 24 * time.Hour })
		until(t, "registered", func() bool { return co.Ready(t.Context()) == nil || len(w.c.View().Nodes) == 2 })
		w.faulty.Next(0, catalogtest.LoseReply, catalogtest.LoseRequest, catalogtest.LoseRequest, catalogtest.LoseRequest)
		mustSubmitTask(t, submitter, "one", "")
		w.ends(t, "one", catalog.TaskSuccess)
	})
}

// TestTasksOfOthers: what runs on one node can be seen, followed and cancelled on another, and afterwards read by anyone.
func TestTasksOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		runner, end := w.compactor(t, "a", nil)
		w.net.join("a", &endpoint{co: runner})
		release := w.worker.hold()
		defer release()
		asker := New(Options{Catalog: w.c, Objects: w.objs, Topics: w.topics, Peers: &fakePeers{w.net, w.c}, Node: catalog.Node{ID: "q"}})
		mustSubmitTask(t, asker, "one", "")
		until(t, "it runs", func() bool { return w.task("one").State == catalog.TaskRunning })
		until(t, "its live log is there", func() bool {
			text, err := asker.TaskLogFrom(t.Context(), "one", 0)
			return err == nil && strings.Contains(string(text), "at work")
		})
		w.net.cut("a", true)
		if _, err := asker.TaskLogFrom(t.Context(), "one", 0); err == nil || !strings.Contains(err.Error(), "it runs on node a") {
			t.Errorf("the log of a node out of reach: %v", err)
		}
		if s, _, err := asker.Task("one"); err != nil || s.RunnerStatusCode != runnerRunning || s.Location.Node != "a" {
			t.Errorf("status: %+v, %v", s, err)
		}
		if err := asker.CancelTask(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		w.ends(t, "one", catalog.TaskFailed)
		end()
		text, err := asker.TaskLogFrom(t.Context(), "one", 0)
		if err != nil || !strings.Contains(string(text), "attempt ends") {
			t.Errorf("the log that is left behind: %q, %v", text, err)
		}
	})
}

// TestKilledNodesTaskIsTakenOver: a node that dies without a word loses its task with its lease, not before.
func TestKilledNodesTaskIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		// A process that has claimed the task, and is gone: nobody renews its lease.
		mustSubmitTask(t, New(Options{Catalog: w.c, Topics: w.topics}), "one", "")
		lease, err := w.kv.Grant(t.Context(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		claim := catalog.Op{Kind: catalog.OpPut, Key: "claim/task/one", Value: []byte(`{"node":"dead"}`), Lease: lease}
		res, err := w.kv.Txn(t.Context(), catalog.Txn{Then: []catalog.Op{claim}})
		if err != nil {
			t.Fatal(err)
		}
		view := w.refresh(t)
		task := view.Tasks["one"].Task
		task.State, task.Node, task.Epoch, task.Attempt = catalog.TaskRunning, "dead", res.Revision, 1
		if _, err := w.c.UpdateTask(t.Context(), task, view.Tasks["one"].Revision); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w.compactor(t, "b", nil)
		got := w.ends(t, "one", catalog.TaskSuccess)
		if took := time.Since(began); got.Node != "b" || got.Attempt != 2 || took < 9*time.Second || took > 30*time.Second {
			t.Errorf("after %s: %+v", took, got)
		}
	})
}
