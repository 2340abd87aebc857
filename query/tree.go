package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// node is one object of DuckDB's serialised syntax tree. Numbers are json.Number.
type node map[string]any

// maxTreeDepth bounds the nesting of a statement, so that walking its tree cannot exhaust the stack.
const maxTreeDepth = 1000

// decodeTree returns the statements of a serialised text, each with its "node".
func decodeTree(raw []byte) ([]node, error) {
	var top struct {
		Statements []node `json:"statements"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&top); err != nil {
		return nil, fmt.Errorf("read the syntax tree: %w", err)
	}
	return top.Statements, nil
}

func (n node) text(key string) string {
	s, _ := n[key].(string)
	return s
}

func (n node) child(key string) node {
	m, _ := n[key].(map[string]any)
	return m
}

func (n node) list(key string) []any {
	l, _ := n[key].([]any)
	return l
}

func (n node) flag(key string) bool {
	b, _ := n[key].(bool)
	return b
}

// location is the byte offset in the statement's text; −1 where the parser has not noted one.
func (n node) location() int {
	num, ok := n["query_location"].(json.Number)
	if !ok {
		return -1
	}
	at, err := strconv.ParseUint(num.String(), 10, 64)
	if err != nil || at > 1<<40 {
		return -1
	}
	return int(at)
}

func asNode(v any) node {
	m, _ := v.(map[string]any)
	return m
}
