package duckdb

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// FuzzScanText scans arbitrary bytes: what Go calls UTF-8 reads back as it was, anything else is an error of the query.
func FuzzScanText(f *testing.F) {
	for _, w := range append(words, "\xff", "ok\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf", "a\x00b\x1f\u2028") {
		f.Add(w)
	}
	db := openDB(f, Options{Threads: 1})
	f.Fuzz(func(t *testing.T, text string) {
		s := openSession(t, db)
		scan, r := smallScan(memory.DefaultAllocator, 3, func(int) string { return text })
		defer r.Release()
		token, err := s.AddScan(scan)
		if err != nil {
			t.Fatal(err)
		}
		result, err := s.Query(context.Background(), "SELECT s, max(s) OVER () FROM drumlin_scan($1)", []any{token})
		if !utf8.ValidString(text) {
			if err == nil || errors.Is(err, ErrFatal) {
				t.Fatalf("%q is not UTF-8: %v", text, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for result.Next() {
			for row := range result.Rows() {
				var back string
				if err := json.Unmarshal(result.AppendJSON(nil, row, 1), &back); err != nil || back != text {
					t.Fatalf("%q reads back as %q: %v", text, back, err)
				}
				if got := string(result.AppendText(nil, row, 0)); got != text {
					t.Fatalf("%q reads back as %q", text, got)
				}
			}
		}
	})
}

// FuzzTimePattern converts and runs arbitrary patterns: they work or are refused, and never harm the database.
func FuzzTimePattern(f *testing.F) {
	for _, p := range []string{"", "yyyy-MM-dd'T'HH:mm:ss.SSSZZ", "''", "'", "'a", "%Y%%", "EEEE", "SSSSSSSSS", "é'ü'", "zZzZ", "\x01\x02", "PT1H", "P1Y2M", "P999999999Y", "PT"} {
		f.Add(p)
	}
	db := openDB(f, Options{Threads: 1})
	f.Fuzz(func(t *testing.T, pattern string) {
		s := openSession(t, db)
		for _, sql := range []string{
			"SELECT TIME_FORMAT(TIMESTAMP '2015-09-12 01:02:03.004', $1)",
			"SELECT TIME_FORMAT(TIMESTAMP '2015-09-12 01:02:03.004', $1, 'Asia/Kolkata')",
			"SELECT TIME_PARSE('2015-09-12', $1)",
			"SELECT TIME_PARSE($1)",
			"SELECT TIME_FLOOR(TIMESTAMP '2015-09-12', $1)",
			"SELECT TIME_FLOOR(make_timestamp(-9223372022400000000), $1, TIMESTAMP '2000-01-01', 'Europe/Berlin')",
		} {
			if _, err := lines(s, sql, pattern); errors.Is(err, ErrFatal) {
				t.Fatalf("%q: %v", pattern, err)
			}
		}
		wantLines(t, s, "SELECT 1", "1")
	})
}

// FuzzSyntaxTree parses arbitrary text: a tree that can be written as SQL again, or an error.
func FuzzSyntaxTree(f *testing.F) {
	for _, sql := range []string{"SELECT 1", "", ";", "SELECT * FROM t WHERE a = ?", "DROP TABLE t", "SELECT '\x00'", "SELECT 1e999", "WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a", "((((((("} {
		f.Add(sql)
	}
	db := openDB(f, Options{Threads: 1})
	f.Fuzz(func(t *testing.T, sql string) {
		tree, err := db.SyntaxTree(context.Background(), sql)
		if errors.Is(err, ErrFatal) {
			t.Fatalf("%q: %v", sql, err)
		}
		if err == nil && !json.Valid(tree) {
			t.Fatalf("%q: the tree is not JSON", sql)
		}
	})
}
