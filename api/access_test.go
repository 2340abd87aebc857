package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/internal/secure"
	"drumlin/internal/testkit"
	"drumlin/spec"
)

// tokens by role, and one more of the lowest.
var testTokens = []secure.Token{
	{Name: "dash", Role: secure.RoleRead, Secret: "reader-reader-reader"},
	{Name: "ci", Role: secure.RoleWrite, Secret: "writer-writer-writer"},
	{Name: "ops", Role: secure.RoleAdmin, Secret: "admin-admin-admin-admin"},
	{Name: "other", Role: secure.RoleRead, Secret: "other-other-other-other"},
}

func testAccess(t testing.TB) *secure.Access {
	t.Helper()
	access, err := secure.NewAccess(testTokens)
	if err != nil {
		t.Fatal(err)
	}
	return access
}

// everything is a handler's options with every part.
func everything(t testing.TB) Options {
	sup, tasks, settings := twoSupervisors(), twoTasks(), &fakeCompaction{}
	return Options{
		Queries: answering(sample()), Supervisors: sup, Controls: sup, Gatherer: prometheus.NewRegistry(), Tasks: tasks, TaskOutputs: tasks,
		AutoCompaction: settings, CompactionProgress: settings, Rules: settings, Gaps: &fakeGaps{}, Access: testAccess(t),
	}
}

// allRoutes are the routes that New would make of the options.
func allRoutes(o Options) []route {
	s := &server{
		queries: o.Queries, supervisors: o.Supervisors, controls: o.Controls, tasks: o.Tasks, outputs: o.TaskOutputs,
		autoCompaction: o.AutoCompaction, compaction: o.CompactionProgress, rules: o.Rules, gaps: o.Gaps,
	}
	return s.routes(o)
}

// callAs sends one request with a header Authorization.
func callAs(h http.Handler, authorization, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func bearer(i int) string { return "Bearer " + testTokens[i].Secret.Reveal() }

// TestEveryRouteAsksForItsRole walks all routes with every role and with none.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	h := newHandler(t, everything(t))
	for _, r := range allRoutes(everything(t)) {
		path := strings.NewReplacer("{id}", "nobody", "{datasource}", "nothing", "{$}", "").Replace(r.path)
		w := callAs(h, "", r.method, path, "")
		if r.need == open {
			if w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden {
				t.Errorf("%s %s is not open: %d", r.method, r.path, w.Code)
			}
			continue
		}
		wantError(t, w, http.StatusUnauthorized, "token", "hint")
		if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="drumlin"` {
			t.Errorf("%s %s: WWW-Authenticate %q", r.method, r.path, got)
		}
		for i, token := range testTokens[:3] {
			w := callAs(h, bearer(i), r.method, path, "")
			if token.Role < r.need.role() {
				wantError(t, w, http.StatusForbidden, `"neededRole":"`+r.need.role().String()+`"`, `"role":"`+token.Role.String()+`"`, token.Name)
			} else if w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden {
				t.Errorf("%s may not %s %s: %s", token.Name, r.method, r.path, w.Body)
			}
		}
		if changes := r.method != "GET" && r.need == read; changes && !strings.Contains(r.path, "/sql") && !strings.Contains(r.path, "taskStatus") {
			t.Errorf("%s %s changes something and asks for %s only", r.method, r.path, r.need.role())
		}
	}
}

func TestARouteMustSayWhoMayUseIt(t *testing.T) {
	for _, n := range []need{undecided, admin + 1} {
		if _, err := (&server{}).mux([]route{{"GET", "/x", n, nil}}); err == nil || !strings.Contains(err.Error(), "GET /x") {
			t.Errorf("need %d: %v", n, err)
		}
	}
}

func TestPathsThatDoNotExistAreForKnownCallers(t *testing.T) {
	h := newHandler(t, everything(t))
	wantError(t, callAs(h, "", "GET", "/nothing", ""), 401)
	wantError(t, callAs(h, "", "PUT", sqlPath, ""), 401)
	wantError(t, callAs(h, bearer(0), "GET", "/nothing", ""), 404)
	wantError(t, callAs(h, bearer(0), "PUT", sqlPath, ""), 405)
}

func TestWaysToShowAToken(t *testing.T) {
	h := newHandler(t, everything(t))
	token := testTokens[0].Secret.Reveal()
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for header, status := range map[string]int{
		"Bearer " + token: 200, "bearer " + token: 200, "Bearer   " + token + " ": 200, basic("anyone:" + token): 200, basic(":" + token): 200,
		token: 401, "Bearer": 401, "Bearer ": 401, "Basic " + token: 401, basic(token): 401, basic(token + ":"): 401,
		"Digest " + token: 401, "Bearer " + token + "x": 401, "Bearer " + token + " " + token: 401, "Bearer " + testTokens[0].Secret.String(): 401,
	} {
		w := callAs(h, header, "GET", supervisorPath, "")
		if w.Code != status {
			t.Errorf("%q: status %d", header, w.Code)
		}
		if status == 401 && strings.Contains(w.Body.String(), token) {
			t.Errorf("%q: the answer repeats the token", header)
		}
	}
}

func TestMetricsCanBeOpen(t *testing.T) {
	o := everything(t)
	wantError(t, callAs(newHandler(t, o), "", "GET", "/metrics", ""), 401)
	o.OpenMetrics = true
	if w := callAs(newHandler(t, o), "", "GET", "/metrics", ""); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}

// TestTasksThatDeleteNeedAdmin: whichever path they come by.
func TestTasksThatDeleteNeedAdmin(t *testing.T) {
	const (
		compact = "type: compact\ndataSource: events\nioConfig: {type: compact, inputSpec: {type: interval, interval: 2020-01-01/2020-01-02}}\n"
		kill    = "type: kill\ndataSource: events\ninterval: 2020-01-01/2020-01-02\n"
		unused  = `{"type":"markUnused","dataSource":"events","interval":"2020-01-01/2020-01-02"}`
	)
	h := newHandler(t, everything(t))
	for _, c := range []struct {
		token  int
		task   string
		status int
	}{{1, compact, 200}, {1, kill, 403}, {1, unused, 403}, {2, kill, 200}, {2, unused, 200}, {1, "bad", 400}, {0, compact, 403}} {
		w := callAs(h, bearer(c.token), "POST", taskPath, c.task)
		if w.Code != c.status {
			t.Errorf("%s submits %q: status %d, %s", testTokens[c.token].Name, c.task, w.Code, w.Body)
		}
		if c.status == 403 && c.token == 1 && !strings.Contains(w.Body.String(), "A task of the type") {
			t.Errorf("%s", w.Body)
		}
	}
}

// TestSpecsThatStopOrAcceptLossesNeedAdmin: as the paths that do the same do.
func TestSpecsThatStopOrAcceptLossesNeedAdmin(t *testing.T) {
	text := func(name, suspended, tuning string) string {
		return fmt.Sprintf("type: kafka\nsuspended: %s\nspec:\n  dataSchema: {dataSource: %s, timestampSpec: {column: t}, "+
			"dimensionsSpec: {dimensions: [a]}, granularitySpec: {rollup: false}}\n"+
			"  ioConfig: {topic: t, inputFormat: {type: json}}\n  tuningConfig: {type: kafka%s}\n", suspended, name, tuning)
	}
	const losses = ", resetOffsetAutomatically: true"
	o := everything(t)
	shown := func(yaml string) json.RawMessage {
		s, _, err := spec.Parse([]byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := spec.RedactedSpec(s.Canonical)
		if err != nil {
			t.Fatal(err)
		}
		return canonical
	}
	o.Supervisors = &fakeSupervisors{
		submit: func([]byte) (string, []string, error) { return "x", nil, nil },
		list: []Supervisor{
			{ID: "runs", Spec: shown(text("runs", "false", ""))},
			{ID: "stands", Suspended: true, Spec: shown(text("stands", "true", ""))},
			{ID: "loses", Spec: shown(text("loses", "false", losses))},
		},
	}
	h := newHandler(t, o)
	for _, c := range []struct {
		spec   string
		status int // for the role write
	}{
		{text("runs", "false", ", maxRowsPerSegment: 10"), 200},
		{text("runs", "true", ""), 403},
		{text("runs", "false", losses), 403},
		{text("stands", "true", ", maxRowsPerSegment: 10"), 200},
		{text("stands", "false", ""), 403},
		{text("loses", "false", losses), 200},
		{text("loses", "false", ""), 200},
		{text("new", "true", losses), 200},
	} {
		w := callAs(h, bearer(1), "POST", supervisorPath, c.spec)
		if w.Code != c.status || w.Code == 403 && !strings.Contains(w.Body.String(), "role admin") {
			t.Errorf("%s\nstatus %d, %s", c.spec, w.Code, w.Body)
		}
		if w := callAs(h, bearer(2), "POST", supervisorPath, c.spec); w.Code != 200 {
			t.Errorf("admin: %s\nstatus %d, %s", c.spec, w.Code, w.Body)
		}
	}
}

// TestCancellingIsForOwnersAndWriters: a reader ends its own queries only.
func TestCancellingIsForOwnersAndWriters(t *testing.T) {
	for _, c := range []struct{ by, status int }{{0, 202}, {1, 202}, {2, 202}, {3, 403}} {
		o := everything(t)
		started := make(chan struct{})
		o.Queries = &fakeQueries{fn: func(ctx context.Context, _ Query) (*Answer, error) {
			close(started)
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		h := newHandler(t, o)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan int, 1)
		go func() {
			r := httptest.NewRequest("POST", sqlPath, strings.NewReader(`{"query":"SELECT 1","context":{"sqlQueryId":"q1"}}`)).WithContext(ctx)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", bearer(0))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			done <- w.Code
		}()
		<-started
		if w := callAs(h, bearer(c.by), "DELETE", sqlPath+"/q1", ""); w.Code != c.status {
			t.Errorf("%s: status %d, %s", testTokens[c.by].Name, w.Code, w.Body)
		}
		if c.status == 403 {
			stop()
		}
		if code := <-done; c.status == 202 && code != 500 && code != 499 && code < 400 {
			t.Errorf("the query ended with %d", code)
		}
		stop()
		wantError(t, callAs(h, bearer(c.by), "DELETE", sqlPath+"/q1", ""), 404)
	}
}

func TestLogsNameTheTokenAndNeverShowIt(t *testing.T) {
	var log bytes.Buffer
	o := everything(t)
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := newHandler(t, o)
	callAs(h, bearer(0), "GET", supervisorPath, "")
	callAs(h, bearer(0), "POST", supervisorPath, "x")
	callAs(h, "Bearer unknown-unknown-unknown", "GET", supervisorPath, "")
	text := log.String()
	for _, want := range []string{"status=200", "status=403", "status=401", "token=dash"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for _, secret := range []string{testTokens[0].Secret.Reveal(), "unknown-unknown"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the log:\n%s", secret, text)
		}
	}
	if strings.Contains(text, "level=ERROR") {
		t.Errorf("a refused caller is logged as our failure:\n%s", text)
	}
}

// FuzzAuthorization: whatever the header holds, only a whole token lets in, and the answer does not repeat it.
func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"", "Bearer", bearer(0), "Basic OnJlYWRlci1yZWFkZXItcmVhZGVy", "Basic ====", "Bearer \x00", "Digest a=b"} {
		f.Add(seed)
	}
	h := newHandler(f, everything(f))
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", supervisorPath, nil)
		r.Header["Authorization"] = []string{header}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		shown := presentedToken(r)
		known := false
		for _, token := range testTokens {
			known = known || shown == token.Secret.Reveal()
		}
		if (w.Code == http.StatusOK) != known {
			t.Errorf("%q is answered with %d", header, w.Code)
		}
		if len(shown) >= 16 && strings.Contains(w.Body.String(), shown) && !known {
			t.Errorf("%q: the answer repeats it: %s", header, w.Body)
		}
	})
}

// TestTheDocumentHasEveryRole holds the table of docs/security.md to the routes.
func TestTheDocumentHasEveryRole(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range allRoutes(everything(t)) {
		role := "open"
		if r.need != open {
			role = r.need.role().String()
		}
		if line := "| `" + r.method + " " + strings.TrimSuffix(r.path, "/{$}") + "` | " + role + " |"; !strings.Contains(string(text), line) {
			t.Errorf("docs/security.md does not have %s", line)
		}
	}
}
