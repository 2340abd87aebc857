package cluster

import (
	"testing"
	"time"

	"drumlin/tests/harness"
)

const everything = `{"type":"compact","dataSource":"events","interval":"2000-01-01/2100-01-01"}`

// TestEveryKindOfProcessIsKilled ends one process of each kind with SIGKILL, in turn, and starts it again. One that ingests
// is also left dead, until the other has taken over.
func TestEveryKindOfProcessIsKilled(t *testing.T) {
	r := startTrial(t, harness.ClusterOptions{LeaseTTL: leaseLife}, trialSpec)
	for range trialRounds(20) {
		r.killEach(t)
	}
	r.finish(t)
}

func (r *trial) killEach(t *testing.T) {
	t.Helper()
	one, two := r.Ingesters()[0], r.Ingesters()[1]
	for _, role := range []string{harness.RoleCoordinate, harness.RoleIngest, harness.RoleQuery} {
		n := r.Nodes(role)[0]
		took := n.Restart(t)
		r.WaitShared(t, "events", trialPartitions, settle, one, two)
		r.steady(t)
		t.Logf("%s killed, healthy %s later", n.ID, took.Round(time.Millisecond))
	}
	r.killCompactor(t)
	watch := harness.StartWatch()
	two.Kill(t)
	_, took := r.WaitShared(t, "events", trialPartitions, settle, one)
	watch.Within(t, "taking over", took, leaseGone+2*time.Second)
	caught := r.WaitNoLag(t, "events", settle)
	t.Logf("%s left dead, taken over %s later, no lag after %s more", two.ID, took.Round(time.Millisecond), caught.Round(time.Millisecond))
	r.steady(t)
	two.Start(t)
	r.WaitShared(t, "events", trialPartitions, settle, one, two)
}

// killCompactor kills the compacting process when a task of its has uploaded what it made, and not swapped it in.
func (r *trial) killCompactor(t *testing.T) {
	t.Helper()
	n := r.Nodes(harness.RoleCompact)[0]
	n.Stop(t)
	failAt(n, "compact.after_upload=kill")
	n.Start(t)
	task := r.Submit(t, everything)
	n.WaitEnd(t)
	if status := r.Task(t, task); status.StatusCode != "RUNNING" {
		t.Errorf("the task whose process was killed is %s", status.StatusCode)
	}
	r.checker.WaitAnswers(t, fewAnswers, settle)
	n.Kill(t) // it has ended: the harness learns of it
	failAt(n, "")
	n.Start(t)
	begin := time.Now()
	r.taskSucceeds(t, task)
	t.Logf("%s killed in its task, which succeeded %s after the restart", n.ID, time.Since(begin).Round(time.Millisecond))
	r.steady(t)
}
