package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeRows are rows of JSON values.
type fakeRows struct {
	rows   [][]any
	at     int
	closed int
	panics bool
}

func (f *fakeRows) Next() bool {
	f.at++
	return f.at <= len(f.rows)
}

func (f *fakeRows) AppendJSON(dst []byte, col int) []byte {
	if f.panics {
		panic("a cell that cannot be shown")
	}
	text, err := marshal(f.rows[f.at-1][col])
	if err != nil {
		panic(err)
	}
	return append(dst, text[:len(text)-1]...)
}

func (f *fakeRows) AppendCSV(dst []byte, col int) []byte {
	switch v := f.rows[f.at-1][col].(type) {
	case nil:
		return dst
	case string:
		return appendCSVText(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	}
	panic("unexpected value")
}

func (f *fakeRows) Close() error {
	f.closed++
	return nil
}

// fakeQueries answers with fn.
type fakeQueries struct {
	fn func(ctx context.Context, q Query) (*Answer, error)

	mu   sync.Mutex
	last Query
}

func (f *fakeQueries) Query(ctx context.Context, q Query) (*Answer, error) {
	f.mu.Lock()
	f.last = q
	f.mu.Unlock()
	return f.fn(ctx, q)
}

func answering(a *Answer) *fakeQueries {
	return &fakeQueries{fn: func(context.Context, Query) (*Answer, error) { return a, nil }}
}

func failing(err error) *fakeQueries {
	return &fakeQueries{fn: func(context.Context, Query) (*Answer, error) { return nil, err }}
}

// fakeSupervisors holds a fixed list.
type fakeSupervisors struct {
	list      []Supervisor
	submit    func(spec []byte) (string, []string, error)
	handedOff map[string][]int
	handoff   error
	done      []string
}

func (f *fakeSupervisors) Submit(_ context.Context, spec []byte) (string, []string, error) {
	return f.submit(spec)
}

func (f *fakeSupervisors) List(context.Context) ([]Supervisor, error) { return f.list, nil }

func (f *fakeSupervisors) Status(_ context.Context, id string) (any, error) {
	return map[string]any{"dataSource": id, "state": "RUNNING"}, nil
}

func (f *fakeSupervisors) Handoff(_ context.Context, id string, groups []int) error {
	if f.handedOff == nil {
		f.handedOff = make(map[string][]int)
	}
	f.handedOff[id] = groups
	return f.handoff
}

func (f *fakeSupervisors) Suspend(_ context.Context, id string) error {
	f.done = append(f.done, "suspend "+id)
	return nil
}

func (f *fakeSupervisors) Resume(_ context.Context, id string) error {
	if id == "nobody" {
		return &Error{Category: NotFound, Code: "notFound", Message: "No supervisor has the id nobody."}
	}
	f.done = append(f.done, "resume "+id)
	return nil
}

type fakeHealth struct{ err error }

func (f fakeHealth) Ready(context.Context) error { return f.err }

func quietLogger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newHandler(t testing.TB, o Options) http.Handler {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quietLogger()
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// call sends one request; a content type of "" sends none.
func call(h http.Handler, method, path, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// decodeError checks the shape of an error object.
func decodeError(t testing.TB, w *httptest.ResponseRecorder) errorBody {
	t.Helper()
	var e errorBody
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		t.Fatalf("status %d, and the body is no error object: %v\n%s", w.Code, err, w.Body)
	}
	if e.Error != "druidException" || e.ErrorCode == "" || e.Persona == "" || e.Category == "" || e.ErrorMessage == "" || e.Context == nil {
		t.Fatalf("an incomplete error object: %s", w.Body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Fatalf("an error with Content-Type %q", ct)
	}
	return e
}

func wantError(t testing.TB, w *httptest.ResponseRecorder, status int, parts ...string) errorBody {
	t.Helper()
	e := decodeError(t, w)
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	for _, part := range parts {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("the error does not mention %q: %s", part, w.Body)
		}
	}
	return e
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
