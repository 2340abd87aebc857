package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"drumlin/internal/secure"
	"drumlin/internal/strictyaml"
)

// options bound a text, which is written by people who run the process: a limit met is a mistake.
func options() strictyaml.Options {
	return strictyaml.Options{MaxBytes: 256 << 10, MaxDepth: 32, MaxValues: 50_000}
}

// Parse reads a configuration over the defaults. The error is Problems: all that cannot be read. Whether the values make
// sense is for Validate to say, once further fields have been set. getenv looks up variables, as os.Getenv does.
func Parse(data []byte, getenv func(string) string) (Server, error) {
	server := Default()
	doc := strictyaml.Read(data, options())
	r := &reader{getenv: getenv}
	for _, p := range doc.Problems {
		if p.Line > 0 {
			p.Path = orRoot(p.Path)
		}
		r.problems = append(r.problems, Problem(p))
	}
	if doc.Root != nil {
		r.section(doc.Root, "", reflect.ValueOf(&server).Elem())
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return server, r.problems.asError()
}

type reader struct {
	getenv   func(string) string
	problems Problems
}

func (r *reader) problem(line int, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{Path: path, Line: line, Message: fmt.Sprintf(format, args...)})
}

// section reads a mapping into a struct. Nothing in place of the mapping leaves the defaults.
func (r *reader) section(n *strictyaml.Node, path string, into reflect.Value) {
	switch n.Kind {
	case strictyaml.Unread: // reported
		return
	case strictyaml.Map:
	default:
		r.problem(n.Line, orRoot(path), "fields are wanted here, such as %s", slots(into)[0].name+": …")
		return
	}
	known := make(map[string]slot)
	var names []string
	for _, s := range slots(into) {
		known[s.name] = s
		names = append(names, s.name)
	}
	for _, e := range n.Entries {
		s, ok := known[e.Key]
		at := strictyaml.Join(path, e.Key)
		switch {
		case !ok:
			r.problem(e.Line, at, "there is no such field%s", suggest(path, e.Key, names))
		case e.Value.Kind == strictyaml.Null:
		case s.section.IsValid():
			r.section(e.Value, at, s.section)
		default:
			r.field(e.Value, at, s.field)
		}
	}
}

// field reads a value that is not a section.
func (r *reader) field(n *strictyaml.Node, path string, field any) {
	switch field := field.(type) {
	case *[]Token:
		r.tokens(n, path, field)
		return
	case *map[string]secure.Secret:
		r.properties(n, path, field)
		return
	case *[]string:
		if n.Kind == strictyaml.List {
			*field = nil
			for i, item := range n.List {
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
		r.problem(n.Line, path, "%s", err.Error())
	}
}

func (r *reader) tokens(n *strictyaml.Node, path string, into *[]Token) {
	switch n.Kind {
	case strictyaml.Unread: // reported
		return
	case strictyaml.List:
	default:
		r.problem(n.Line, path, "a list is wanted here, of {name, role, secret}")
		return
	}
	*into = nil
	if len(n.List) > 0 {
		*into = make([]Token, len(n.List))
	}
	for i, item := range n.List {
		r.section(item, fmt.Sprintf("%s[%d]", path, i), reflect.ValueOf(&(*into)[i]).Elem())
	}
}

func (r *reader) properties(n *strictyaml.Node, path string, into *map[string]secure.Secret) {
	switch n.Kind {
	case strictyaml.Unread: // reported
		return
	case strictyaml.Map:
	default:
		r.problem(n.Line, path, "properties are wanted here, such as client.rack: eu-1a")
		return
	}
	if len(n.Entries) == 0 {
		return
	}
	*into = make(map[string]secure.Secret, len(n.Entries))
	for _, e := range n.Entries {
		if text, ok := r.text(e.Value, strictyaml.Join(path, e.Key)); ok {
			(*into)[e.Key] = secure.Secret(text)
		}
	}
}

// text reads one value, with variables replaced.
func (r *reader) text(n *strictyaml.Node, path string) (string, bool) {
	switch n.Kind {
	case strictyaml.String, strictyaml.Bool, strictyaml.Number:
	case strictyaml.Unread: // reported
		return "", false
	default:
		r.problem(n.Line, path, "one value is wanted here")
		return "", false
	}
	text, err := expand(n.Text, r.getenv)
	if err != nil {
		r.problem(n.Line, path, "%s", err.Error())
		return "", false
	}
	return text, true
}

func orRoot(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
