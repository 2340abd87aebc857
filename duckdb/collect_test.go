package duckdb

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestResultsStayWithinTheirBudget asks for more than results may hold, which DuckDB's own limit does not see.
func TestResultsStayWithinTheirBudget(t *testing.T) {
	db := openDB(t, Options{MemoryLimitBytes: 256 << 20, MaxResultBytes: 8 << 20, Threads: 2})
	s := openSession(t, db)
	for _, sql := range []string{
		"SELECT range FROM range(10000000000)",
		"SELECT repeat('x', 1000) FROM range(1000000)",
		"SELECT [range, range, range], {'a': repeat('y', 100)}, MAP {range: 'abc'} FROM range(1000000)",
		"SELECT a.range FROM range(1000000) a, range(1000000) b",
	} {
		if _, err := s.Query(context.Background(), sql, nil); !errors.Is(err, ErrOutOfMemory) {
			t.Errorf("%s: %v", sql, err)
		}
		if n := db.resultBytes.Load(); n != 0 {
			t.Errorf("%s: %d bytes are still counted", sql, n)
		}
	}
	first, err := s.Query(context.Background(), "SELECT repeat('x', 1000) FROM range(5000)", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Query(context.Background(), "SELECT repeat('x', 1000) FROM range(5000)", nil); !errors.Is(err, ErrOutOfMemory) {
		t.Errorf("a second result of 5 MB in 8 MB: %v", err)
	}
	first.Close()
	second, err := s.Query(context.Background(), "SELECT repeat('x', 1000) FROM range(5000)", nil)
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	second.Close()
	if n := db.resultBytes.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// TestSmallChunksAreMerged compares values of all kinds in chunks of few rows with the same values at once.
func TestSmallChunksAreMerged(t *testing.T) {
	s := openSession(t, openDB(t, Options{MemoryLimitBytes: 256 << 20, Threads: 1}))
	const values = `SELECT i, i % 7 = 0 AS b, CASE WHEN i % 5 > 0 THEN repeat(chr((97 + i % 26)::INT), i % 40) END AS s, i / 3 AS d,
		CASE WHEN i % 3 > 0 THEN [i, NULL, i + 1] END AS l, {'x': i, 'y': ['a' || i]} AS st, MAP {i: repeat('m', i % 20)} AS m,
		[i, i]::BIGINT[2] AS a, CASE WHEN i % 2 = 0 THEN union_value(n := i) ELSE union_value(n := NULL::BIGINT) END AS u,
		i::DECIMAL(30, 2) AS dec, i::HUGEINT AS h, make_timestamp(i) AS t, ('x' || i % 3)::BLOB AS bl, i % 2 = 0 OR NULL AS nb,
		[['n' || i], [], NULL] AS ll, to_days(i::INT) AS iv FROM (SELECT range::BIGINT AS i FROM range(60000)) r`
	const rows = 60_000
	read := func(sql string) (text []string, chunks int) {
		t.Helper()
		r, err := s.Query(context.Background(), sql, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for r.Next() {
			chunks++
			for row := range r.Rows() {
				var line []byte
				for col := range r.Columns() {
					line = append(r.AppendJSON(line, row, col), ' ')
				}
				text = append(text, string(line))
			}
		}
		return text, chunks
	}
	all, _ := read(values)
	// The filter keeps some 80 rows of most chunks.
	some, _ := read(values + " WHERE hash(i) % 50 < 2 OR i BETWEEN 20000 AND 25000 ORDER BY ALL")
	few, chunks := read(values + " WHERE hash(i) % 50 < 2 OR i BETWEEN 20000 AND 25000")
	if len(all) != rows || len(some) < 6000 || len(few) != len(some) || chunks > len(some)/1024+2 {
		t.Fatalf("%d, %d and %d rows, in %d chunks", len(all), len(some), len(few), chunks)
	}
	whole := map[string]bool{}
	for _, line := range all {
		whole[line] = true
	}
	for i := range some {
		if !whole[some[i]] || !whole[few[i]] {
			t.Fatalf("row %d is in no whole result:\n%s\n%s", i, some[i], few[i])
		}
		if i > 0 && len(some[i-1]) == 0 {
			t.Fatal("an empty row")
		}
	}
}

func TestAnErrorAfterManyRowsIsTheResult(t *testing.T) {
	s := openSession(t, openDB(t, Options{MemoryLimitBytes: 256 << 20, Threads: 2}))
	var refused *SQLError
	_, err := s.Query(context.Background(), "SELECT CASE WHEN range = 900000 THEN error('late') ELSE range END FROM range(1000000)", nil)
	if !errors.As(err, &refused) || refused.Message != "late" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Query(ctx, "SELECT max(range) OVER () FROM range(1000000000000)", nil)
	if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("interrupted: %v", err)
	}
	r, err := s.Query(context.Background(), "SELECT range FROM range(5000) ORDER BY range DESC", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	for r.Next() {
		for row := range r.Rows() {
			b.Write(append(r.AppendText(nil, row, 0), ' '))
		}
	}
	if got := b.String(); !strings.HasPrefix(got, "4999 4998 4997 ") || !strings.HasSuffix(got, " 2 1 0 ") || len(strings.Fields(got)) != 5000 {
		t.Errorf("the order is lost: %.100s", got)
	}
}
