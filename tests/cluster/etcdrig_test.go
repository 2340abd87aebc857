package cluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

// steadySpec hands off so often that a fault always meets handoffs. Some events have a note, which nobody asks for.
const steadySpec = `
type: kafka
spec:
  dataSchema:
    dataSource: events
    timestampSpec: {column: timestamp, format: iso}
    dimensionsSpec: {dimensions: [event, type, userId, messageId, note]}
    dedupSpec: {key: messageId}
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}
  ioConfig: {topic: %s, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {intermediateHandoffPeriod: HANDOFF}
`

const (
	steadyRate       = 1000 // events a second
	steadyPartitions = 2
	steadyAnswers    = 4 // that must come before a test goes on
)

// stated is a fault's duration as stated in the long profile, and a short one otherwise.
func stated(short, full time.Duration) time.Duration {
	if long() {
		return full
	}
	return short
}

// handoffPeriod is longer in the long profile, whose queries would have to read thousands of small segments.
func handoffPeriod() string {
	if long() {
		return "PT5S"
	}
	return "PT1S"
}

// withEtcd is the parts that the tests share with an etcd of the test's own, for it to break.
func withEtcd(t *testing.T, o harness.EtcdOptions) *harness.Parts {
	t.Helper()
	parts := *harness.SharedParts(t)
	parts.Etcd = harness.StartEtcd(t, o)
	return &parts
}

// steady is a cluster into which events flow at a steady rate, while a checker asks.
type steady struct {
	c       *harness.Cluster
	topic   string
	feed    *harness.Feed
	checker *harness.Checker
}

// startSteady lets events flow and waits for answers and commits.
func startSteady(t *testing.T, c *harness.Cluster) *steady {
	t.Helper()
	s := &steady{c: c, topic: begin(t, c, steadyPartitions, steadySpec)}
	c.WaitShared(t, "events", steadyPartitions, settle, c.Ingesters()...)
	s.feed = c.StartFeed(t, harness.FeedOptions{Topic: s.topic, PerSecond: steadyRate, Seed: 1})
	s.checker = c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	s.goesOn(t, "at first")
	return s
}

// goesOn waits until every partition has a new commit and queries are answered, and tells how long that took.
func (s *steady) goesOn(t *testing.T, when string) {
	t.Helper()
	before, _ := s.c.WaitStatus(t, "events", "known", settle, func(st harness.SupervisorStatus) bool { return len(st.PartitionStatus) > 0 })
	old := committed(before)
	_, took := s.c.WaitStatus(t, "events", "committing in every partition "+when, settle, func(st harness.SupervisorStatus) bool {
		now := committed(st)
		for partition, offset := range old {
			if now[partition] <= offset {
				return false
			}
		}
		return true
	})
	s.checker.WaitAnswers(t, steadyAnswers, settle)
	t.Logf("%s: every partition has a commit after %s", when, took.Round(time.Millisecond))
}

func committed(s harness.SupervisorStatus) map[int32]int64 {
	out := map[int32]int64{}
	for _, p := range s.PartitionStatus {
		out[p.Partition] = 0
		if p.CommittedOffset != nil {
			out[p.Partition] = *p.CommittedOffset
		}
	}
	return out
}

// read sums how far the readers are.
func read(s harness.SupervisorStatus) (offsets, hotRows int64) {
	for _, p := range s.PartitionStatus {
		if p.CurrentOffset != nil {
			offsets += *p.CurrentOffset
		}
		hotRows += p.HotRows
	}
	return offsets, hotRows
}

// readsOn waits until a second's events more have been read and are hot, while nothing is committed.
func (s *steady) readsOn(t *testing.T, while string) {
	t.Helper()
	before, _ := s.c.WaitStatus(t, "events", "known "+while, settle, func(st harness.SupervisorStatus) bool { return len(st.PartitionStatus) > 0 })
	offsets, hot := read(before)
	after, _ := s.c.WaitStatus(t, "events", "reading on "+while, settle, func(st harness.SupervisorStatus) bool {
		nowOffsets, nowHot := read(st)
		return nowOffsets >= offsets+steadyRate && nowHot > hot
	})
	nowOffsets, nowHot := read(after)
	t.Logf("%s: offsets went from %d to %d, hot rows from %d to %d", while, offsets, nowOffsets, hot, nowHot)
}

// says waits until the supervisor's status has an error with all of the words.
func (s *steady) says(t *testing.T, words ...string) {
	t.Helper()
	s.c.WaitStatus(t, "events", fmt.Sprintf("saying %q", words), settle, func(st harness.SupervisorStatus) bool {
		for _, e := range st.RecentErrors {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(e.Message, word) }) {
				t.Logf("status: %s", e.Message)
				return true
			}
		}
		return false
	})
}

// end ends the flow: no lag is left, every answer was exact, and so are answers from memory and after the last handoff.
func (s *steady) end(t *testing.T) harness.Checked {
	t.Helper()
	s.feed.Stop(t)
	t.Logf("no lag after %s", s.c.WaitNoLag(t, "events", settle).Round(time.Millisecond))
	s.checker.WaitAnswers(t, steadyAnswers, settle)
	log := newEventLog()
	checked := s.c.StopAndCheck(t, s.checker, log, s.topic)
	s.c.WaitCut(t, "events", log.Ends(), settle)
	s.c.CheckNow(t, log, "events", eventQuestions()...)
	s.c.Handoff(t, "events")
	s.c.CheckNow(t, log, "events", eventQuestions()...)
	return checked
}

// sample sums a metric of one process over its labels; ok: the process has it.
func sample(t *testing.T, n *harness.Node, metric string) (sum float64, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	status, body, err := n.Get(ctx, "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("metrics of %s: %v, %d %s", n.ID, err, status, body)
	}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		rest, found := strings.CutPrefix(lines.Text(), metric)
		if !found || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			t.Fatalf("metrics of %s: %q: %v", n.ID, lines.Text(), err)
		}
		sum, ok = sum+v, true
	}
	return sum, ok
}

// waitSample waits until a metric is as wanted.
func waitSample(t *testing.T, n *harness.Node, metric, wanted string, is func(float64) bool) float64 {
	t.Helper()
	deadline := time.Now().Add(settle)
	for {
		v, ok := sample(t, n, metric)
		if ok && is(v) {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s of %s is %v (%v) after %s, want %s", metric, n.ID, v, ok, settle, wanted)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const noteBytes = 8 << 10

// writeBulk writes events with long notes, as fast as the broker takes them.
func (s *steady) writeBulk(t *testing.T, events int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.c.Kafka.Address()), kgo.DefaultProduceTopic(s.topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	note := strings.Repeat("n", noteBytes)
	records := make([]*kgo.Record, events)
	for i := range records {
		value := fmt.Appendf(nil, `{"timestamp":%q,"event":"bulk","type":"track","userId":"bulk-%d","messageId":"bulk-%d","note":"%d %s"}`,
			time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), i%100, i, i, note)
		records[i] = &kgo.Record{Key: strconv.AppendInt(nil, int64(i), 10), Value: value}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("write bulk: %v", err)
	}
}
