package cli

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"

	"drumlin/api"
	"drumlin/spec"
)

// queue answers the commands about tasks, compaction and rules: the real HTTP interface over fakes. A task moves on by one
// status each time it is asked for.
type queue struct {
	segments *api.Answer
	list     []api.Task
	report   string
	config   json.RawMessage
	rules    json.RawMessage

	mu        sync.Mutex
	statuses  []api.Task
	submitted []string
	filter    api.TaskFilter
	cancelled []string
}

func (q *queue) Query(context.Context, api.Query) (*api.Answer, error) { return q.segments, nil }

func unknown(name string) error {
	return &api.Error{Category: api.NotFound, Code: "notFound", Message: "There is no " + name + "."}
}

// refused puts problems as the wiring does.
func refused(problems spec.Problems) error {
	e := &api.Error{Category: api.InvalidInput, Code: "invalidInput", Message: "The task is refused; nothing has changed."}
	for _, p := range problems {
		e.Problems = append(e.Problems, api.Problem{Path: p.Path, Message: p.Message})
	}
	return e
}

func (q *queue) SubmitTask(_ context.Context, data []byte) (string, []string, error) {
	t, warnings, err := spec.ParseTask(data)
	if err != nil {
		return "", nil, refused(err.(spec.Problems))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.submitted = append(q.submitted, string(t.Canonical))
	return "t1", warnings, nil
}

func (q *queue) CancelTask(_ context.Context, id string) error {
	if id != "t1" {
		return unknown(id)
	}
	q.cancelled = append(q.cancelled, id)
	return nil
}

func (q *queue) Task(_ context.Context, id string) (api.Task, json.RawMessage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if id != "t1" || len(q.statuses) == 0 {
		return api.Task{}, nil, unknown(id)
	}
	t := q.statuses[0]
	if len(q.statuses) > 1 {
		q.statuses = q.statuses[1:]
	}
	return t, json.RawMessage(`{"type":"kill"}`), nil
}

func (q *queue) ListTasks(_ context.Context, f api.TaskFilter) ([]api.Task, error) {
	q.filter = f
	return q.list, nil
}

func (q *queue) TaskReport(_ context.Context, id string) (json.RawMessage, error) {
	if q.report == "" {
		return nil, unknown(id)
	}
	return json.RawMessage(q.report), nil
}

func (q *queue) TaskLog(_ context.Context, id string, offset int64) ([]byte, error) {
	if id != "t1" {
		return nil, unknown(id)
	}
	if offset == -4 {
		return []byte("two\n"), nil
	}
	return []byte("one\ntwo\n"), nil
}

func (q *queue) SetAutoCompaction(_ context.Context, data []byte) ([]string, error) {
	c, warnings, err := spec.ParseAutoCompaction(data)
	if err != nil {
		return nil, refused(err.(spec.Problems))
	}
	q.config = c.Canonical
	return warnings, nil
}

func (q *queue) AutoCompaction(_ context.Context, datasource string) (json.RawMessage, error) {
	if q.config == nil {
		return nil, unknown(datasource)
	}
	return q.config, nil
}

func (q *queue) AutoCompactions(context.Context) ([]json.RawMessage, error) { return nil, nil }

func (q *queue) DeleteAutoCompaction(context.Context, string) error {
	q.config = nil
	return nil
}

func (q *queue) AutoCompactionHistory(context.Context, string) ([]api.AutoCompactionVersion, error) {
	return nil, nil
}

func (q *queue) CompactionStatus(context.Context, string) ([]api.CompactionStatus, error) {
	if q.config == nil {
		return nil, nil
	}
	return []api.CompactionStatus{{
		DataSource: "events", ScheduleStatus: "RUNNING", BytesAwaiting: 4096, SegmentsAwaiting: 1200, IntervalsAwaiting: 2,
		IntervalsCompacted: 3, IntervalsSkipped: 1,
	}}, nil
}

func (q *queue) ExplainCompaction(_ context.Context, datasource string) (any, error) {
	if datasource != "events" {
		return nil, unknown(datasource)
	}
	return json.RawMessage(`{"dataSource":"events","enabled":false,"note":"auto-compaction is off","policies":[{"policy":"recent","chunks":[]},
		{"policy":"historical","chunks":[
		{"interval":"2020-01-01T00:00:00.000Z/2020-01-02T00:00:00.000Z","chosen":true,"reason":"12 small segments","segments":12,"rows":1000,"tailRows":10,"bytes":2048},
		{"interval":"2020-01-02T00:00:00.000Z/2020-01-03T00:00:00.000Z","skipped":true,"reason":"skipOffsetFromLatest","task":"t1"},
		{"interval":"2020-01-03T00:00:00.000Z/2020-01-04T00:00:00.000Z","reason":"already compacted"}]}]}`), nil
}

func (q *queue) SetRules(_ context.Context, _ string, data []byte) ([]string, error) {
	rules, warnings, err := spec.ParseRules(data)
	if err != nil {
		return nil, refused(err.(spec.Problems))
	}
	q.rules, err = json.Marshal(rules)
	return warnings, err
}

func (q *queue) Rules(context.Context, string) (json.RawMessage, error) { return q.rules, nil }

func (q *queue) AllRules(context.Context) (map[string]json.RawMessage, error) { return nil, nil }

func (q *queue) start(t *testing.T) string {
	t.Helper()
	handler, err := api.New(api.Options{
		Queries: q, Tasks: q, TaskOutputs: q, AutoCompaction: q, CompactionProgress: q, Rules: q,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Loopback: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	return web.URL
}

const goodTask = `{type: compact, dataSource: events, interval: 2020-01-01/2020-01-02, context: {forceTimeChunkLock: true}}`
