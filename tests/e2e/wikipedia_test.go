package e2e

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

const wikipediaRows = 39244

// Published figures of the data set, by hour of 2015-09-12.
var (
	rowsPerHour = []int64{
		268, 1144, 1102, 815, 824, 1260, 2120, 2237, 1622, 1704, 1792, 1624,
		1709, 2073, 1873, 1965, 1959, 2300, 2170, 2013, 1832, 1766, 1590, 1482,
	}
	deletedPerHour = []int64{
		1761, 16208, 14543, 13101, 12040, 6399, 9036, 11409, 11616, 17509, 19406, 16284,
		18672, 30520, 18025, 26399, 24759, 19634, 17345, 19305, 22265, 16394, 16379, 15289,
	}
	addedByChannel = map[string]int64{"#en": 3045299, "#it": 711011, "#fr": 642555, "#ru": 640698, "#es": 634670}
)

func wikipediaLines(t *testing.T) [][]byte {
	t.Helper()
	f, err := os.Open(testkit.SharedData(t, "wikiticker-2015-09-12-sampled.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(plain)
	scanner.Buffer(nil, 1<<20)
	var lines [][]byte
	for scanner.Scan() {
		lines = append(lines, slices.Clone(scanner.Bytes()))
	}
	if err := scanner.Err(); err != nil || len(lines) != wikipediaRows {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	return lines
}

func spread(topic string, lines [][]byte, partitions int32) []*kgo.Record {
	records := make([]*kgo.Record, len(lines))
	for i, line := range lines {
		records[i] = &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: line}
	}
	return records
}

func checkWikipedia(t *testing.T, d *harness.Dev) {
	t.Helper()
	hours := d.SQL(t, `SELECT TIME_FLOOR(__time, 'PT1H') AS hour, COUNT(*) AS n, SUM(deleted) AS deleted FROM wikipedia GROUP BY 1 ORDER BY 1`)
	if len(hours.Rows) != 24 {
		t.Fatalf("%d hours: %s", len(hours.Rows), hours.Body)
	}
	for i, row := range hours.Rows {
		if hour := time.Date(2015, 9, 12, i, 0, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000Z"); row["hour"] != hour {
			t.Errorf("hour %d is %v", i, row["hour"])
		}
		if row["n"] != number(rowsPerHour[i]) || row["deleted"] != number(deletedPerHour[i]) {
			t.Errorf("hour %d: %v rows, %v deleted; want %d and %d", i, row["n"], row["deleted"], rowsPerHour[i], deletedPerHour[i])
		}
	}
	totals := d.SQL(t, `SELECT COUNT(*) AS n, SUM(deleted) AS deleted, SUM(added) AS added, SUM(delta) AS delta FROM wikipedia`).Rows[0]
	if totals["n"] != number(wikipediaRows) || totals["deleted"] != number(394298) || totals["added"] != number(9385573) || totals["delta"] != number(8991275) {
		t.Errorf("totals: %v", totals)
	}
	channels := d.SQL(t, `SELECT channel, SUM(added) AS added FROM wikipedia GROUP BY 1 ORDER BY 2 DESC LIMIT 5`)
	for _, row := range channels.Rows {
		channel, _, _ := strings.Cut(row["channel"].(string), ".")
		if row["added"] != number(addedByChannel[channel]) {
			t.Errorf("channel %s: added %v, want %d", channel, row["added"], addedByChannel[channel])
		}
	}
}

func number(v int64) json.Number {
	out, _ := json.Marshal(v)
	return json.Number(out)
}

func TestWikipediaHotMixedColdRestarted(t *testing.T) {
	lines := wikipediaLines(t)
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wikipedia", 4)
	d.ApplyFile(t, filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	client := d.Client(t)
	records := spread("wikipedia", lines, 4)

	third := len(records) / 3
	harness.Produce(t, client, records[:third]...)
	d.Handoff(t, "wikipedia")
	harness.Produce(t, client, records[third:2*third]...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, int64(2*third), time.Second)
	d.Handoff(t, "wikipedia")
	harness.Produce(t, client, records[2*third:]...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, wikipediaRows, time.Second)
	checkWikipedia(t, d) // mixed
	d.Handoff(t, "wikipedia")
	if hot := d.SQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE is_realtime = 1`).Int(t, "n"); hot != 0 {
		t.Errorf("%d hot segments after the handoff", hot)
	}
	checkWikipedia(t, d) // cold
	d.Stop(t)
	d.Start(t)
	checkWikipedia(t, d) // cold, after a restart
}

func TestWikipediaHotWithinASecond(t *testing.T) {
	lines := wikipediaLines(t)
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wikipedia", 4)
	d.ApplyFile(t, filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	harness.Produce(t, d.Client(t), spread("wikipedia", lines, 4)...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, wikipediaRows, time.Second)
	if cold := d.SQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE is_realtime = 0`).Int(t, "n"); cold != 0 {
		t.Errorf("%d cold segments before any handoff", cold)
	}
	checkWikipedia(t, d)
	d.Kill(t)
	d.Start(t)
	checkWikipedia(t, d) // hot again, read once more from the broker
}

// TestFiftyOneSegmentsByTheRowLimit cuts the data at 1,000 rows a segment while it flows.
func TestFiftyOneSegmentsByTheRowLimit(t *testing.T) {
	spec, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wikipedia", 1)
	d.Apply(t, withRowLimit(t, spec, 1000))
	harness.Produce(t, d.Client(t), spread("wikipedia", wikipediaLines(t), 1)...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, wikipediaRows, 10*time.Second)
	d.Handoff(t, "wikipedia")
	checkFiftyOne(t, d)
}

func checkFiftyOne(t *testing.T, d *harness.Dev) {
	t.Helper()
	checkWikipedia(t, d)
	answer := d.SQL(t, `SELECT COUNT(*) AS n, SUM(num_rows) AS total, MAX(num_rows) AS largest FROM sys.segments WHERE datasource = 'wikipedia'`)
	if row := answer.Rows[0]; row["n"] != number(51) || row["total"] != number(wikipediaRows) || row["largest"] != number(1000) {
		t.Errorf("got %v, want 51 segments of at most 1000 rows", row)
	}
}

// withRowLimit adds tuningConfig.maxRowsPerSegment to the example spec, which has none.
func withRowLimit(t *testing.T, spec []byte, rows int64) []byte {
	t.Helper()
	const indent = "\n  "
	text := strings.TrimRight(string(spec), "\n")
	if strings.Contains(text, "tuningConfig") || !strings.Contains(text, indent+"ioConfig:") {
		t.Fatal("the example spec has changed its shape")
	}
	return []byte(text + indent + "tuningConfig: {type: kafka, maxRowsPerSegment: " + number(rows).String() + "}\n")
}
