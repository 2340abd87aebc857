package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

func (r *reader) readYAML(data []byte) (out Document) {
	defer func() {
		// The YAML parser is not ours and the text comes from outside: a fault of the parser is the text's problem,
		// not the process's end. Nothing is shared with it that could be left half changed.
		if p := recover(); p != nil {
			out = unreadable(Problem{Message: "the text is not valid YAML"})
		}
	}()
	if line := tooDeep(data, r.options.MaxDepth); line > 0 {
		return unreadable(Problem{Message: fmt.Sprintf("line %d is nested more than %d levels deep", line, r.options.MaxDepth)})
	}
	// Keys given twice are reported with all else that is wrong.
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return unreadable(parserProblem(err))
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc == nil || doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType:
		case body != nil:
			return unreadable(Problem{Message: "the text holds several YAML documents: one at a time is read"})
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return Document{Whole: true}
	}
	y := &yamlReader{reader: r, anchors: map[string]ast.Node{}, open: map[string]bool{}}
	root, err := y.value(body, "", 1)
	if root != nil && root.Kind == Null { // one with an anchor: as empty as one without
		return Document{Problems: r.problems, Whole: true}
	}
	return r.document(root, err)
}

// parserProblem leaves out the excerpt of the text that the parser adds to its errors: it may hold a password.
func parserProblem(err error) Problem {
	const message = "the text is not valid YAML: its structure cannot be understood"
	var yamlErr yaml.Error
	if errors.As(err, &yamlErr) {
		if token := yamlErr.GetToken(); token != nil && token.Position != nil {
			return Problem{Message: fmt.Sprintf("%s at line %d, column %d", message, token.Position.Line, token.Position.Column)}
		}
	}
	return Problem{Message: message}
}

// tooDeep returns the line where nesting would cost the parser its stack, or 0, before it is called. It counts brackets without
// regard to quotes, and the markers of blocks, tags, anchors and aliases that a line begins with: no real text comes near
// the limit.
func tooDeep(data []byte, limit int) (line int) {
	depth := 0
	for i, text := range bytes.Split(data, []byte("\n")) {
		for _, c := range text {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(depth-1, 0)
			}
			if depth > limit {
				return i + 1
			}
		}
		if markers(text) > limit {
			return i + 1
		}
	}
	return 0
}

func markers(text []byte) int {
	n := 0
	for word := range bytes.FieldsSeq(text) {
		if !bytes.ContainsAny(word[:1], "-?!&*") {
			break
		}
		n++
	}
	return n
}

type yamlReader struct {
	*reader
	anchors map[string]ast.Node
	open    map[string]bool // anchors whose value is being read: an alias to one of them has no end
}

func (y *yamlReader) value(n ast.Node, path string, depth int) (*Node, error) {
	if err := y.admit(depth); err != nil {
		return nil, err
	}
	line := lineOf(n)
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return &Node{Kind: Null, Line: line}, nil
	case *ast.BoolNode:
		return &Node{Kind: Bool, Line: line, Text: n.GetToken().Value}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return &Node{Kind: Number, Line: line, Text: n.GetToken().Value}, nil
	case *ast.StringNode:
		return &Node{Kind: String, Line: line, Text: strings.ToValidUTF8(n.Value, "\uFFFD")}, nil
	case *ast.LiteralNode:
		return &Node{Kind: String, Line: line, Text: strings.ToValidUTF8(n.Value.Value, "\uFFFD")}, nil
	case *ast.SequenceNode:
		return y.sequence(n, path, depth)
	case *ast.MappingNode:
		return y.mapping(n.Values, line, path, depth)
	case *ast.MappingValueNode:
		return y.mapping([]*ast.MappingValueNode{n}, line, path, depth)
	case *ast.AnchorNode:
		return y.anchor(n, path, depth)
	case *ast.AliasNode:
		return y.alias(n, path, depth)
	case *ast.TagNode:
		return y.refuse(path, line, "YAML tags (such as !!str) are not read: write the value alone"), nil
	default:
		return y.refuse(path, line, "this form of YAML is not read"), nil
	}
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

func (y *yamlReader) sequence(n *ast.SequenceNode, path string, depth int) (*Node, error) {
	out := &Node{Kind: List, Line: lineOf(n)}
	for i, item := range n.Values {
		value, err := y.value(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
		if err != nil {
			return nil, err
		}
		out.List = append(out.List, value)
	}
	return out, nil
}

func (y *yamlReader) mapping(values []*ast.MappingValueNode, line int, path string, depth int) (*Node, error) {
	out := &Node{Kind: Map, Line: line}
	for _, v := range values {
		if v.Key.IsMergeKey() {
			y.refuse(path, lineOf(v.Key), "merge keys (<<) are not read: write the fields out")
			continue
		}
		key, err := y.key(v.Key, path, depth+1)
		if err != nil {
			return nil, err
		}
		if key.Kind == Unread {
			continue
		}
		value, err := y.value(v.Value, Join(path, key.Text), depth+1)
		if err != nil {
			return nil, err
		}
		y.put(out, path, Entry{key.Text, key.Line, value})
	}
	return out, nil
}

// key reads the name of a field.
func (y *yamlReader) key(n ast.MapKeyNode, path string, depth int) (*Node, error) {
	var written ast.Node = n
	if explicit, ok := n.(*ast.MappingKeyNode); ok { // "? name"
		written = explicit.Value
	}
	key, err := y.value(written, path, depth)
	if err != nil || key.Kind == Unread {
		return key, err
	}
	if key.Kind == List || key.Kind == Map || key.Kind == Null {
		return y.refuse(path, key.Line, "a field's name is %s: it must be a text", key.Kind), nil
	}
	return key, nil
}

func (y *yamlReader) anchor(n *ast.AnchorNode, path string, depth int) (*Node, error) {
	if !y.options.Aliases {
		return y.refuseAlias(n, path), nil
	}
	name := n.Name.String()
	y.anchors[name] = n.Value
	y.open[name] = true
	defer delete(y.open, name)
	return y.value(n.Value, path, depth+1)
}

func (y *yamlReader) alias(n *ast.AliasNode, path string, depth int) (*Node, error) {
	if !y.options.Aliases {
		return y.refuseAlias(n, path), nil
	}
	name := n.Value.String()
	target, ok := y.anchors[name]
	if !ok || y.open[name] {
		return y.refuse(path, lineOf(n), "the alias %q names no value above it", Shown(name)), nil
	}
	return y.value(target, path, depth+1)
}

func (y *yamlReader) refuseAlias(n ast.Node, path string) *Node {
	return y.refuse(path, lineOf(n), "anchors and aliases are not read: write the value out")
}
