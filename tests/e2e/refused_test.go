package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

func TestSQLThatMustBeRefused(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "copies", 1)
	d.Apply(t, []byte(copiesSpec))
	harness.Produce(t, d.Client(t), &kgo.Record{Topic: "copies", Value: []byte(`{"timestamp":1700000000000,"messageId":"a","event":"e"}`)})
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM copies`, 1, settle)
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`SELECT 1; SELECT 2`,
		`CREATE TABLE x (a INT)`,
		`DROP VIEW copies`,
		`INSERT INTO copies VALUES (1)`,
		`DELETE FROM copies`,
		`COPY (SELECT 1) TO '` + secret + `'`,
		`ATTACH '` + secret + `' AS other`,
		`INSTALL httpfs`,
		`LOAD httpfs`,
		`SET memory_limit = '1TB'`,
		`PRAGMA database_list`,
		`CALL pragma_version()`,
		`EXPORT DATABASE '/tmp/x'`,
		`SELECT * FROM '` + secret + `'`,
		`SELECT * FROM read_csv('` + secret + `')`,
		`SELECT * FROM read_text('/etc/passwd')`,
		`SELECT * FROM read_blob('/etc/passwd')`,
		`SELECT * FROM read_parquet('` + d.DataDir + `/**/*.parquet')`,
		`SELECT * FROM glob('/*')`,
		`SELECT * FROM duckdb_settings()`,
		`SELECT * FROM duckdb_tables()`,
		`SELECT * FROM pragma_database_list()`,
		`SELECT * FROM query('SELECT 1')`,
		`SELECT * FROM query_table('copies')`,
		`SELECT getenv('HOME')`,
		`SELECT current_setting('memory_limit')`,
		`SELECT * FROM sniff_csv('` + secret + `')`,
		`SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))`,
		`SELECT * FROM drumlin_scan(1)`,
		`SELECT (SELECT * FROM read_text('/etc/passwd'))`,
		`WITH a AS (SELECT * FROM glob('/*')) SELECT * FROM a`,
		`SELECT * FROM copies WHERE event IN (SELECT filename FROM read_text('/etc/*'))`,
		`SELECT * FROM nosuchtable`,
		`SELECT nosuchcolumn FROM copies`,
		`SELECT __offset FROM copies`,
		`SELEC 1`,
		``,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), settle)
		answer, err := d.Ask(ctx, sql)
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		var refusal struct {
			Error, ErrorCode, ErrorMessage string
			Context                        map[string]any
		}
		if answer.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", sql, answer.Status, answer.Body)
			continue
		}
		if err := json.Unmarshal(answer.Body, &refusal); err != nil || refusal.Error == "" || refusal.ErrorCode == "" || refusal.ErrorMessage == "" {
			t.Errorf("%s: not Druid's error object: %s", sql, answer.Body)
		}
	}
	for sql, help := range map[string]string{
		`SELECT * FROM copie`:                          "copies",
		`SELECT evnt FROM copies`:                      "event",
		`SELECT FLOOR(__time TO HOUR) FROM copies`:     "TIME_FLOOR",
		`SELECT TIME_FLOR(__time, 'PT1H') FROM copies`: "time_floor",
	} {
		answer, err := d.Ask(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status != http.StatusBadRequest || !strings.Contains(strings.ToLower(string(answer.Body)), strings.ToLower(help)) {
			t.Errorf("%s: %d, does not suggest %s: %s", sql, answer.Status, help, answer.Body)
		}
	}
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM copies`, 1, settle)
}

func TestQueryPastItsLimitsEndsAndTheProcessGoesOn(t *testing.T) {
	d := harness.Started(t, binary, "--max-query-bytes", "134217728")
	body := []byte(`{"query":"SELECT COUNT(*) FROM range(10000000000) a, range(1000) b WHERE a.range * b.range % 7 = 3","context":{"timeout":300}}`)
	begin, watch := time.Now(), harness.StartWatch()
	status, out, err := d.Post(t.Context(), "/druid/v2/sql", body)
	if err != nil || status != http.StatusGatewayTimeout {
		t.Errorf("timed-out query: %v %d %s", err, status, out)
	}
	watch.Within(t, "a time-out of 300 ms", time.Since(begin), 10*time.Second)
	status, out, err = d.Post(t.Context(), "/druid/v2/sql",
		[]byte(`{"query":"SELECT LENGTH(STRING_AGG(repeat('x', 1000) || range, '')) FROM range(100000000)","context":{"timeout":60000}}`))
	if err != nil || status == http.StatusOK {
		t.Errorf("query past the memory limit: %v %d %s", err, status, out)
	}
	if n := d.SQL(t, `SELECT 1 AS n`).Int(t, "n"); n != 1 {
		t.Errorf("got %d", n)
	}
}

func TestBadSpecIsRefusedWithEveryProblem(t *testing.T) {
	d := harness.Started(t, binary)
	spec := `
type: kafka
spec:
  dataSchema:
    dataSource: broken
    timestampSpec: {colunm: t}
    dimensionsSpec:
      dimensions: [a, A, {type: strng, name: b}]
    granularitySpec: {segmentGranularity: fortnight, rollup: true}
    metricsSpec: [{type: count, name: a}]
  ioConfig:
    topc: bad
    inputFormat: {type: json}
`
	status, body, err := d.Post(t.Context(), "/druid/indexer/v1/supervisor", []byte(spec))
	if err != nil || status != http.StatusBadRequest {
		t.Fatalf("%v %d %s", err, status, body)
	}
	for _, want := range []string{
		"timestampSpec.colunm", "did you mean", "column", "dimensions", "strng", "string", "segmentGranularity", "fortnight",
		"metricsSpec[0]", "topc", "topic",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the refusal does not say %q:\n%s", want, body)
		}
	}
	status, body, err = d.Get(t.Context(), "/druid/indexer/v1/supervisor")
	if err != nil || status != http.StatusOK || strings.TrimSpace(string(body)) != "[]" {
		t.Errorf("after the refusal: %v %d %s", err, status, body)
	}
}
