package cluster

import (
	"strings"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// TestEveryKindOfProcessIsStopped ends one of two processes of each kind as an operator does: it exits with 0, the other one
// does its work, and answers go on. All the while a process tries to join that has the node id of another one.
func TestEveryKindOfProcessIsStopped(t *testing.T) {
	t.Parallel()
	r := startTrial(t, harness.ClusterOptions{Ingesters: 2, Coordinators: 2, Compactors: 2, Queriers: 2, LeaseTTL: 2 * leaseLife}, trialSpec)
	stays := r.Ingesters()[1]
	twin := r.startTwin(t, stays)
	r.Handoff(t, "events") // so that there is something to compact
	task := r.Submit(t, everything)
	for _, role := range []string{harness.RoleCompact, harness.RoleCoordinate, harness.RoleIngest, harness.RoleQuery} {
		n := r.Nodes(role)[0]
		took := n.Stop(t)
		r.steady(t)
		t.Logf("%s stopped within %s", n.ID, took.Round(time.Millisecond))
	}
	r.WaitShared(t, "events", trialPartitions, settle, stays)
	for _, id := range []string{task, r.Submit(t, everything)} {
		r.taskSucceeds(t, id)
	}
	r.twinIsRefused(t, twin, stays)
	r.finish(t)
}

// startTwin starts a process with the node id of one that lives, at an address of its own.
func (r *trial) startTwin(t *testing.T, first *harness.Node) *harness.Node {
	t.Helper()
	twin := r.New(t, first.Roles...)
	twin.Set = []string{"node.id=" + first.ID}
	twin.Launch(t)
	return twin
}

// twinIsRefused waits until the twin has ended and said why. The first one has kept what it had.
func (r *trial) twinIsRefused(t *testing.T, twin, first *harness.Node) {
	t.Helper()
	twin.WaitEnd(t)
	if !strings.Contains(twin.Log(), "give one of them another node id") {
		t.Errorf("the second process of %s does not say why it ended", first.ID)
	}
	r.WaitShared(t, "events", trialPartitions, settle, first)
	twin.Kill(t) // it has ended: the harness learns of it
}
