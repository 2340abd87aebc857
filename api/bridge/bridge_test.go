package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"drumlin/api"
	"drumlin/api/client"
	"drumlin/catalog"
	"drumlin/coordinator"
	"drumlin/query"
	"drumlin/spec"
)

// fakeEngine fails with err.
type fakeEngine struct {
	err  error
	last query.Request
}

func (f *fakeEngine) Query(_ context.Context, r query.Request) (*query.Answer, error) {
	f.last = r
	return nil, f.err
}

// ask returns the status and the body with which the api answers a query that fails with err.
func ask(t *testing.T, err error) (int, string) {
	t.Helper()
	h, newErr := api.New(api.Options{Queries: &Queries{engine: &fakeEngine{err: err}}, Logger: slog.New(slog.DiscardHandler)})
	if newErr != nil {
		t.Fatal(newErr)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/druid/v2/sql", strings.NewReader("SELECT 1")))
	return w.Code, w.Body.String()
}

func TestEveryKindOfQueryErrorHasItsStatus(t *testing.T) {
	want := map[query.Kind]int{
		query.Internal: 500, query.Invalid: 400, query.NotFound: 400, query.Forbidden: 400, query.Timeout: 504,
		query.Canceled: 500, query.OutOfMemory: 400, query.LimitExceeded: 429, query.Unavailable: 503,
	}
	for kind := query.Internal; kind.String() != ""; kind++ {
		status, ok := want[kind]
		if !ok {
			t.Errorf("the kind %s is new: say which status it has", kind)
			continue
		}
		got, body := ask(t, fmt.Errorf("wrapped: %w", &query.Error{
			Kind: kind, Code: "someCode", Message: "what", Hint: "next step", Names: []string{"a", "b"}, Err: errors.New("cause"),
		}))
		if got != status {
			t.Errorf("%s: status %d, want %d", kind, got, status)
		}
		for _, part := range []string{`"errorCode":"someCode"`, `"errorMessage":"what"`, `"hint":"next step"`, `"names":"a, b"`} {
			if !strings.Contains(body, part) {
				t.Errorf("%s: no %s in %s", kind, part, body)
			}
		}
		if strings.Contains(body, "cause") {
			t.Errorf("%s: the cause was sent: %s", kind, body)
		}
	}
	if got, _ := ask(t, errors.New("unheard of")); got != 500 {
		t.Errorf("an unknown error has the status %d", got)
	}
}

func TestQueriesArePassedOn(t *testing.T) {
	engine := &fakeEngine{err: errors.New("x")}
	q := &Queries{engine: engine}
	in := api.Query{SQL: "SELECT ?", Parameters: []api.Parameter{{Type: "BIGINT", Value: int64(1)}}, Context: map[string]any{"a": 1}}
	if _, err := q.Query(t.Context(), in); err == nil {
		t.Fatal("no error")
	}
	if engine.last.SQL != in.SQL || engine.last.Parameters[0] != (query.Parameter{Type: "BIGINT", Value: int64(1)}) || engine.last.Context["a"] != 1 {
		t.Errorf("%+v", engine.last)
	}
}

func TestErrorsOfSupervisors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want api.Category
	}{
		{fmt.Errorf("%w: x", coordinator.ErrNoSupervisor), api.NotFound},
		{fmt.Errorf("%w: 3", coordinator.ErrNoPartition), api.InvalidInput},
		{fmt.Errorf("%w: x", coordinator.ErrSuspended), api.InvalidInput},
		{errors.Join(fmt.Errorf("%w: x", coordinator.ErrElsewhere), errors.New("y")), api.ServiceUnavailable},
		{fmt.Errorf("submit: %w", catalog.ErrConflict), api.Conflict},
	} {
		var e *api.Error
		if err := supervisorError(tc.err); !errors.As(err, &e) || e.Category != tc.want || e.Message != tc.err.Error() {
			t.Errorf("%v: %#v", tc.err, e)
		}
	}
	other := errors.New("other")
	if err := supervisorError(other); err != other {
		t.Errorf("%v", err)
	}
	if err := supervisorError(nil); err != nil {
		t.Errorf("%v", err)
	}
	var e *api.Error
	err := supervisorError(fmt.Errorf("submit: %w", spec.Problems{{Path: "spec.a", Message: "m"}, {Message: "n"}}))
	if !errors.As(err, &e) || e.Category != api.InvalidInput || len(e.Problems) != 2 ||
		e.Problems[0] != (api.Problem{Path: "spec.a", Message: "m"}) || e.Problems[1].Path == "" {
		t.Errorf("%#v", e)
	}
}

// TestTheClientReadsWhatTheCoordinatorReports holds the two sides of the status report together.
func TestTheClientReadsWhatTheCoordinatorReports(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{reflect.TypeFor[client.StatusPayload](), reflect.TypeFor[coordinator.Status]()},
		{reflect.TypeFor[client.PartitionStatus](), reflect.TypeFor[coordinator.PartitionStatus]()},
		{reflect.TypeFor[client.StatusError](), reflect.TypeFor[coordinator.RecentError]()},
	} {
		sent := map[string]bool{}
		for i := range pair[1].NumField() {
			name, _, _ := strings.Cut(pair[1].Field(i).Tag.Get("json"), ",")
			sent[name] = true
		}
		for i := range pair[0].NumField() {
			if name := pair[0].Field(i).Tag.Get("json"); !sent[name] {
				t.Errorf("%s reads %q, which %s does not have", pair[0], name, pair[1])
			}
		}
	}
}
