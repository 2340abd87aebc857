package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

// TestDruidUsersTaskAndQuery runs a task and a query as they stand in somebody's scripts for Druid.
func TestDruidUsersTaskAndQuery(t *testing.T) {
	const task = `{"type":"compact","dataSource":"wikipedia","interval":"2015-09-12T00:00:00.000/2015-09-13T00:00:00.000",
 "tuningConfig":{"type":"index","maxRowsPerSegment":1500000,"maxRowsInMemory":500000},
 "context":{"priority":100,"forceTimeChunkLock":true}}`
	const query = `SELECT "datasource","start" AS "Segment Time", COUNT(*) AS "Number of Segments",
SUM("size")/1024/1024/1024*1.0 AS "Total Size(GB)", AVG("size")/1024/1024*1.0 AS "Avg Size Per Segment(MB)",
AVG("num_rows")/1000 AS "Average Num of Rows Per Segment(k)"
FROM sys.segments WHERE "datasource" = 'wikipedia' and "start"='2015-09-12T00:00:00.000Z' GROUP BY 1,2 ORDER BY 2,5 DESC
`
	spec, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wikipedia", 3)
	d.Apply(t, withRowLimit(t, []byte(strings.Replace(string(spec), "segmentGranularity: hour", "segmentGranularity: day", 1)), 2000))
	harness.Produce(t, d.Client(t), harness.Spread("wikipedia", harness.WikipediaLines(t), 3)...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, harness.WikipediaRows, settle)
	d.Handoff(t, "wikipedia")
	segments := func(want int64, rows float64) {
		t.Helper()
		answer := d.SQL(t, query)
		if len(answer.Rows) != 1 {
			t.Fatalf("%s", answer.Body)
		}
		row := answer.Rows[0]
		average, err := row["Average Num of Rows Per Segment(k)"].(json.Number).Float64()
		if err != nil || row["datasource"] != "wikipedia" || row["Segment Time"] != "2015-09-12T00:00:00.000Z" ||
			row["Number of Segments"] != number(want) || average != rows || row["Total Size(GB)"] == number(0) {
			t.Errorf("got %s, want %d segments", answer.Body, want)
		}
	}
	segments(21, harness.WikipediaRows/21./1000)
	id := d.Submit(t, task)
	if status := d.WaitTask(t, id); status.StatusCode != "SUCCESS" || status.Duration < 0 || status.Priority != 100 || status.DataSource != "wikipedia" {
		t.Fatalf("%+v", status)
	}
	segments(1, harness.WikipediaRows/1000.)
	d.CheckWikipedia(t)

	var given struct {
		Task    string
		Payload map[string]any
	}
	d.GetJSON(t, "/druid/indexer/v1/task/"+id, &given)
	if given.Task != id || given.Payload["type"] != "compact" || given.Payload["interval"] != "2015-09-12T00:00:00.000/2015-09-13T00:00:00.000" {
		t.Errorf("the task as submitted: %+v", given)
	}
	var report struct {
		IngestionStatsAndErrors struct {
			TaskID  string
			Payload struct {
				IngestionState string
				RowStats       struct{ BuildSegments struct{ Processed int64 } }
			}
		}
	}
	d.GetJSON(t, "/druid/indexer/v1/task/"+id+"/reports", &report)
	if r := report.IngestionStatsAndErrors; r.TaskID != id || r.Payload.IngestionState != "COMPLETED" || r.Payload.RowStats.BuildSegments.Processed != harness.WikipediaRows {
		t.Errorf("Druid's report: %+v", r)
	}
	if r := d.TaskReport(t, id); r.Before.Segments != 21 || r.After.Segments != 1 || r.After.Rows != harness.WikipediaRows {
		t.Errorf("our report: %+v", r)
	}
	status, log, err := d.Get(t.Context(), "/druid/indexer/v1/task/"+id+"/log")
	if err != nil || status != http.StatusOK || !strings.Contains(string(log), "attempt ends") {
		t.Errorf("the log: %v, %d, %s", err, status, log)
	}
	row := d.SQL(t, fmt.Sprintf(`SELECT * FROM sys.tasks WHERE task_id = '%s'`, id)).Rows[0]
	if row["status"] != "SUCCESS" || row["type"] != "compact" || row["datasource"] != "wikipedia" {
		t.Errorf("sys.tasks: %v", row)
	}
	chunk := d.SQL(t, `SELECT segments, "rows", events, tail_segments FROM sys.chunks WHERE datasource = 'wikipedia' AND "rows" > 0`).Rows
	if len(chunk) != 1 || chunk[0]["segments"] != number(1) || chunk[0]["tail_segments"] != number(0) ||
		chunk[0]["rows"] != number(harness.WikipediaRows) || chunk[0]["events"] != number(harness.WikipediaRows) {
		t.Errorf("sys.chunks: %v", chunk)
	}
}

// hoursSpec is a datasource of hours, rolled up or not.
func hoursSpec(rollup bool) []byte {
	metrics, granularity := "", "none"
	if rollup {
		metrics, granularity = "\n    metricsSpec: [{type: count, name: events}, {type: longSum, name: total, fieldName: value}]", "minute"
	}
	value := ", {type: long, name: value}"
	if rollup {
		value = ""
	}
	return fmt.Appendf(nil, `
type: kafka
spec:
  dataSchema:
    dataSource: hours
    timestampSpec: {column: t, format: millis}
    dimensionsSpec: {dimensions: [k%s]}%s
    granularitySpec: {segmentGranularity: hour, queryGranularity: %s, rollup: %t}
    dedupSpec: {key: id}
  ioConfig: {topic: hours, inputFormat: {type: json}, useEarliestOffset: true}
`, value, metrics, granularity, rollup)
}

// 2024-05-01, a day long past, so that chunks do not depend on when the test runs.
var hoursBase = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)

// hoursRecords makes perHour records for each of the hours, numbered from first on; ids are numbers, so that the same call
// makes copies.
func hoursRecords(first, perHour int, hours ...int) []*kgo.Record {
	var out []*kgo.Record
	for _, hour := range hours {
		for i := range perHour {
			n := first + i
			at := hoursBase.Add(time.Duration(hour)*time.Hour + time.Duration(n%60)*time.Minute + time.Duration(n%7)*time.Second)
			out = append(out, &kgo.Record{Topic: "hours", Value: fmt.Appendf(nil, `{"id":"%d-%d","t":%d,"k":"k%d","value":%d}`, hour, n, at.UnixMilli(), n%3, n)})
		}
	}
	return out
}

// startedHours has handed perHandoff records off for each hour, so many times.
func startedHours(t *testing.T, rollup bool, handoffs, perHandoff int, hours []int, args ...string) *harness.Dev {
	t.Helper()
	d := harness.Started(t, binary, args...)
	d.CreateTopic(t, "hours", 1)
	d.Apply(t, hoursSpec(rollup))
	client := d.Client(t)
	for i := range handoffs {
		harness.Produce(t, client, hoursRecords(i*perHandoff, perHandoff, hours...)...)
		d.Handoff(t, "hours")
	}
	return d
}

func TestBadTasksAreRefusedWithEveryProblem(t *testing.T) {
	d := startedHours(t, true, 2, 10, []int{0, 1})
	const state = `SELECT segment_id, "size", num_rows, version FROM sys.segments ORDER BY 1`
	before := d.SQL(t, state)
	for task, wants := range map[string][]string{
		`{`:                      {"line 1"},
		`[]`:                     {"object"},
		``:                       {"empty"},
		`{"dataSource":"hours"}`: {"type"},
		`{"type":"compactt","dataSource":"hours","interval":"2024-05-01/2024-05-02"}`:  {"compactt", "compact"},
		`{"type":"index_parallel","spec":{}}`:                                          {"index_parallel"},
		`{"type":"compact","dataSource":"nowhere","interval":"2024-05-01/2024-05-02"}`: {"nowhere"},
		`{"type":"compact","dataSource":"hours","interval":"2024-05-02/2024-05-01","tuningConfig":{"maxRowsPerSegmnt":5},"colour":"red","context":{"priority":"high"}}`: {
			"interval", "maxRowsPerSegmnt", "maxRowsPerSegment", "colour", "priority",
		},
		`{"type":"compact","dataSource":"hours"}`: {"interval"},
		`{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02","granularitySpec":{"queryGranularity":"second","rollup":false},
		  "metricsSpec":[{"type":"longSum","name":"other","fieldName":"other"}]}`: {"queryGranularity", "rollup", "other"},
		`{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02","dimensionsSpec":{"dimensions":["k","more"]}}`:         {"more"},
		`{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02","granularitySpec":{"queryGranularity":"day"}}`:         {"queryGranularity"},
		`{"type":"compact","dataSource":"hours","interval":"2024-05-01T00:30/2024-05-02","granularitySpec":{"segmentGranularity":"day"}}`: {"whole chunks"},
		`{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02","metricsSpec":[{"type":"thetaSketch","name":"s","fieldName":"k"}]}`: {
			"thetaSketch",
		},
		`{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02","transformSpec":{"filter":{"type":"selector","dimension":"gone","value":"x"}}}`: {
			"gone",
		},
		`{"type":"markUnused","dataSource":"hours","interval":"2024-05-01T00:00/2024-05-01T00:30"}`: {"whole chunk"},
	} {
		status, body, err := d.Post(t.Context(), "/druid/indexer/v1/task", []byte(task))
		if err != nil || status != http.StatusBadRequest {
			t.Errorf("%s: %v, %d %s", task, err, status, body)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s: the refusal does not say %q: %s", task, want, body)
			}
		}
	}
	if tasks := d.Tasks(t, ""); len(tasks) != 0 {
		t.Errorf("tasks after the refusals: %+v", tasks)
	}
	if after := d.SQL(t, state); string(after.Body) != string(before.Body) {
		t.Errorf("segments before %s and after %s", before.Body, after.Body)
	}
}

func TestIntervalsWithHolesAndWithoutData(t *testing.T) {
	d := startedHours(t, true, 3, 20, []int{0, 2})
	report := d.RunTask(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-01T00:00/2024-05-01T04:00"}`)
	if len(report.Chunks) != 2 || len(report.Empty) != 2 || !strings.HasPrefix(report.Empty[0], "2024-05-01T01:00") ||
		!strings.HasPrefix(report.Empty[1], "2024-05-01T03:00") {
		t.Errorf("%d chunks, empty %v", len(report.Chunks), report.Empty)
	}
	if n, _ := segmentsOf(t, d, "hours"); n != 2 {
		t.Errorf("%d segments, want 2", n)
	}
	d.WaitSQL(t, `SELECT SUM(events) AS n FROM hours`, 120, 0)
	status := d.WaitTask(t, d.Submit(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-03/2024-05-04"}`))
	if status.StatusCode != "FAILED" || status.ErrorMsg == nil || !strings.Contains(*status.ErrorMsg, "no segments") {
		t.Errorf("without data: %+v", status)
	}
	again := d.RunTask(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02"}`)
	for _, c := range again.Chunks {
		if c.Outcome != "NOTHING" {
			t.Errorf("a second run of the same task: %+v", c)
		}
	}
}

// stall makes every reader of a file wait until release is called: a pipe without a writer stands in its place.
func stall(t *testing.T, path string) (release func()) {
	t.Helper()
	dir := t.TempDir()
	pipe, saved := filepath.Join(dir, "pipe"), filepath.Join(dir, "saved")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(syscall.Mkfifo(pipe, 0o600))
	must(os.Rename(path, saved))
	must(os.Rename(pipe, path))
	return func() {
		t.Helper()
		must(os.Rename(path, pipe))
		must(os.Rename(saved, path))
		writer, err := os.OpenFile(pipe, os.O_RDWR, 0)
		must(err)
		must(writer.Close())
	}
}

// objectPath is the file of the first segment, by name, of an hour.
func objectPath(t *testing.T, d *harness.Dev, hour int) string {
	t.Helper()
	files := parquetFiles(t, filepath.Join(d.DataDir, "objects", "data", "table=hours"), "")
	slices.Sort(files)
	for _, f := range files {
		if strings.Contains(f, fmt.Sprintf("/h=%02d/", hour)) {
			return f
		}
	}
	t.Fatalf("no object of hour %d among %v", hour, files)
	return ""
}

// TestStragglerBlocksNoOtherChunkAndIsCancelled has one task hang in an hour, and another one work around it.
func TestStragglerBlocksNoOtherChunkAndIsCancelled(t *testing.T) {
	d := startedHours(t, false, 3, 20, []int{0, 1, 2, 3})
	whole := func() { // its first call fills the cache
		t.Helper()
		if n := d.SQL(t, `SELECT COUNT(*) AS n FROM hours`).Int(t, "n"); n != 240 {
			t.Errorf("%d rows, want 240", n)
		}
	}
	whole()
	release := stall(t, objectPath(t, d, 1))
	slow := d.Submit(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-01T01:00/2024-05-01T02:00"}`)
	waitState(t, d, slow, "RUNNING")
	others := d.Submit(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02"}`)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE datasource = 'hours'`, 3+3, settle) // three hours are done, one is not
	whole()
	if status := d.Task(t, others); status.StatusCode != "RUNNING" {
		t.Errorf("the task with a claimed chunk has ended: %+v", status)
	}
	if status, body, err := d.Post(t.Context(), "/druid/indexer/v1/task/"+slow+"/shutdown", nil); err != nil || status != http.StatusOK {
		t.Fatalf("cancel: %v, %d %s", err, status, body)
	}
	release()
	if status := d.WaitTask(t, slow); status.StatusCode != "FAILED" || status.ErrorMsg == nil || !strings.Contains(*status.ErrorMsg, "cancel") {
		t.Errorf("the cancelled task: %+v", status)
	}
	if status := d.WaitTask(t, others); status.StatusCode != "SUCCESS" {
		t.Errorf("the other task: %+v", status)
	}
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE datasource = 'hours'`, 4, 0)
	whole()
	status, _, err := d.Post(t.Context(), "/druid/indexer/v1/task/nosuchtask/shutdown", nil)
	if err != nil || status != http.StatusNotFound {
		t.Errorf("cancel an unknown task: %v, %d", err, status)
	}
}

// waitState waits until the task's runner is in a state.
func waitState(t *testing.T, d *harness.Dev, id, state string) {
	t.Helper()
	deadline := time.Now().Add(settle)
	for d.Task(t, id).RunnerStatusCode != state {
		if time.Now().After(deadline) {
			t.Fatalf("task %s is not %s: %+v", id, state, d.Task(t, id))
		}
		time.Sleep(5 * time.Millisecond)
	}
}
