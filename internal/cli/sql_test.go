package cli

import (
	"strings"
	"testing"

	"drumlin/api"
)

func TestSQLFormats(t *testing.T) {
	s := &server{queries: func(q api.Query) (*api.Answer, error) {
		return answer([]string{"channel VARCHAR", "edits BIGINT"}, []string{`"#en"`, "11549"}, []string{"null", "7"},
			[]string{`"a long text\nin two lines"`, "-1"}), nil
	}}
	url := s.start(t)
	run(t, url, "", 0, "sql", "SELECT 1").want(t, 0, ""+
		"channel                    edits\n"+
		"─────────────────────────  ─────\n"+
		"#en                        11549\n"+
		"NULL                           7\n"+
		"a long text\\nin two lines     -1\n", "3 rows in ")
	run(t, url, "", 0, "sql", "SELECT 1", "--format", "json", "-q").want(t, 0,
		`[{"channel":"#en","edits":11549},{"channel":null,"edits":7},{"channel":"a long text\nin two lines","edits":-1}]`+"\n")
	run(t, url, "", 0, "sql", "SELECT 1", "--format", "jsonl").want(t, 0,
		`{"channel":"#en","edits":11549}`+"\n"+`{"channel":null,"edits":7}`+"\n"+`{"channel":"a long text\nin two lines","edits":-1}`+"\n",
		"done in ")
	run(t, url, "", 0, "sql", "SELECT 1", "--format", "csv", "--cut").want(t, 0,
		"channel,edits\n#en,11549\nnull,7\na long text\\nin two lines,-1\n", `cut: {"revision":9}`)
	run(t, url, "", 0, "sql", "SELECT 1", "--format", "csv", "--no-header").want(t, 0,
		"#en,11549\nnull,7\na long text\\nin two lines,-1\n")
	run(t, url, "", 0, "sql", "SELECT 1", "--format", "xml").want(t, 2, "", "xml")
	o := run(t, url, "", 20, "sql", "SELECT 1")
	if !strings.Contains(o.stdout, "…") {
		t.Errorf("nothing was narrowed for a terminal:\n%s", o.stdout)
	}
}

func TestSQLWarnsOfAPartialAnswer(t *testing.T) {
	s := &server{queries: func(q api.Query) (*api.Answer, error) {
		a := answer([]string{"x BIGINT"}, []string{"1"})
		if q.Context["allowPartial"] == true {
			a.Missing = []string{"events/t/0: node n1 is gone"}
		}
		return a, nil
	}}
	url := s.start(t)
	run(t, url, "", 0, "sql", "SELECT 1", "--allow-partial", "-q", "--format", "csv").want(t, 0, "x\n1\n",
		"warning: the answer is not whole", "of 1 partition\n  events/t/0: node n1 is gone")
	if o := run(t, url, "", 0, "sql", "SELECT 1"); strings.Contains(o.stderr, "warning") {
		t.Errorf("a whole answer: %s", o.stderr)
	}
}

func TestSQLStatementAndParameters(t *testing.T) {
	var last api.Query
	s := &server{queries: func(q api.Query) (*api.Answer, error) {
		last = q
		return answer([]string{"x BIGINT"}), nil
	}}
	url := s.start(t)
	file := write(t, "q.sql", "SELECT 2")
	for _, tc := range []struct {
		stdin, want string
		args        []string
	}{
		{"", "SELECT 1", []string{"SELECT 1"}},
		{"SELECT 3\n", "SELECT 3\n", []string{"-"}},
		{"SELECT 4", "SELECT 4", []string{"--file", "-"}},
		{"", "SELECT 2", []string{"-f", file}},
	} {
		o := run(t, url, tc.stdin, 0, append([]string{"sql"}, tc.args...)...)
		if o.code != 0 || last.SQL != tc.want {
			t.Errorf("%v: code %d, query %q, %s", tc.args, o.code, last.SQL, o.stderr)
		}
	}
	for text, want := range map[string]api.Parameter{
		"7": {Type: "BIGINT", Value: int64(7)}, "-007": {Type: "BIGINT", Value: int64(-7)},
		"9223372036854775807": {Type: "BIGINT", Value: int64(9223372036854775807)},
		"1.5":                 {Type: "DOUBLE", Value: 1.5}, "text": {Type: "VARCHAR", Value: "text"}, "": {Type: "VARCHAR", Value: ""},
		"NaN": {Type: "VARCHAR", Value: "NaN"}, "0x10": {Type: "VARCHAR", Value: "0x10"},
		"varchar:7": {Type: "VARCHAR", Value: "7"}, "a:b": {Type: "VARCHAR", Value: "a:b"},
		"BOOLEAN:true": {Type: "BOOLEAN", Value: true}, "DOUBLE:1e3": {Type: "DOUBLE", Value: int64(1000)},
		"TIMESTAMP:2015-09-12 00:00:00": {Type: "TIMESTAMP", Value: "2015-09-12 00:00:00"},
	} {
		if o := run(t, url, "", 0, "sql", "SELECT ?", "--param="+text); o.code != 0 || last.Parameters[0] != want {
			t.Errorf("%q: %#v, %s", text, last.Parameters, o.stderr)
		}
	}
	run(t, url, "", 0, "sql", "SELECT 1", "--timeout", "1500ms", "--committed", "--context", "a=1", "--context", "b=x").want(t, 0, "x\n─\n")
	if c := last.Context; c["timeout"] != int64(1500) || c["cut"] != "committed" || c["a"] != int64(1) || c["b"] != "x" {
		t.Errorf("context %#v", c)
	}
	for _, args := range [][]string{
		{},
		{"SELECT 1", "SELECT 2"},
		{"SELECT 1", "-f", file},
		{" "},
		{"SELECT ?", "-p", "BIGINT:x"},
		{"SELECT ?", "-p", "DOUBLE:x"},
		{"SELECT ?", "-p", "BOOLEAN:x"},
		{"SELECT 1", "--context", "x"},
		{"SELECT 1", "--timeout", "-1s"},
		{"SELECT 1", "--nonsense"},
	} {
		run(t, url, "", 0, append([]string{"sql"}, args...)...).want(t, 2, "", "drumlin: ")
	}
}

func TestSQLErrors(t *testing.T) {
	s := &server{queries: func(api.Query) (*api.Answer, error) {
		return nil, &api.Error{Category: api.InvalidInput, Code: "invalidInput", Message: "No table \x1b[31mx.", Hint: "Did you mean y?"}
	}}
	o := run(t, s.start(t), "", 0, "sql", "SELECT 1")
	o.want(t, 1, "", `drumlin: No table \u001b[31mx.`+"\nhint: Did you mean y?\n")
}
