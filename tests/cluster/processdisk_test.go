package cluster

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// TestLocalDirectoriesAreDeleted takes cache and spill directories away from running processes, while queries read cold rows,
// rows are handed off, and a task spills: all of them go on, since what lies there can be had again.
func TestLocalDirectoriesAreDeleted(t *testing.T) {
	t.Parallel()
	r := startTrial(t, harness.ClusterOptions{
		Ingesters: 1, Coordinators: 1, Compactors: 1, Queriers: 1,
		Set: []string{"compaction.maxBytes=16MiB"},
	}, trialSpec)
	const events = 60_000
	r.StartFeed(t, harness.FeedOptions{Topic: r.topic, Events: events, Seed: 2}).Wait(t)
	r.steady(t)
	r.Handoff(t, "events")
	for _, n := range r.Nodes() {
		t.Logf("%s loses %d files", n.ID, deleteDirectories(t, n))
	}
	r.steady(t)
	begin := time.Now()
	id := r.Submit(t, everything)
	for r.Task(t, id).StatusCode == "RUNNING" {
		for _, n := range r.Nodes() {
			deleteDirectories(t, n)
		}
		r.checker.WaitAnswers(t, 1, settle) // a machine may be so slow that segments are fetched for longer than any pause
	}
	r.taskSucceeds(t, id)
	report := r.TaskReport(t, id)
	t.Logf("the task succeeded after %s, spilled %d bytes", time.Since(begin).Round(time.Millisecond), report.Stats.SpilledBytes)
	if report.Stats.SpilledBytes == 0 {
		t.Error("the task did not spill")
	}
	r.finish(t)
}

// deleteDirectories deletes the local directories of a running process, and counts the files that it found there.
func deleteDirectories(t *testing.T, n *harness.Node) int {
	t.Helper()
	found := 0
	for _, dir := range []string{n.CacheDir(), filepath.Join(filepath.Dir(n.CacheDir()), "spill")} {
		files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		found += len(files)
		// A file that the process makes meanwhile keeps its directory.
		eventually(t, dir+" is deleted", func() bool { return os.RemoveAll(dir) == nil })
	}
	return found
}
