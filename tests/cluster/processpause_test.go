package cluster

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// zombie is a process that is stopped while it believes that it owns something.
type zombie struct {
	*harness.Node
	point  string         // where it stops itself; empty: anywhere
	epochs map[int64]bool // that it had when it was stopped
	left   int            // objects that it had uploaded and nobody named
}

// TestZombies stops processes with SIGSTOP for three lease times: one that ingests at any moment, others exactly inside a
// handoff, and one that compacts between its uploads and its swap. Meanwhile others do their work, and collection deletes
// what the dead epochs have left. When they go on, nothing that they meant to commit gets in, and they take part again.
//
// Nothing is handed off but when the test asks for it: those who take over read the rows and commit none, so that the offset
// is as the zombie knows it. Its epoch alone keeps it from naming objects that are gone.
func TestZombies(t *testing.T) {
	t.Parallel()
	r := startTrial(t, harness.ClusterOptions{Ingesters: 1, Coordinators: 1, Queriers: 1, LeaseTTL: leaseLife}, eventsSpec)
	stays := r.Ingesters()[0]
	for range trialRounds(20) {
		zombies := []*zombie{
			{Node: r.New(t, harness.RoleIngest)},
			{Node: r.New(t, harness.RoleIngest), point: "handoff.after_upload=pause"},
			{Node: r.New(t, harness.RoleIngest), point: "catalog.append.before_txn=pause"},
			{Node: r.New(t, harness.RoleCompact), point: "compact.after_upload=pause"},
		}
		r.stopZombies(t, zombies, stays)
		for _, z := range zombies {
			z.Stop(t)
		}
		r.WaitShared(t, "events", trialPartitions, settle, stays)
	}
	r.finish(t)
}

func (r *trial) stopZombies(t *testing.T, zombies []*zombie, stays *harness.Node) {
	t.Helper()
	r.Handoff(t, "events") // so that there is something to compact
	for _, z := range zombies {
		failAt(z.Node, z.point)
		z.Start(t)
	}
	task := r.Submit(t, everything)
	paused := r.pauseAll(t, zombies)
	worker := r.Add(t, harness.RoleCompact)
	_, took := r.WaitShared(t, "events", trialPartitions, settle, stays)
	r.taskSucceeds(t, task)
	r.steady(t)
	for _, z := range zombies {
		eventually(t, "collection deletes what the dead epochs of "+z.ID+" have left", func() bool {
			return len(r.leftBehind(t, z.epochs)) == 0
		})
	}
	time.Sleep(time.Until(paused.Add(3 * leaseLife)))
	everybody := []*harness.Node{stays}
	for _, z := range zombies {
		z.Continue(t)
		if z.Has(harness.RoleIngest) {
			everybody = append(everybody, z.Node)
		}
	}
	_, back := r.WaitShared(t, "events", trialPartitions, settle, everybody...)
	for _, z := range zombies {
		eventually(t, z.ID+" registers again", func() bool { return metric(z.Node, "drumlin_sessions_total") >= 2 })
		// A renewal finds out first, or a commit, or an attempt to take a partition.
		if log := z.Log(); !strings.Contains(log, "lease is gone") && !strings.Contains(log, "not the owner") &&
			!strings.Contains(log, "epoch is over") && !strings.Contains(log, "session lost") {
			t.Errorf("the log of %s does not tell why it gave up what it had", z.ID)
		}
		t.Logf("%s, stopped by %q: %d objects that it had left were collected", z.ID, z.point, z.left)
	}
	r.steady(t) // it looks at the history: no epoch has committed after its end
	t.Logf("taken over %s after the last one was stopped, shared again %s after they went on", took.Round(time.Millisecond),
		back.Round(time.Millisecond))
	worker.Stop(t)
}

// pauseAll asks for handoffs, and returns when all of them are stopped: since when.
func (r *trial) pauseAll(t *testing.T, zombies []*zombie) time.Time {
	t.Helper()
	eventually(t, "all zombies own something", func() bool {
		past := r.history.check(t)
		return !slices.ContainsFunc(zombies, func(z *zombie) bool { return len(past.epochs(z.ID)) == 0 })
	})
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel() // nobody waits for those who take over to hand off
	asking.Go(func() {
		status, body, err := r.Post(ctx, "/druid/indexer/v1/supervisor/events/taskGroups/handoff", nil)
		if ctx.Err() == nil {
			t.Errorf("the handoff ended before all zombies were stopped: %v, %d %s", err, status, body)
		}
	})
	stopped := 0
	eventually(t, "all zombies are stopped", func() bool {
		for _, z := range zombies {
			if z.Answering() && (z.point == "" || isPaused(t, z.Node)) {
				z.Pause(t) // the harness must know, also where it has stopped itself
				r.examine(t, z)
				stopped++
			}
		}
		return stopped == len(zombies)
	})
	return time.Now()
}

// examine notes what a process that has just been stopped leaves.
func (r *trial) examine(t *testing.T, z *zombie) {
	t.Helper()
	z.epochs = r.history.check(t).epochs(z.ID)
	z.left = len(r.leftBehind(t, z.epochs))
	if z.left == 0 && z.point != "" {
		t.Errorf("%s, stopped by %s, has left nothing behind", z.ID, z.point)
	}
}

// leftBehind lists the objects of the epochs that no commit or head names: what was uploaded for one that did not come.
func (r *trial) leftBehind(t *testing.T, epochs map[int64]bool) []string {
	t.Helper()
	named := r.history.check(t).objects
	root := filepath.Join(r.S3.Dir, "drumlin", r.ID)
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // collected meanwhile
			return nil
		case err != nil || entry.IsDir():
			return err
		}
		object, err := filepath.Rel(root, path)
		if err == nil && epochs[epochOf(entry.Name())] && !named[object] && !strings.HasPrefix(object, "offsets/") {
			found = append(found, object)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
