package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"drumlin/tests/harness"
)

const (
	trialPartitions = 8
	trialPerSecond  = 400
	trialAnswers    = 4 // that must come after each fault

	// trialSpec hands off so often that faults fall into handoffs.
	trialSpec = eventsSpec + `  tuningConfig: {intermediateHandoffPeriod: HANDOFF}
`
)

// eager makes collection run all the time and spare nothing for readers.
var eager = []string{"compaction.collectInterval=1s", "compaction.collectGrace=1ms"}

// trial is a cluster that takes events and answers questions while a test does harm to its processes.
type trial struct {
	*harness.Cluster
	topic   string
	feed    *harness.Feed
	checker *harness.Checker
	history *history
}

// trialRounds is how often a test does its harm.
func trialRounds(inLong int) int {
	if long() {
		return inLong
	}
	return 1
}

// startTrial starts a cluster, the events and the questions. All of it goes on until finish.
func startTrial(t *testing.T, o harness.ClusterOptions, spec string) *trial {
	t.Helper()
	o.Set = append(slices.Clone(eager), o.Set...)
	c := harness.StartCluster(t, binary, o)
	r := &trial{Cluster: c, history: followHistory(t, c)}
	r.topic = begin(t, c, trialPartitions, spec)
	r.feed = c.StartFeed(t, harness.FeedOptions{Topic: r.topic, PerSecond: trialPerSecond, Seed: 1})
	r.checker = c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	c.WaitShared(t, "events", trialPartitions, settle, c.Ingesters()...)
	r.steady(t)
	return r
}

// steady waits until the cluster reads to the end of the log and answers, and holds what is in etcd to the protocol's rules.
func (r *trial) steady(t *testing.T) {
	t.Helper()
	r.WaitNoLag(t, "events", settle)
	r.history.check(t)
	r.checker.WaitAnswers(t, trialAnswers, settle)
}

// finish ends events and questions. Every answer must have been exact; what is there in the end, hot and then cold, must be what
// the log says; the commits must tile the log; and no query may have been refused but by a process that was just starting.
func (r *trial) finish(t *testing.T) harness.Checked {
	t.Helper()
	r.steady(t)
	r.feed.Stop(t)
	log := newEventLog()
	checked := r.StopAndCheck(t, r.checker, log, r.topic)
	if checked.Answers < 3*trialAnswers {
		t.Errorf("an idle checker: %s", checked)
	}
	ends := log.Ends()
	r.WaitCut(t, "events", ends, settle)
	r.CheckNow(t, log, "events", eventQuestions()...)
	r.WaitNoLag(t, "events", settle)
	r.Handoff(t, "events")
	r.CheckNow(t, log, "events", eventQuestions()...)
	past := r.history.check(t)
	for partition, end := range ends[r.topic] {
		if at := past.next[fmt.Sprintf("events/%s/%d", r.topic, partition)]; at != end {
			t.Errorf("partition %d is committed up to %d, its log ends at %d", partition, at, end)
		}
	}
	r.checkSegments(t)
	for what, n := range checked.Refusals {
		if strings.Contains(what, `"starting"`) { // by a process that was started anew
			continue
		}
		t.Errorf("queries were refused %d times: %s", n, what)
	}
	t.Logf("%d commits under %d ownerships tile %d records", past.commits, past.ownerships(), log.Len())
	return checked
}

// checkSegments holds the offset ranges of segments against each other: those of one partition are equal or do not meet.
func (r *trial) checkSegments(t *testing.T) {
	t.Helper()
	answer := r.SQL(t, `SELECT DISTINCT topic, "partition", from_offset, to_offset FROM sys.segments
		WHERE datasource = 'events' AND state = 'cold' AND from_offset IS NOT NULL ORDER BY 1, 2, 3, 4`)
	reached := map[string]int64{}
	for _, row := range answer.Rows {
		place := fmt.Sprintf("%v/%v", row["topic"], row["partition"])
		from, to := number(t, row["from_offset"]), number(t, row["to_offset"])
		if from < reached[place] || to <= from {
			t.Errorf("segments of %s cover [%d, %d) beside others up to %d", place, from, to, reached[place])
		}
		reached[place] = to
	}
}

// taskSucceeds waits for the end of a task.
func (r *trial) taskSucceeds(t *testing.T, id string) {
	t.Helper()
	status := r.WaitTask(t, id)
	if status.StatusCode == "SUCCESS" {
		return
	}
	reason := "no reason given"
	if status.ErrorMsg != nil {
		reason = *status.ErrorMsg
	}
	t.Errorf("task %s ended with %s: %s", id, status.StatusCode, reason)
}

func number(t *testing.T, v any) int64 {
	t.Helper()
	text, ok := v.(json.Number)
	n, err := text.Int64()
	if !ok || err != nil {
		t.Fatalf("%v is no whole number", v)
	}
	return n
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(settle); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %s: %s", settle, what)
		}
	}
}

// isPaused says whether the process stands still, be it by SIGSTOP from a test or at a failpoint of its own.
func isPaused(t *testing.T, n *harness.Node) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(rest, []byte("T"))
}

// failAt arms a failpoint from the next start on; empty: none.
func failAt(n *harness.Node, point string) {
	n.Env = nil
	if point != "" {
		n.Env = []string{"DRUMLIN_FAILPOINTS=" + point}
	}
}

// metric reads a metric without labels; 0 where the process does not answer.
func metric(n *harness.Node, name string) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	status, body, err := n.Get(ctx, "/metrics")
	if err != nil || status != http.StatusOK {
		return 0
	}
	for line := range strings.Lines(string(body)) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err == nil {
				return number
			}
		}
	}
	return 0
}
