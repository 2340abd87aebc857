package strictyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Options bound what is read.
type Options struct {
	MaxBytes  int
	MaxDepth  int
	MaxValues int  // after aliases have been followed, keys included
	Aliases   bool // follow aliases to anchors above them; else each is a problem
}

// Document is a text that has been read.
type Document struct {
	Root     *Node // nil: the text is empty, or cannot be read as a whole
	Problems []Problem
	Whole    bool // every value could be read: what problems there are tell of keys given twice
}

// Read reads YAML or JSON. Without a root and without problems the text is empty.
func Read(data []byte, o Options) Document {
	if len(data) > o.MaxBytes {
		return unreadable(Problem{Message: fmt.Sprintf("the text has %d bytes; at most %d are read", len(data), o.MaxBytes)})
	}
	if !utf8.Valid(data) {
		return unreadable(Problem{Message: "the text is not valid UTF-8"})
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	r := &reader{options: o}
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(data) {
		return r.readJSON(data)
	}
	return r.readYAML(data)
}

func unreadable(p Problem) Document { return Document{Problems: []Problem{p}} }

// reader builds a tree within the limits. It reports what it meets and goes on where it can.
type reader struct {
	options  Options
	values   int
	unread   bool
	problems []Problem
}

// errTooLarge ends the reading: no value of the text is worth going on for.
var errTooLarge = errors.New("the text is nested too deeply or holds too many values")

// admit counts one more value.
func (r *reader) admit(depth int) error {
	if r.values++; r.values > r.options.MaxValues || depth > r.options.MaxDepth {
		return fmt.Errorf("%w: at most %d levels and %d values are read", errTooLarge, r.options.MaxDepth, r.options.MaxValues)
	}
	return nil
}

// put adds an entry, refusing a second one of the same key.
func (r *reader) put(n *Node, path string, e Entry) {
	if slices.ContainsFunc(n.Entries, func(before Entry) bool { return before.Key == e.Key }) {
		r.problems = append(r.problems, Problem{Join(path, e.Key), e.Line, "given twice"})
		return
	}
	n.Entries = append(n.Entries, e)
}

// refuse reports what is not read, and returns what stands in its place.
func (r *reader) refuse(path string, line int, format string, args ...any) *Node {
	r.unread = true
	r.problems = append(r.problems, Problem{path, line, fmt.Sprintf(format, args...)})
	return &Node{Kind: Unread, Line: line}
}

func (r *reader) document(root *Node, err error) Document {
	if err != nil {
		return unreadable(Problem{Message: err.Error()})
	}
	return Document{Root: root, Problems: r.problems, Whole: !r.unread}
}
