package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

const channelsSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: channels
    timestampSpec: {column: time, format: iso}
    dimensionsSpec: {dimensions: [channel]}
    metricsSpec: [{type: count, name: edits}, {type: longSum, name: added, fieldName: added}, {type: longSum, name: deleted, fieldName: deleted}]
    granularitySpec: {segmentGranularity: hour, queryGranularity: hour, rollup: true}
  ioConfig: {topic: %s, inputFormat: {type: json}, useEarliestOffset: true}
`

// TestWikipediaOverManyProcesses reads the edits through a transactional producer, half of whose batches are lz4 and half
// zstd, and asks for published figures: hot, mixed, cold and compacted, raw and rolled up.
func TestWikipediaOverManyProcesses(t *testing.T) {
	t.Parallel()
	lines := harness.WikipediaLines(t)
	c := harness.StartCluster(t, binary, harness.ClusterOptions{})
	topic := c.Topic("wikipedia")
	c.CreateTopic(t, topic, 4)
	spec, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(string(spec), "topic: wikipedia", "topic: "+topic, 1)
	if own == string(spec) {
		t.Fatal("the example spec has changed its shape")
	}
	c.Apply(t, []byte(own))
	c.Apply(t, fmt.Appendf(nil, channelsSpec, topic))

	records := harness.Spread(topic, lines, 4)
	half := len(records) / 2
	check := func(state string, rows int) {
		t.Helper()
		c.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, int64(rows), settle)
		c.WaitSQL(t, `SELECT COALESCE(SUM(edits), 0) AS n FROM channels`, int64(rows), settle)
		if rows == len(records) {
			c.CheckWikipedia(t)
			checkChannels(t, c, lines)
		}
		if t.Failed() {
			t.Fatalf("wrong when %s", state)
		}
	}
	writeEdits(t, c, records[:half], kgo.Lz4Compression())
	check("hot", half)
	c.Handoff(t, "wikipedia")
	c.Handoff(t, "channels")
	writeEdits(t, c, records[half:], kgo.ZstdCompression())
	check("mixed", len(records))
	c.Handoff(t, "wikipedia")
	c.Handoff(t, "channels")
	if hot := c.SQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE is_realtime = 1`).Int(t, "n"); hot != 0 {
		t.Errorf("%d hot segments after the handoff", hot)
	}
	check("cold", len(records))
	for _, datasource := range []string{"wikipedia", "channels"} {
		c.RunTask(t, `{"type":"compact","dataSource":"`+datasource+`","interval":"2015-09-12/2015-09-13"}`)
	}
	check("compacted", len(records))
	for _, n := range c.Nodes(harness.RoleQuery) {
		if err := os.RemoveAll(n.CacheDir()); err != nil {
			t.Fatal(err)
		}
		n.Restart(t)
	}
	check("read by a process without a cache", len(records))
}

// writeEdits writes every record in a committed transaction, and each transaction before once more in an aborted one.
func writeEdits(t *testing.T, c *harness.Cluster, records []*kgo.Record, codec kgo.CompressionCodec) {
	t.Helper()
	client := c.Client(t, kgo.TransactionalID(c.Topic("edits")), kgo.ProducerBatchCompression(codec))
	const perTransaction = 4000
	for len(records) > 0 {
		some := records[:min(perTransaction, len(records))]
		records = records[len(some):]
		for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			copies := make([]*kgo.Record, len(some))
			for i, r := range some {
				copies[i] = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Value: r.Value}
			}
			harness.Produce(t, client, copies...)
			if err := client.EndTransaction(t.Context(), commit); err != nil {
				t.Fatal(err)
			}
		}
	}
	client.Close()
}

// checkChannels holds every row of the rolled-up datasource against sums over the edits themselves.
func checkChannels(t *testing.T, c *harness.Cluster, lines [][]byte) {
	t.Helper()
	type sums struct{ edits, added, deleted int64 }
	want := map[string]sums{}
	for _, line := range lines {
		var edit struct {
			Time, Channel  string
			Added, Deleted int64
		}
		if err := json.Unmarshal(line, &edit); err != nil {
			t.Fatal(err)
		}
		key := edit.Time[:len("2015-09-12T00")] + ":00:00.000Z " + edit.Channel
		s := want[key]
		want[key] = sums{s.edits + 1, s.added + edit.Added, s.deleted + edit.Deleted}
	}
	answer := c.SQL(t, `SELECT __time, channel, edits, added, deleted FROM channels`)
	if len(answer.Rows) != len(want) {
		t.Errorf("%d rows of the rolled-up edits, want %d", len(answer.Rows), len(want))
	}
	for _, row := range answer.Rows {
		s := want[fmt.Sprint(row["__time"], " ", row["channel"])]
		if got := fmt.Sprint(row["edits"], " ", row["added"], " ", row["deleted"]); got != fmt.Sprint(s.edits, " ", s.added, " ", s.deleted) {
			t.Errorf("%v %v: %s, want %v", row["__time"], row["channel"], got, s)
			return
		}
	}
}
