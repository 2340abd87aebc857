package spec

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// readYAML reads one YAML document. Scalars keep the text that was written: 0123 stays a name where a name is wanted.
func readYAML(data []byte) (n *node, problems Problems) {
	defer func() {
		// The YAML parser is not ours and the text comes from outside: a fault of the parser is the text's problem,
		// not the process's end. Nothing is shared with it that could be left half changed.
		if p := recover(); p != nil {
			n, problems = nil, Problems{{Message: "the text is not valid YAML"}}
		}
	}()
	if line, deep := nestedTooDeeply(data); deep {
		return nil, Problems{{Message: fmt.Sprintf("line %d: %s: at most %d levels are read", line, errTooLarge, maxDepth)}}
	}
	// Keys given twice are reported by the reader, with all else that is wrong.
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Problems{{Message: "the text is not valid YAML: " + yamlMessage(err)}}
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil || doc.Body.Type() == ast.NullType {
			continue
		}
		if body != nil {
			return nil, Problems{{Message: "the text holds several YAML documents: submit one spec at a time"}}
		}
		body = doc.Body
	}
	if body == nil {
		return nil, Problems{{Message: "the text is empty"}}
	}
	r := &yamlReader{anchors: map[string]ast.Node{}, open: map[string]bool{}}
	n, err = r.value(body, "", 1)
	if err != nil {
		return nil, Problems{{Message: err.Error()}}
	}
	return n, r.problems
}

// yamlMessage leaves out the excerpt of the text that the parser adds to its errors: it may hold a password.
func yamlMessage(err error) string {
	var yamlErr yaml.Error
	if !errors.As(err, &yamlErr) {
		return "its structure cannot be understood"
	}
	token := yamlErr.GetToken()
	if token == nil || token.Position == nil {
		return "its structure cannot be understood"
	}
	return fmt.Sprintf("its structure cannot be understood at line %d, column %d", token.Position.Line, token.Position.Column)
}

// nestedTooDeeply finds nesting that would cost the parser its stack, before it is called. It counts brackets without
// regard to quotes and compact block sequences ("- - -"): no real spec comes near the limit.
func nestedTooDeeply(data []byte) (line int, deep bool) {
	depth := 0
	for i, text := range bytes.Split(data, []byte("\n")) {
		for _, c := range text {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(depth-1, 0)
			}
			if depth > maxDepth {
				return i + 1, true
			}
		}
		if compactDepth(text) > maxDepth {
			return i + 1, true
		}
	}
	return 0, false
}

// compactDepth counts the markers of blocks, tags and anchors that a line begins with.
func compactDepth(text []byte) int {
	depth := 0
	for _, word := range bytes.Fields(text) {
		if !bytes.ContainsAny(word[:1], "-?!&") {
			break
		}
		depth++
	}
	return depth
}

type yamlReader struct {
	reader
	anchors map[string]ast.Node
	open    map[string]bool // anchors whose value is being read: an alias to one of them has no end
}

func (r *yamlReader) value(n ast.Node, path string, depth int) (*node, error) {
	if err := r.admit(depth); err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return &node{kind: kindNull}, nil
	case *ast.BoolNode:
		return &node{kind: kindBool, text: fmt.Sprint(n.Value)}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return &node{kind: kindNumber, text: n.GetToken().Value}, nil
	case *ast.StringNode:
		return &node{kind: kindString, text: strings.ToValidUTF8(n.Value, "\uFFFD")}, nil
	case *ast.LiteralNode:
		return &node{kind: kindString, text: strings.ToValidUTF8(n.Value.Value, "\uFFFD")}, nil
	case *ast.SequenceNode:
		return r.sequence(n, path, depth)
	case *ast.MappingNode:
		return r.mapping(n.Values, path, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, path, depth)
	case *ast.AnchorNode:
		return r.anchor(n, path, depth)
	case *ast.AliasNode:
		return r.alias(n, path, depth)
	case *ast.TagNode:
		return nil, fmt.Errorf("%s: YAML tags are not read: leave out %s", orRoot(path), shown(n.GetToken().Value))
	default:
		return nil, fmt.Errorf("%s: this form of YAML is not read", orRoot(path))
	}
}

func (r *yamlReader) sequence(n *ast.SequenceNode, path string, depth int) (*node, error) {
	out := &node{kind: kindList}
	for i, item := range n.Values {
		value, err := r.value(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
		if err != nil {
			return nil, err
		}
		out.list = append(out.list, value)
	}
	return out, nil
}

func (r *yamlReader) mapping(values []*ast.MappingValueNode, path string, depth int) (*node, error) {
	out := &node{kind: kindMap}
	for _, v := range values {
		if v.Key.IsMergeKey() {
			return nil, fmt.Errorf("%s: merge keys (<<) are not read: write the fields out", orRoot(path))
		}
		key, err := r.value(v.Key, path, depth+1)
		if err != nil {
			return nil, err
		}
		if key.kind == kindList || key.kind == kindMap || key.kind == kindNull {
			return nil, fmt.Errorf("%s: a field's name is %s: it must be a text", orRoot(path), key.kind)
		}
		value, err := r.value(v.Value, joinPath(path, key.text), depth+1)
		if err != nil {
			return nil, err
		}
		r.put(out, path, key.text, value)
	}
	return out, nil
}

func (r *yamlReader) anchor(n *ast.AnchorNode, path string, depth int) (*node, error) {
	name := n.Name.String()
	r.anchors[name] = n.Value
	r.open[name] = true
	defer delete(r.open, name)
	return r.value(n.Value, path, depth+1)
}

func (r *yamlReader) alias(n *ast.AliasNode, path string, depth int) (*node, error) {
	name := n.Value.String()
	target, ok := r.anchors[name]
	if !ok || r.open[name] {
		return nil, fmt.Errorf("%s: the alias %s names no value above it", orRoot(path), shown(name))
	}
	return r.value(target, path, depth+1)
}

func orRoot(path string) string {
	if path == "" {
		return "the spec"
	}
	return strings.TrimSpace(path)
}
