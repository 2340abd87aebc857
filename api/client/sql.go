package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Query is one SQL request.
type Query struct {
	SQL        string         `json:"query"`
	Parameters []Parameter    `json:"parameters,omitempty"`
	Context    map[string]any `json:"context,omitempty"`
}

// Parameter is one value for a ? in the statement.
type Parameter struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// wireQuery is a query with the format of its answer.
type wireQuery struct {
	Query
	ResultFormat   string `json:"resultFormat"`
	Header         bool   `json:"header,omitempty"`
	TypesHeader    bool   `json:"typesHeader,omitempty"`
	SQLTypesHeader bool   `json:"sqlTypesHeader,omitempty"`
}

// Partial says that an answer lacks the hot rows of partitions, because the query allowed that.
type Partial struct {
	Missing    int      `json:"missing"`
	Partitions []string `json:"partitions"` // the first of them, each with the reason
}

// Info is what comes with every answer.
type Info struct {
	QueryID string
	Cut     string   // JSON; empty where the server left it out
	Partial *Partial // nil: the answer is whole
}

// Result is an answer in memory.
type Result struct {
	Info
	Columns []Column
	Rows    [][]json.RawMessage
}

// Column is one column of a result.
type Column struct {
	Name      string
	DruidType string
	SQLType   string
}

const sqlPath = "/druid/v2/sql"

// SQL runs a statement and returns the whole answer.
func (c *Client) SQL(ctx context.Context, q Query) (*Result, error) {
	resp, err := c.postSQL(ctx, wireQuery{Query: q, ResultFormat: "array", Header: true, TypesHeader: true, SQLTypesHeader: true})
	if err != nil {
		return nil, err
	}
	result := &Result{Info: infoOf(resp)}
	var lines [][]json.RawMessage
	if err := readJSON(resp, &lines); err != nil {
		return nil, err
	}
	const headerLines = 3
	if len(lines) < headerLines {
		return nil, fmt.Errorf("the server's answer has no header (is it a Drumlin server?)")
	}
	names, druidTypes, sqlTypes := lines[0], lines[1], lines[2]
	if len(druidTypes) != len(names) || len(sqlTypes) != len(names) {
		return nil, fmt.Errorf("the header of the server's answer has lines of different length")
	}
	result.Columns = make([]Column, len(names))
	for i := range names {
		col := &result.Columns[i]
		for text, into := range map[*json.RawMessage]*string{
			&names[i]: &col.Name, &druidTypes[i]: &col.DruidType, &sqlTypes[i]: &col.SQLType,
		} {
			if err := json.Unmarshal(*text, into); err != nil {
				return nil, fmt.Errorf("column %d of the answer's header: %w", i+1, err)
			}
		}
	}
	result.Rows = lines[headerLines:]
	return result, nil
}

// SQLTo runs a statement and copies the answer, as the server sends it in one of Druid's result formats, to w. The
// blank line at the end of the line formats and csv is checked and left out.
func (c *Client) SQLTo(ctx context.Context, w io.Writer, q Query, resultFormat string, header bool) (Info, error) {
	resp, err := c.postSQL(ctx, wireQuery{Query: q, ResultFormat: resultFormat, Header: header})
	if err != nil {
		return Info{}, err
	}
	defer resp.Body.Close()
	info := infoOf(resp)
	tail := &tailWriter{out: w}
	buf := make([]byte, 64<<10)
	for {
		n, readErr := resp.Body.Read(buf)
		if _, err := tail.Write(buf[:n]); err != nil {
			return info, fmt.Errorf("write the answer: %w", err)
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			if ctx.Err() != nil {
				return info, context.Cause(ctx)
			}
			return info, &Truncated{Err: readErr}
		}
	}
	return info, tail.finish(strings.EqualFold(resultFormat, "object") || strings.EqualFold(resultFormat, "array"))
}

// tailWriter holds the last byte back, and looks at the one before it, until it is known what they are.
type tailWriter struct {
	out    io.Writer
	before byte // the last byte written out; 0: none
	held   byte
	any    bool // a byte is held
}

func (t *tailWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if t.any {
		if _, err := t.out.Write([]byte{t.held}); err != nil {
			return 0, err
		}
		t.before = t.held
	}
	last := len(p) - 1
	if last > 0 {
		if _, err := t.out.Write(p[:last]); err != nil {
			return 0, err
		}
		t.before = p[last-1]
	}
	t.held, t.any = p[last], true
	return len(p), nil
}

// finish checks the closing mark: "]\n" of a list, which is written, or a blank line, which is not. An answer of
// lines without any row is the blank line alone.
func (t *tailWriter) finish(list bool) error {
	if !t.any || t.held != '\n' {
		return &Truncated{}
	}
	if list {
		if t.before != ']' {
			return &Truncated{}
		}
		_, err := t.out.Write([]byte{'\n'})
		return err
	}
	if t.before != 0 && t.before != '\n' {
		return &Truncated{}
	}
	return nil
}

// CancelSQL cancels every running query with the id.
func (c *Client) CancelSQL(ctx context.Context, id string) error {
	resp, err := c.do(ctx, http.MethodDelete, "", nil, sqlPath, pathEscape(id))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (c *Client) postSQL(ctx context.Context, q wireQuery) (*http.Response, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("encode the query: %w", err)
	}
	return c.do(ctx, http.MethodPost, "application/json", body, sqlPath)
}

func infoOf(resp *http.Response) Info {
	info := Info{QueryID: resp.Header.Get("X-Druid-SQL-Query-Id"), Cut: resp.Header.Get("X-Drumlin-Cut")}
	if text := resp.Header.Get("X-Drumlin-Partial"); text != "" {
		info.Partial = &Partial{}
		if err := json.Unmarshal([]byte(text), info.Partial); err != nil || info.Partial.Missing == 0 {
			*info.Partial = Partial{Missing: 1, Partitions: []string{text}} // of another version: shown as it is
		}
	}
	return info
}
