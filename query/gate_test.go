package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"drumlin/duckdb"
	"drumlin/segment"
)

// TestGate runs statements against two small tables: what is admitted shows its rows, what is refused its error.
func TestGate(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", true, 1, column("page", segment.TypeString), column("n", segment.TypeLong), column("body", segment.TypeJSON))
	w.table("odd \"name\"", false, 1, column("x", segment.TypeLong))
	for i := range int64(4) {
		tab.partitions[0].add(worldRow{millis: t0 + i*60_000, key: fmt.Sprint(i / 2), values: []any{fmt.Sprint("p", i), i, `{"a":{"b":7}}`}})
	}
	tab.partitions[0].add(worldRow{millis: t0, reject: "unparseable"})
	w.commit(tab, tab.partitions[0], 3)
	e := w.engine()
	datadriven.Walk(t, "testdata/gate", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "sql" {
				t.Fatalf("%s: command %q is not known", d.Pos, d.Cmd)
			}
			lines, _, err := ask(e, Request{SQL: d.Input})
			if err == nil {
				return strings.Join(lines, "\n")
			}
			var refused *Error
			if !errors.As(err, &refused) {
				t.Fatalf("%s: %T is not an *Error", d.Pos, err)
			}
			if strings.Contains(refused.Error(), internalPrefix) && !strings.Contains(d.Input, internalPrefix) {
				t.Errorf("%s: the error shows an internal name: %v", d.Pos, refused)
			}
			return fmt.Sprintf("%s: %s", refused.Kind, refused.Error())
		})
	})
}

// TestEveryFunctionIsDecided keeps functions that a newer DuckDB brings closed until somebody has looked at them.
func TestEveryFunctionIsDecided(t *testing.T) {
	db, err := duckdb.Open(duckdb.Options{MemoryLimitBytes: 256 << 20, Sketches: newSketches()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := db.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Query(context.Background(),
		"SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')", nil)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	var undecided []string
	for r.Next() {
		for row := range r.Rows() {
			name := string(r.AppendText(nil, row, 0))
			there[name] = true
			if allowedFunctions[name] == functionDenied(name) {
				undecided = append(undecided, name)
			}
		}
	}
	sort.Strings(undecided)
	if len(undecided) > 0 {
		t.Errorf("these functions are neither allowed nor denied, or both: %v", undecided)
	}
	for name := range allowedFunctions {
		if !there[strings.ToLower(name)] && !setOf(syntaxOnly)[name] && !setOf(druidFunctions)[name] {
			t.Errorf("%s is allowed, but DuckDB has no such function", name)
		}
	}
}

// syntaxOnly are functions that the binder knows without listing them.
const syntaxOnly = `count_star unnest first_value last_value nth_value lag lead rank dense_rank percent_rank cume_dist ntile
	row_number rank_dense countif fill row coalesce ->> formatReadableDecimalSize formatReadableSize`

// TestNoWayAround tries what an attacker would: every statement must be refused, and none may read the planted file.
func TestNoWayAround(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", false, 1, column("page", segment.TypeString))
	tab.partitions[0].add(worldRow{millis: t0, values: []any{"x"}})
	w.commit(tab, tab.partitions[0], 1)
	e := w.engine()
	mustAsk(t, e, "SELECT * FROM events") // fills the cache, whose files DuckDB itself may read
	files, err := filepath.Glob(filepath.Join(e.cache.Dir(), "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file in the cache: %v", err)
	}
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A name of a CTE that only Unicode's case folding takes for the file's hides nothing.
	for _, table := range []string{files[0], "pragma_database_list", "sqlite_master", "duckdb_views"} {
		for ascii, other := range map[string]string{"i": "\u0130", "k": "\u212a", "s": "\u017f"} {
			sql := fmt.Sprintf(`WITH "%s" AS (SELECT 1) SELECT * FROM "%s"`, strings.ReplaceAll(table, ascii, other), table)
			if lines, _, err := ask(e, Request{SQL: sql}); strings.Contains(table, ascii) && err == nil {
				t.Errorf("%s: %v", sql, lines)
			}
		}
	}
	for _, f := range []string{files[0], secret} {
		for _, form := range []string{
			"SELECT * FROM '%s'", `SELECT * FROM "%s"`, "SELECT * FROM read_parquet('%s')", "SELECT * FROM read_csv('%s')",
			"SELECT * FROM read_text('%s')", "SELECT * FROM read_blob('%s')", "SELECT * FROM parquet_metadata('%s')", "SELECT * FROM glob('%s')",
			"SELECT * FROM sniff_csv('%s')", `WITH b AS (SELECT * FROM "%[1]s"), "%[1]s" AS (SELECT 1) SELECT * FROM b`,
			`WITH "%[1]s" AS (SELECT * FROM "%[1]s") SELECT * FROM "%[1]s"`,
			`SELECT (SELECT count(*) FROM "%s")`, `SELECT * FROM events WHERE page IN (SELECT * FROM read_text('%s'))`,
			`SELECT * FROM query('SELECT * FROM ''%s''')`, "SELECT * FROM query_table('%s')", "COPY events TO '%s'", "ATTACH '%s' AS x",
			`SELECT * FROM (VALUES ((SELECT 1 FROM "%s"))) v`, `SELECT x FROM events, LATERAL (SELECT * FROM "%s") x`,
			`(SELECT 1) UNION ALL (FROM "%s")`, `SELECT 1 ORDER BY (SELECT count(*) FROM "%s")`, `SELECT 1 LIMIT (SELECT count(*) FROM "%s")`,
			`SELECT sum(n) FILTER (WHERE EXISTS (FROM "%s")) OVER () FROM range(3) t(n)`, `SELECT [x FOR x IN (SELECT content FROM read_text('%s'))]`,
			`SELECT json_execute_serialized_sql(json_serialize_sql('FROM "%s"'))`, `FROM json_execute_serialized_sql('%s')`,
		} {
			sql := form
			if strings.Contains(form, "%") {
				sql = fmt.Sprintf(form, f)
			}
			lines, _, err := ask(e, Request{SQL: sql})
			var refused *Error
			if !errors.As(err, &refused) || refused.Kind == Internal {
				t.Errorf("%s: not refused as it should be: %v, %v", sql, lines, err)
			}
		}
	}
}

// TestPlanningIsBounded sends what DuckDB would plan for minutes, without a look at the time limit.
func TestPlanningIsBounded(t *testing.T) {
	w := newWorld(t)
	w.table("events", false, 1, column("n", segment.TypeLong))
	e := w.engine()
	for _, c := range []struct {
		sql     string
		refused bool
	}{
		{"SELECT " + strings.Repeat("(SELECT ", 10) + "1" + strings.Repeat(")", 10), false},
		{"SELECT " + strings.Repeat("(SELECT ", 100) + "1" + strings.Repeat(")", 100), true},
		{"SELECT " + strings.Repeat("list_transform([1], x -> ", 6) + "1" + strings.Repeat(")", 6), false},
		{"SELECT " + strings.Repeat("list_transform([1], x -> ", 40) + "1" + strings.Repeat(")", 40), true},
		{"SELECT 1" + strings.Repeat(", (SELECT 1)", 300), false},
		{"SELECT 1 WHERE " + strings.Repeat("EXISTS (SELECT 1 WHERE ", 30) + "true" + strings.Repeat(")", 30), true},
		{"SELECT count(*) FROM events" + strings.Repeat(", (SELECT 1)", 20), false},
		{"SELECT count(*) FROM events" + strings.Repeat(", (SELECT 1)", 200), true},
	} {
		_, _, err := ask(e, Request{SQL: c.sql})
		var refused *Error
		if c.refused != (errors.As(err, &refused) && refused.Kind == Invalid) || !c.refused && err != nil {
			t.Errorf("%.60s…: %v", c.sql, err)
		}
	}
}

func FuzzGate(f *testing.F) {
	for _, sql := range []string{"SELECT 1", "SELECT a.b FROM druid.events a", "WITH x AS (SELECT 1) FROM x", "\"", "SELECT * FROM \"a\"\"b\" . c"} {
		f.Add(sql, 14)
	}
	f.Fuzz(func(t *testing.T, sql string, at int) {
		if end, ok := skipQualifiedName(sql, at); ok && (end <= at || end > len(sql)) {
			t.Errorf("the name at %d ends at %d", at, end)
		}
		if next, ok := skipFirstName(sql, at); ok && (next <= at || next > len(sql)) {
			t.Errorf("what follows the name at %d begins at %d", at, next)
		}
		if tree, err := decodeTree([]byte(sql)); err == nil {
			_, _ = admit(tree, onlyInternal(nil), nil)
		}
	})
}
