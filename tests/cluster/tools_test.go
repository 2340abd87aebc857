package cluster

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

const (
	groupsTool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	groupSpec  = `
type: kafka
spec:
  dataSchema:
    dataSource: events
    timestampSpec: {column: timestamp, format: iso}
    dimensionsSpec: {dimensions: [event, type]}
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}
  ioConfig: {topic: %[1]s, inputFormat: {type: json}, useEarliestOffset: true, consumerProperties: {group.id: %[1]s-readers}}
`
)

// groupLag sums up what Kafka's own tool says of a group: ends of the log, committed offsets, and the lag between them.
func groupLag(t *testing.T, c *harness.Cluster, group, topic string) (ends, committed, lag int64) {
	t.Helper()
	out := c.Kafka.JavaTool(t, groupsTool, "--describe", "--group", group)
	columns := map[string]int{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 0 && fields[0] == "GROUP":
			for i, name := range fields {
				columns[name] = i
			}
		case len(columns) > 0 && len(fields) >= len(columns)-3 && fields[columns["TOPIC"]] == topic:
			for name, sum := range map[string]*int64{"LOG-END-OFFSET": &ends, "CURRENT-OFFSET": &committed, "LAG": &lag} {
				n, err := strconv.ParseInt(fields[columns[name]], 10, 64)
				if err != nil {
					t.Fatalf("%s is %q in\n%s", name, fields[columns[name]], out)
				}
				*sum += n
			}
		}
	}
	return ends, committed, lag
}

// TestOtherToolsSeeTheLag asks Kafka's own tool and kcat for the offsets of the supervisor's group: what is handed off is
// committed there too, and what is hot counts as lag.
func TestOtherToolsSeeTheLag(t *testing.T) {
	t.Parallel()
	kcat := testkit.Part(t, "kcat")
	c := harness.StartCluster(t, binary, harness.ClusterOptions{})
	topic := begin(t, c, 3, groupSpec)
	group := topic + "-readers"
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: 3000, Seed: 1}).Wait(t)
	c.WaitSQL(t, `SELECT COUNT(*) AS n FROM events`, 3000, settle)
	c.Handoff(t, "events")
	deadline := time.Now().Add(settle) // the group's offsets are told after the commit, as advice
	for {
		ends, committed, lag := groupLag(t, c, group, topic)
		if ends == 3000 && committed == 3000 && lag == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the handoff the group stands at %d of %d, lag %d", committed, ends, lag)
		}
	}
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: 700, Seed: 2}).Wait(t)
	c.WaitSQL(t, `SELECT COUNT(*) AS n FROM events`, 3700, settle)
	if ends, committed, lag := groupLag(t, c, group, topic); ends != 3700 || committed != 3000 || lag != 700 {
		t.Errorf("with 700 hot rows the group stands at %d of %d, lag %d", committed, ends, lag)
	}
	read := exec.Command(kcat, "-b", c.Kafka.Address(), "-G", group, "-e", "-q", "-f", "%o\n",
		"-X", "enable.auto.commit=false", "-X", "auto.offset.reset=error", topic)
	var complaints bytes.Buffer
	read.Stderr = &complaints
	out, err := read.Output()
	if err != nil {
		t.Fatalf("kcat -G: %v\n%s", err, complaints.String())
	}
	if n := bytes.Count(out, []byte("\n")); n != 700 {
		t.Errorf("kcat reads %d records from the group's offsets on, want 700\n%s", n, complaints.String())
	}
}
