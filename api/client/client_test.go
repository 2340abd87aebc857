package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"drumlin/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server with one handler and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func replying(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Druid-SQL-Query-Id", "q")
		w.Header().Set("X-Drumlin-Cut", `{"revision":3}`)
		w.WriteHeader(status)
		io.WriteString(w, body) //nolint:errcheck // the test sees what arrives
	}
}

func TestServersURL(t *testing.T) {
	for server, ok := range map[string]bool{
		"http://127.0.0.1:8888": true, "https://x/base": true, "localhost:8888": true, "10.0.0.1": true,
		"": false, "ftp://x": false, "http://": false, "http://[::1": false,
	} {
		if _, err := New(server, Options{}); (err == nil) != ok {
			t.Errorf("New(%q): %v", server, err)
		}
	}
}

func TestSQLReadsHeaderAndRows(t *testing.T) {
	c := serve(t, replying(200, `[["a","b"],["STRING","LONG"],["VARCHAR","BIGINT"],["x",1],[null,9223372036854775807]]`))
	result, err := c.SQL(t.Context(), Query{SQL: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Column{{"a", "STRING", "VARCHAR"}, {"b", "LONG", "BIGINT"}}
	if !reflect.DeepEqual(result.Columns, want) || len(result.Rows) != 2 || string(result.Rows[1][1]) != "9223372036854775807" {
		t.Errorf("%+v", result)
	}
	if result.QueryID != "q" || result.Cut != `{"revision":3}` {
		t.Errorf("%+v", result.Info)
	}
}

func TestErrors(t *testing.T) {
	c := serve(t, replying(400, `{"error":"druidException","errorCode":"invalidInput","persona":"USER",`+
		`"category":"INVALID_INPUT","errorMessage":"no such table","context":{"hint":"did you mean x?","line":3}}`))
	_, err := c.SQL(t.Context(), Query{SQL: "SELECT 1"})
	var e *Error
	if !errors.As(err, &e) || e.Status != 400 || e.Code != "invalidInput" || e.Category != "INVALID_INPUT" || e.Persona != "USER" {
		t.Fatalf("%#v", err)
	}
	if want := "no such table\nhint: did you mean x?"; e.Error() != want {
		t.Errorf("%q", e.Error())
	}
	if got := e.Context["line"]; got != "3" {
		t.Errorf("line %q", got)
	}
	c = serve(t, replying(502, "<html>"+strings.Repeat("x", 1000)))
	if err := c.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "502") || len(err.Error()) > 500 {
		t.Errorf("%v", err)
	}
}

func TestUnreachable(t *testing.T) {
	addr := testkit.FreeAddress(t)
	c, err := New(addr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var unreachable *Unreachable
	if err := c.Ready(t.Context()); !errors.As(err, &unreachable) || unreachable.URL != "http://"+addr {
		t.Errorf("%#v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ready(ctx); !errors.Is(err, context.Canceled) || errors.As(err, &unreachable) {
		t.Errorf("%#v", err)
	}
}

func TestSQLToChecksTheEnd(t *testing.T) {
	for _, tc := range []struct {
		format, body, want string
		whole              bool
	}{
		{"csv", "a\n1\n\n", "a\n1\n", true},
		{"csv", "\n", "", true},
		{"csv", "a\n1\n", "", false},
		{"csv", "a\n1", "", false},
		{"csv", "", "", false},
		{"csv", "\n\n\n", "\n\n", true},
		{"objectLines", "{}\n\n", "{}\n", true},
		{"objectLines", "{}\n", "", false},
		{"object", "[{}]\n", "[{}]\n", true},
		{"object", "[{}\n", "", false},
		{"array", "[]\n", "[]\n", true},
		{"array", "[1", "", false},
	} {
		c := serve(t, replying(200, tc.body))
		var out bytes.Buffer
		info, err := c.SQLTo(t.Context(), &out, Query{SQL: "SELECT 1"}, tc.format, false)
		var truncated *Truncated
		switch {
		case tc.whole && (err != nil || out.String() != tc.want || info.QueryID != "q"):
			t.Errorf("%s %q: %q, %v", tc.format, tc.body, &out, err)
		case !tc.whole && !errors.As(err, &truncated):
			t.Errorf("%s %q: %v", tc.format, tc.body, err)
		}
	}
}

func TestACutConnectionIsATruncatedAnswer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 10_000 {
			fmt.Fprintln(w, "some,row") //nolint:errcheck // the test sees what arrives
		}
		fmt.Fprintln(w) //nolint:errcheck // the test sees what arrives
		panic(http.ErrAbortHandler)
	})
	var truncated *Truncated
	if _, err := c.SQLTo(t.Context(), io.Discard, Query{SQL: "SELECT 1"}, "csv", false); !errors.As(err, &truncated) {
		t.Errorf("%v", err)
	}
	if _, err := c.SQL(t.Context(), Query{SQL: "SELECT 1"}); !errors.As(err, &truncated) {
		t.Errorf("%v", err)
	}
}

func TestTailDoesNotDependOnHowBytesArrive(t *testing.T) {
	const body = "a,b\n1,2\n\n"
	for name, reader := range map[string]io.Reader{
		"at once": strings.NewReader(body), "one by one": iotest.OneByteReader(strings.NewReader(body)),
		"halves": iotest.HalfReader(strings.NewReader(body)),
	} {
		var out bytes.Buffer
		tail := &tailWriter{out: &out}
		if _, err := io.Copy(tail, struct{ io.Reader }{reader}); err != nil {
			t.Fatal(err)
		}
		if err := tail.finish(false); err != nil || out.String() != "a,b\n1,2\n" {
			t.Errorf("%s: %q, %v", name, &out, err)
		}
	}
}

func TestWriteErrorsAreReturned(t *testing.T) {
	c := serve(t, replying(200, "a\n\n"))
	broken := errors.New("disk full")
	if _, err := c.SQLTo(t.Context(), failingWriter{broken}, Query{SQL: "SELECT 1"}, "csv", false); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestRequests(t *testing.T) {
	var got []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body))
		fmt.Fprint(w, map[bool]string{true: "[]", false: "{}"}[r.URL.RawQuery == "full"]) //nolint:errcheck // see above
	})
	ctx := t.Context()
	_, submitErr := c.Submit(ctx, []byte("spec"))
	_, listErr := c.Supervisors(ctx)
	_, specErr := c.Spec(ctx, "a/b c")
	_, statusErr := c.Status(ctx, "a")
	err := errors.Join(submitErr, listErr, specErr, statusErr, c.Handoff(ctx, "a", nil), c.Handoff(ctx, "a", []int{1}),
		c.Control(ctx, "a", "suspend"), c.CancelSQL(ctx, "q 1"), c.Ready(ctx))
	if err != nil {
		t.Fatal(err)
	}
	const base = "/druid/indexer/v1/supervisor"
	want := []string{
		"POST " + base + " application/yaml spec",
		"GET " + base + "?full  ",
		"GET " + base + "/a%2Fb%20c  ",
		"GET " + base + "/a/status  ",
		"POST " + base + `/a/taskGroups/handoff application/json {"taskGroupIds":[]}`,
		"POST " + base + `/a/taskGroups/handoff application/json {"taskGroupIds":[1]}`,
		"POST " + base + "/a/suspend  ",
		"DELETE /druid/v2/sql/q%201  ",
		"GET /status/health  ",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzErrorOf(f *testing.F) {
	f.Add(500, []byte(`{"errorMessage":"x","context":{"a":null}}`))
	f.Add(502, []byte("<html>\xff"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if e := errorOf(status, body); e.Error() == "" || e.Status != status {
			t.Fatalf("%#v", e)
		}
	})
}
