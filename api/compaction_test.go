package api

import (
	"context"
	"encoding/json"
	"testing"
)

// fakeCompaction holds configs and rules of the datasource events.
type fakeCompaction struct {
	config json.RawMessage
	rules  json.RawMessage
	asked  string
}

func knownDataSource(name string) error {
	if name != "events" {
		return &Error{Category: NotFound, Code: "notFound", Message: "No datasource has the name " + name + "."}
	}
	return nil
}

func (f *fakeCompaction) SetAutoCompaction(_ context.Context, data []byte) ([]string, error) {
	if string(data) == "bad" {
		return nil, &Error{Category: InvalidInput, Code: "invalidInput", Message: "no", Problems: []Problem{{"dataSource", "is missing"}}}
	}
	f.config = data
	return []string{"engine: accepted without effect"}, nil
}

func (f *fakeCompaction) AutoCompaction(_ context.Context, datasource string) (json.RawMessage, error) {
	return f.config, knownDataSource(datasource)
}

func (f *fakeCompaction) AutoCompactions(context.Context) ([]json.RawMessage, error) {
	if f.config == nil {
		return nil, nil
	}
	return []json.RawMessage{f.config}, nil
}

func (f *fakeCompaction) DeleteAutoCompaction(_ context.Context, datasource string) error {
	if err := knownDataSource(datasource); err != nil {
		return err
	}
	f.config = nil
	return nil
}

func (f *fakeCompaction) AutoCompactionHistory(_ context.Context, datasource string) ([]AutoCompactionVersion, error) {
	return []AutoCompactionVersion{{"2026-01-01T00:00:00.000Z", f.config}}, knownDataSource(datasource)
}

func (f *fakeCompaction) CompactionStatus(_ context.Context, datasource string) ([]CompactionStatus, error) {
	f.asked = datasource
	if f.config == nil {
		return nil, nil
	}
	return []CompactionStatus{{DataSource: "events", ScheduleStatus: "RUNNING", BytesAwaiting: 7}}, nil
}

func (f *fakeCompaction) ExplainCompaction(_ context.Context, datasource string) (any, error) {
	return map[string]string{"dataSource": datasource}, knownDataSource(datasource)
}

func (f *fakeCompaction) SetRules(_ context.Context, datasource string, data []byte) ([]string, error) {
	f.rules = data
	return nil, knownDataSource(datasource)
}

func (f *fakeCompaction) Rules(_ context.Context, datasource string) (json.RawMessage, error) {
	return f.rules, knownDataSource(datasource)
}

func (f *fakeCompaction) AllRules(context.Context) (map[string]json.RawMessage, error) {
	return map[string]json.RawMessage{"events": f.rules}, nil
}

func compactionHandler(t *testing.T) (f *fakeCompaction, ask func(method, path, body string, status int, want string)) {
	f = &fakeCompaction{rules: json.RawMessage(`[]`)}
	h := newHandler(t, Options{AutoCompaction: f, CompactionProgress: f, Rules: f})
	return f, func(method, path, body string, status int, want string) {
		t.Helper()
		w := call(h, method, path, "application/json", body)
		if status >= 400 {
			wantError(t, w, status, want)
		} else if w.Code != status || w.Body.String() != want+"\n" {
			t.Errorf("%s %s: status %d\ngot  %swant %s", method, path, w.Code, w.Body, want)
		}
	}
}

func TestAutoCompactionConfigs(t *testing.T) {
	_, ask := compactionHandler(t)
	const none = `{"compactionConfigs":[],"compactionTaskSlotRatio":0.1,"maxCompactionTaskSlots":2147483647,"engine":"native"}`
	ask("GET", autoCompactionPath, "", 200, none)
	ask("POST", autoCompactionPath, "bad", 400, "dataSource")
	ask("POST", autoCompactionPath, "", 400, "empty")
	ask("POST", autoCompactionPath, `{"dataSource":"events"}`, 200, `{"warnings":["engine: accepted without effect"]}`)
	ask("GET", autoCompactionPath, "", 200, `{"compactionConfigs":[{"dataSource":"events"}],"compactionTaskSlotRatio":0.1,`+
		`"maxCompactionTaskSlots":2147483647,"engine":"native"}`)
	ask("GET", autoCompactionPath+"/events", "", 200, `{"dataSource":"events"}`)
	ask("GET", autoCompactionPath+"/events/history", "", 200, `[{"compactionConfig":{"dataSource":"events"},"auditTime":"2026-01-01T00:00:00.000Z"}]`)
	ask("GET", autoCompactionPath+"/x", "", 404, "x")
	ask("GET", autoCompactionPath+"/x/history", "", 404, "x")
	ask("DELETE", autoCompactionPath+"/x", "", 404, "x")
	ask("DELETE", autoCompactionPath+"/events", "", 200, `{"dataSource":"events"}`)
	ask("GET", autoCompactionPath, "", 200, none)
	const slots = `{"warnings":["accepted without effect: the number of slots is a setting of the server"]}`
	ask("POST", autoCompactionPath+"/taskslots?ratio=0.2&max=5", "", 200, slots)
	ask("POST", autoCompactionPath+"/cluster", "{}", 200, slots)
	ask("POST", autoCompactionPath+"/events", "{}", 405, "DELETE, GET")
}

func TestCompactionProgress(t *testing.T) {
	f, ask := compactionHandler(t)
	ask("GET", compactionPath+"/status", "", 200, `{"latestStatus":[]}`)
	f.config = json.RawMessage(`{}`)
	ask("GET", compactionPath+"/status?datasource=events", "", 200, `{"latestStatus":[{"dataSource":"events","scheduleStatus":"RUNNING",`+
		`"bytesAwaitingCompaction":7,"bytesCompacted":0,"bytesSkipped":0,"segmentCountAwaitingCompaction":0,"segmentCountCompacted":0,`+
		`"segmentCountSkipped":0,"intervalCountAwaitingCompaction":0,"intervalCountCompacted":0,"intervalCountSkipped":0}]}`)
	if f.asked != "events" {
		t.Errorf("asked for %q", f.asked)
	}
	ask("GET", compactionPath+"/progress?dataSource=events", "", 200, `{"remainingSegmentSize":7}`)
	ask("GET", compactionPath+"/progress", "", 400, "dataSource")
	ask("GET", compactionPath+"/explain?dataSource=events", "", 200, `{"dataSource":"events"}`)
	ask("GET", compactionPath+"/explain", "", 400, "dataSource")
	ask("GET", compactionPath+"/explain?dataSource=x", "", 404, "x")
}

func TestRules(t *testing.T) {
	_, ask := compactionHandler(t)
	ask("POST", rulesPath+"/events", `[{"type":"dropForever"}]`, 200, `{"dataSource":"events"}`)
	ask("GET", rulesPath+"/events", "", 200, `[{"type":"dropForever"}]`)
	ask("GET", rulesPath, "", 200, `{"_default":[{"type":"loadForever"}],"events":[{"type":"dropForever"}]}`)
	ask("POST", rulesPath+"/x", `[]`, 404, "x")
	ask("GET", rulesPath+"/x", "", 404, "x")
	ask("POST", rulesPath+"/_default", `[]`, 400, "_default")
	ask("POST", rulesPath+"/events", "", 400, "empty")
}
