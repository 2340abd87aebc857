package client

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// recording answers with a body and notes what was asked.
func recording(asked *[]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		*asked = append(*asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(text)))
		io.WriteString(w, body) //nolint:errcheck // the test sees what arrives
	}
}

func TestTaskRequests(t *testing.T) {
	var asked []string
	c := serve(t, recording(&asked, `{"task":"t","warnings":["w"],"status":{"id":"t","statusCode":"FAILED"},"payload":{"type":"kill"}}`))
	ctx := t.Context()
	submitted, err := c.SubmitTask(ctx, []byte("type: kill"))
	if err != nil || submitted.ID != "t" || len(submitted.Warnings) != 1 {
		t.Errorf("%+v %v", submitted, err)
	}
	status, err := c.TaskStatus(ctx, "compact_a:b/c")
	if err != nil || status.ID != "t" || !status.Finished() {
		t.Errorf("%+v %v", status, err)
	}
	if spec, err := c.TaskSpec(ctx, "t"); err != nil || string(spec) != `{"type":"kill"}` {
		t.Errorf("%s %v", spec, err)
	}
	if report, err := c.TaskReportJSON(ctx, "t"); err != nil || !strings.Contains(string(report), "payload") {
		t.Errorf("%s %v", report, err)
	}
	var log strings.Builder
	if err := c.TaskLog(ctx, &log, "t", -9); err != nil || !strings.Contains(log.String(), "warnings") {
		t.Errorf("%s %v", &log, err)
	}
	if err := c.CancelTask(ctx, "t"); err != nil {
		t.Error(err)
	}
	want := []string{
		"POST /druid/indexer/v1/task type: kill", "GET /druid/indexer/v1/task/compact_a:b%2Fc/status", "GET /druid/indexer/v1/task/t",
		"GET /druid/indexer/v1/task/t/reports", "GET /druid/indexer/v1/task/t/log?offset=-9", "POST /druid/indexer/v1/task/t/shutdown",
	}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q", asked)
	}
}

func TestTaskList(t *testing.T) {
	var asked []string
	c := serve(t, recording(&asked, `[{"id":"a","errorMsg":"no","chunksDone":1},{"id":"b"}]`))
	list, err := c.Tasks(t.Context(), TaskFilter{State: "running", DataSource: "a b", Type: "kill", Max: 3})
	if err != nil || len(list) != 2 || list[0].ErrorMsg == nil || list[1].ErrorMsg != nil || list[0].ChunksDone != 1 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := c.Tasks(t.Context(), TaskFilter{}); err != nil {
		t.Error(err)
	}
	want := []string{"GET /druid/indexer/v1/tasks?datasource=a+b&max=3&state=running&type=kill", "GET /druid/indexer/v1/tasks"}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q", asked)
	}
}

func TestACutLogIsAnError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half") //nolint:errcheck // the test sees what arrives
	})
	var log strings.Builder
	var truncated *Truncated
	if err := c.TaskLog(t.Context(), &log, "t", 0); !errors.As(err, &truncated) {
		t.Errorf("%q, %v", &log, err)
	}
}

func TestCompactionRequests(t *testing.T) {
	var asked []string
	c := serve(t, recording(&asked, `{"warnings":["w"],"latestStatus":[{"dataSource":"d","bytesAwaitingCompaction":3}]}`))
	ctx := t.Context()
	if warnings, err := c.SetAutoCompaction(ctx, []byte("x")); err != nil || len(warnings) != 1 {
		t.Errorf("%v %v", warnings, err)
	}
	if warnings, err := c.SetRules(ctx, "d", []byte("[]")); err != nil || len(warnings) != 1 {
		t.Errorf("%v %v", warnings, err)
	}
	if list, err := c.CompactionStatuses(ctx); err != nil || len(list) != 1 || list[0].BytesAwaiting != 3 {
		t.Errorf("%v %v", list, err)
	}
	for _, get := range []func() error{
		func() error { _, err := c.AutoCompaction(ctx, "d"); return err },
		func() error { _, err := c.ExplainCompactionJSON(ctx, "d d"); return err },
		func() error { _, err := c.Rules(ctx, "d"); return err },
		func() error { return c.DeleteAutoCompaction(ctx, "d") },
	} {
		if err := get(); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"POST /druid/coordinator/v1/config/compaction x", "POST /druid/coordinator/v1/rules/d []", "GET /druid/coordinator/v1/compaction/status",
		"GET /druid/coordinator/v1/config/compaction/d", "GET /druid/coordinator/v1/compaction/explain?dataSource=d+d",
		"GET /druid/coordinator/v1/rules/d", "DELETE /druid/coordinator/v1/config/compaction/d",
	}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q", asked)
	}
}
