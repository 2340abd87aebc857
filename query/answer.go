package query

import (
	"sync"

	"drumlin/duckdb"
)

// Column describes one column of an answer.
type Column struct {
	Name      string
	SQLType   string // Druid's SQL name: BIGINT, VARCHAR, TIMESTAMP, …
	DruidType string // Druid's native name: LONG, STRING, …
}

// Stats says what an answer has cost.
type Stats struct {
	Segments       int   // read, or at least opened
	PrunedSegments int   // left out by time or by bounds of columns
	DedupRows      int64 // rows that entered the search for copies
	Losers         int64 // copies that were removed
	FoldedRows     int64 // rows that were rolled up for this answer, since compaction has not done it yet
}

// Answer is a whole result, computed at one cut. It is read row by row and closed once. It is not safe for concurrent
// use.
type Answer struct {
	Columns []Column
	Cut     Cut
	Stats   Stats

	hold    *foldHold
	session *duckdb.Session
	result  *duckdb.Result
	row     int
	left    int64 // rows that may still be given; −1: all
	once    sync.Once
	err     error
}

// Next moves to the next row, and at first to the first.
func (a *Answer) Next() bool {
	if a.left == 0 {
		return false
	}
	a.row++
	for a.row >= a.result.Rows() {
		if !a.result.Next() {
			a.left = 0
			return false
		}
		a.row = 0
	}
	if a.left > 0 {
		a.left--
	}
	return true
}

// AppendJSON appends a value of the current row as JSON.
func (a *Answer) AppendJSON(dst []byte, col int) []byte { return a.result.AppendJSON(dst, a.row, col) }

// AppendCSV appends a value of the current row as one field of a CSV line, quoted where it must be. A null is an empty
// field.
func (a *Answer) AppendCSV(dst []byte, col int) []byte {
	start := len(dst)
	dst = a.result.AppendText(dst, a.row, col)
	quotes := 0
	must := false
	for _, c := range dst[start:] {
		switch c {
		case '"':
			quotes++
			must = true
		case ',', '\n', '\r':
			must = true
		}
	}
	if !must {
		return dst
	}
	text := append([]byte(nil), dst[start:]...)
	dst = append(dst[:start], '"')
	for _, c := range text {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// Close gives back everything that the answer holds. Further calls do nothing.
func (a *Answer) Close() error {
	a.once.Do(func() {
		a.left = 0
		a.err = a.session.Close()
		a.hold.release()
	})
	return a.err
}

func columnsOf(r *duckdb.Result) []Column {
	columns := r.Columns()
	out := make([]Column, len(columns))
	for i, c := range columns {
		sql, native := druidTypes(c.Type)
		out[i] = Column{Name: c.Name, SQLType: sql, DruidType: native}
	}
	return out
}

// druidTypes gives the names under which Druid's API knows a type.
func druidTypes(t *duckdb.Type) (sql, native string) {
	if t.Alias == "JSON" {
		return "COMPLEX<json>", "COMPLEX<json>"
	}
	switch t.ID {
	case duckdb.Boolean:
		return "BOOLEAN", "LONG"
	case duckdb.TinyInt, duckdb.UTinyInt, duckdb.SmallInt, duckdb.USmallInt, duckdb.Integer:
		return "INTEGER", "LONG"
	case duckdb.UInteger, duckdb.BigInt, duckdb.UBigInt, duckdb.HugeInt, duckdb.UHugeInt:
		return "BIGINT", "LONG"
	case duckdb.Float:
		return "FLOAT", "FLOAT"
	case duckdb.Double:
		return "DOUBLE", "DOUBLE"
	case duckdb.Decimal:
		return "DECIMAL", "DOUBLE"
	case duckdb.Timestamp, duckdb.TimestampS, duckdb.TimestampMS, duckdb.TimestampNS, duckdb.TimestampTZ:
		return "TIMESTAMP", "LONG"
	case duckdb.Date:
		return "DATE", "LONG"
	case duckdb.List, duckdb.Array:
		if t.Child != nil {
			_, inner := druidTypes(t.Child)
			return "ARRAY", "ARRAY<" + inner + ">"
		}
		return "ARRAY", "ARRAY<STRING>"
	case duckdb.Struct, duckdb.Map, duckdb.Union:
		return "COMPLEX<json>", "COMPLEX<json>"
	}
	return "VARCHAR", "STRING"
}
