package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
	"drumlin/tests/oracle"
)

// promptSpec hands off so often that troubles of the broker meet handoffs.
const promptSpec = eventsSpec + `  tuningConfig: {intermediateHandoffPeriod: HANDOFF}
`

// withKafka is a broker of the test's own, which it may end, beside what the tests share.
func withKafka(t *testing.T, properties map[string]string) *harness.Parts {
	t.Helper()
	parts := *harness.SharedParts(t)
	o := harness.KafkaOptions{Properties: map[string]string{"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}}
	for name, value := range properties {
		o.Properties[name] = value
	}
	parts.Kafka = harness.StartKafka(t, o)
	return &parts
}

// waitTaken waits until the broker has taken n more events of the feed.
func waitTaken(t *testing.T, feed *harness.Feed, n int64) {
	t.Helper()
	want, deadline := feed.Acknowledged()+n, time.Now().Add(settle)
	for feed.Acknowledged() < want {
		if time.Now().After(deadline) {
			t.Fatalf("the broker has taken %d of %d more events within %s", feed.Acknowledged()-want+n, n, settle)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// topicAdmin asks and changes what is on the broker.
func topicAdmin(t *testing.T, c *harness.Cluster) *kadm.Client {
	t.Helper()
	return kadm.NewClient(c.Client(t))
}

// logEnds are the ends of a topic's partitions: high watermarks, whatever is decided.
func logEnds(t *testing.T, admin *kadm.Client, topic string) map[int32]int64 {
	t.Helper()
	return listed(t, topic, admin.ListEndOffsets)
}

func logStarts(t *testing.T, admin *kadm.Client, topic string) map[int32]int64 {
	t.Helper()
	return listed(t, topic, admin.ListStartOffsets)
}

func listed(t *testing.T, topic string, list func(context.Context, ...string) (kadm.ListedOffsets, error)) map[int32]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	offsets, err := list(ctx, topic)
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		t.Fatalf("list offsets of %s: %v", topic, err)
	}
	out := map[int32]int64{}
	offsets.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out
}

// anEvent is like those that feeds write.
func anEvent(id string, at time.Time) []byte {
	return fmt.Appendf(nil, `{"timestamp":%q,"event":"by hand","type":"track","userId":"user-%s","messageId":%q}`,
		at.UTC().Format(time.RFC3339), id[max(0, len(id)-2):], id)
}

// records makes n events of these names for a partition, an hour old.
func records(topic string, partition int32, name string, n int) []*kgo.Record {
	at := time.Now().Add(-time.Hour)
	out := make([]*kgo.Record, n)
	for i := range out {
		id := fmt.Sprintf("%s-%d", name, i)
		out[i] = &kgo.Record{Topic: topic, Partition: partition, Key: []byte(id), Value: anEvent(id, at), Timestamp: at}
	}
	return out
}

// askCommitted asks for what is committed alone.
func askCommitted(t *testing.T, c *harness.Cluster, sql string) (status int, rows []map[string]any, body string) {
	t.Helper()
	return answerTo(t, c, sql, map[string]any{"cut": "committed"})
}

// answerTo asks with a query context.
func answerTo(t *testing.T, c *harness.Cluster, sql string, settings map[string]any) (status int, rows []map[string]any, body string) {
	t.Helper()
	query, err := json.Marshal(map[string]any{"query": sql, "resultFormat": "object", "context": settings})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.Nodes(harness.RoleQuery)[0].HTTP+"/druid/v2/sql", bytes.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if res.StatusCode == http.StatusOK {
		decoder := json.NewDecoder(bytes.NewReader(out))
		decoder.UseNumber()
		if err := decoder.Decode(&rows); err != nil {
			t.Fatalf("%s: %v: %.200s", sql, err, out)
		}
	}
	return res.StatusCode, rows, string(out)
}

// checkCommitted holds answers over what is committed alone against all of the log.
func checkCommitted(t *testing.T, c *harness.Cluster, log *oracle.Log, questions ...harness.Question) {
	t.Helper()
	for _, question := range questions {
		status, rows, body := askCommitted(t, c, question.SQL)
		if status != http.StatusOK {
			t.Errorf("%s over what is committed: %d %s", question.SQL, status, body)
			continue
		}
		tally := question.Tally()
		if err := log.Walk(tally).Advance(log.Ends()); err != nil {
			t.Fatal(err)
		}
		if got, want := oracle.Lines(rows, question.Columns...), tally.Lines(); !slices.Equal(got, want) {
			t.Errorf("%s over what is committed: %d lines\n%.500v\nwant %d\n%.500v", question.SQL, len(got), got, len(want), want)
		}
	}
}

// account is what the status says of one partition's records.
type account struct {
	Topic           string
	Partition       int32
	CommittedOffset *int64
	Halted, Error   string
	Counters        struct{ Stored, Duplicates, Rejected, Skipped, Lost int64 }
}

func accounts(t *testing.T, c *harness.Cluster, supervisor string) map[int32]account {
	t.Helper()
	var status struct {
		Payload struct{ PartitionStatus []account }
	}
	c.GetJSON(t, "/druid/indexer/v1/supervisor/"+supervisor+"/status", &status)
	out := map[int32]account{}
	for _, a := range status.Payload.PartitionStatus {
		out[a.Partition] = a
	}
	return out
}

// addUp adds the accounts of a supervisor that began at offset 0 up again: each committed offset is accounted for once, and
// what the system tables show of a partition is what its account says. Nothing may have been compacted yet. It returns the
// lost records by partition.
func addUp(t *testing.T, c *harness.Cluster, supervisor string) map[int32]int64 {
	t.Helper()
	lost := map[int32]int64{}
	for partition, a := range accounts(t, c, supervisor) {
		n := a.Counters
		if a.CommittedOffset == nil {
			t.Errorf("partition %d of %s has nothing committed", partition, supervisor)
			continue
		}
		if sum := n.Stored + n.Duplicates + n.Rejected + n.Skipped + n.Lost; sum != *a.CommittedOffset {
			t.Errorf("partition %d of %s accounts for %d of %d offsets: %+v", partition, supervisor, sum, *a.CommittedOffset, n)
		}
		where := fmt.Sprintf(`WHERE datasource = '%s' AND topic = '%s' AND "partition" = %d`, supervisor, a.Topic, partition)
		stored := committedNumber(t, c, `SELECT COALESCE(SUM(num_rows), 0) AS n FROM sys.segments `+where)
		rejected := committedNumber(t, c, `SELECT COUNT(*) AS n FROM sys.rejects `+where)
		if stored != n.Stored || rejected != n.Rejected {
			t.Errorf("partition %d of %s: the tables show %d rows and %d rejects, the account %+v", partition, supervisor, stored, rejected, n)
		}
		lost[partition] = n.Lost
	}
	return lost
}

// committedNumber is the number n that a query over what is committed comes to.
func committedNumber(t *testing.T, c *harness.Cluster, sql string) int64 {
	t.Helper()
	status, rows, body := askCommitted(t, c, sql)
	if status != http.StatusOK || len(rows) != 1 {
		t.Fatalf("%s: %d %s", sql, status, body)
	}
	return number(t, rows[0]["n"])
}

// waitHalted waits until the partitions, and no others, have halted for the reason with everything read handed off.
func waitHalted(t *testing.T, c *harness.Cluster, supervisor, reason string, partitions ...int32) harness.SupervisorStatus {
	t.Helper()
	status, took := c.WaitStatus(t, supervisor, fmt.Sprintf("%v halted for %s and handed off", partitions, reason), settle,
		func(s harness.SupervisorStatus) bool {
			var halted []int32
			for _, p := range s.PartitionStatus {
				if p.Halted == reason && p.CommittedOffset != nil && p.CurrentOffset != nil && *p.CommittedOffset == *p.CurrentOffset {
					halted = append(halted, p.Partition)
				} else if p.Halted != "" {
					return false
				}
			}
			slices.Sort(halted)
			return slices.Equal(halted, partitions)
		})
	if status.Healthy || status.State != "UNHEALTHY_TASKS" {
		t.Errorf("a supervisor with halted partitions is %s, healthy %v", status.State, status.Healthy)
	}
	t.Logf("%s: partitions %v have halted after %s", supervisor, partitions, took.Round(time.Millisecond))
	return status
}

// refused runs a verb that must fail with these words on stderr.
func refused(t *testing.T, c *harness.Cluster, args []string, words ...string) {
	t.Helper()
	stdout, stderr, code := c.Run(t, "", args...)
	if code != 1 {
		t.Errorf("drumlin %v exited with %d\n%s%s", args, code, stdout, stderr)
	}
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			t.Errorf("drumlin %v does not say %q: %s", args, word, stderr)
		}
	}
}
