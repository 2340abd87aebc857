package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestBoundedFunctionsKeepTheirAnswers compares the bounded functions with DuckDB's own.
func TestBoundedFunctionsKeepTheirAnswers(t *testing.T) {
	s := openSession(t, openDB(t, Options{MemoryLimitBytes: 256 << 20, Threads: 1}))
	for _, call := range []string{
		"range(5)", "range(-5)", "range(NULL)", "range(2, 5)", "range(5, 2)", "range(5, 0, -2)", "range(0, 10, 3)",
		"range(9223372036854775800, 9223372036854775807)", "range(NULL, 3)", "generate_series(3)", "generate_series(1, 3)",
		"generate_series(TIMESTAMP '2020-01-01', TIMESTAMP '2020-01-02', INTERVAL 6 HOURS)",
		"range(DATE '2020-01-01', DATE '2020-03-01', INTERVAL 1 MONTH)", "range(now()::TIMESTAMP, now()::TIMESTAMP, INTERVAL 1 DAY)",
		"generate_series(TIMESTAMPTZ '2020-01-01', TIMESTAMPTZ '2020-01-02', INTERVAL 1 DAY)",
		"repeat('äb', 3)", "repeat('', 1000000000)", "repeat('x', -1)", "repeat(NULL, 3)", "repeat([1, 2], 2)", "repeat('\\xFF'::BLOB, 2)",
		"lpad('a', 3, 'xy')", "rpad('abc', 2, 'x')", "list_resize([1], 3)", "array_resize([1], 2, 9)", "list_resize(NULL, 3)",
	} {
		got, err := lines(s, "SELECT "+call)
		want, wantErr := lines(s, "SELECT system.main."+call)
		if fmt.Sprint(got, err) != fmt.Sprint(want, wantErr) {
			t.Errorf("%s: %v %v, want %v %v", call, got, err, want, wantErr)
		}
	}
	wantLines(t, s, "SELECT sum(len(range(l, l + 3))), max(repeat('x', l::INT)) FROM range(3) t(l)", "9|xx")
	wantLines(t, s, "SELECT count(*) FROM range(3000000)", "3000000")
	wantLines(t, s, "SELECT count(*) FROM (SELECT unnest(generate_series(1, 50000)))", "50000")
}

func TestFunctionsThatMakeMuchOfLittle(t *testing.T) {
	s := openSession(t, openDB(t, Options{MemoryLimitBytes: 256 << 20, Threads: 1}))
	for _, call := range []string{
		"range(200000000)", "range(0, 200000000)", "range(-9223372036854775808, 9223372036854775807)", "range(0, 1000000000, 7)",
		"range(0, -1000000000, -7)", "generate_series(1000000000)",
		"generate_series(TIMESTAMP '1970-01-01', TIMESTAMP '2020-01-01', INTERVAL 1 SECOND)", "repeat('x', 1000000000)",
		"repeat(repeat('x', 100000), 100000)", "repeat('x', 9223372036854775807)", "lpad('x', 1000000000, 'y')",
		"rpad('x', 1000000000, 'y')", "list_resize([1], 1000000000)", "array_resize([1], 1000000000, 2)",
	} {
		for _, from := range []string{"", " FROM range(3)"} {
			var refused *SQLError
			_, err := s.Query(context.Background(), "SELECT length("+call+"::VARCHAR)"+from, nil)
			if !errors.As(err, &refused) || !strings.Contains(refused.Message, "more than") {
				t.Errorf("%s: %v", call, err)
			}
		}
	}
}
