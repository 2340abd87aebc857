package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"drumlin/api"
)

func runningTask(done, total int) api.Task {
	return api.Task{
		ID: "t1", Type: "compact", DataSource: "events", StatusCode: "RUNNING", RunnerStatusCode: "RUNNING", DurationMillis: -1,
		ChunksDone: done, ChunksTotal: total,
	}
}

func endedTask(code, message string) api.Task {
	t := runningTask(2, 2)
	t.StatusCode, t.RunnerStatusCode, t.DurationMillis = code, "NONE", 1500
	if message != "" {
		t.ErrorMsg = &message
	}
	return t
}

const taskReport = `{"compaction":{"dataSource":"events","chunks":[
	{"interval":"2020-01-01T00:00:00.000Z/2020-01-01T01:00:00.000Z","outcome":"DONE",
	 "before":{"segments":51,"rows":39300,"bytes":5242880,"events":39300},"after":{"segments":1,"rows":20000,"bytes":2097152,"events":39244,"rollupRatio":1.9622},
	 "stats":{"duplicates":56}},
	{"interval":"2020-01-01T01:00:00.000Z/2020-01-01T02:00:00.000Z","outcome":"NOTHING","reason":"already compacted",
	 "before":{"segments":1,"rows":5,"bytes":10},"after":{"segments":1,"rows":5,"bytes":10,"rollupRatio":1}}],
	"empty":["2020-01-01T02:00:00.000Z/2020-01-02T00:00:00.000Z"],
	"before":{"segments":52,"rows":39305,"bytes":5242890},"after":{"segments":2,"rows":20005,"bytes":2097162,"rollupRatio":1.96,"sidecarBytes":2048},
	"stats":{"duplicates":56,"filtered":1,"spilledBytes":1024},"writeAmplification":1.4}}`

const taskReportTable = "" +
	"chunk                              outcome  segments             rows               size  events/row  duplicates  note\n" +
	"─────────────────────────────────  ───────  ────────  ───────────────  ─────────────────  ──────────  ──────────  ─────────────────\n" +
	"2020-01-01T00:00/2020-01-01T01:00  DONE       51 → 1  39,300 → 20,000  5.0 MiB → 2.0 MiB        1.96          56\n" +
	"2020-01-01T01:00/2020-01-01T02:00  NOTHING         1                5               10 B        1.00           0  already compacted\n"

func TestTaskSubmit(t *testing.T) {
	q := &queue{}
	url := q.start(t)
	run(t, url, goodTask, 0, "task", "submit", "-").want(t, 0, "t1\n", "warning: context.forceTimeChunkLock")
	run(t, url, "", 0, "task", "submit", write(t, "t.yaml", goodTask)).want(t, 0, "t1\n")
	run(t, url, "{type: compact, datasource: x}", 0, "task", "submit", "-").want(t, 1, "",
		"datasource: unknown field; did you mean dataSource?", "interval: is missing")
	run(t, url, "", 0, "task", "submit").want(t, 2, "", "needs the FILE")
	run(t, url, "", 0, "task", "sumbit").want(t, 2, "", "did you mean submit?")
	if len(q.submitted) != 2 {
		t.Errorf("submitted %q", q.submitted)
	}
}

func TestTaskWait(t *testing.T) {
	retried := runningTask(1, 2)
	reason := "the chunk is claimed"
	retried.RunnerStatusCode, retried.ErrorMsg, retried.NextAttempt, retried.Attempt = "WAITING", &reason, "2026-01-01T00:00:00Z", 1
	q := &queue{report: taskReport, statuses: []api.Task{runningTask(0, 0), retried, retried, runningTask(1, 3), endedTask("SUCCESS", "")}}
	o := run(t, q.start(t), goodTask, 0, "task", "submit", "-", "--wait")
	o.want(t, 0, "t1\n"+taskReportTable, "attempt 1: the chunk is claimed; the next one is due at 2026-01-01T00:00:00Z",
		"no data: 2020-01-01T02:00/2020-01-02T00:00",
		"52 → 2 segments, 39,305 → 20,005 rows, 5.0 MiB → 2.0 MiB; 56 duplicates and 1 filtered record removed; 1.96 events a row; "+
			"write amplification 1.40", "2.0 KiB of ids are kept", "1.0 KiB spilled", "done in 1.5s")
	if strings.Count(o.stderr, "is claimed") != 1 {
		t.Errorf("the reason is not told once:\n%s", o.stderr)
	}
	q = &queue{statuses: []api.Task{runningTask(0, 2), endedTask("FAILED", "no segments in the interval")}}
	run(t, q.start(t), goodTask, 0, "task", "submit", "-", "--wait").want(t, 1, "t1\n",
		"drumlin: task t1 has failed: no segments in the interval\nhint: drumlin task log t1\n")
	q = &queue{statuses: []api.Task{endedTask("SUCCESS", "")}}
	run(t, q.start(t), goodTask, 0, "task", "submit", "-", "--wait").want(t, 0, "t1\n", "no report")
}

func TestWaitingCanBeInterrupted(t *testing.T) {
	q := &queue{statuses: []api.Task{runningTask(0, 2)}}
	url := q.start(t)
	var stdout, stderr strings.Builder
	env := NewEnv(strings.NewReader(""), &stdout, &stderr)
	env.Getenv = func(name string) string { return map[string]string{serverVariable: url}[name] }
	c, err := env.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := waitTask(ctx, env, c, "t1"); Report(&stderr, err) != exitInterrupted || !strings.Contains(stderr.String(), "the task goes on") {
		t.Errorf("%v\n%s", err, &stderr)
	}
}

func TestTaskListAndStatus(t *testing.T) {
	failed := endedTask("FAILED", "no segments")
	failed.CreatedTime, failed.Priority, failed.Origin = "2026-01-01T00:00:00.000Z", 25, "user"
	waiting := runningTask(0, 0)
	waiting.RunnerStatusCode, waiting.NextAttempt, waiting.Attempt = "WAITING", "2026-01-02T00:00:00Z", 2
	cancelling := runningTask(1, 2)
	cancelling.CancelRequested = true
	q := &queue{list: []api.Task{failed, waiting, cancelling}, statuses: []api.Task{failed}}
	url := q.start(t)
	const head = "" +
		"task  type     datasource  state       chunks  priority  origin  created              took\n" +
		"────  ───────  ──────────  ──────────  ──────  ────────  ──────  ───────────────────  ────\n"
	run(t, url, "", 0, "task", "list", "--state", "complete", "--max", "7", "--datasource", "d", "--type", "kill").want(t, 0, head+
		"t1    compact  events      FAILED         2/2        25  user    2026-01-01T00:00:00  1.5s\n"+
		"t1    compact  events      WAITING                    0\n"+
		"t1    compact  events      CANCELLING     1/2         0\n")
	if want := (api.TaskFilter{State: api.TasksComplete, DataSource: "d", Type: "kill", Max: 7}); q.filter != want {
		t.Errorf("asked for %+v", q.filter)
	}
	if o := run(t, url, "", 0, "task", "list", "--json"); strings.Count(o.stdout, "\n") != 3 || !json.Valid([]byte(strings.Split(o.stdout, "\n")[0])) {
		t.Errorf("%+v", o)
	}
	run(t, url, "", 0, "task", "list", "--state", "done").want(t, 2, "", "waiting, pending, running, complete")
	if o := run(t, url, "", 0, "task", "status", "t1"); !strings.HasSuffix(o.stdout, "\nno segments\n") || !strings.Contains(o.stderr, "drumlin task log t1") {
		t.Errorf("%+v", o)
	}
	if o := run(t, url, "", 0, "task", "status", "t1", "--json"); !strings.Contains(o.stdout, `"errorMsg": "no segments"`) {
		t.Errorf("%+v", o)
	}
	q.statuses = []api.Task{waiting}
	if o := run(t, url, "", 0, "task", "status", "t1"); !strings.Contains(o.stderr, "attempt 2 did not do; the next one is due at 2026-01-02T00:00:00Z") {
		t.Errorf("%+v", o)
	}
	run(t, url, "", 0, "task", "status", "x").want(t, 1, "", "There is no x.")
	run(t, url, "", 0, "task", "spec", "t1").want(t, 0, "{\n  \"type\": \"kill\"\n}\n")
	run(t, url, "", 0, "task", "spec", "x").want(t, 1, "", "There is no x.")
	q.list = nil
	run(t, url, "", 0, "task", "list").want(t, 0, "", "drumlin task submit")
}

func TestTaskOutputsAndCancel(t *testing.T) {
	q := &queue{report: taskReport, statuses: []api.Task{endedTask("FAILED", "cancelled")}}
	url := q.start(t)
	run(t, url, "", 0, "task", "log", "t1").want(t, 0, "one\ntwo\n")
	run(t, url, "", 0, "task", "log", "t1", "--offset", "-4").want(t, 0, "two\n")
	run(t, url, "", 0, "task", "log", "x").want(t, 1, "", "There is no x.")
	run(t, url, "", 0, "task", "report", "t1").want(t, 0, taskReportTable)
	if o := run(t, url, "", 0, "task", "report", "t1", "--json"); !json.Valid([]byte(o.stdout)) {
		t.Errorf("%+v", o)
	}
	run(t, url, "", 0, "task", "cancel", "t1").want(t, 0, "")
	run(t, url, "", 0, "task", "cancel", "t1", "--wait").want(t, 0, "")
	run(t, url, "", 0, "task", "cancel", "x").want(t, 1, "", "There is no x.")
	if len(q.cancelled) != 2 {
		t.Errorf("cancelled %v", q.cancelled)
	}
}

// TestReportOfKill: a kill task has no chunks to show, but what it has deleted and what it has kept.
func TestReportOfKill(t *testing.T) {
	q := &queue{
		report:   `{"compaction":{"collected":{"deleted":3,"bytes":2048,"failed":1,"kept":{"it is referenced":91}}}}`,
		statuses: []api.Task{endedTask("SUCCESS", "")},
	}
	run(t, q.start(t), "", 0, "task", "report", "t1").want(t, 0, "", "3 objects deleted, 2.0 KiB", "91 objects kept: it is referenced",
		"1 object could not be deleted")
}

// TestReportKeepsIndents: messages of DuckDB's have tabs.
func TestReportKeepsIndents(t *testing.T) {
	var out strings.Builder
	Report(&out, errors.New("no such function\n\tsum(BIGINT)"))
	if want := "drumlin: no such function\n  sum(BIGINT)\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestCompact(t *testing.T) {
	q := &queue{}
	url := q.start(t)
	q.segments = answer([]string{"a VARCHAR", "b VARCHAR"}, []string{`"2020-01-01T00:00:00.000Z"`, `"2020-01-03T00:00:00.000Z"`})
	run(t, url, "", 0, "compact", "events").want(t, 0, "t1\n")
	run(t, url, "", 0, "compact", "events", "--interval", "2020/2021", "--granularity", "day", "--query-granularity", "hour",
		"--max-rows", "1000", "--policy", "historical", "--priority", "0").want(t, 0, "t1\n")
	want := []string{
		`{"dataSource":"events","ioConfig":{"allowNonAlignedInterval":true,"inputSpec":{"interval":"2020-01-01T00:00:00.000Z/2020-01-03T00:00:00.000Z","type":"interval"},` +
			`"type":"compact"},"type":"compact"}`,
		`{"context":{"policy":"historical","priority":0},"dataSource":"events","granularitySpec":{"queryGranularity":"hour",` +
			`"segmentGranularity":"day"},"ioConfig":{"inputSpec":{"interval":"2020/2021","type":"interval"},"type":"compact"},` +
			`"tuningConfig":{"partitionsSpec":{"maxRowsPerSegment":1000,"type":"dynamic"}},"type":"compact"}`,
	}
	for i := range want {
		if i >= len(q.submitted) || q.submitted[i] != want[i] {
			t.Errorf("submitted %q", q.submitted)
		}
	}
	q.segments = answer([]string{"a VARCHAR", "b VARCHAR"}, []string{"null", "null"})
	run(t, url, "", 0, "compact", "x").want(t, 1, "", "no committed segments", "drumlin handoff")
	run(t, url, "", 0, "compact", "events", "--interval", "yesterday").want(t, 1, "", `"yesterday" is not an interval`)
	run(t, url, "", 0, "compact", "events", "--policy", "old").want(t, 2, "", "recent or historical")
	run(t, url, "", 0, "compact").want(t, 2, "", "DATASOURCE")
}

func TestAutoCompact(t *testing.T) {
	q := &queue{}
	url := q.start(t)
	run(t, url, "", 0, "autocompact", "status").want(t, 0, "", "drumlin autocompact set")
	run(t, url, "", 0, "autocompact", "get", "events").want(t, 1, "", "There is no events.")
	run(t, url, "{dataSource: events, engine: native}", 0, "autocompact", "set", "-").want(t, 0, "", "warning: engine")
	run(t, url, "{dataSource: events, polices: x}", 0, "autocompact", "set", "-").want(t, 1, "", "did you mean policies?")
	run(t, url, "", 0, "autocompact", "get", "events").want(t, 0, "{\n  \"dataSource\": \"events\",\n  \"engine\": \"native\"\n}\n")
	run(t, url, "", 0, "autocompact", "status").want(t, 0, ""+
		"datasource  state    waiting  segments  chunks  compacted  skipped  note\n"+
		"──────────  ───────  ───────  ────────  ──────  ─────────  ───────  ────\n"+
		"events      RUNNING  4.0 KiB     1,200       2          3        1\n")
	run(t, url, "", 0, "autocompact", "explain", "events").want(t, 0, ""+
		"policy recent\nnothing is committed yet\n\npolicy historical\n"+
		"chunk                  verdict  segments   rows  new rows     size  reason\n"+
		"─────────────────────  ───────  ────────  ─────  ────────  ───────  ─────────────────────────────\n"+
		"2020-01-01/2020-01-02  compact        12  1,000        10  2.0 KiB  12 small segments\n"+
		"2020-01-02/2020-01-03  held            0      0         0      0 B  skipOffsetFromLatest; task t1\n"+
		"2020-01-03/2020-01-04  fine            0      0         0      0 B  already compacted\n", "auto-compaction is off")
	if o := run(t, url, "", 0, "autocompact", "explain", "events", "--json"); !json.Valid([]byte(o.stdout)) {
		t.Errorf("%+v", o)
	}
	run(t, url, "", 0, "autocompact", "explain", "x").want(t, 1, "", "There is no x.")
	run(t, url, "", 0, "autocompact", "off", "events").want(t, 0, "")
	if q.config != nil {
		t.Error("the config is still there")
	}
}

func TestRules(t *testing.T) {
	q := &queue{}
	url := q.start(t)
	run(t, url, "[{type: loadByPeriod, period: P30D, tieredReplicants: {a: 1}}, {type: dropForever}]", 0, "rules", "set", "events", "-").want(t, 0, "",
		"warning: [0].tieredReplicants")
	run(t, url, "", 0, "rules", "get", "events").want(t, 0, ""+
		"[\n  {\n    \"type\": \"loadByPeriod\",\n    \"period\": \"P30D\",\n    \"includeFuture\": true\n  },\n  {\n    \"type\": \"dropForever\"\n  }\n]\n")
	run(t, url, "[{type: dropByPeriod}]", 0, "rules", "set", "events", "-").want(t, 1, "", "[0].period: is missing")
	run(t, url, "", 0, "rules", "set", "events").want(t, 2, "", "needs the FILE")
}
