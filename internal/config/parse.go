package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"drumlin/internal/secure"
)

// Limits of a text, which keep the YAML parser from running out of stack.
const (
	maxTextBytes = 256 << 10
	maxDepth     = 32
)

// Parse reads a configuration over the defaults. The error is Problems: all that cannot be read. Whether the values make
// sense is for Validate to say, once further fields have been set. getenv looks up variables, as os.Getenv does.
func Parse(data []byte, getenv func(string) string) (Server, error) {
	server := Default()
	body, err := readYAML(data)
	if err != nil {
		return server, Problems{{Message: err.Error()}}
	}
	if body == nil {
		return server, nil // an empty file: the defaults
	}
	r := &reader{getenv: getenv}
	r.section(body, "", reflect.ValueOf(&server).Elem())
	return server, r.problems.asError()
}

// readYAML returns the one document of a text, or nil where it holds none.
func readYAML(data []byte) (body ast.Node, err error) {
	defer func() {
		// The YAML parser is not ours and the text comes from outside: a fault of the parser is the text's problem.
		if p := recover(); p != nil {
			body, err = nil, errors.New("the text is not valid YAML")
		}
	}()
	if len(data) > maxTextBytes {
		return nil, fmt.Errorf("the text has more than %d bytes", maxTextBytes)
	}
	if line := tooDeep(data); line > 0 {
		return nil, fmt.Errorf("line %d is nested more than %d levels deep", line, maxDepth)
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, yamlError(err)
	}
	for _, doc := range file.Docs {
		switch {
		case doc == nil || doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType:
		case body != nil:
			return nil, errors.New("the text holds several YAML documents: one process has one")
		default:
			body = doc.Body
		}
	}
	return body, nil
}

// yamlError leaves out the excerpt of the text that the parser adds: it may hold a password.
func yamlError(err error) error {
	var yamlErr yaml.Error
	if errors.As(err, &yamlErr) {
		if token := yamlErr.GetToken(); token != nil && token.Position != nil {
			return fmt.Errorf("the text is not valid YAML at line %d, column %d", token.Position.Line, token.Position.Column)
		}
	}
	return errors.New("the text is not valid YAML")
}

// tooDeep returns the line where nesting passes maxDepth, or 0. It counts brackets without regard to quotes, and the markers
// that a line begins with.
func tooDeep(data []byte) (line int) {
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
				return i + 1
			}
		}
		markers := 0
		for _, word := range bytes.Fields(text) {
			if !bytes.ContainsAny(word[:1], "-?!&*") {
				break
			}
			markers++
		}
		if markers > maxDepth {
			return i + 1
		}
	}
	return 0
}

type reader struct {
	getenv   func(string) string
	problems Problems
}

func (r *reader) problem(at ast.Node, path, format string, args ...any) {
	line := 0
	if at != nil && at.GetToken() != nil && at.GetToken().Position != nil {
		line = at.GetToken().Position.Line
	}
	r.problems = append(r.problems, Problem{Path: path, Line: line, Message: fmt.Sprintf(format, args...)})
}

// section reads a mapping into a struct. Nothing in place of the mapping leaves the defaults.
func (r *reader) section(n ast.Node, path string, into reflect.Value) {
	values, ok := mapping(n)
	if !ok {
		r.problem(n, orRoot(path), "fields are wanted here, such as %s", slots(into)[0].name+": …")
		return
	}
	known := make(map[string]slot)
	var names []string
	for _, s := range slots(into) {
		known[s.name] = s
		names = append(names, s.name)
	}
	for _, v := range values {
		key, ok := r.key(v, path, known)
		if !ok {
			continue
		}
		s, ok := known[key]
		switch {
		case !ok:
			r.problem(v.Key, join(path, shown(key)), "there is no such field%s", suggest(path, key, names))
		case isNull(v.Value):
		case s.section.IsValid():
			r.section(v.Value, join(path, key), s.section)
		default:
			r.field(v.Value, join(path, key), s.field)
		}
		delete(known, key)
	}
}

// key reads the name of a field. A field that was given before is no longer in open.
func (r *reader) key(v *ast.MappingValueNode, path string, open map[string]slot) (string, bool) {
	if v.Key.IsMergeKey() {
		r.problem(v.Key, orRoot(path), "merge keys (<<) are not read: write the fields out")
		return "", false
	}
	key, ok := scalar(v.Key)
	if !ok {
		r.problem(v.Key, orRoot(path), "a field's name must be a text")
		return "", false
	}
	if _, first := open[key]; !first && knownPath(join(path, key)) {
		r.problem(v.Key, join(path, key), "it is given twice")
		return "", false
	}
	return key, true
}

// field reads a value that is not a section.
func (r *reader) field(n ast.Node, path string, field any) {
	switch field := field.(type) {
	case *[]Token:
		r.tokens(n, path, field)
		return
	case *map[string]secure.Secret:
		r.properties(n, path, field)
		return
	case *[]string:
		if items, ok := n.(*ast.SequenceNode); ok {
			*field = nil
			for i, item := range items.Values {
				if text, ok := r.text(item, fmt.Sprintf("%s[%d]", path, i)); ok {
					*field = append(*field, text)
				}
			}
			return
		}
	}
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	if err := assign(field, text); err != nil {
		r.problem(n, path, "%s", err.Error())
	}
}

func (r *reader) tokens(n ast.Node, path string, into *[]Token) {
	items, ok := n.(*ast.SequenceNode)
	if !ok {
		r.problem(n, path, "a list is wanted here, of {name, role, secret}")
		return
	}
	*into = nil
	if len(items.Values) > 0 {
		*into = make([]Token, len(items.Values))
	}
	for i, item := range items.Values {
		r.section(item, fmt.Sprintf("%s[%d]", path, i), reflect.ValueOf(&(*into)[i]).Elem())
	}
}

func (r *reader) properties(n ast.Node, path string, into *map[string]secure.Secret) {
	values, ok := mapping(n)
	if !ok {
		r.problem(n, path, "properties are wanted here, such as client.rack: eu-1a")
		return
	}
	if len(values) == 0 {
		return
	}
	*into = make(map[string]secure.Secret, len(values))
	for _, v := range values {
		key, ok := scalar(v.Key)
		if !ok || v.Key.IsMergeKey() {
			r.problem(v.Key, path, "a property's name must be a text")
			continue
		}
		if _, twice := (*into)[key]; twice {
			r.problem(v.Key, join(path, shown(key)), "it is given twice")
			continue
		}
		if text, ok := r.text(v.Value, join(path, shown(key))); ok {
			(*into)[key] = secure.Secret(text)
		}
	}
}

// text reads one value, with variables replaced.
func (r *reader) text(n ast.Node, path string) (string, bool) {
	text, ok := scalar(n)
	if !ok {
		switch n.(type) {
		case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
			r.problem(n, path, "anchors, aliases and tags are not read: write the value out")
		default:
			r.problem(n, path, "one value is wanted here")
		}
		return "", false
	}
	text, err := expand(text, r.getenv)
	if err != nil {
		r.problem(n, path, "%s", err.Error())
		return "", false
	}
	return text, true
}

// scalar returns the text of a value as it was written.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return strings.ToValidUTF8(n.Value, "\uFFFD"), true
	case *ast.LiteralNode:
		return strings.ToValidUTF8(n.Value.Value, "\uFFFD"), true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	case ast.MapKeyNode:
		if key, ok := n.(*ast.MappingKeyNode); ok {
			return scalar(key.Value)
		}
	}
	return "", false
}

func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func isNull(n ast.Node) bool { return n == nil || n.Type() == ast.NullType }

func orRoot(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// shown is a name from outside in a message.
func shown(name string) string {
	const maxShownBytes = 80
	if len(name) > maxShownBytes {
		name = strings.ToValidUTF8(name[:maxShownBytes], "") + "…"
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '\uFFFD'
		}
		return c
	}, name)
}
