package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// fakeTasks holds a fixed queue and notes what is asked.
type fakeTasks struct {
	list      []Task
	submitted []string
	cancelled []string
	filter    TaskFilter
	offset    int64
	report    string
}

func noTask(id string) error {
	return &Error{Category: NotFound, Code: "notFound", Message: "No task has the id " + id + "."}
}

func (f *fakeTasks) SubmitTask(_ context.Context, data []byte) (string, []string, error) {
	text := string(data)
	f.submitted = append(f.submitted, text)
	if strings.Contains(text, "warned") {
		return "t1", []string{"context.tags: accepted without effect"}, nil
	}
	if strings.Contains(text, "bad") {
		return "", nil, &Error{
			Category: InvalidInput, Code: "invalidInput", Message: "The task is refused:",
			Problems: []Problem{{"interval", "is missing"}, {"dataSourc", "unknown field"}},
		}
	}
	return "t1", nil, nil
}

func (f *fakeTasks) CancelTask(_ context.Context, id string) error {
	if _, _, err := f.Task(context.Background(), id); err != nil {
		return err
	}
	f.cancelled = append(f.cancelled, id)
	return nil
}

func (f *fakeTasks) Task(_ context.Context, id string) (Task, json.RawMessage, error) {
	for _, t := range f.list {
		if t.ID == id {
			return t, json.RawMessage(`{"type":"compact"}`), nil
		}
	}
	return Task{}, nil, noTask(id)
}

func (f *fakeTasks) ListTasks(_ context.Context, filter TaskFilter) ([]Task, error) {
	f.filter = filter
	return f.list, nil
}

func (f *fakeTasks) TaskReport(_ context.Context, id string) (json.RawMessage, error) {
	if f.report == "" {
		return nil, noTask(id)
	}
	return json.RawMessage(f.report), nil
}

func (f *fakeTasks) TaskLog(_ context.Context, id string, offset int64) ([]byte, error) {
	f.offset = offset
	if id != "a" {
		return nil, noTask(id)
	}
	return []byte("<b>one</b>\ntwo\n"), nil
}

func twoTasks() *fakeTasks {
	reason := "the chunk is claimed"
	return &fakeTasks{list: []Task{
		{
			ID: "a", GroupID: "a", Type: "compact", CreatedTime: "2026-01-01T00:00:00.000Z", QueueInsertionTime: "2026-01-01T00:00:00.000Z",
			StatusCode: "RUNNING", Status: "RUNNING", RunnerStatusCode: "RUNNING", DurationMillis: -1,
			Location: TaskLocation{Host: "h", Port: 1, TLSPort: -1}, DataSource: "events", Priority: 25, Origin: "user", Attempt: 1,
			ChunksDone: 3, ChunksTotal: 4,
		},
		{ID: "b", StatusCode: "FAILED", Status: "FAILED", RunnerStatusCode: "NONE", ErrorMsg: &reason, DataSource: "events"},
	}}
}

func TestSubmitTask(t *testing.T) {
	tasks := twoTasks()
	h := newHandler(t, Options{Tasks: tasks})
	for body, want := range map[string]string{
		"good": `{"task":"t1"}` + "\n", "warned": `{"task":"t1","warnings":["context.tags: accepted without effect"]}` + "\n",
	} {
		if w := call(h, "POST", taskPath, "application/json", body); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: status %d, body %s", body, w.Code, w.Body)
		}
	}
	e := wantError(t, call(h, "POST", taskPath, "application/yaml", "bad"), 400, "interval", "unknown field")
	if len(e.Context) != 2 {
		t.Errorf("context %v", e.Context)
	}
	wantError(t, call(h, "POST", taskPath, "", ""), 400, "empty", "a task")
	wantError(t, call(h, "POST", taskPath, "image/png", "x"), 415)
	wantError(t, call(h, "PUT", taskPath, "", "x"), 405)
}

func TestMarkUnusedSubmitsATask(t *testing.T) {
	tasks := twoTasks()
	h := newHandler(t, Options{Tasks: tasks})
	const path = datasourcesPath + "/events/markUnused"
	if w := call(h, "POST", path, "application/json", `{"interval":"2020/2021","segmentIds":null}`); w.Code != 200 || w.Body.String() != `{"task":"t1"}`+"\n" {
		t.Fatalf("status %d, body %s", w.Code, w.Body)
	}
	if got, want := tasks.submitted[0], `{"dataSource":"events","interval":"2020/2021","type":"markUnused"}`; got != want {
		t.Errorf("submitted %s", got)
	}
	wantError(t, call(h, "POST", path, "", `{"intervall":"2020/2021"}`), 400, "interval")
	wantError(t, call(h, "POST", path, "", `{"type":"kill"}`), 400, "type")
	wantError(t, call(h, "POST", path, "", `[]`), 400)
	if len(tasks.submitted) != 1 {
		t.Errorf("submitted %q", tasks.submitted)
	}
}

func TestTaskStatus(t *testing.T) {
	tasks := twoTasks()
	h := newHandler(t, Options{Tasks: tasks, TaskOutputs: tasks})
	const status = `{"id":"a","groupId":"a","type":"compact","createdTime":"2026-01-01T00:00:00.000Z",` +
		`"queueInsertionTime":"2026-01-01T00:00:00.000Z","statusCode":"RUNNING","status":"RUNNING","runnerStatusCode":"RUNNING",` +
		`"duration":-1,"location":{"host":"h","port":1,"tlsPort":-1},"dataSource":"events","errorMsg":null,"priority":25,` +
		`"origin":"user","attempt":1,"cancelRequested":false,"chunksDone":3,"chunksTotal":4}`
	for path, want := range map[string]string{
		taskPath + "/a":        `{"task":"a","payload":{"type":"compact"}}`,
		taskPath + "/a/status": `{"task":"a","status":` + status + `}`,
	} {
		if w := call(h, "GET", path, "", ""); w.Code != 200 || w.Body.String() != want+"\n" {
			t.Errorf("%s: status %d\ngot  %swant %s", path, w.Code, w.Body, want)
		}
	}
	for _, path := range []string{"/x", "/x/status", "/x/reports", "/x/log"} {
		wantError(t, call(h, "GET", taskPath+path, "", ""), 404, "x")
	}
	if w := call(h, "POST", indexerPath+"/taskStatus", "application/json", `["a","x"]`); w.Code != 200 || w.Body.String() != `{"a":`+status+"}\n" {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	wantError(t, call(h, "POST", indexerPath+"/taskStatus", "application/json", `{}`), 400, "list")
}

func TestTaskLists(t *testing.T) {
	tasks := twoTasks()
	h := newHandler(t, Options{Tasks: tasks})
	for query, want := range map[string]TaskFilter{
		"/tasks":                     {},
		"/tasks?state=running":       {State: TasksRunning},
		"/completeTasks?max=3":       {State: TasksComplete, Max: 3},
		"/runningTasks":              {State: TasksRunning},
		"/pendingTasks?type=kill":    {State: TasksPending, Type: "kill"},
		"/waitingTasks?datasource=x": {State: TasksWaiting, DataSource: "x"},
		"/tasks?createdTimeInterval=2020-01-01_2021-01-01&dataSource=y": {Created: "2020-01-01/2021-01-01", DataSource: "y"},
	} {
		tasks.filter = TaskFilter{}
		w := call(h, "GET", indexerPath+query, "", "")
		var list []Task
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != 200 || len(list) != 2 || !reflect.DeepEqual(tasks.filter, want) {
			t.Errorf("%s: %v, status %d, filter %+v", query, err, w.Code, tasks.filter)
		}
	}
	tasks.list = nil
	if w := call(h, "GET", indexerPath+"/tasks", "", ""); w.Body.String() != "[]\n" {
		t.Errorf("no tasks are shown as %s", w.Body)
	}
	for query, part := range map[string]string{
		"state=done": "waiting, pending, running or complete", "max=0": "max", "max=x": "max", "stat=running": `Did you mean \"state\"`,
	} {
		wantError(t, call(h, "GET", indexerPath+"/tasks?"+query, "", ""), 400, part)
	}
	wantError(t, call(h, "GET", indexerPath+"/runningTasks?state=complete", "", ""), 400, "contradicts")
}

func TestCancelTasks(t *testing.T) {
	tasks := twoTasks()
	h := newHandler(t, Options{Tasks: tasks})
	if w := call(h, "POST", taskPath+"/b/shutdown", "", ""); w.Code != 200 || w.Body.String() != `{"task":"b"}`+"\n" {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	wantError(t, call(h, "POST", taskPath+"/x/shutdown", "", ""), 404)
	if w := call(h, "POST", indexerPath+"/datasources/events/shutdownAllTasks", "", ""); w.Code != 200 || w.Body.String() != `{"dataSource":"events"}`+"\n" {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	if want := []string{"b", "a"}; !reflect.DeepEqual(tasks.cancelled, want) || tasks.filter.DataSource != "events" {
		t.Errorf("cancelled %v", tasks.cancelled)
	}
}

func TestTaskOutputs(t *testing.T) {
	tasks := twoTasks()
	h := newHandler(t, Options{Tasks: tasks, TaskOutputs: tasks})
	for report, want := range map[string]string{
		`{"compaction":{"n":1.10},"ingestionStatsAndErrors":{"type":"x"}}`: `{"compaction":{"n":1.10},"ingestionStatsAndErrors":{"taskId":"a","type":"x"}}`,
		`{"compaction":{}}`:                `{"compaction":{}}`,
		`{"ingestionStatsAndErrors":null}`: `{"ingestionStatsAndErrors":null}`,
	} {
		tasks.report = report
		if w := call(h, "GET", taskPath+"/a/reports", "", ""); w.Code != 200 || w.Body.String() != want+"\n" {
			t.Errorf("status %d, body %s", w.Code, w.Body)
		}
	}
	tasks.report = "not JSON"
	wantError(t, call(h, "GET", taskPath+"/a/reports", "", ""), 500, "report")
	w := call(h, "GET", taskPath+"/a/log?offset=-8", "", "")
	if w.Code != http.StatusOK || w.Body.String() != "<b>one</b>\ntwo\n" || tasks.offset != -8 ||
		!strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("status %d, %v, body %s", w.Code, w.Header(), w.Body)
	}
	wantError(t, call(h, "GET", taskPath+"/a/log?offset=x", "", ""), 400, "offset")
	without := newHandler(t, Options{Tasks: tasks})
	wantError(t, call(without, "GET", taskPath+"/a/log", "", ""), 404)
	wantError(t, call(newHandler(t, Options{}), "POST", taskPath, "", "x"), 404)
}
