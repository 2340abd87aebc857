package query

import (
	"context"
	"testing"

	"drumlin/segment"
)

// ask returns one line per row, the values as JSON.
func ask(e *Engine, r Request) ([]string, *Answer, error) {
	a, err := e.Query(context.Background(), r)
	if err != nil {
		return nil, nil, err
	}
	var lines []string
	for a.Next() {
		var line []byte
		for i := range a.Columns {
			if i > 0 {
				line = append(line, ' ')
			}
			line = a.AppendJSON(line, i)
		}
		lines = append(lines, string(line))
	}
	return lines, a, a.Close()
}

func mustAsk(t testing.TB, e *Engine, sql string) []string {
	t.Helper()
	lines, _, err := ask(e, Request{SQL: sql})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return lines
}

func column(name string, t segment.ColumnType) segment.Column {
	return segment.Column{Name: name, Type: t}
}
