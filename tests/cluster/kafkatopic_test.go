package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"drumlin/tests/harness"
)

// TestATopicIsCreatedAgain deletes a topic and creates it again with more records than it had, so that every offset looks
// valid: reading halts and says why, also after a restart, what was read stays, others go on, and another datasource can
// read the new topic.
func TestATopicIsCreatedAgain(t *testing.T) {
	t.Parallel()
	const partitions = 3
	c := harness.StartCluster(t, binary, harness.ClusterOptions{})
	past := followHistory(t, c)
	topic := begin(t, c, partitions, eventsSpec) // which keeps rows hot
	beside := startBesides(t, c)
	admin, client, log := topicAdmin(t, c), c.Client(t), newEventLog()
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: 1000, Seed: 1}).Wait(t)
	c.WaitNoLag(t, "events", settle)
	c.Handoff(t, "events")
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: 1000, Seed: 2}).Wait(t)
	c.ReadLog(t, log, topic)
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)

	recreate(t, admin, topic, partitions)
	harness.Produce(t, c.Client(t), byPartition(topic, partitions, "anew", 3000)...)
	for partition, end := range logEnds(t, admin, topic) {
		if end <= log.Ends()[topic][partition] {
			t.Fatalf("the new topic is not longer than the old one: %d of partition %d", end, partition)
		}
	}
	checkRecreated(t, c, topic)
	c.CheckNow(t, log, "events", eventQuestions()...) // of the old topic, all of which has been read
	checkCommitted(t, c, log, eventQuestions()...)
	beside.goesOn(t, c)
	c.Ingesters()[0].Restart(t)
	c.Ingesters()[1].Stop(t)
	checkRecreated(t, c, topic)
	// The log goes beyond what can be read.
	stdout, stderr, code := c.Run(t, "", "sql", "SELECT COUNT(*) FROM events")
	if code != 1 || !strings.Contains(stderr, "deleted and created again") {
		t.Errorf("drumlin sql exited with %d: %s%s", code, stdout, stderr)
	}
	checkCommitted(t, c, log, eventQuestions()...)
	c.Ingesters()[1].Start(t)
	beside.goesOn(t, c)

	c.Apply(t, fmt.Appendf(nil, strings.Replace(eventsSpec, "dataSource: events", "dataSource: anew", 1), topic))
	renewed := newEventLog()
	c.ReadLog(t, renewed, topic)
	c.WaitCut(t, "anew", renewed.Ends(), settle)
	question := eventQuestions()[0]
	question.SQL = strings.Replace(question.SQL, "FROM events", "FROM anew", 1)
	c.CheckNow(t, renewed, "anew", question)
	harness.Produce(t, client, byPartition(topic, partitions, "more", 10)...)
	c.ReadLog(t, renewed, topic)
	c.WaitCut(t, "anew", renewed.Ends(), settle)
	c.Handoff(t, "anew")
	c.CheckNow(t, renewed, "anew", question)
	checkCommitted(t, c, log, eventQuestions()...)
	addUp(t, c, "events")
	addUp(t, c, "anew")
	past.check(t)
	beside.end(t, c)
}

// recreate deletes a topic and creates it again as soon as that can be done.
func recreate(t *testing.T, admin *kadm.Client, topic string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		t.Fatalf("delete topic %s: %v", topic, err)
	}
	eventually(t, "the topic is there again", func() bool {
		_, err := admin.CreateTopic(ctx, partitions, 1, nil, topic)
		return err == nil
	})
}

// checkRecreated waits until all partitions have halted since the topic is another one, and holds what is said to that.
func checkRecreated(t *testing.T, c *harness.Cluster, topic string) {
	t.Helper()
	waitHalted(t, c, "events", "topic_recreated", 0, 1, 2)
	gaps := gapsOf(t, c, "events")
	for partition := range int32(3) {
		g := gaps[partition]
		if g.Reason != "topic_recreated" || g.From != nil || g.To != nil || !strings.Contains(g.Message, "deleted and created again") ||
			!strings.Contains(g.Message, "another dataSource") {
			t.Errorf("partition %d is listed as %+v", partition, g)
		}
	}
	if text := c.MustRun(t, "gap", "list"); !strings.Contains(text, "topic_recreated") || !strings.Contains(text, "another dataSource") {
		t.Errorf("drumlin gap list:\n%s", text)
	}
	if text := c.MustRun(t, "status", "events"); !strings.Contains(text, "UNHEALTHY_TASKS") || !strings.Contains(text, "deleted and created again") {
		t.Errorf("drumlin status:\n%s", text)
	}
	refused(t, c, acceptArgs("events", topic, 0, 0, 1_000_000), "not halted for a lost range")
	refused(t, c, []string{"gap", "accept", "events", "--all"}, "deleted and created again")
}
