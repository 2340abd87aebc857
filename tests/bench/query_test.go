package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"drumlin/duckdb"
	"drumlin/query"
	"drumlin/segment"
)

// queryPartitions is how many partitions the rows of queries come from.
const queryPartitions = 4

// questions are asked of the table %s.
var questions = []struct{ name, sql string }{
	{"count", `SELECT COUNT(*) FROM %s`},
	{"sum", `SELECT SUM(LENGTH("userId")) FROM %s`},
	{"group", `SELECT "event", COUNT(*) FROM %s GROUP BY 1 ORDER BY 2 DESC, 1`},
	{"top 10", `SELECT "userId", COUNT(*) AS n FROM %s GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10`},
	{"one minute", `SELECT COUNT(*), COUNT(DISTINCT "event") FROM %s
		WHERE __time >= TIMESTAMP '2026-01-01 00:30:00' AND __time < TIMESTAMP '2026-01-01 00:31:00'`},
}

// queryScenes: the questions of rows that are hot, cold in many small segments, or half and half, with copies among them and
// without. The floor is the same question of the same rows, each identity once, in DuckDB itself: hot rows as a native
// table, cold rows as one plain Parquet file.
func queryScenes() []scene {
	var out []scene
	for _, state := range []struct {
		name      string
		coldShare float64
	}{{"hot", 0}, {"mixed", 0.5}, {"cold", 1}} {
		for _, copies := range []int{0, 100} {
			name := fmt.Sprintf("%s, %d%% copies", state.name, copies/10)
			out = append(out, scene{name, func(tb testing.TB, rows int) []step {
				return querySteps(tb, rows, int(float64(rows)*state.coldShare), copies)
			}})
		}
	}
	return out
}

func querySteps(tb testing.TB, rows, cold, copies int) []step {
	tb.Helper()
	f := events(tb, rows, copies)
	broker := newMemoryBroker(f.parse(tb).IO.Topic, queryPartitions)
	p := newPipeline(tb, f, broker, queryPartitions)
	plain := newPlainDB(tb)
	p.start(tb)
	if cold > 0 {
		broker.add(f.records[:cold])
		p.awaitHot(tb, cold)
		plain.load(tb, p, "cold")
		p.handoff(tb)
	}
	if cold < rows {
		broker.add(f.records[cold:])
		p.awaitHot(tb, rows-cold)
		plain.load(tb, p, "hot")
	}
	plain.settle(tb)
	engine := p.engine(tb)
	var out []step
	for _, q := range questions {
		ours := fmt.Sprintf(q.sql, p.spec.DataSchema.DataSource)
		if got, want := ask(tb, engine, ours), plain.ask(tb, q.sql); got != want {
			tb.Fatalf("%s: got\n%s\nwant\n%s", q.name, got, want)
		}
		out = append(out, step{
			q.name, rows, func(tb testing.TB) { ask(tb, engine, ours) },
			[]floor{{"duckdb", func(tb testing.TB) { plain.ask(tb, q.sql) }}},
		})
	}
	return out
}

// plainDB is DuckDB with the same rows, without any of the product's care: two tables of every record that come from hot
// rows, then a view of each identity once.
type plainDB struct {
	dir     string
	session *duckdb.Session
	db      *duckdb.DB
}

var plainColumns = []duckdb.ScanColumn{
	{Name: segment.TimeColumn, Type: segment.TypeTime},
	{Name: "event", Type: segment.TypeString},
	{Name: "userId", Type: segment.TypeString},
	{Name: "messageId", Type: segment.TypeString},
	{Name: "properties", Type: segment.TypeString},
	{Name: "context", Type: segment.TypeString},
}

func newPlainDB(tb testing.TB) *plainDB {
	tb.Helper()
	p := &plainDB{dir: tb.TempDir()}
	var err error
	p.db, err = duckdb.Open(duckdb.Options{MemoryLimitBytes: 4 << 30, AllowedDirs: []string{p.dir}})
	must(tb, err)
	tb.Cleanup(func() { must(tb, p.db.Close()) })
	p.session, err = p.db.Session(tb.Context())
	must(tb, err)
	tb.Cleanup(func() { must(tb, p.session.Close()) })
	for _, table := range []string{"cold", "hot"} {
		columns := make([]string, len(plainColumns))
		for i, c := range plainColumns {
			columns[i] = fmt.Sprintf("%q %s", c.Name, map[bool]string{true: "TIMESTAMP", false: "VARCHAR"}[i == 0])
		}
		must(tb, p.session.Exec(tb.Context(), fmt.Sprintf("CREATE TABLE every_%s (%s)", table, strings.Join(columns, ", "))))
	}
	return p
}

// load copies what is hot now.
func (p *plainDB) load(tb testing.TB, from *pipeline, table string) {
	tb.Helper()
	session, err := p.db.Session(tb.Context())
	must(tb, err)
	defer func() { must(tb, session.Close()) }()
	scan := duckdb.Scan{Columns: plainColumns}
	for i := range from.owners {
		rows, _ := from.hot(tb, i)
		defer rows.Release()
		if len(rows.Data) == 0 {
			continue
		}
		part := duckdb.ScanPart{}
		for _, c := range plainColumns {
			part.Columns = append(part.Columns, rows.Data[0].Record.Schema().FieldIndices(c.Name)[0])
		}
		for _, b := range rows.Data {
			part.Records = append(part.Records, b.Record)
		}
		scan.Parts = append(scan.Parts, part)
	}
	token, err := session.AddScan(scan)
	must(tb, err)
	must(tb, session.Exec(tb.Context(), fmt.Sprintf("INSERT INTO every_%s SELECT * FROM drumlin_scan(%d)", table, token)))
}

// settle removes copies, puts the cold rows into a file, and joins both parts under the name plain.
func (p *plainDB) settle(tb testing.TB) {
	tb.Helper()
	file := filepath.Join(p.dir, "plain.parquet")
	must(tb, p.session.Exec(tb.Context(), fmt.Sprintf(`
		CREATE TABLE once_cold AS SELECT DISTINCT ON ("messageId") * FROM every_cold;
		CREATE TABLE once_hot AS SELECT DISTINCT ON ("messageId") * FROM every_hot ANTI JOIN once_cold USING ("messageId");
		COPY (SELECT * FROM once_cold ORDER BY "event", __time) TO '%s' (FORMAT parquet, COMPRESSION zstd);
		DROP TABLE every_cold; DROP TABLE every_hot;
		CREATE TEMP VIEW plain AS SELECT * FROM once_hot WHERE false`, file)))
	branches := []string{}
	for table, source := range map[string]string{"once_hot": "once_hot", "once_cold": "read_parquet('" + file + "')"} {
		r, err := p.session.Query(tb.Context(), "SELECT 1 FROM "+table+" LIMIT 1", nil)
		must(tb, err)
		if r.Next() {
			branches = append(branches, "SELECT * FROM "+source)
		}
		r.Close()
	}
	must(tb, p.session.Exec(tb.Context(), "CREATE OR REPLACE TEMP VIEW plain AS "+strings.Join(branches, " UNION ALL ")+"; DROP TABLE once_cold"))
}

func (p *plainDB) ask(tb testing.TB, sql string) string {
	r, err := p.session.Query(context.Background(), fmt.Sprintf(sql, "plain"), nil)
	must(tb, err)
	defer r.Close()
	var out []byte
	for r.Next() {
		for row := range r.Rows() {
			for c := range r.Columns() {
				out = append(r.AppendJSON(out, row, c), ' ')
			}
			out = append(out, '\n')
		}
	}
	return string(out)
}

func ask(tb testing.TB, e *query.Engine, sql string) string {
	a, err := e.Query(context.Background(), query.Request{SQL: sql})
	must(tb, err)
	var out []byte
	for a.Next() {
		for c := range a.Columns {
			out = append(a.AppendJSON(out, c), ' ')
		}
		out = append(out, '\n')
	}
	must(tb, a.Close())
	return string(out)
}
