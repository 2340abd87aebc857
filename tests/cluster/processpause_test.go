package cluster

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
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
func TestZombies(t *testing.T) {
	r := startTrial(t, harness.ClusterOptions{Ingesters: 1, Coordinators: 1, Queriers: 1})
	stays := r.Ingesters()[0]
	zombies := []*zombie{
		{Node: r.New(t, harness.RoleIngest)},
		{Node: r.New(t, harness.RoleIngest), point: "handoff.after_upload=pause@2"},
		{Node: r.New(t, harness.RoleIngest), point: "catalog.append.before_txn=pause@2"},
		{Node: r.New(t, harness.RoleCompact), point: "compact.after_upload=pause"},
	}
	rounds := 1
	if long() {
		rounds = 20
	}
	for range rounds {
		r.stopZombies(t, zombies, stays)
		for _, z := range zombies {
			z.Stop(t)
			*z = zombie{Node: r.New(t, z.Roles...), point: z.point} // none that has epochs of an earlier round
		}
		r.WaitShared(t, "events", trialPartitions, settle, stays)
	}
	r.finish(t)
}

func (r *trial) stopZombies(t *testing.T, zombies []*zombie, stays *harness.Node) {
	t.Helper()
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
	time.Sleep(time.Until(paused.Add(3 * trialLease)))
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
		if log := z.Log(); !strings.Contains(log, "lease is gone") && !strings.Contains(log, "not the owner") {
			t.Errorf("the log of %s does not tell why it gave up what it had:\n%s", z.ID, log)
		}
		t.Logf("%s, stopped by %q: %d objects that it had left were collected", z.ID, z.point, z.left)
	}
	r.steady(t) // it looks at the history: no epoch has committed after its end
	t.Logf("taken over %s after the last one was stopped, shared again %s after they went on", took.Round(time.Millisecond),
		back.Round(time.Millisecond))
	worker.Stop(t)
}

// pauseAll returns when all of them are stopped, and says since when.
func (r *trial) pauseAll(t *testing.T, zombies []*zombie) time.Time {
	t.Helper()
	stopped := 0
	eventually(t, "all zombies are stopped", func() bool {
		for _, z := range zombies {
			if !z.Answering() {
				continue
			}
			if epochs := r.history.check(t).epochs(z.ID); z.point == "" && len(epochs) > 0 || isPaused(t, z.Node) {
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
