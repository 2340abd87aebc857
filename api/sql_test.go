package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func sample() *Answer {
	return &Answer{
		Columns: []Column{
			{Name: "user", SQLType: "VARCHAR", DruidType: "STRING"},
			{Name: `a "b" <c>`, SQLType: "BIGINT", DruidType: "LONG"},
		},
		Cut:  map[string]any{"revision": 7, "datasources": map[string]any{"köln": 1}},
		Rows: &fakeRows{rows: [][]any{{"Blue, \"Moon\"", 14}, {nil, nil}}},
	}
}

func TestResultFormats(t *testing.T) {
	// Druid's documented shapes: docs/api-reference/sql-api.md, "Query output format".
	const o1, o2 = `{"user":"Blue, \"Moon\"","a \"b\" <c>":14}`, `{"user":null,"a \"b\" <c>":null}`
	const a1, a2 = `["Blue, \"Moon\"",14]`, `[null,null]`
	const names, druid, sql = `["user","a \"b\" <c>"]`, `["STRING","LONG"]`, `["VARCHAR","BIGINT"]`
	const c1, c2 = `"Blue, ""Moon""",14` + "\n", ",\n"
	const cn, cd, cs = `user,"a ""b"" <c>"` + "\n", "STRING,LONG\n", "VARCHAR,BIGINT\n"
	for _, tc := range []struct{ format, flags, want string }{
		{"object", "", "[" + o1 + "," + o2 + "]\n"},
		{"object", "h", `[{"user":null,"a \"b\" <c>":null},` + o1 + "," + o2 + "]\n"},
		{"object", "ht", `[{"user":{"type":"STRING"},"a \"b\" <c>":{"type":"LONG"}},` + o1 + "," + o2 + "]\n"},
		{"object", "hs", `[{"user":{"sqlType":"VARCHAR"},"a \"b\" <c>":{"sqlType":"BIGINT"}},` + o1 + "," + o2 + "]\n"},
		{"objectLines", "hts", `{"user":{"type":"STRING","sqlType":"VARCHAR"},"a \"b\" <c>":{"type":"LONG","sqlType":"BIGINT"}}` +
			"\n" + o1 + "\n" + o2 + "\n\n"},
		{"objectLines", "", o1 + "\n" + o2 + "\n\n"},
		{"array", "", "[" + a1 + "," + a2 + "]\n"},
		{"array", "hts", "[" + names + "," + druid + "," + sql + "," + a1 + "," + a2 + "]\n"},
		{"array", "hs", "[" + names + "," + sql + "," + a1 + "," + a2 + "]\n"},
		{"arrayLines", "ht", names + "\n" + druid + "\n" + a1 + "\n" + a2 + "\n\n"},
		{"csv", "", c1 + c2 + "\n"},
		{"csv", "h", cn + c1 + c2 + "\n"},
		{"csv", "hts", cn + cd + cs + c1 + c2 + "\n"},
	} {
		t.Run(tc.format+"/"+tc.flags, func(t *testing.T) {
			answer := sample()
			h := newHandler(t, Options{Queries: answering(answer)})
			body := fmt.Sprintf(`{"query":"SELECT 1","resultFormat":%q,"header":%t,"typesHeader":%t,"sqlTypesHeader":%t}`,
				tc.format, strings.Contains(tc.flags, "h"), strings.Contains(tc.flags, "t"), strings.Contains(tc.flags, "s"))
			w := call(h, "POST", sqlPath, "application/json", body)
			if w.Code != http.StatusOK || w.Body.String() != tc.want {
				t.Errorf("status %d\ngot  %q\nwant %q", w.Code, w.Body, tc.want)
			}
			if n := answer.Rows.(*fakeRows).closed; n != 1 {
				t.Errorf("the answer was closed %d times", n)
			}
			if got := w.Header().Get("X-Druid-SQL-Header-Included"); (got == "yes") != strings.Contains(tc.flags, "h") {
				t.Errorf("X-Druid-SQL-Header-Included: %q", got)
			}
		})
	}
}

func TestResultFormatsWithoutRows(t *testing.T) {
	for format, want := range map[string]string{
		"object": "[]\n", "array": "[]\n", "objectLines": "\n", "arrayLines": "\n", "csv": "\n",
	} {
		h := newHandler(t, Options{Queries: answering(&Answer{Columns: sample().Columns, Rows: &fakeRows{}})})
		w := call(h, "POST", sqlPath, "application/json", `{"query":"SELECT 1","resultFormat":"`+format+`"}`)
		if w.Body.String() != want {
			t.Errorf("%s: got %q, want %q", format, w.Body, want)
		}
	}
}

func TestLargeAnswersArePassedOnInPieces(t *testing.T) {
	const rows = 50_000
	answer := &Answer{Columns: []Column{{Name: "n"}, {Name: "s"}}, Rows: &fakeRows{}}
	for i := range rows {
		answer.Rows.(*fakeRows).rows = append(answer.Rows.(*fakeRows).rows, []any{i, "a,\"b\"\n" + strings.Repeat("x", i%7)})
	}
	h := newHandler(t, Options{Queries: answering(answer)})
	w := call(h, "POST", sqlPath, "application/json", `{"query":"SELECT 1","resultFormat":"csv"}`)
	records, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(records) != rows {
		t.Fatalf("%d records, %v", len(records), err)
	}
}

func TestAnswerHeaders(t *testing.T) {
	q := answering(sample())
	h := newHandler(t, Options{Queries: q})
	w := call(h, "POST", sqlPath+"/", "application/json; charset=utf-8", `{"query":"SELECT 1","context":{"sqlQueryId":"mine","timeout":5,"x":1.5}}`)
	if got := w.Header().Get("X-Druid-SQL-Query-Id"); got != "mine" {
		t.Errorf("query id %q", got)
	}
	if got, want := w.Header().Get("X-Drumlin-Cut"), `{"datasources":{"k\u00f6ln":1},"revision":7}`; got != want {
		t.Errorf("cut %s, want %s", got, want)
	}
	want := map[string]any{"sqlQueryId": "mine", "timeout": int64(5), "x": 1.5}
	if !reflect.DeepEqual(q.last.Context, want) {
		t.Errorf("context %#v", q.last.Context)
	}
	w = call(h, "POST", sqlPath, "text/plain", "SELECT 1")
	if id := w.Header().Get("X-Druid-SQL-Query-Id"); id == "" || q.last.Context["sqlQueryId"] != id || q.last.SQL != "SELECT 1" {
		t.Errorf("generated id %q, query %+v", id, q.last)
	}
}

func TestAPartialAnswerSaysSoInAHeader(t *testing.T) {
	header := func(missing ...string) string {
		answer := sample()
		answer.Missing = missing
		h := newHandler(t, Options{Queries: answering(answer)})
		return call(h, "POST", sqlPath, "text/plain", "SELECT 1").Header().Get("X-Drumlin-Partial")
	}
	if got := header(); got != "" {
		t.Errorf("a whole answer: %s", got)
	}
	if got, want := header("a/t/0: köln <is> gone", "a/t/1: too"), `{"missing":2,"partitions":["a/t/0: k\u00f6ln <is> gone","a/t/1: too"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := header(slices.Repeat([]string{strings.Repeat("x", 1000)}, 100)...); !strings.HasPrefix(got, `{"missing":100,`) || len(got) > 8<<10 {
		t.Errorf("%d bytes: %.50s", len(got), got)
	}
}

func TestParametersKeepTheirDigits(t *testing.T) {
	q := answering(sample())
	h := newHandler(t, Options{Queries: q})
	w := call(h, "POST", sqlPath, "application/json", `{"query":"SELECT ?","parameters":[
		{"type":"BIGINT","value":9223372036854775807},{"type":"DOUBLE","value":1e3},{"type":"VARCHAR","value":null},
		{"type":"ARRAY","value":[1,"a",{"b":2}]},{"type":"VARCHAR"}]}`)
	if w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	want := []Parameter{
		{"BIGINT", int64(9223372036854775807)},
		{"DOUBLE", 1000.0},
		{"VARCHAR", nil},
		{"ARRAY", []any{int64(1), "a", map[string]any{"b": int64(2)}}},
		{"VARCHAR", nil},
	}
	if !reflect.DeepEqual(q.last.Parameters, want) {
		t.Errorf("got %#v", q.last.Parameters)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	h := newHandler(t, Options{Queries: failing(errors.New("must not be asked"))})
	const js = "application/json"
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
		want                    string
	}{
		{"unknown field", js, `{"query":"SELECT 1","resultFromat":"csv"}`, 400, `Did you mean \"resultFormat\"`},
		{"field in other case", js, `{"Query":"SELECT 1"}`, 400, `Did you mean \"query\"`},
		{"unknown format", js, `{"query":"SELECT 1","resultFormat":"arry"}`, 400, `Did you mean \"array\"`},
		{"no query", js, `{}`, 400, "query"},
		{"null query", js, `{"query":null}`, 400, "query"},
		{"number as query", js, `{"query":7}`, 400, "must be a string"},
		{"not an object", js, `[1]`, 400, "not a JSON object"},
		{"null", js, `null`, 400, "not a JSON object"},
		{"trailing text", js, `{"query":"SELECT 1"} x`, 400, "not a JSON object"},
		{"types without header", js, `{"query":"SELECT 1","typesHeader":true}`, 400, "header"},
		{"context as list", js, `{"query":"SELECT 1","context":[]}`, 400, "context"},
		{"id as number", js, `{"query":"SELECT 1","context":{"sqlQueryId":1}}`, 400, "sqlQueryId"},
		{"id with line end", js, `{"query":"SELECT 1","context":{"sqlQueryId":"a\nb"}}`, 400, "sqlQueryId"},
		{"parameter without type", js, `{"query":"SELECT ?","parameters":[{"value":1}]}`, 400, "parameter 1"},
		{"parameter too large", js, `{"query":"SELECT ?","parameters":[{"type":"BIGINT","value":99999999999999999999}]}`, 400, "64 bits"},
		{"parameter unknown field", js, `{"query":"SELECT ?","parameters":[{"type":"BIGINT","valeu":1}]}`, 400, `\"value\"`},
		{"other media type", "application/xml", "<a/>", 415, "application/xml"},
		{"other charset", js + "; charset=latin1", `{}`, 415, "UTF-8"},
		{"JSON as form", "application/x-www-form-urlencoded", `{"query":"SELECT 1"}`, 415, "Content-Type: application/json"},
		{"invalid UTF-8", "text/plain", "SELECT '\xff'", 400, "UTF-8"},
		{"empty text", "text/plain", " \n", 400, "query"},
		{"too large", "text/plain", strings.Repeat("x", maxSQLBodyBytes+1), 413, "larger than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantError(t, call(h, "POST", sqlPath, tc.contentType, tc.body), tc.status, tc.want)
		})
	}
}

func TestTextAndFormBodies(t *testing.T) {
	q := answering(sample())
	h := newHandler(t, Options{Queries: q})
	for _, tc := range []struct{ contentType, body, want string }{
		{"text/plain; charset=UTF-8", "SELECT 'a+b%20'", "SELECT 'a+b%20'"},
		{"application/x-www-form-urlencoded", "SELECT%20%31", "SELECT 1"},
		{"", "SELECT 1", "SELECT 1"},
		{"", ` {"query":"SELECT 2"}`, "SELECT 2"},
	} {
		if w := call(h, "POST", sqlPath, tc.contentType, tc.body); w.Code != http.StatusOK || q.last.SQL != tc.want {
			t.Errorf("%q as %q: status %d, query %q", tc.body, tc.contentType, w.Code, q.last.SQL)
		}
	}
}

func TestErrorsOfQueries(t *testing.T) {
	for _, tc := range []struct {
		err      error
		status   int
		category Category
	}{
		{&Error{Category: InvalidInput, Code: "invalidInput", Message: "no", Hint: "try"}, 400, InvalidInput},
		{fmt.Errorf("wrapped: %w", &Error{Category: Timeout, Code: "timeout", Message: "slow"}), 504, Timeout},
		{&Error{Category: CapacityExceeded, Code: "queryCapacityExceeded", Message: "busy"}, 429, CapacityExceeded},
		{&Error{Category: ServiceUnavailable, Code: "unavailable", Message: "away"}, 503, ServiceUnavailable},
		{context.DeadlineExceeded, 504, Timeout},
		{errors.New("broken"), 500, RuntimeFailure},
		{&Error{Code: "new", Message: "of no category"}, 500, RuntimeFailure},
	} {
		h := newHandler(t, Options{Queries: failing(tc.err)})
		w := call(h, "POST", sqlPath, "text/plain", "SELECT 1")
		if e := wantError(t, w, tc.status); e.Category != tc.category {
			t.Errorf("%v: category %s", tc.err, e.Category)
		}
		if w.Header().Get("X-Druid-SQL-Query-Id") == "" {
			t.Errorf("%v: no query id", tc.err)
		}
	}
	h := newHandler(t, Options{Queries: failing(&Error{Category: InvalidInput, Code: "x", Message: "no", Hint: "try this"})})
	if e := decodeError(t, call(h, "POST", sqlPath, "text/plain", "SELECT 1")); e.Context["hint"] != "try this" {
		t.Errorf("context %v", e.Context)
	}
}

func TestCancel(t *testing.T) {
	started := make(chan struct{}, 2)
	h := newHandler(t, Options{Queries: &fakeQueries{fn: func(ctx context.Context, _ Query) (*Answer, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}})
	wantError(t, call(h, "DELETE", sqlPath+"/q1", "", ""), http.StatusNotFound, "q1")
	results := make(chan *httptest.ResponseRecorder, 2)
	for range 2 {
		go func() {
			results <- call(h, "POST", sqlPath, "application/json", `{"query":"SELECT 1","context":{"sqlQueryId":"q1"}}`)
		}()
	}
	<-started
	<-started
	if w := call(h, "DELETE", sqlPath+"/q1", "", ""); w.Code != http.StatusAccepted || w.Body.Len() != 0 {
		t.Fatalf("status %d, body %q", w.Code, w.Body)
	}
	for range 2 {
		if e := wantError(t, <-results, http.StatusInternalServerError, "q1"); e.Category != Canceled || e.ErrorCode != "queryCanceled" {
			t.Errorf("error %+v", e)
		}
	}
	wantError(t, call(h, "DELETE", sqlPath+"/q1", "", ""), http.StatusNotFound)
}

func TestADefectIsA500AndAfterTheFirstByteACutConnection(t *testing.T) {
	h := newHandler(t, Options{Queries: &fakeQueries{fn: func(context.Context, Query) (*Answer, error) { panic("oh") }}})
	w := call(h, "POST", sqlPath, "text/plain", "SELECT 1")
	wantError(t, w, http.StatusInternalServerError, "defect")
	if strings.Contains(w.Body.String(), "oh") {
		t.Errorf("the panic's text was sent: %s", w.Body)
	}

	rows := &breakingRows{fakeRows: fakeRows{rows: [][]any{}}, after: 20_000}
	server := httptest.NewServer(newHandler(t, Options{Queries: answering(&Answer{Columns: []Column{{Name: "x"}}, Rows: rows})}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	resp, err := server.Client().Post(server.URL+sqlPath, "text/plain", strings.NewReader("SELECT 1"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("an answer that broke off looked whole")
	}
	if rows.closed != 1 {
		t.Errorf("the answer was closed %d times", rows.closed)
	}
}

// breakingRows panics after so many rows.
type breakingRows struct {
	fakeRows
	after int
}

func (b *breakingRows) Next() bool {
	b.after--
	if b.after == 0 {
		panic("broken row")
	}
	return true
}

func (b *breakingRows) AppendJSON(dst []byte, _ int) []byte { return append(dst, `"text"`...) }

func TestAClientThatLeavesEndsItsQuery(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	ended := make(chan error, 1)
	server := httptest.NewServer(newHandler(t, Options{Queries: &fakeQueries{fn: func(ctx context.Context, _ Query) (*Answer, error) {
		leave() // not before the query has begun
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}}}))
	defer server.Close()
	req, err := http.NewRequestWithContext(ctx, "POST", server.URL+sqlPath, strings.NewReader("SELECT 1"))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := server.Client().Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("the request did not end")
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the query went on after its client had left")
	}
}

func FuzzSQLRequest(f *testing.F) {
	f.Add(`{"query":"SELECT 1","resultFormat":"csv","header":true,"context":{"a":[1,2.5]},"parameters":[{"type":"BIGINT","value":1}]}`)
	f.Add(`{"query":"x","context":{"sqlQueryId":"é"}}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, body string) {
		req, err := decodeSQLRequest([]byte(body))
		if err != nil {
			if status := errorOf(err).status(); status < 400 || status > 499 {
				t.Fatalf("a bad body is answered with %d: %v", status, err)
			}
			return
		}
		if req.id == "" || !printableASCII(req.id) || strings.TrimSpace(req.query.SQL) == "" {
			t.Fatalf("accepted %+v", req)
		}
	})
}

func FuzzCutHeader(f *testing.F) {
	f.Add("köln \U0001F600 \x7f")
	f.Fuzz(func(t *testing.T, name string) {
		text, err := marshal(name)
		if err != nil {
			t.Skip()
		}
		header := asciiJSON(strings.TrimSuffix(string(text), "\n"))
		if !printableASCII(header) {
			t.Fatalf("%q cannot stand in a header", header)
		}
		var back, want string
		if err := json.Unmarshal([]byte(header), &back); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if back != want {
			t.Fatalf("%q came back as %q", want, back)
		}
	})
}
