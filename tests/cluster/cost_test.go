package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"drumlin/tests/harness"
)

const costPartitions = 8

// TestCostOfMoreProcesses reads the same backlog with one, two and four ingesting processes, and measures the processor time
// of these, in user and kernel mode, from the submission of the spec to the last commit. What a record costs must not depend
// on how many processes share the work. It is judged in the long profile alone: runs of a busy machine differ.
func TestCostOfMoreProcesses(t *testing.T) {
	events, rounds := int64(100_000), 1
	if long() {
		events, rounds = 2_000_000, 3
	}
	processes := []int{1, 2, 4}
	topic := costBacklog(t, events)
	perEvent := map[int][]float64{} // µs
	for range rounds {
		for _, n := range processes {
			cost, took := costOf(t, topic, events, n)
			micros := cost.Seconds() * 1e6 / float64(events)
			perEvent[n] = append(perEvent[n], micros)
			t.Logf("%d processes: %.2f µs of processor time per event, %s in all, %.0f events/s", n, micros,
				cost.Round(time.Millisecond), float64(events)/took.Seconds())
		}
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = perEvent[4][i] / perEvent[1][i]
	}
	slices.Sort(ratios)
	median := ratios[rounds/2]
	var lines strings.Builder
	for _, n := range processes {
		fmt.Fprintf(&lines, "\ncpu-us/event-%d    %.2f", n, perEvent[n])
	}
	t.Logf("cost of reading %d events in %d partitions, %d rounds:%s\nx-4:1             %.2f\nx-4:1-low         %.2f\nx-4:1-high        %.2f",
		events, costPartitions, rounds, &lines, median, ratios[0], ratios[rounds-1])
	if most := 1.5; long() && median >= most {
		t.Errorf("with four processes a record costs %.2f times what it costs with one, want less than %.1f", median, most)
	}
}

// costBacklog writes the events that all runs read.
func costBacklog(t *testing.T, events int64) string {
	t.Helper()
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Coordinators: 1})
	topic := c.Topic("backlog")
	c.CreateTopic(t, topic, costPartitions)
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: events, Seed: 1}).Wait(t)
	for _, n := range c.Nodes() {
		n.Stop(t)
	}
	return topic
}

// costOf reads the backlog in a cluster of its own and returns the processor time of its ingesting processes, and how long
// reading and handing off took.
func costOf(t *testing.T, topic string, events int64, processes int) (cost, took time.Duration) {
	t.Helper()
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Ingesters: processes, Coordinators: 1, Queriers: 1})
	used := func() (sum time.Duration) {
		for _, n := range c.Ingesters() {
			sum += time.Duration(n.CPUSeconds(t) * float64(time.Second))
		}
		return sum
	}
	before, begin := used(), time.Now()
	c.Apply(t, fmt.Appendf(nil, eventsSpec, topic))
	deadline := begin.Add(5 * time.Minute)
	for !readWhole(t, c, events) {
		if time.Now().After(deadline) {
			t.Fatalf("%d processes have not read %d events after %s", processes, events, time.Since(begin))
		}
		time.Sleep(200 * time.Millisecond) // each question costs the processes that are measured
	}
	c.Handoff(t, "events")
	cost, took = used()-before, time.Since(begin)
	var stored int64
	owners := map[string]bool{}
	for _, a := range accounts(t, c, "events") {
		stored += a.Counters.Stored + a.Counters.Duplicates
	}
	status, _ := c.WaitShared(t, "events", costPartitions, settle, c.Ingesters()...)
	for _, owner := range status.Owners() {
		owners[owner] = true
	}
	if stored != events || len(owners) != processes {
		t.Errorf("%d processes have read %d events, want %d by %d", len(owners), stored, events, processes)
	}
	for _, n := range c.Nodes() {
		n.Stop(t)
	}
	return cost, took
}

// readWhole asks once whether everything has been read.
func readWhole(t *testing.T, c *harness.Cluster, events int64) bool {
	t.Helper()
	status, err := c.Status(t.Context(), "events")
	if err != nil {
		return false
	}
	var at int64
	for _, p := range status.PartitionStatus {
		if p.CurrentOffset != nil {
			at += *p.CurrentOffset
		}
	}
	return at == events
}
