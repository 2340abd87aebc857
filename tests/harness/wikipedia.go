package harness

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/testkit"
)

// WikipediaRows is how many edits the data of Druid's tutorials has.
const WikipediaRows = 39244

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

// WikipediaLines are the edits of 2015-09-12, as JSON.
func WikipediaLines(t testing.TB) [][]byte {
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
	if err := scanner.Err(); err != nil || len(lines) != WikipediaRows {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	return lines
}

// Spread makes records of lines, in turn for each partition.
func Spread(topic string, lines [][]byte, partitions int32) []*kgo.Record {
	records := make([]*kgo.Record, len(lines))
	for i, line := range lines {
		records[i] = &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: line}
	}
	return records
}

// CheckWikipedia asks the datasource wikipedia for what is published about the data.
func (a *Asker) CheckWikipedia(t testing.TB) {
	t.Helper()
	hours := a.SQL(t, `SELECT TIME_FLOOR(__time, 'PT1H') AS hour, COUNT(*) AS n, SUM(deleted) AS deleted FROM wikipedia GROUP BY 1 ORDER BY 1`)
	if len(hours.Rows) != 24 {
		t.Fatalf("%d hours: %s", len(hours.Rows), hours.Body)
	}
	for i, row := range hours.Rows {
		if hour := time.Date(2015, 9, 12, i, 0, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000Z"); row["hour"] != hour {
			t.Errorf("hour %d is %v", i, row["hour"])
		}
		if row["n"] != jsonNumber(rowsPerHour[i]) || row["deleted"] != jsonNumber(deletedPerHour[i]) {
			t.Errorf("hour %d: %v rows, %v deleted; want %d and %d", i, row["n"], row["deleted"], rowsPerHour[i], deletedPerHour[i])
		}
	}
	totals := a.SQL(t, `SELECT COUNT(*) AS n, SUM(deleted) AS deleted, SUM(added) AS added, SUM(delta) AS delta FROM wikipedia`).Rows[0]
	if totals["n"] != jsonNumber(WikipediaRows) || totals["deleted"] != jsonNumber(394298) || totals["added"] != jsonNumber(9385573) || totals["delta"] != jsonNumber(8991275) {
		t.Errorf("totals: %v", totals)
	}
	channels := a.SQL(t, `SELECT channel, SUM(added) AS added FROM wikipedia GROUP BY 1 ORDER BY 2 DESC LIMIT 5`)
	for _, row := range channels.Rows {
		channel, _, _ := strings.Cut(row["channel"].(string), ".")
		if row["added"] != jsonNumber(addedByChannel[channel]) {
			t.Errorf("channel %s: added %v, want %d", channel, row["added"], addedByChannel[channel])
		}
	}
}

func jsonNumber(v int64) json.Number { return json.Number(strconv.FormatInt(v, 10)) }
