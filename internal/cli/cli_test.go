package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"drumlin/api"
	"drumlin/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers the commands: the real HTTP interface over fakes.
type server struct {
	queries  func(q api.Query) (*api.Answer, error)
	list     []api.Supervisor
	status   map[string]string // reports as JSON
	submit   func(spec string) (string, []string, error)
	handoffs []string
	ready    error
}

func (s *server) Query(_ context.Context, q api.Query) (*api.Answer, error) { return s.queries(q) }

func (s *server) Submit(_ context.Context, spec []byte) (string, []string, error) {
	return s.submit(string(spec))
}

func (s *server) List(context.Context) ([]api.Supervisor, error) { return s.list, nil }

func (s *server) Status(_ context.Context, id string) (any, error) {
	return json.RawMessage(s.status[id]), nil
}

func (s *server) Handoff(_ context.Context, id string, groups []int) error {
	s.handoffs = append(s.handoffs, fmt.Sprint(id, groups))
	return nil
}

func (s *server) Suspend(context.Context, string) error { return nil }
func (s *server) Resume(context.Context, string) error  { return nil }
func (s *server) Ready(context.Context) error           { return s.ready }

// rows is an answer's rows, each cell as JSON.
type rows struct {
	cells [][]string
	at    int
}

func (r *rows) Next() bool { r.at++; return r.at <= len(r.cells) }

func (r *rows) AppendJSON(dst []byte, col int) []byte { return append(dst, r.cells[r.at-1][col]...) }

func (r *rows) AppendCSV(dst []byte, col int) []byte {
	return append(dst, strings.Trim(r.cells[r.at-1][col], `"`)...)
}

func (r *rows) Close() error { return nil }

// answer makes an answer of "name TYPE" columns and rows of JSON cells.
func answer(columns []string, cells ...[]string) *api.Answer {
	a := &api.Answer{Cut: map[string]int{"revision": 9}, Rows: &rows{cells: cells}}
	for _, c := range columns {
		name, sqlType, _ := strings.Cut(c, " ")
		a.Columns = append(a.Columns, api.Column{Name: name, SQLType: sqlType, DruidType: "X"})
	}
	return a
}

// start serves s and returns its URL.
func (s *server) start(t *testing.T) string {
	t.Helper()
	handler, err := api.New(api.Options{
		Queries: s, Supervisors: s, Controls: s, Health: s, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Loopback: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	return web.URL
}

// outcome is what a command left behind.
type outcome struct {
	stdout, stderr string
	code           int
}

// run runs a command as main does.
func run(t *testing.T, url, stdin string, width int, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := NewEnv(strings.NewReader(stdin), &stdout, &stderr)
	env.Getenv = func(name string) string {
		if name == serverVariable {
			return url
		}
		return ""
	}
	env.Width = func() int { return width }
	root := NewRoot(env, "1.2.3")
	root.SetArgs(args)
	code := Report(&stderr, root.ExecuteContext(t.Context()))
	return outcome{stdout.String(), stderr.String(), code}
}

func (o outcome) want(t *testing.T, code int, stdout string, stderrParts ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d\nstderr: %s", o.code, code, o.stderr)
	}
	if o.stdout != stdout {
		t.Errorf("stdout\n%s\nwant\n%s", o.stdout, stdout)
	}
	for _, part := range stderrParts {
		if !strings.Contains(o.stderr, part) {
			t.Errorf("no %q in stderr:\n%s", part, o.stderr)
		}
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestApply(t *testing.T) {
	s := &server{submit: func(spec string) (string, []string, error) {
		if spec == "good" {
			return "events", []string{"spec.ioConfig.replicas: accepted without effect"}, nil
		}
		return "", nil, &api.Error{
			Category: api.InvalidInput, Code: "invalidInput", Message: "The spec has 2 problems:",
			Problems: []api.Problem{{Path: "spec.b", Message: "unknown field; did you mean c?"}, {Path: "spec.a", Message: "missing"}},
		}
	}}
	url := s.start(t)
	run(t, url, "", 0, "apply", write(t, "s.yaml", "good")).want(t, 0, "events\n", "warning: spec.ioConfig.replicas")
	run(t, url, "good", 0, "apply", "-").want(t, 0, "events\n")
	run(t, url, "bad", 0, "apply", "-").want(t, 1, "",
		"drumlin: The spec has 2 problems:\n  spec.b: unknown field; did you mean c?\n  spec.a: missing\n")
	run(t, url, "", 0, "apply", "/no/such/file").want(t, 1, "", "/no/such/file")
	run(t, url, "", 0, "apply").want(t, 2, "", "needs the FILE", "--help")
	run(t, url, "", 0, "apply", "a", "b").want(t, 2, "", `"b" is too much`)
}

func TestNoServer(t *testing.T) {
	url := "http://" + testkit.FreeAddress(t)
	run(t, url, "", 0, "status").want(t, 3, "", "no server answers at "+url, "drumlin dev", "--server")
	run(t, "ftp://x", "", 0, "status").want(t, 2, "", "ftp://x")
	run(t, url, "", 0, "status", "--server", "127.0.0.1:1").want(t, 3, "", "http://127.0.0.1:1")
}

func TestSegments(t *testing.T) {
	columns := []string{
		"start VARCHAR", "end VARCHAR", "state VARCHAR", "num_rows BIGINT", "size BIGINT", "topic VARCHAR",
		"partition BIGINT", "from_offset BIGINT", "to_offset BIGINT", "object VARCHAR",
	}
	s := &server{list: []api.Supervisor{{ID: "w", DataSource: "wikipedia"}}}
	s.queries = func(q api.Query) (*api.Answer, error) {
		if !strings.Contains(q.SQL, "sys.segments") || q.Parameters[0].Value != "wiki" {
			return answer(columns), nil
		}
		return answer(columns,
			[]string{`"2015-09-12T00:00:00.000Z"`, `"2015-09-12T01:00:00.000Z"`, `"cold"`, "1000", "2048", `"wikipedia"`, "0", "0", "1000", `"data/a.parquet"`},
			[]string{`"2015-09-12T01:00:00.000Z"`, `"2015-09-13T00:00:00.000Z"`, `"hot"`, "268", "512", `"wikipedia"`, "1", "7", "275", "null"}), nil
	}
	url := s.start(t)
	run(t, url, "", 0, "segments", "wiki").want(t, 0, ""+
		"chunk                              state  rows     size  source                 object\n"+
		"─────────────────────────────────  ─────  ────  ───────  ─────────────────────  ──────────────\n"+
		"2015-09-12T00:00/2015-09-12T01:00  cold   1000  2.0 KiB  wikipedia/0 [0, 1000)  data/a.parquet\n"+
		"2015-09-12T01:00/2015-09-13T00:00  hot     268    512 B  wikipedia/1 [7, 275)\n",
		"2 segments, 1,268 rows (268 hot), 2.5 KiB")
	run(t, url, "", 0, "segments", "wikipedia").want(t, 0, "", "no segments yet")
	run(t, url, "", 0, "segments", "wikipdia").want(t, 1, "", "there are wikipedia")
	s.list = nil
	run(t, url, "", 0, "segments", "x").want(t, 1, "", "drumlin apply")
}

func TestStatus(t *testing.T) {
	s := &server{status: map[string]string{"w": `{"dataSource":"wikipedia","stream":"wiki","state":"RUNNING","detailedState":"RUNNING",
		"healthy":true,"partitionStatus":[
		{"topic":"wiki","partition":0,"owner":"n1","state":"READING","committedOffset":1000,"latestOffset":2500,"lag":1500,"hotRows":1234,"hotBytes":4096,"lastCommit":"2026-01-01T00:00:00Z",
			"undecidedRecords":1201,"undecidedSince":"2026-01-01T00:01:00Z"},
		{"topic":"wiki","partition":1,"halted":"offset_out_of_range","error":"[3, 7) is gone"}],
		"recentErrors":[{"message":"topic wiki, partition 1: [3, 7) is gone"},{"timestamp":"2026-01-01T00:00:00Z","message":"broker away"}]}`}}
	url := s.start(t)
	run(t, url, "", 0, "status").want(t, 0, "", "drumlin apply")
	s.list = []api.Supervisor{{ID: "w", DataSource: "wikipedia"}}
	s.ready = errors.New("catching up")
	run(t, url, "", 0, "status").want(t, 0, ""+
		"supervisor  datasource  state    stream  partitions  hot rows  lag\n"+
		"──────────  ──────────  ───────  ──────  ──────────  ────────  ───\n"+
		"w           wikipedia   RUNNING  wiki             2     1,234    ?\n"+
		"\n"+
		"supervisor  topic  partition  owner   state    committed   end    lag  hot rows  hot size  last commit\n"+
		"──────────  ─────  ─────────  ──────  ───────  ─────────  ────  ─────  ────────  ────────  ────────────────────\n"+
		"w           wiki           0  n1      READING       1000  2500  1,500     1,234   4.0 KiB  2026-01-01T00:00:00Z\n"+
		"w           wiki           1  nobody                   -     ?      ?         0       0 B  never\n"+
		"\nw: 1,201 records of partition 0 of topic wiki wait for the end of an open transaction, since 2026-01-01T00:01:00Z\n"+
		"\nw: partition 1 of topic wiki has halted (offset_out_of_range): [3, 7) is gone\n"+
		"\nw: 2026-01-01T00:00:00Z broker away\n", "catching up")
	o := run(t, url, "", 0, "status", "w", "--json")
	if !json.Valid([]byte(o.stdout)) || !strings.Contains(o.stdout, `"hotRows": 1234`) {
		t.Errorf("%+v", o)
	}
	if o := run(t, url, "", 0, "status", "--json"); !json.Valid([]byte(o.stdout)) || o.stdout[0] != '[' {
		t.Errorf("%+v", o)
	}
	run(t, url, "", 0, "status", "v").want(t, 1, "", `No supervisor has the id "v".`)
}

func TestShortNames(t *testing.T) {
	for _, tc := range [][3]string{
		{"2015-09-12T00:00:00.000Z", "2015-09-13T00:00:00.000Z", "2015-09-12/2015-09-13"},
		{"2015-09-12T00:00:01.000Z", "2015-09-12T00:00:02.000Z", "2015-09-12T00:00:01/2015-09-12T00:00:02"},
		{"2015-09-12T00:00:00.000Z", "2015-09-12T00:00:01.000Z", "2015-09-12T00:00:00/2015-09-12T00:00:01"},
	} {
		if got := chunkText(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%s", got)
		}
	}
	for node, want := range map[string]string{"": "nobody", "n1": "n1", "baba94c1-3414-4b96-9a0e-070bd98c0859": "baba94c1"} {
		if got := ownerText(node); got != want {
			t.Errorf("%q is shown as %q", node, got)
		}
	}
}

func TestHandoffGetAndControls(t *testing.T) {
	s := &server{list: []api.Supervisor{{ID: "w", Spec: json.RawMessage(`{"a":{"consumerProperties":{"p":"********"}}}`)}}}
	url := s.start(t)
	run(t, url, "", 0, "handoff", "w").want(t, 0, "", "handed off w in ")
	run(t, url, "", 0, "handoff", "w", "--group", "0,2").want(t, 0, "")
	if got := fmt.Sprint(s.handoffs); got != "[w[] w[0 2]]" {
		t.Errorf("handed off %s", got)
	}
	run(t, url, "", 0, "handoff", "v").want(t, 1, "", `"v"`)
	run(t, url, "", 0, "get", "w").want(t, 0, "{\n  \"a\": {\n    \"consumerProperties\": {\n      \"p\": \"********\"\n    }\n  }\n}\n")
	for _, verb := range []string{"suspend", "resume"} {
		run(t, url, "", 0, verb, "w").want(t, 0, "")
	}
}

func TestHelpAndUnknownCommands(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}} {
		o := run(t, "", "", 0, args...)
		if o.code != 0 || !strings.Contains(o.stdout, "drumlin apply configs") || !strings.Contains(o.stdout, "Exit codes") {
			t.Errorf("%v: %+v", args, o)
		}
	}
	run(t, "", "", 0, "aply").want(t, 2, "", `there is no command "aply"`, "did you mean apply?")
	run(t, "", "", 0, "--version").want(t, 0, "drumlin version 1.2.3\n")
	root := NewRoot(NewEnv(nil, io.Discard, io.Discard), "x")
	for _, cmd := range root.Commands() {
		if cmd.Short == "" || cmd.Name() != "help" && cmd.Name() != "completion" && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.Name())
		}
	}
}

func TestInterruptedCommands(t *testing.T) {
	var stderr bytes.Buffer
	if code := Report(&stderr, fmt.Errorf("ask: %w", context.Canceled)); code != exitInterrupted || stderr.String() != "drumlin: interrupted\n" {
		t.Errorf("code %d, %q", code, &stderr)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", 1 << 62: "4.0 EiB"} {
		if got := byteSize(n); got != want {
			t.Errorf("byteSize(%d) = %s", n, got)
		}
	}
}
