package duckdb

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openDB opens a database that is closed when the test ends.
func openDB(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

// openSession opens a session that is closed when the test ends, if it is not closed before.
func openSession(t testing.TB, db *DB) *Session {
	t.Helper()
	s, err := db.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// lines runs a query and returns each row as text, values separated by a bar.
func lines(s *Session, sql string, params ...any) ([]string, error) {
	return render(s, sql, params, func(r *Result, dst []byte, row, col int) []byte {
		if r.IsNull(row, col) {
			return append(dst, "NULL"...)
		}
		return r.AppendText(dst, row, col)
	})
}

func render(s *Session, sql string, params []any, value func(*Result, []byte, int, int) []byte) ([]string, error) {
	r, err := s.Query(context.Background(), sql, params)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []string
	for r.Next() {
		for row := range r.Rows() {
			var line []byte
			for col := range r.Columns() {
				if col > 0 {
					line = append(line, '|')
				}
				line = value(r, line, row, col)
			}
			out = append(out, string(line))
		}
	}
	return out, nil
}

// wantLines fails the test unless the query gives exactly these rows.
func wantLines(t *testing.T, s *Session, sql string, want ...string) {
	t.Helper()
	got, err := lines(s, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("%s\n got:\n%s\nwant:\n%s", sql, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
