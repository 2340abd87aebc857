package duckdb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// SyntaxTree parses SELECT statements and returns DuckDB's tree of them as JSON: {"error": false, "statements": […]}.
// Text that does not parse, or that holds a statement which is not a SELECT, is an *SQLError.
func (db *DB) SyntaxTree(ctx context.Context, sql string) ([]byte, error) {
	tree, err := db.scalar(ctx, "SELECT CAST(json_serialize_sql(CAST(? AS VARCHAR)) AS VARCHAR)", sql)
	if err != nil {
		return nil, err
	}
	// A number past the doubles stands as Infinity, which is no JSON. Within a string the quotes would be escaped.
	tree = bytes.ReplaceAll(tree, []byte(`"value":Infinity`), []byte(`"value":null`))
	var answer struct {
		Error    bool   `json:"error"`
		Type     string `json:"error_type"`
		Message  string `json:"error_message"`
		Position string `json:"position"`
	}
	if err := json.Unmarshal(tree, &answer); err != nil {
		return nil, fmt.Errorf("read DuckDB's syntax tree: %w", err)
	}
	if !answer.Error {
		return tree, nil
	}
	e := &SQLError{Kind: ErrorKind(answer.Type), Position: -1}
	e.Message, e.Excerpt = splitExcerpt(answer.Message)
	if n, err := strconv.Atoi(answer.Position); err == nil {
		e.Position = n
	}
	return nil, e
}

// Deserialize writes a tree in the form that SyntaxTree returns as SQL again.
func (db *DB) Deserialize(ctx context.Context, tree []byte) (string, error) {
	sql, err := db.scalar(ctx, "SELECT json_deserialize_sql(CAST(? AS JSON))", string(tree))
	return string(sql), err
}

// scalar runs a statement of one parameter and one text value in a session of its own.
func (db *DB) scalar(ctx context.Context, sql, param string) (_ []byte, err error) {
	if err := checkText("statement", param); err != nil {
		return nil, err
	}
	s, err := db.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := s.Close(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
	}()
	r, err := s.Query(ctx, sql, []any{param})
	if err != nil {
		return nil, err
	}
	if !r.Next() || r.IsNull(0, 0) {
		return nil, fmt.Errorf("%s: DuckDB returned no value", sql)
	}
	return r.AppendText(nil, 0, 0), nil
}
