package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits on what is read, so that no text can use up memory or the stack.
const (
	maxSpecBytes = 128 << 10
	maxDepth     = 64
	maxNodes     = 50_000 // values, after aliases have been followed
)

type nodeKind uint8

const (
	kindNull nodeKind = iota
	kindBool
	kindNumber
	kindString
	kindList
	kindMap
)

func (k nodeKind) String() string {
	return [...]string{"null", "true or false", "a number", "a text", "a list", "an object"}[k]
}

// node is one value of the text, the same for YAML and JSON. Numbers keep their digits.
type node struct {
	kind    nodeKind
	text    string // of a scalar, as it was written
	list    []*node
	entries []entry // of a map, in the text's order, without two of one key
}

type entry struct {
	key   string
	value *node
}

// get returns the value of a key, or nil where it is absent or null. A nil node has no keys.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key && e.value.kind != kindNull {
			return e.value
		}
	}
	return nil
}

// saysNothing tells null, false, and lists and objects that hold nothing else. A refused field may stand in a spec
// like that: it asks for nothing.
func (n *node) saysNothing() bool {
	switch n.kind {
	case kindNull:
		return true
	case kindBool:
		return n.text == "false"
	case kindList:
		return len(n.list) == 0
	case kindMap:
		return !slices.ContainsFunc(n.entries, func(e entry) bool { return !e.value.saysNothing() })
	default:
		return false
	}
}

// readTree reads YAML or JSON.
func readTree(data []byte) (*node, Problems) {
	if len(data) > maxSpecBytes {
		return nil, Problems{{Message: fmt.Sprintf("the text has %d bytes; at most %d are read", len(data), maxSpecBytes)}}
	}
	if !utf8.Valid(data) {
		return nil, Problems{{Message: "the text is not valid UTF-8"}}
	}
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\ufeff")), " \t\r\n")
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(trimmed) {
		return readJSON(trimmed)
	}
	return readYAML(bytes.TrimPrefix(data, []byte("\ufeff")))
}

// reader builds a tree within the limits. It reports what it meets and goes on where it can.
type reader struct {
	nodes    int
	problems Problems
}

var errTooLarge = errors.New("the text is nested too deeply or holds too many values")

// admit counts one more value.
func (r *reader) admit(depth int) error {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return fmt.Errorf("%w: at most %d levels and %d values are read", errTooLarge, maxDepth, maxNodes)
	}
	return nil
}

// put adds an entry, refusing a second one of the same key.
func (r *reader) put(n *node, path, key string, value *node) {
	if slices.ContainsFunc(n.entries, func(e entry) bool { return e.key == key }) {
		r.problems = append(r.problems, Problem{joinPath(path, key), "given twice"})
		return
	}
	n.entries = append(n.entries, entry{key, value})
}

func joinPath(path, key string) string {
	key = strings.ToValidUTF8(key, "�")
	if path == "" {
		return key
	}
	return path + "." + key
}

// readJSON reads a text that json.Valid has accepted.
func readJSON(data []byte) (*node, Problems) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	r := &reader{}
	n, err := r.jsonValue(dec, "", 1)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("the text goes on after its end")
		}
	}
	if err != nil {
		return nil, Problems{{Message: err.Error()}}
	}
	return n, r.problems
}

func (r *reader) jsonValue(dec *json.Decoder, path string, depth int) (*node, error) {
	if err := r.admit(depth); err != nil {
		return nil, err
	}
	token, err := dec.Token()
	if err != nil {
		return nil, errors.New("the text is not valid JSON")
	}
	switch t := token.(type) {
	case json.Delim:
		return r.jsonContainer(dec, t, path, depth)
	case string:
		return &node{kind: kindString, text: t}, nil
	case json.Number:
		return &node{kind: kindNumber, text: t.String()}, nil
	case bool:
		return &node{kind: kindBool, text: fmt.Sprint(t)}, nil
	default:
		return &node{kind: kindNull}, nil
	}
}

func (r *reader) jsonContainer(dec *json.Decoder, open json.Delim, path string, depth int) (*node, error) {
	n := &node{kind: kindList}
	if open == '{' {
		n.kind = kindMap
	}
	for i := 0; dec.More(); i++ {
		if n.kind == kindList {
			value, err := r.jsonValue(dec, fmt.Sprintf("%s[%d]", path, i), depth+1)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, value)
			continue
		}
		token, err := dec.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("the text is not valid JSON")
		}
		value, err := r.jsonValue(dec, joinPath(path, key), depth+1)
		if err != nil {
			return nil, err
		}
		r.put(n, path, key, value)
	}
	_, err := dec.Token()
	return n, err
}
