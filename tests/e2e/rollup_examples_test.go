package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

// fruitSpec is that of the two-segment example.
func fruitSpec(dedup string) []byte {
	return []byte(`
type: kafka
spec:
  dataSchema:
    dataSource: fruits
    timestampSpec: {column: ts, format: iso}
    dimensionsSpec: {dimensions: [fruit, country]}
    metricsSpec: [{type: longSum, name: sold, fieldName: sold}]
    granularitySpec: {segmentGranularity: HOUR, queryGranularity: MINUTE}` + dedup + `
  ioConfig: {topic: fruits, inputFormat: {type: json}, useEarliestOffset: true}
`)
}

// segmentsOf counts a datasource's segments and their rows.
func segmentsOf(t *testing.T, d *harness.Dev, datasource string) (segments, rows int64) {
	t.Helper()
	answer := d.SQL(t, fmt.Sprintf(`SELECT COUNT(*) AS n, COALESCE(SUM(num_rows), 0) AS "rows" FROM sys.segments
		WHERE datasource = '%s' AND is_active = 1`, datasource))
	return answer.Int(t, "n"), answer.Int(t, "rows")
}

func wantSegments(t *testing.T, d *harness.Dev, datasource string, segments, rows int64) {
	t.Helper()
	if n, r := segmentsOf(t, d, datasource); n != segments || r != rows {
		t.Errorf("%s has %d segments with %d rows, want %d with %d", datasource, n, r, segments, rows)
	}
}

// TestTwoSegmentsBecomeOneWithThreeRows is the example by which the project explains itself.
func TestTwoSegmentsBecomeOneWithThreeRows(t *testing.T) {
	for name, dedup := range map[string]string{"dedup": "\n    dedupSpec: {key: messageId}", "no dedup": ""} {
		t.Run(name, func(t *testing.T) { twoSegments(t, dedup) })
	}
}

func twoSegments(t *testing.T, dedup string) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "fruits", 1)
	d.Apply(t, fruitSpec(dedup))
	client := d.Client(t)
	sale := func(id int, at, fruit, country string, sold int) *kgo.Record {
		return &kgo.Record{Topic: "fruits", Value: fmt.Appendf(nil, `{"messageId":"m%d","ts":"2020-08-18T%s:17Z","fruit":"%s","country":"%s","sold":%d}`,
			id, at, fruit, country, sold)}
	}
	right := func(when string) {
		t.Helper()
		answer := d.SQL(t, `SELECT __time, fruit, country, sold FROM fruits ORDER BY __time, fruit`)
		want := []map[string]any{
			{"__time": "2020-08-18T01:01:00.000Z", "fruit": "apple", "country": "US", "sold": number(3)},
			{"__time": "2020-08-18T01:02:00.000Z", "fruit": "pear", "country": "CAN", "sold": number(10)},
			{"__time": "2020-08-18T01:09:00.000Z", "fruit": "banana", "country": "CAN", "sold": number(301)},
		}
		if !reflect.DeepEqual(answer.Rows, want) {
			t.Errorf("%s: %s", when, answer.Body)
		}
		d.WaitSQL(t, `SELECT COUNT(*) AS n FROM fruits`, 3, 0)
	}
	harness.Produce(t, client, sale(1, "01:01", "apple", "US", 1), sale(2, "01:02", "pear", "CAN", 10))
	d.Handoff(t, "fruits")
	harness.Produce(t, client, sale(3, "01:01", "apple", "US", 2), sale(4, "01:09", "banana", "CAN", 301))
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM fruits`, 3, settle)
	right("one segment hot")
	d.Handoff(t, "fruits")
	right("both cold")
	wantSegments(t, d, "fruits", 2, 4)
	report := d.RunTask(t, `{"type":"compact","dataSource":"fruits","interval":"2020-08-18/2020-08-19"}`)
	if report.Before.Segments != 2 || report.Before.Rows != 4 || report.After.Segments != 1 || report.After.Rows != 3 || report.After.Events != 4 {
		t.Errorf("the report: before %+v, after %+v", report.Before, report.After)
	}
	wantSegments(t, d, "fruits", 1, 3)
	right("compacted")
	if dedup != "" { // copies of folded rows, and a new one
		harness.Produce(t, client, sale(1, "01:01", "apple", "US", 1), sale(4, "01:09", "cherry", "CAN", 500))
		d.Handoff(t, "fruits")
		right("after copies of folded rows")
		report := d.RunTask(t, `{"type":"compact","dataSource":"fruits","interval":"2020-08-18/2020-08-19"}`)
		if report.Stats.Duplicates != 2 {
			t.Errorf("%d duplicates were removed, want 2: %+v", report.Stats.Duplicates, report)
		}
		wantSegments(t, d, "fruits", 1, 3)
		right("compacted again")
	}
	d.Kill(t)
	d.Start(t)
	right("after a kill")
}

// TestRollupTutorial is Druid's: nine rows become the five that are published.
func TestRollupTutorial(t *testing.T) {
	lines := linesOf(t, testkit.SharedData(t, "druid-tutorial/rollup-data.json"))
	var want []map[string]any
	for _, line := range linesOf(t, testkit.SharedData(t, "druid-tutorial/rollup-expected.json")) {
		var row map[string]any
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&row); err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	}
	d := harness.Started(t, binary)
	d.CreateTopic(t, "flows", 2)
	d.Apply(t, []byte(`{"type":"kafka","spec":{
	  "dataSchema":{"dataSource":"rollup-tutorial","timestampSpec":{"column":"timestamp","format":"iso"},
	    "dimensionsSpec":{"dimensions":["srcIP","dstIP"]},
	    "metricsSpec":[{"type":"count","name":"count"},{"type":"longSum","name":"packets","fieldName":"packets"},
	      {"type":"longSum","name":"bytes","fieldName":"bytes"}],
	    "granularitySpec":{"type":"uniform","segmentGranularity":"week","queryGranularity":"minute","rollup":true}},
	  "ioConfig":{"topic":"flows","inputFormat":{"type":"json"},"useEarliestOffset":true}}}`))
	right := func(when string) {
		t.Helper()
		answer := d.SQL(t, `SELECT * FROM "rollup-tutorial" ORDER BY __time`)
		if !reflect.DeepEqual(answer.Rows, want) {
			t.Errorf("%s: %s", when, answer.Body)
		}
	}
	client := d.Client(t)
	half := len(lines) / 2
	harness.Produce(t, client, harness.Spread("flows", lines[:half], 2)...)
	d.Handoff(t, "rollup-tutorial")
	harness.Produce(t, client, harness.Spread("flows", lines[half:], 2)...)
	d.WaitSQL(t, `SELECT SUM("count") AS n FROM "rollup-tutorial"`, 9, settle)
	right("half hot")
	d.Handoff(t, "rollup-tutorial")
	right("cold")
	d.RunTask(t, `{"type":"compact","dataSource":"rollup-tutorial","interval":"2018-01-01/2018-01-08"}`)
	right("compacted")
	wantSegments(t, d, "rollup-tutorial", 1, 5)
}

func linesOf(t *testing.T, path string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for scanner.Scan() {
		if line := bytes.TrimSpace(scanner.Bytes()); len(line) > 0 {
			lines = append(lines, bytes.Clone(line))
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestCompactionTutorial is Druid's: 51 segments become 24, then 1, and no figure changes.
func TestCompactionTutorial(t *testing.T) {
	spec, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wikipedia", 1)
	d.Apply(t, withRowLimit(t, spec, 1000))
	harness.Produce(t, d.Client(t), harness.Spread("wikipedia", harness.WikipediaLines(t), 1)...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, harness.WikipediaRows, settle)
	d.Handoff(t, "wikipedia")
	checkFiftyOne(t, d)

	const tuning = `"tuningConfig":{"type":"index_parallel","partitionsSpec":{"type":"dynamic"},"maxRowsInMemory":25000}`
	report := d.RunTask(t, `{"type":"compact","dataSource":"wikipedia","interval":"2015-09-12/2015-09-13",
		"tuningConfig":{"type":"index_parallel","maxRowsPerSegment":5000000,"maxRowsInMemory":25000}}`)
	if report.Before.Segments != 51 || report.After.Segments != 24 {
		t.Errorf("the report tells of %d segments before and %d after", report.Before.Segments, report.After.Segments)
	}
	wantSegments(t, d, "wikipedia", 24, harness.WikipediaRows)
	d.CheckWikipedia(t)

	d.RunTask(t, `{"type":"compact","dataSource":"wikipedia",
		"ioConfig":{"type":"compact","inputSpec":{"type":"interval","interval":"2015-09-12/2015-09-13"}},
		"granularitySpec":{"segmentGranularity":"DAY","queryGranularity":"none"},`+tuning+`}`)
	wantSegments(t, d, "wikipedia", 1, harness.WikipediaRows)
	d.CheckWikipedia(t)
	segment := d.SQL(t, `SELECT "start", "end" FROM sys.segments WHERE datasource = 'wikipedia'`)
	if row := segment.Rows[0]; row["start"] != "2015-09-12T00:00:00.000Z" || row["end"] != "2015-09-13T00:00:00.000Z" {
		t.Errorf("the segment is from %v to %v", row["start"], row["end"])
	}
	d.Kill(t)
	d.Start(t)
	d.CheckWikipedia(t)
	wantSegments(t, d, "wikipedia", 1, harness.WikipediaRows)
	if n := d.Tasks(t, "state=complete"); len(n) != 2 {
		t.Errorf("%d tasks are told of after a kill, want 2", len(n))
	}
	if log := d.MustRun(t, "task", "list"); !strings.Contains(log, "SUCCESS") {
		t.Errorf("task list:\n%s", log)
	}
}
