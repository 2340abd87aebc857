package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/internal/testkit"
)

func TestStatusAndHealth(t *testing.T) {
	h := newHandler(t, Options{Version: "1.2.3"})
	var status struct {
		Version string
		Modules []struct{ Name, Artifact, Version string }
		Memory  map[string]int64
	}
	if err := json.Unmarshal(call(h, "GET", "/status", "", "").Body.Bytes(), &status); err != nil || status.Version != "1.2.3" {
		t.Errorf("%v: %+v", err, status)
	}
	if status.Modules == nil || status.Memory["usedMemory"] <= 0 {
		t.Errorf("status %+v", status)
	}
	if w := call(h, "GET", "/status/health", "", ""); w.Code != 200 || w.Body.String() != "true\n" {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	unready := newHandler(t, Options{Health: fakeHealth{errors.New("partition 0 of events has no owner")}})
	w := call(unready, "GET", "/status/health", "", "")
	wantError(t, w, 503, "partition 0 of events")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestArtifactNames(t *testing.T) {
	for path, want := range map[string]string{
		"github.com/apache/arrow-go/v18": "apache/arrow-go", "go.etcd.io/etcd/client/v3": "etcd/client",
		"github.com/twmb/franz-go": "twmb/franz-go", "x/v1": "",
	} {
		if got := artifact(path); got != want {
			t.Errorf("%s is called %q", path, got)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	h := newHandler(t, Options{Queries: answering(sample()), Supervisors: twoSupervisors()})
	e := wantError(t, call(h, "GET", "/druid/v2/sqll", "", ""), 404)
	for _, path := range []string{"POST /druid/v2/sql", "GET /status/health", "POST " + supervisorPath} {
		if !strings.Contains(e.Context["paths"], path) {
			t.Errorf("the answer does not name %s: %s", path, e.Context["paths"])
		}
	}
	for path, allow := range map[string]string{sqlPath: "POST", supervisorPath: "GET, POST", "/status": "GET"} {
		w := call(h, "PUT", path, "", "")
		wantError(t, w, 405, allow)
		if got := w.Header().Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q", path, got)
		}
	}
}

func TestLoopbackServersAnswerToLoopbackNamesOnly(t *testing.T) {
	for host, ok := range map[string]bool{
		"localhost:8888": true, "127.0.0.1": true, "127.1.2.3:1": true, "[::1]:8888": true, "LOCALHOST": true, "[::1]": true,
		"evil.example:8888": false, "localhost.evil.example": false, "10.0.0.1:8888": false, "": false,
	} {
		for _, loopback := range []bool{true, false} {
			h := newHandler(t, Options{Loopback: loopback})
			r := httptest.NewRequest("GET", "/status/health", nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Code == 200; got != (ok || !loopback) {
				t.Errorf("host %q, loopback %t: status %d", host, loopback, w.Code)
			}
		}
	}
	for addr, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "0.0.0.0:80": false, "10.1.2.3:80": false} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if LoopbackOnly(tcp) != want {
			t.Errorf("LoopbackOnly(%s) is not %t", addr, want)
		}
	}
}

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	h := newHandler(t, Options{Queries: answering(sample())})
	r := httptest.NewRequest("POST", sqlPath, strings.NewReader("SELECT 1"))
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	wantError(t, w, http.StatusForbidden, "origin")
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("an answer allows other origins")
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := newHandler(t, Options{Queries: answering(sample()), Gatherer: reg, Registerer: reg})
	call(h, "POST", sqlPath, "text/plain", "SELECT 1")
	call(h, "GET", "/no/such/path/1", "", "")
	call(h, "GET", "/no/such/path/2", "", "")
	text := call(h, "GET", "/metrics", "", "").Body.String()
	for _, want := range []string{
		`drumlin_api_requests_total{route="POST /druid/v2/sql",status="200"} 1`,
		`drumlin_api_requests_total{route="/",status="404"} 2`,
		`drumlin_api_request_seconds_count{route="POST /druid/v2/sql"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	wantError(t, call(newHandler(t, Options{}), "GET", "/metrics", "", ""), 404)
	if _, err := New(Options{Logger: quietLogger(), Registerer: reg}); err == nil {
		t.Error("metrics were registered twice without a word")
	}
}

func TestRequestsAreLoggedWithoutTheirBodies(t *testing.T) {
	var log bytes.Buffer
	h := newHandler(t, Options{
		Queries: failing(errors.New("disk full")),
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	call(h, "POST", sqlPath, "application/json", `{"query":"SELECT 'secret'","context":{"sqlQueryId":"q7"}}`)
	call(h, "GET", "/status/health", "", "")
	text := log.String()
	for _, want := range []string{"level=ERROR", "query=q7", "status=500", `error="disk full`, "path=/druid/v2/sql"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the log: %s", want, text)
		}
	}
	if strings.Contains(text, "secret") || strings.Contains(text, "/status/health") {
		t.Errorf("the log says too much: %s", text)
	}
}

func TestOnlyOurOwnFaultsAreLoggedAsErrors(t *testing.T) {
	for category, fault := range map[Category]bool{
		RuntimeFailure: true, "": true, Timeout: false, Canceled: false, ServiceUnavailable: false, InvalidInput: false,
	} {
		var log bytes.Buffer
		h := newHandler(t, Options{
			Queries: failing(&Error{Category: category, Code: "x", Message: "y."}),
			Logger:  slog.New(slog.NewTextHandler(&log, nil)),
		})
		call(h, "POST", sqlPath, "text/plain", "SELECT 1")
		if got := strings.Contains(log.String(), "level=ERROR"); got != fault {
			t.Errorf("%q: %s", category, &log)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a handler without a logger was made")
	}
	if s := NewServer(http.NotFoundHandler(), quietLogger()); s.ReadHeaderTimeout == 0 || s.WriteTimeout != 0 || s.ReadTimeout != 0 {
		t.Errorf("server %+v", s)
	}
}

func TestTheDocumentNamesEveryPath(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	sup := twoSupervisors()
	tasks, settings := twoTasks(), &fakeCompaction{}
	h := newHandler(t, Options{
		Queries: answering(sample()), Supervisors: sup, Controls: sup, Gatherer: prometheus.NewRegistry(), Tasks: tasks, TaskOutputs: tasks,
		AutoCompaction: settings, CompactionProgress: settings, Rules: settings, Gaps: &fakeGaps{},
	})
	e := decodeError(t, call(h, "GET", "/nothing", "", ""))
	paths := strings.Split(e.Context["paths"], ", ")
	if rows := strings.Count(string(text), "\n| `GET ") + strings.Count(string(text), "\n| `POST ") + strings.Count(string(text), "\n| `DELETE "); rows != len(paths) {
		t.Errorf("docs/api.md has %d paths, the server %d", rows, len(paths))
	}
	for _, path := range paths {
		if !strings.Contains(string(text), "| `"+path+"` |") {
			t.Errorf("docs/api.md does not have %s", path)
		}
	}
	for _, name := range append(append([]string{}, sqlFields...), resultFormats...) {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/api.md does not have %s", name)
		}
	}
}

// TestNoSQLHere asks a process for SQL that lacks the role for it.
func TestNoSQLHere(t *testing.T) {
	h := newHandler(t, Options{Supervisors: &fakeSupervisors{}})
	w := call(h, "POST", sqlPath, "application/json", `{"query": "SELECT 1"}`)
	if e := decodeError(t, w); w.Code != http.StatusNotFound || !strings.Contains(e.ErrorMessage, "does not answer SQL") || !strings.Contains(e.Context["hint"], "role query") {
		t.Errorf("%d %+v", w.Code, e)
	}
	if e := decodeError(t, call(h, "GET", "/druid/v2", "", "")); !strings.Contains(e.ErrorMessage, "No such path") {
		t.Errorf("%+v", e)
	}
}
