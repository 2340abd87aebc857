package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

func TestParameters(t *testing.T) {
	s := openSession(t, openDB(t, Options{Threads: 1}))
	at := time.Date(2015, 9, 12, 0, 46, 58, 771e6, time.FixedZone("x", 3600))
	got, err := lines(s, "SELECT ?, ?, ?, ?, ?, ?, ?, ?, typeof($8)", nil, true, 7, int64(-8), 1.5, "a\x00'b", []byte{0xff}, at)
	if err != nil {
		t.Fatal(err)
	}
	if want := "NULL|true|7|-8|1.5|a\x00'b|/w==|2015-09-11T23:46:58.771Z|TIMESTAMP"; got[0] != want {
		t.Errorf("got %q, want %q", got[0], want)
	}
	wrong := [][]any{nil, {1, 2}, {"\xff"}, {struct{}{}}}
	for _, params := range wrong {
		var e *SQLError
		if _, err := lines(s, "SELECT ?", params...); !errors.As(err, &e) || e.Kind != KindParameters {
			t.Errorf("%v: %v, want a parameters error", params, err)
		}
	}
}

func TestStatementsThatAreNotText(t *testing.T) {
	db := openDB(t, Options{Threads: 1})
	s := openSession(t, db)
	for _, sql := range []string{"SELECT '\xff'", "SELECT 1 \x00; DROP TABLE x"} {
		var e *SQLError
		if _, err := lines(s, sql); !errors.As(err, &e) || e.Kind != KindParser {
			t.Errorf("%q: %v, want a parser error", sql, err)
		}
		if _, err := db.SyntaxTree(context.Background(), sql); !errors.As(err, &e) || e.Kind != KindParser {
			t.Errorf("tree of %q: %v, want a parser error", sql, err)
		}
	}
}

func TestTypedValues(t *testing.T) {
	s := openSession(t, openDB(t, Options{Threads: 1}))
	r, err := s.Query(context.Background(), `SELECT -1::TINYINT, 2::UBIGINT, 3::HUGEINT, 18446744073709551615::UBIGINT,
		9223372036854775808::HUGEINT, TIMESTAMP '1970-01-01 00:00:01', 1.5::DOUBLE, 2.5::FLOAT, 'text', '\x01'::BLOB, NULL::BIGINT`, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.Next() || r.Rows() != 1 {
		t.Fatal("want one row")
	}
	for col, want := range []string{"-1", "2", "3", "-", "-", "1000000", "-", "-", "-", "-", "-"} {
		got := "-"
		if v, ok := r.Int64(0, col); ok {
			got = fmt.Sprint(v)
		}
		if got != want {
			t.Errorf("Int64 of column %d: %s, want %s", col, got, want)
		}
	}
	if v, ok := r.Float64(0, 6); !ok || v != 1.5 {
		t.Errorf("Float64: %v %v", v, ok)
	}
	if v, ok := r.Float64(0, 7); !ok || v != 2.5 {
		t.Errorf("Float64: %v %v", v, ok)
	}
	if b, ok := r.Bytes(0, 8); !ok || string(b) != "text" {
		t.Errorf("Bytes: %q %v", b, ok)
	}
	if b, ok := r.Bytes(0, 9); !ok || string(b) != "\x01" {
		t.Errorf("Bytes: %q %v", b, ok)
	}
	if !r.IsNull(0, 10) || r.IsNull(0, 0) || r.Next() {
		t.Error("nulls or rows are miscounted")
	}
}

func TestAppendJSONDoesNotAllocate(t *testing.T) {
	s := openSession(t, openDB(t, Options{Threads: 1}))
	r, err := s.Query(context.Background(), `SELECT i, i::HUGEINT * 1000000000000, 'a text that is not inlined ' || i, i / 3,
		TIMESTAMP '2015-09-12' + to_seconds(i), i % 2 = 0, (i / 4)::DECIMAL(18, 3), 'short' FROM range(1000) t(i)`, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.Next() {
		t.Fatal("no rows")
	}
	buf := make([]byte, 0, 1<<20)
	allocs := testing.AllocsPerRun(5, func() {
		out := buf
		for row := range r.Rows() {
			for col := range r.Columns() {
				out = r.AppendJSON(out, row, col)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for %d rows", allocs, r.Rows())
	}
}

// TestMemoryLimit meets the limits of memory and of temporary space, and goes on afterwards.
func TestMemoryLimit(t *testing.T) {
	db := openDB(t, Options{Threads: 2, MemoryLimitBytes: 64 << 20, TempDir: t.TempDir(), MaxTempBytes: 32 << 20})
	s := openSession(t, db)
	_, err := lines(s, "SELECT count(*) FROM (SELECT i, repeat('x', 100) || i AS s FROM range(2000000) t(i) ORDER BY s DESC) WHERE i >= 0 GROUP BY s LIMIT 1")
	if !errors.Is(err, ErrOutOfMemory) {
		t.Fatalf("got %v, want out of memory", err)
	}
	wantLines(t, s, "SELECT sum(i) FROM range(1000) t(i)", "499500")
}

// TestSpill needs more than its memory and less than its disk.
func TestSpill(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, Options{Threads: 1, MemoryLimitBytes: 32 << 20, TempDir: dir, MaxTempBytes: 1 << 30})
	s := openSession(t, db)
	wantLines(t, s, "SELECT count(*), min(r), max(r) FROM (SELECT s, row_number() OVER (ORDER BY s) AS r FROM (SELECT hash(i)::VARCHAR || repeat('x', 100) AS s FROM range(300000) t(i)))",
		"300000|1|300000")
}

// TestSpillDirectoryIsLost takes the directory away between two queries that spill.
func TestSpillDirectoryIsLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	db := openDB(t, Options{Threads: 1, MemoryLimitBytes: 32 << 20, TempDir: dir, MaxTempBytes: 1 << 30})
	for range 2 {
		s := openSession(t, db)
		wantLines(t, s, "SELECT count(*), max(r) FROM (SELECT row_number() OVER (ORDER BY s) AS r FROM (SELECT hash(i)::VARCHAR || repeat('x', 100) AS s FROM range(300000) t(i)))",
			"300000|300000")
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("nothing was spilled: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAllowedDirectories reads what is allowed, and neither around it nor through it.
func TestAllowedDirectories(t *testing.T) {
	root := t.TempDir()
	allowed, other := filepath.Join(root, "allowed"), filepath.Join(root, "allowed-not")
	for _, dir := range []string{allowed, other} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "x.csv"), []byte("a\n1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := openSession(t, openDB(t, Options{Threads: 1, AllowedDirs: []string{allowed}}))
	wantLines(t, s, "SELECT a FROM read_csv("+quote(filepath.Join(allowed, "x.csv"))+")", "1")
	for _, path := range []string{
		filepath.Join(other, "x.csv"),
		allowed + "/../allowed-not/x.csv",
		allowed + "/./../allowed-not/x.csv",
		"file://" + other + "/x.csv",
		allowed + "*/x.csv",
	} {
		var e *SQLError
		if got, err := lines(s, "SELECT * FROM read_csv("+quote(path)+")"); !errors.As(err, &e) || e.Kind != KindPermission {
			t.Errorf("%s: %v %v, want a permission error", path, got, err)
		}
	}
	if _, err := Open(Options{AllowedDirs: []string{"relative"}}); err == nil {
		t.Error("a relative directory was allowed")
	}
}

// TestTimeFunctionsFold shows that constant periods and patterns leave one call to be run for each row.
func TestTimeFunctionsFold(t *testing.T) {
	s := openSession(t, openDB(t, Options{Threads: 1}))
	for sql, want := range map[string]string{
		"TIME_FLOOR(t, 'PT1H')":                        "drumlin_floor(",
		"TIME_FLOOR(t, 'P1W', TIMESTAMP '2000-01-01')": "drumlin_floor_from(",
		"TIME_FORMAT(t, 'yyyy')":                       "strftime",
		"TIME_PARSE(s, 'yyyy-MM')":                     "try_strptime",
	} {
		plan, err := lines(s, "EXPLAIN SELECT "+sql+" FROM (SELECT TIMESTAMP '2020-01-01' + to_days(i::INTEGER) AS t, i::VARCHAR AS s FROM range(5) r(i))")
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, want) || strings.Contains(text, "CASE") || strings.Contains(text, "regexp") {
			t.Errorf("%s does not fold:\n%s", sql, text)
		}
	}
}

// TestTimeFloorAgainstTimeBucket compares with DuckDB's own function over random times of six centuries.
func TestTimeFloorAgainstTimeBucket(t *testing.T) {
	s := openSession(t, openDB(t, Options{Threads: 1}))
	for period, interval := range map[string]string{
		"PT1S": "1 second", "PT5M": "5 minutes", "PT1H": "1 hour", "P1D": "1 day", "P2D": "2 days", "P2W": "14 days",
		"PT7H": "7 hours", "P1M": "1 month", "P3M": "3 months", "P5M": "5 months", "P1Y": "12 months", "P7Y": "84 months",
	} {
		for _, origin := range []string{"1970-01-01", "2000-02-29 06:30:00", "1969-07-20 20:17:40"} {
			call := "TIME_FLOOR(t, " + quote(period) + ")"
			if origin != "1970-01-01" {
				if strings.Contains(interval, "month") { // DuckDB only takes the month of the origin
					continue
				}
				call = "TIME_FLOOR(t, " + quote(period) + ", TIMESTAMP " + quote(origin) + ")"
			}
			wantLines(t, s, "SELECT count(*) FROM (SELECT make_timestamp((hash(i) % 18000000000000000)::BIGINT - 9000000000000000) AS t FROM range(20000) r(i)) WHERE "+
				call+" IS DISTINCT FROM time_bucket(INTERVAL "+quote(interval)+", t, TIMESTAMP "+quote(origin)+")", "0")
		}
	}
}

func TestErrorsByKind(t *testing.T) {
	if err := newError(bindings.ErrorTypeInvalid, "FATAL Error: Failed: database has been invalidated"); !errors.Is(err, ErrFatal) {
		t.Errorf("got %v, want ErrFatal", err)
	}
	if err := newError(bindings.ErrorTypeInvalid, "INTERRUPT Error: Interrupted!"); !errors.Is(err, ErrInterrupted) {
		t.Errorf("got %v, want ErrInterrupted", err)
	}
	if err := newError(bindings.ErrorTypeInvalid, "Out of Memory Error: failed to allocate"); !errors.Is(err, ErrOutOfMemory) {
		t.Errorf("got %v, want ErrOutOfMemory", err)
	}
	var e *SQLError
	if err := newError(bindings.ErrorTypeInvalid, "INTERNAL Error: Attempted to x\n\nLINE 1: SELECT\n        ^"); !errors.As(err, &e) ||
		e.Kind != KindInternal || e.Message != "Attempted to x" || !strings.HasPrefix(e.Excerpt, "LINE 1") {
		t.Errorf("got %#v", err)
	}
	if err := newError(bindings.ErrorTypeInvalid, "something without a kind"); !errors.As(err, &e) || e.Message != "something without a kind" {
		t.Errorf("got %#v", err)
	}
}

// TestALostReasonIsAskedForAgain covers a race inside DuckDB: a failing statement's other thread reports the stop first.
func TestALostReasonIsAskedForAgain(t *testing.T) {
	db := openDB(t, Options{MemoryLimitBytes: 64 << 20, Threads: 1})
	s := openSession(t, db)
	late := &SQLError{Kind: KindInput, Message: "late"}
	for _, lost := range []int{0, 1, 2, 3, 4} {
		runs := 0
		err := s.runAgain(context.Background(), func() error {
			if runs++; runs <= lost {
				return ErrInterrupted
			}
			return late
		})
		want := error(late)
		if lost >= maxRunsForReason {
			want = ErrReasonLost
		}
		if !errors.Is(err, want) || errors.Is(err, ErrClosed) || errors.Is(err, ErrInterrupted) {
			t.Errorf("the reason lost %d times: %v", lost, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	runs := 0
	err := s.runAgain(ctx, func() error { runs++; cancel(); return ErrInterrupted })
	if !errors.Is(err, context.Canceled) || runs != 1 {
		t.Errorf("cancelled: %v after %d runs", err, runs)
	}
}
