package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

// besidesSpec reads another topic: nothing that befalls the first one may show in it.
const besidesSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: minutes
    timestampSpec: {column: timestamp, format: iso}
    dimensionsSpec: {dimensions: [event, type]}
    metricsSpec: [{type: count, name: events}]
    dedupSpec: {key: messageId}
    granularitySpec: {segmentGranularity: hour, queryGranularity: minute, rollup: true}
  ioConfig: {topic: %s, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {intermediateHandoffPeriod: PT1S}
`

// besides is a supervisor that must not notice what happens to the other one.
type besides struct {
	topic   string
	feed    *harness.Feed
	checker *harness.Checker
}

func startBesides(t *testing.T, c *harness.Cluster) *besides {
	t.Helper()
	b := &besides{topic: c.Topic("besides")}
	c.CreateTopic(t, b.topic, 2)
	c.Apply(t, fmt.Appendf(nil, besidesSpec, b.topic))
	b.feed = c.StartFeed(t, harness.FeedOptions{Topic: b.topic, PerSecond: 300, Seed: 7})
	b.checker = c.StartChecker(t, harness.CheckerOptions{Datasource: "minutes", Questions: minuteQuestions()})
	return b
}

// goesOn waits for new events and for answers that reach them.
func (b *besides) goesOn(t *testing.T, c *harness.Cluster) {
	t.Helper()
	waitTaken(t, b.feed, 200)
	c.WaitNoLag(t, "minutes", settle)
	b.checker.WaitAnswers(t, fewAnswers, settle)
}

func (b *besides) end(t *testing.T, c *harness.Cluster) {
	t.Helper()
	b.feed.Stop(t)
	log := newEventLog()
	if checked := c.StopAndCheck(t, b.checker, log, b.topic); checked.Refused+checked.Unreachable > 0 {
		t.Errorf("queries of a supervisor that nothing has befallen were refused: %s", checked)
	}
	c.WaitCut(t, "minutes", log.Ends(), settle)
	c.CheckNow(t, log, "minutes", minuteQuestions()...)
}

// gapsOf reads drumlin gap list.
func gapsOf(t *testing.T, c *harness.Cluster, supervisor string) map[int32]listedGap {
	t.Helper()
	var all map[string]struct{ Gaps []listedGap }
	text := c.MustRun(t, "gap", "list", supervisor, "--json")
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("drumlin gap list: %v\n%s", err, text)
	}
	out := map[int32]listedGap{}
	for _, g := range all[supervisor].Gaps {
		out[g.Partition] = g
	}
	return out
}

type listedGap struct {
	Topic, Owner, Reason, Message string
	Partition                     int32
	From, To, Records             *int64
}

func acceptArgs(supervisor, topic string, partition int32, from, to int64) []string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []string{
		"gap", "accept", supervisor, "--topic", topic, "--partition", number(int64(partition)), "--from", number(from), "--to", number(to),
	}
}

// TestRetentionPassesTheCommittedOffset lets the topic lose records that nobody has read: first some of one partition, by
// DeleteRecords, then all of every partition, by retention.ms. Each time exactly the partitions that lost something halt with
// the exact range, the others go on, no other range is accepted, and behind the accepted one reading goes on.
func TestRetentionPassesTheCommittedOffset(t *testing.T) {
	t.Parallel()
	const partitions = 3
	kcat := testkit.Part(t, "kcat")
	c := harness.StartCluster(t, binary, harness.ClusterOptions{})
	past := followHistory(t, c)
	topic := begin(t, c, partitions, promptSpec)
	beside := startBesides(t, c)
	admin, client, log := topicAdmin(t, c), c.Client(t), newEventLog()
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: 1500, Seed: 1}).Wait(t)
	c.ReadLog(t, log, topic)
	c.WaitCut(t, "events", log.Ends(), settle)
	beside.goesOn(t, c)

	stopIngesters(t, c)
	committed := log.Ends()[topic]
	harness.Produce(t, client, byPartition(topic, partitions, "second", 300)...)
	lostTo := map[int32]int64{1: committed[1] + 100}
	deleteBelow(t, admin, topic, lostTo)
	startIngesters(t, c)
	waitHalted(t, c, "events", "offset_out_of_range", 1)
	checkGaps(t, c, topic, committed, lostTo)
	if _, _, lag := groupLag(t, c, "drumlin-events", topic); lag < 300 {
		t.Errorf("Kafka's own tool sees a lag of %d, want that of the halted partition: 300", lag)
	}
	beside.goesOn(t, c)
	refuseOtherRanges(t, c, topic, 1, committed[1], lostTo[1])
	accept(t, c, topic, 1, committed[1], lostTo[1])
	c.ReadLog(t, log, topic)
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)

	stopIngesters(t, c)
	committed = log.Ends()[topic]
	harness.Produce(t, client, byPartition(topic, partitions, "third", 200)...)
	lostTo = expire(t, admin, topic)
	startIngesters(t, c)
	waitHalted(t, c, "events", "offset_out_of_range", 0, 1, 2)
	checkGaps(t, c, topic, committed, lostTo)
	restarted := c.Ingesters()[0] // what halts is found again by whoever reads next
	restarted.Restart(t)
	waitHalted(t, c, "events", "offset_out_of_range", 0, 1, 2)
	beside.goesOn(t, c)
	c.MustRun(t, "gap", "accept", "events", "--all")
	c.WaitNoLag(t, "events", settle)
	harness.Produce(t, client, byPartition(topic, partitions, "fourth", 100)...)
	c.ReadLog(t, log, topic)
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)
	c.Handoff(t, "events")
	c.CheckNow(t, log, "events", eventQuestions()...)
	if lost := addUp(t, c, "events"); lost[0] != 200 || lost[1] != 100+200 || lost[2] != 200 {
		t.Errorf("lost records: %v", lost)
	}
	past.check(t)
	waitGroupAtEnd(t, c, "drumlin-events", topic)
	read := exec.Command(kcat, "-b", c.Kafka.Address(), "-G", "drumlin-events", "-e", "-q", "-f", "%o\n",
		"-X", "enable.auto.commit=false", "-X", "auto.offset.reset=error", topic)
	if out, err := read.Output(); err != nil || bytes.Count(out, []byte("\n")) != 0 {
		t.Errorf("kcat reads %q behind the group's offsets: %v", out, err)
	}
	beside.end(t, c)
}

func stopIngesters(t *testing.T, c *harness.Cluster) {
	t.Helper()
	for _, n := range c.Ingesters() {
		n.Terminate(t)
	}
	for _, n := range c.Ingesters() {
		n.WaitExit(t)
	}
}

func startIngesters(t *testing.T, c *harness.Cluster) {
	t.Helper()
	for _, n := range c.Ingesters() {
		n.Launch(t)
	}
	for _, n := range c.Ingesters() {
		n.WaitHealthy(t)
	}
}

// byPartition makes n events for each partition.
func byPartition(topic string, partitions int32, name string, n int) []*kgo.Record {
	var out []*kgo.Record
	for partition := range partitions {
		out = append(out, records(topic, partition, fmt.Sprintf("%s-%d", name, partition), n)...)
	}
	return out
}

func deleteBelow(t *testing.T, admin *kadm.Client, topic string, below map[int32]int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	var offsets kadm.Offsets
	for partition, offset := range below {
		offsets.AddOffset(topic, partition, offset, -1)
	}
	answers, err := admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatalf("delete records of %s: %v", topic, err)
	}
}

// expire lets retention delete all of a topic, and returns where its partitions begin then.
func expire(t *testing.T, admin *kadm.Client, topic string) map[int32]int64 {
	t.Helper()
	set := func(value string) {
		ctx, cancel := context.WithTimeout(context.Background(), settle)
		defer cancel()
		answers, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, topic)
		if err == nil && len(answers) > 0 {
			err = answers[0].Err
		}
		if err != nil {
			t.Fatalf("set the retention of %s: %v", topic, err)
		}
	}
	set("1000")
	ends, starts := logEnds(t, admin, topic), map[int32]int64{}
	eventually(t, "retention has deleted everything", func() bool {
		starts = logStarts(t, admin, topic)
		return fmt.Sprint(starts) == fmt.Sprint(ends)
	})
	set("604800000")
	return starts
}

// checkGaps holds list, status and answers against what is lost.
func checkGaps(t *testing.T, c *harness.Cluster, topic string, from, to map[int32]int64) {
	t.Helper()
	gaps := gapsOf(t, c, "events")
	if len(gaps) != len(to) {
		t.Errorf("%d gaps are listed, want %d: %+v", len(gaps), len(to), gaps)
	}
	for partition, end := range to {
		g := gaps[partition]
		if g.Topic != topic || g.Reason != "offset_out_of_range" || g.From == nil || g.To == nil || *g.From != from[partition] || *g.To != end {
			t.Errorf("the gap of partition %d is %+v, want [%d, %d)", partition, g, from[partition], end)
		}
		said := fmt.Sprintf("offsets %d to %d of %s partition %d are lost", from[partition], end-1, topic, partition)
		if a := accounts(t, c, "events")[partition]; !strings.Contains(a.Error, said) {
			t.Errorf("the status says %q of partition %d, want %q", a.Error, partition, said)
		}
		if text := c.MustRun(t, "status", "events"); !strings.Contains(text, said) {
			t.Errorf("drumlin status does not say %q:\n%s", said, text)
		}
		how := strings.Join(append([]string{"drumlin"}, acceptArgs("events", topic, partition, from[partition], end)...), " ")
		if text := c.MustRun(t, "gap", "list"); !strings.Contains(text, how) {
			t.Errorf("drumlin gap list does not tell %q:\n%s", how, text)
		}
	}
	begin, watch := time.Now(), harness.StartWatch()
	status, _, body := answerTo(t, c, `SELECT COUNT(*) AS n FROM events`, nil)
	watch.Within(t, "a query of partitions that have halted", time.Since(begin), 10*time.Second) // half of the budget for owners
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "are lost") {
		t.Errorf("an answer without the lost records: %d %s", status, body)
	}
	if status, _, body := askCommitted(t, c, `SELECT COUNT(*) AS n FROM events`); status != http.StatusOK {
		t.Errorf("what is committed is not answered: %d %s", status, body)
	}
	halted := 0.0
	for _, n := range c.Ingesters() {
		v, _ := sample(t, n, "drumlin_ingest_halted")
		halted += v
	}
	if int(halted) != len(to) {
		t.Errorf("metrics show %v halted partitions, want %d", halted, len(to))
	}
}

// refuseOtherRanges tries what is not exactly what is lost.
func refuseOtherRanges(t *testing.T, c *harness.Cluster, topic string, partition int32, from, to int64) {
	t.Helper()
	is := fmt.Sprintf("%d", from)
	refused(t, c, acceptArgs("events", topic, partition, from, to+1), is)
	refused(t, c, acceptArgs("events", topic, partition, from, to-1), is)
	refused(t, c, acceptArgs("events", topic, partition, from+1, to), is)
	refused(t, c, acceptArgs("events", topic, partition, 0, to), is)
	refused(t, c, acceptArgs("events", topic, partition-1, from, to), "halted")
	refused(t, c, acceptArgs("events", topic, 99, from, to), "partition")
	refused(t, c, acceptArgs("events", topic+"-other", partition, from, to), "partition")
	refused(t, c, acceptArgs("nobody", topic, partition, from, to), "nobody")
	if lost := addUp(t, c, "events"); lost[partition] != 0 {
		t.Errorf("%d records count as lost after refusals", lost[partition])
	}
}

// accept accepts a gap, twice: the second time there is none.
func accept(t *testing.T, c *harness.Cluster, topic string, partition int32, from, to int64) {
	t.Helper()
	args := acceptArgs("events", topic, partition, from, to)
	begin := time.Now()
	c.MustRun(t, args...)
	lag := c.WaitNoLag(t, "events", settle)
	t.Logf("[%d, %d) of partition %d accepted after %s, no lag %s later", from, to, partition,
		(time.Since(begin) - lag).Round(time.Millisecond), lag.Round(time.Millisecond))
	refused(t, c, args, "halted")
	if gaps := gapsOf(t, c, "events"); len(gaps) > 0 {
		t.Errorf("gaps after the last one was accepted: %+v", gaps)
	}
}

func waitGroupAtEnd(t *testing.T, c *harness.Cluster, group, topic string) {
	t.Helper()
	deadline := time.Now().Add(settle)
	for {
		ends, committed, lag := groupLag(t, c, group, topic)
		if lag == 0 && committed == ends {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the group %s stands at %d of %d, lag %d", group, committed, ends, lag)
		}
	}
}
