package duckdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestText runs testdata/text: "json" and "text" print the columns and the rows of a query, "error" the error of a statement,
// "kind" only its kind, "tree" whether a statement parses as a SELECT.
func TestText(t *testing.T) {
	db := openDB(t, Options{Threads: 1, MemoryLimitBytes: 256 << 20})
	datadriven.Walk(t, "testdata/text", func(t *testing.T, path string) {
		s := openSession(t, db)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return runText(t, db, s, d)
		})
	})
}

func runText(t *testing.T, db *DB, s *Session, d *datadriven.TestData) string {
	switch d.Cmd {
	case "exec":
		if err := s.Exec(context.Background(), d.Input); err != nil {
			return err.Error()
		}
		return "ok"
	case "json", "text":
		return printRows(t, s, d)
	case "error":
		_, err := lines(s, d.Input)
		return printError(err)
	case "kind": // for messages that name this machine
		_, err := lines(s, d.Input)
		kind, _, _ := strings.Cut(printError(err), ":")
		return kind
	case "tree":
		tree, err := db.SyntaxTree(context.Background(), d.Input)
		if err != nil {
			return printError(err)
		}
		sql, err := db.Deserialize(context.Background(), tree)
		if err != nil {
			return printError(err)
		}
		return sql
	}
	d.Fatalf(t, "unknown command %q", d.Cmd)
	return ""
}

func printRows(t *testing.T, s *Session, d *datadriven.TestData) string {
	columns, err := s.Describe(context.Background(), d.Input)
	if err != nil {
		return printError(err)
	}
	var out strings.Builder
	for i, c := range columns {
		if d.HasArg("types") {
			fmt.Fprintf(&out, "%s%s", map[bool]string{true: " "}[i > 0], c.Type)
		}
	}
	if d.HasArg("types") {
		out.WriteByte('\n')
	}
	rows, err := render(s, d.Input, nil, func(r *Result, dst []byte, row, col int) []byte {
		if d.Cmd == "text" {
			return r.AppendText(dst, row, col)
		}
		v := r.AppendJSON(nil, row, col)
		if !json.Valid(v) {
			t.Errorf("%s: not JSON: %q", d.Pos, v)
		}
		return append(dst, v...)
	})
	if err != nil {
		return printError(err)
	}
	return out.String() + strings.Join(rows, "\n")
}

func printError(err error) string {
	var e *SQLError
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &e):
		text := fmt.Sprintf("%s: %s", e.Kind, firstLine(e.Message))
		if len(e.Candidates) > 0 {
			text += fmt.Sprintf("\ncandidates: %q", e.Candidates)
		}
		if e.Position >= 0 {
			text += fmt.Sprintf("\nposition: %d", e.Position)
		}
		return text
	case errors.Is(err, ErrOutOfMemory):
		return "out of memory"
	}
	return err.Error()
}
