package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

func TestTaskRunsAndLeavesItsReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1, 2)
		co, _ := w.compactor(t, "a", nil)
		release := w.worker.hold()
		id, _, err := co.SubmitTask(t.Context(), taskText("one", `,"context":{"priority":7}`))
		if err != nil || id != "one" {
			t.Fatalf("%q %v", id, err)
		}
		until(t, "it runs", func() bool { return w.task("one").State == catalog.TaskRunning })
		if text, err := co.TaskLogFrom(t.Context(), "one", 0); err != nil || !strings.Contains(string(text), "at work") {
			t.Errorf("log of a running task: %q %v", text, err)
		}
		if _, err := co.TaskReport(t.Context(), "one"); !errors.Is(err, ErrNoReport) {
			t.Errorf("report of a running task: %v", err)
		}
		s, payload, err := co.Task("one")
		if err != nil || s.StatusCode != "RUNNING" || s.RunnerStatusCode != "RUNNING" || s.DurationMillis != -1 || s.Priority != 7 ||
			s.Location.Host != "a" || s.Location.Port != 80 || !strings.Contains(string(payload), "1970-01-01") {
			t.Errorf("status: %+v %s %v", s, payload, err)
		}
		time.Sleep(90 * time.Second)
		release()
		done := w.ends(t, "one", catalog.TaskSuccess)
		if done.Attempt != 1 || done.Failures != 0 || done.Node != "a" || done.FinishedMillis-done.StartedMillis < 90_000 {
			t.Errorf("task: %+v", done)
		}
		report, err := co.TaskReport(t.Context(), "one")
		if err != nil || !strings.Contains(string(report), `"taskId":"one"`) || !strings.Contains(string(report), "ingestionStatsAndErrors") {
			t.Errorf("report: %s %v", report, err)
		}
		text, err := co.TaskLogFrom(t.Context(), "one", -30)
		if err != nil || len(text) != 30 || !strings.HasSuffix(string(text), "SUCCESS\n") {
			t.Errorf("end of the log: %q %v", text, err)
		}
		until(t, "the claim is gone", func() bool { return !w.c.View().Tasks["one"].Claimed })
		if s, _, _ := co.Task("one"); s.StatusCode != "SUCCESS" || s.RunnerStatusCode != "NONE" || s.DurationMillis < 90_000 || s.ErrorMsg != nil {
			t.Errorf("status: %+v", s)
		}
	})
}

func TestSubmitTaskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		co := New(Options{Catalog: w.c, Topics: w.topics})
		revision := w.c.View().Revision
		var problems spec.Problems
		if _, _, err := co.SubmitTask(t.Context(), []byte(`{"type":"compact","dataSource":"pages","intervall":"x"}`)); !errors.As(err, &problems) {
			t.Errorf("a task that cannot be read: %v", err)
		}
		var plan *compaction.PlanError
		if _, _, err := co.SubmitTask(t.Context(), taskText("x", `,"granularitySpec":{"rollup":true}`)); !errors.As(err, &plan) {
			t.Errorf("a task that would widen: %v", err)
		}
		if got := w.refresh(t); got.Revision != revision || len(got.Tasks) != 0 {
			t.Error("refused tasks have changed the catalog")
		}
		mustSubmitTask(t, co, "x", "")
		if _, _, err := co.SubmitTask(t.Context(), taskText("x", "")); !errors.Is(err, ErrTaskExists) {
			t.Errorf("the same id again: %v", err)
		}
		// No data is no fault of the submission; the task says so when it runs.
		empty := strings.ReplaceAll(string(taskText("y", "")), "1970", "1980")
		if _, warnings, err := co.SubmitTask(t.Context(), []byte(empty)); err != nil || len(warnings) != 1 {
			t.Errorf("an interval without data: %q %v", warnings, err)
		}
		id, _, err := co.SubmitTask(t.Context(), []byte(strings.Replace(string(taskText("x", "")), `"id":"x",`, "", 1)))
		if err != nil || !strings.HasPrefix(id, "compact_pages_") {
			t.Errorf("an id of the server's: %q %v", id, err)
		}
		if _, _, err := co.Task("nobody"); !errors.Is(err, ErrNoTask) {
			t.Errorf("nobody's status: %v", err)
		}
	})
}

func TestProgressIsWrittenNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		co, _ := w.compactor(t, "a", nil)
		const chunks = 100
		w.worker.works(func(_ context.Context, _ *spec.Task, o compaction.RunOptions) (*compaction.Report, error) {
			for i := range chunks {
				time.Sleep(300 * time.Millisecond)
				o.Progress(i+1, chunks)
			}
			return &compaction.Report{}, nil
		})
		mustSubmitTask(t, co, "one", "")
		seen := map[int]bool{}
		for !w.task("one").State.Finished() {
			seen[w.task("one").Done] = true
			time.Sleep(50 * time.Millisecond)
		}
		if len(seen) < 8 || len(seen) > 12 {
			t.Errorf("in 30 s the catalog showed %v", seen)
		}
		if s, _, err := co.Task("one"); err != nil || s.ChunksDone != chunks || s.ChunksTotal != chunks {
			t.Errorf("in the end: %+v %v", s, err)
		}
	})
}

func TestTasksAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		co := New(Options{Catalog: w.c, Topics: w.topics})
		for i := range 3 {
			mustSubmitTask(t, co, fmt.Sprint("t", i), "")
			time.Sleep(time.Second)
		}
		if err := co.CancelTask(t.Context(), "t0"); err != nil {
			t.Fatal(err)
		}
		if err := co.CancelTask(t.Context(), "t1"); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			filter TaskFilter
			want   string
		}{
			{TaskFilter{}, "t2 t1 t0"},
			{TaskFilter{State: "pending"}, "t2"},
			{TaskFilter{State: "waiting"}, ""},
			{TaskFilter{State: "running"}, ""},
			{TaskFilter{State: "complete"}, "t1 t0"},
			{TaskFilter{State: "complete", Max: 1}, "t1"},
			{TaskFilter{Datasource: "other"}, ""},
			{TaskFilter{Type: "kill"}, ""},
			{TaskFilter{Created: &spec.Interval{StartMillis: 0, EndMillis: time.Now().UnixMilli() - 2500}}, "t0"},
		} {
			list, err := co.Tasks(c.filter)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, s := range list {
				ids = append(ids, s.ID)
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("%+v: %q, want %q", c.filter, got, c.want)
			}
		}
		if _, err := co.Tasks(TaskFilter{State: "lost"}); err == nil {
			t.Error("an unknown state is accepted")
		}
		if s, _, err := co.Task("t2"); err != nil || s.ErrorMsg == nil || !strings.Contains(*s.ErrorMsg, RoleCompact) {
			t.Errorf("nobody runs tasks: %+v %v", s, err)
		}
	})
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		co, _ := w.compactor(t, "a", nil)
		w.worker.works(func(_ context.Context, task *spec.Task, _ compaction.RunOptions) (*compaction.Report, error) {
			n := w.worker.ran(task.ID)
			switch {
			case task.ID == "never":
				return nil, errFlaky
			case task.ID == "wrong":
				return &compaction.Report{Error: "no"}, &compaction.TaskError{Err: errBroken}
			case task.ID == "busy" && n <= 10:
				return nil, &compaction.Busy{Intervals: []spec.Interval{{StartMillis: 0, EndMillis: 3_600_000}}}
			case task.ID == "late" && n <= 3:
				return nil, errFlaky
			}
			return &compaction.Report{}, nil
		})
		mustSubmitTask(t, co, "never", `,"tuningConfig":{"maxRetry":2}`)
		mustSubmitTask(t, co, "wrong", "")
		mustSubmitTask(t, co, "busy", "")
		mustSubmitTask(t, co, "late", "")
		if got := w.ends(t, "never", catalog.TaskFailed); got.Attempt != 3 || got.Failures != 3 || !strings.Contains(got.Error, "3 attempts failed") ||
			!strings.Contains(got.Error, errFlaky.Error()) || got.Log == "" {
			t.Errorf("never: %+v", got)
		}
		if got := w.ends(t, "wrong", catalog.TaskFailed); got.Attempt != 1 || got.Error != errBroken.Error() || got.Report == "" {
			t.Errorf("wrong: %+v", got)
		}
		if got := w.ends(t, "busy", catalog.TaskSuccess); got.Attempt != 11 || got.Failures != 0 || got.Error != "" {
			t.Errorf("busy: %+v", got)
		}
		if got := w.ends(t, "late", catalog.TaskSuccess); got.Attempt != 4 || got.Failures != 3 {
			t.Errorf("late: %+v", got)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		co, _ := w.compactor(t, "a", func(o *Options) { o.Compaction.MaxSlots = 1 })
		defer w.worker.hold()()
		mustSubmitTask(t, co, "runs", "")
		until(t, "it runs", func() bool { return w.task("runs").State == catalog.TaskRunning })
		mustSubmitTask(t, co, "waits", "")
		other := New(Options{Catalog: w.c, Topics: w.topics}) // a process that runs nothing may cancel too
		for _, id := range []string{"waits", "runs"} {
			if err := other.CancelTask(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.task("waits"); got.State != catalog.TaskFailed || got.Error != errCancelled.Error() || got.Attempt != 0 {
			t.Errorf("a waiting task ends at once: %+v", got)
		}
		if got := w.ends(t, "runs", catalog.TaskFailed); got.Error != errCancelled.Error() || got.Log == "" {
			t.Errorf("runs: %+v", got)
		}
		if err := co.CancelTask(t.Context(), "runs"); err != nil {
			t.Errorf("cancel what has ended: %v", err)
		}
		if err := co.CancelTask(t.Context(), "nobody"); !errors.Is(err, ErrNoTask) {
			t.Errorf("cancel nobody: %v", err)
		}
		if w.worker.ran("waits") != 0 {
			t.Error("a cancelled task has run")
		}
	})
}

func TestStopPutsTasksBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		co, end := w.compactor(t, "a", nil)
		release := w.worker.hold()
		mustSubmitTask(t, co, "one", `,"tuningConfig":{"maxRetry":1}`)
		until(t, "it runs", func() bool { return w.task("one").State == catalog.TaskRunning })
		end()
		v := w.refresh(t).Tasks["one"]
		if v.State != catalog.TaskWaiting || v.Failures != 0 || v.Error != "" || v.NotBeforeMillis != 0 || v.Claimed {
			t.Errorf("put back: %+v", v)
		}
		release()
		w.compactor(t, "b", nil)
		if got := w.ends(t, "one", catalog.TaskSuccess); got.Node != "b" || got.Attempt != 2 || got.Failures != 0 {
			t.Errorf("taken up: %+v", got)
		}
	})
}

// TestTakeOver leaves running tasks behind whose claims are gone.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		put := func(id string, failures int, cancelled bool) {
			parsed, _, err := spec.ParseTask(taskText(id, ""))
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.c.PutTask(t.Context(), catalog.Task{
				ID: id, Group: id, Type: "compact", Datasource: "pages", Origin: originUser, Spec: parsed.Canonical, State: catalog.TaskRunning,
				Attempt: failures + 1, Failures: failures, Node: "gone", Epoch: 3, StartedMillis: 1, CancelRequested: cancelled,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		put("once", 0, false)
		put("often", 3, false)
		put("cancelled", 0, true)
		w.compactor(t, "a", nil)
		if got := w.ends(t, "once", catalog.TaskSuccess); got.Attempt != 2 || got.Failures != 1 || got.Node != "a" {
			t.Errorf("once: %+v", got)
		}
		if got := w.ends(t, "often", catalog.TaskFailed); !strings.Contains(got.Error, "node gone went away") || w.worker.ran("often") != 0 {
			t.Errorf("often: %+v", got)
		}
		if got := w.ends(t, "cancelled", catalog.TaskFailed); got.Error != errCancelled.Error() || w.worker.ran("cancelled") != 0 {
			t.Errorf("cancelled: %+v", got)
		}
	})
}

// TestLostSession ends a node's lease under a running task: another node takes the task over, and what the first one says
// afterwards changes nothing.
func TestLostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		began := time.Now()
		co, _ := w.compactor(t, "a", nil)
		w.worker.works(func(ctx context.Context, task *spec.Task, _ compaction.RunOptions) (*compaction.Report, error) {
			if w.worker.ran(task.ID) == 1 {
				<-ctx.Done()
				time.Sleep(time.Hour) // a worker that does not hear
				return nil, errBroken
			}
			return &compaction.Report{}, nil
		})
		mustSubmitTask(t, co, "one", "")
		until(t, "it runs", func() bool { return w.task("one").State == catalog.TaskRunning })
		w.compactor(t, "b", nil)
		// Another process of the same node revokes its lease.
		session, err := w.c.Register(t.Context(), catalog.Node{ID: "a", Address: "a:80"}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.ends(t, "one", catalog.TaskSuccess); got.Node != "b" || got.Attempt != 2 || got.Failures != 1 {
			t.Errorf("taken over: %+v", got)
		}
		// The node is back long before its worker hears.
		until(t, "it is registered anew", func() bool { return w.c.View().Nodes["a"].Address == "a:80" })
		if w.worker.ran("one") != 2 || time.Since(began) > 10*time.Minute {
			t.Errorf("%d runs, after %s", w.worker.ran("one"), time.Since(began))
		}
		time.Sleep(2 * time.Hour)
		if got := w.task("one"); got.State != catalog.TaskSuccess || got.Node != "b" {
			t.Errorf("after the first one's last word: %+v", got)
		}
	})
}
