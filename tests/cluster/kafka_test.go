package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

// TestTheBroker runs what needs a broker that a test may end, or that looks after transactions often.
func TestTheBroker(t *testing.T) {
	t.Parallel()
	parts := withKafka(t, map[string]string{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"})
	t.Run("restarts", func(t *testing.T) { testTheBrokerRestarts(t, parts) })
	t.Run("a producer dies in a transaction", func(t *testing.T) { testAProducerDies(t, parts) })
}

// testTheBrokerRestarts ends the broker, as an administrator does and by SIGKILL, while an idempotent producer goes on: queries
// are answered all the while, and the log holds each acknowledged record once, as the answers do.
func testTheBrokerRestarts(t *testing.T, parts *harness.Parts) {
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Parts: parts})
	past := followHistory(t, c)
	topic := begin(t, c, 4, promptSpec)
	c.WaitShared(t, "events", 4, settle, c.Ingesters()...)
	feed := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 1000, Seed: 1, Compression: kgo.ZstdCompression()})
	checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	rounds := 1
	if long() {
		rounds = 20
	}
	for range rounds {
		for _, end := range []struct {
			how string
			do  func(testing.TB)
		}{{"stopped", c.Kafka.Stop}, {"killed", c.Kafka.Kill}} {
			waitTaken(t, feed, 1000)
			end.do(t)
			checker.WaitAnswers(t, 2*fewAnswers, settle)
			started := c.Kafka.Start(t)
			waitTaken(t, feed, 1000)
			lag := c.WaitNoLag(t, "events", settle)
			t.Logf("%s: the broker is back after %s, no lag %s after its first thousand events", end.how,
				started.Round(time.Millisecond), lag.Round(time.Millisecond))
		}
	}
	feed.Stop(t)
	log := newEventLog()
	checked := c.StopAndCheck(t, checker, log, topic)
	if checked.Refused+checked.Unreachable > 0 {
		t.Errorf("queries were refused while the broker was away: %s", checked)
	}
	if int64(log.Len()) != feed.Acknowledged() {
		t.Errorf("the log holds %d records, %d were acknowledged", log.Len(), feed.Acknowledged())
	}
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)
	c.Handoff(t, "events")
	c.CheckNow(t, log, "events", eventQuestions()...)
	past.check(t)
	addUp(t, c, "events")
}

// hungFor is how long the broker waits for the producer of a transaction that hangs: longer than it takes until a reader that
// gets no records asks for the ends of the log.
const hungFor = 15 * time.Second

// testAProducerDies leaves a transaction open, as a producer that was killed does: nothing behind its first
// record is read, which metrics and status show, the other partition goes on, and so does this one when the broker has given
// the transaction up.
func testAProducerDies(t *testing.T, parts *harness.Parts) {
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Parts: parts})
	topic := begin(t, c, 2, promptSpec)
	c.WaitShared(t, "events", 2, settle, c.Ingesters()...)
	feed := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 500, Seed: 1})
	inTransactions := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 500, Seed: 2, Transactions: true, AbortShare: 0.3})
	checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	checker.WaitAnswers(t, fewAnswers, settle)
	inTransactions.Stop(t)
	c.WaitNoLag(t, "events", settle)

	rounds := 1
	if long() {
		rounds = 10
	}
	admin := topicAdmin(t, c)
	for round := range rounds {
		first := dieInTransaction(t, c, topic, 0, fmt.Sprintf("%s-%d", topic, round))
		waitTaken(t, feed, 1000)
		status, _ := c.WaitStatus(t, "events", "read up to the open transaction", settle, func(s harness.SupervisorStatus) bool {
			at := s.PartitionStatus[0].CurrentOffset
			return at != nil && *at >= first
		})
		cut := c.SQL(t, eventQuestions()[0].SQL).Offsets(t, "events")[topic]
		ends := logEnds(t, admin, topic)
		if cut[0] != first {
			t.Errorf("the cut is %v, the open transaction begins at offset %d: %s", cut, first, status)
		}
		if ends[0] <= first+10 || cut[1] < ends[1]-1000 {
			t.Errorf("the log ends at %v, the cut is %v: the other partition does not go on", ends, cut)
		}
		undecided := checkUndecided(t, c)
		_, took := c.WaitStatus(t, "events", "read beyond the transaction", settle, func(s harness.SupervisorStatus) bool {
			at := s.PartitionStatus[0].CurrentOffset
			return at != nil && *at > ends[0]
		})
		t.Logf("with the log at %v the cut stayed at %v; %v records waited, %s more until the broker gave the transaction up",
			ends, cut, undecided, took.Round(time.Millisecond))
	}
	feed.Stop(t)
	log := newEventLog()
	if checked := c.StopAndCheck(t, checker, log, topic); checked.Refused+checked.Unreachable > 0 {
		t.Errorf("queries were refused: %s", checked)
	}
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)
	c.Handoff(t, "events")
	c.CheckNow(t, log, "events", eventQuestions()...)
	addUp(t, c, "events")
}

// checkUndecided waits until metrics, status and the command line tell of records that wait for an open transaction.
func checkUndecided(t *testing.T, c *harness.Cluster) (records float64) {
	t.Helper()
	eventually(t, "metrics show records behind an open transaction", func() bool {
		seconds := 0.0
		records = 0
		for _, n := range c.Ingesters() {
			v, _ := sample(t, n, "drumlin_ingest_undecided_records")
			records += v
			v, _ = sample(t, n, "drumlin_ingest_undecided_seconds")
			seconds += v
		}
		return records > 10 && seconds > 1
	})
	if text := c.MustRun(t, "status", "events"); !strings.Contains(text, "wait for the end of an open transaction, since 2") {
		t.Errorf("drumlin status does not tell of the open transaction:\n%s", text)
	}
	return records
}

// dieInTransaction writes some records in a transaction that nobody ends. It returns the first one's offset.
func dieInTransaction(t *testing.T, c *harness.Cluster, topic string, partition int32, id string) int64 {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(c.Kafka.Address()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID(id), kgo.TransactionTimeout(hungFor),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() // which ends no transaction
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	return harness.Produce(t, client, records(topic, partition, id, 5)...)[0].Offset
}

// TestPartitionsAreAdded grows a topic from 4 to 7 partitions while events come, and repeats events of old partitions in new
// ones, as producers do that hash a key anew: each counts once.
func TestPartitionsAreAdded(t *testing.T) {
	c := harness.StartCluster(t, binary, harness.ClusterOptions{})
	past := followHistory(t, c)
	topic := begin(t, c, 4, promptSpec)
	c.WaitShared(t, "events", 4, settle, c.Ingesters()...)
	client := c.Client(t)
	before := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 500, Seed: 1})
	checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	checker.WaitAnswers(t, fewAnswers, settle)
	const each = 200
	retried := map[int32][]*kgo.Record{}
	for partition := range int32(4) {
		retried[partition] = records(topic, partition, fmt.Sprintf("first-%d", partition), each)
		harness.Produce(t, client, retried[partition]...)
	}
	c.WaitNoLag(t, "events", settle)

	watch := harness.StartWatch()
	grow(t, topicAdmin(t, c), topic, 7)
	_, took := c.WaitShared(t, "events", 7, settle, c.Ingesters()...)
	t.Logf("the new partitions are owned %s after they came", took.Round(time.Millisecond))
	watch.Within(t, "picking up new partitions", took, 5*time.Second)
	client = c.Client(t) // the one before learns of new partitions in minutes
	after := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 500, Seed: 1})
	for partition := range int32(4) {
		// The same records, some of them handed off, in a new partition and in another old one.
		for _, to := range []int32{4 + partition%3, (partition + 1) % 4} {
			harness.Produce(t, client, elsewhere(retried[partition], to)...)
			checker.WaitAnswers(t, fewAnswers/2, settle)
		}
	}
	waitTaken(t, after, 1000)
	before.Stop(t)
	after.Stop(t)
	c.WaitNoLag(t, "events", settle)
	checker.WaitAnswers(t, fewAnswers, settle)
	log := newEventLog()
	if checked := c.StopAndCheck(t, checker, log, topic); checked.Refused+checked.Unreachable > 0 {
		t.Errorf("queries were refused: %s", checked)
	}
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)
	c.Handoff(t, "events")
	c.CheckNow(t, log, "events", eventQuestions()...)
	addUp(t, c, "events")
	walk := log.Walk()
	if err := walk.Advance(log.Ends()); err != nil {
		t.Fatal(err)
	}
	if least := int64(4 * 2 * each); walk.Duplicates < least {
		t.Errorf("%d copies in the log, want %d at least", walk.Duplicates, least)
	}
	c.RunTask(t, `{"type":"compact","dataSource":"events","interval":"2000-01-01/2100-01-01"}`)
	c.CheckNow(t, log, "events", eventQuestions()...)
	past.check(t)
}

// elsewhere is the same records for another partition.
func elsewhere(list []*kgo.Record, partition int32) []*kgo.Record {
	out := make([]*kgo.Record, len(list))
	for i, r := range list {
		out[i] = &kgo.Record{Topic: r.Topic, Partition: partition, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
	}
	return out
}

func grow(t *testing.T, admin *kadm.Client, topic string, partitions int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	answers, err := admin.UpdatePartitions(ctx, partitions, topic)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatalf("grow %s to %d partitions: %v", topic, partitions, err)
	}
}
