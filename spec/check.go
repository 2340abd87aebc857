package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"drumlin/internal/nearest"
	"drumlin/internal/strictyaml"
)

// builder checks a tree against a vocabulary and turns it into what it means, noting every problem it meets.
type builder struct {
	vocabulary []Field
	children   map[string][]Field // by the path of the object they belong to, "" for the root
	flat       bool               // dataSchema and so on stand beside type: paths are shown without "spec."
	problems   Problems
	warnings   []string
}

func newBuilder(vocabulary []Field, flat bool) *builder {
	b := &builder{vocabulary: vocabulary, children: map[string][]Field{}, flat: flat}
	for _, f := range vocabulary {
		parent := ""
		if i := strings.LastIndexByte(f.Path, '.'); i >= 0 {
			parent = f.Path[:i]
		}
		b.children[parent] = append(b.children[parent], f)
	}
	return b
}

func (b *builder) problem(path, message string) {
	b.problems = append(b.problems, Problem{Path: path, Message: message})
}

func (b *builder) warn(path, why string) {
	b.warnings = append(b.warnings, path+": accepted without effect: "+why)
}

// object is one object of the tree, with the path of its fields in the vocabulary (table) and in the text (shown).
// A nil node is an object without fields.
type object struct {
	b            *builder
	node         *node
	table, shown string
}

func (o object) shownPath(key string) string {
	path := strictyaml.Join(o.shown, key)
	if o.b.flat {
		path = strings.TrimPrefix(path, "spec.")
	}
	return path
}

func (o object) child(key string) object {
	child := o.node.Get(key)
	if child != nil && child.Kind != strictyaml.Map {
		child = nil
	}
	return object{o.b, child, strictyaml.Join(o.table, key), strictyaml.Join(o.shown, key)}
}

// check reports unknown and refused fields, those without effect, and values of the wrong form, at every depth.
func (b *builder) check(o object) {
	fields := b.children[o.table]
	for _, e := range o.node.Entries {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Path == strictyaml.Join(o.table, e.Key) })
		path := o.shownPath(e.Key)
		switch {
		case i < 0:
			b.problem(path, "unknown field"+b.hint(e.Key, fields))
		case e.Value.Kind == strictyaml.Null:
		case fields[i].Class == Refused:
			if !saysNothing(e.Value) {
				b.problem(path, "refused: "+fields[i].Note)
			}
		case fields[i].Class == Ignored:
			b.warn(path, fields[i].Note)
		default:
			b.checkValue(o, e, fields[i])
		}
	}
}

// hint names the field that was probably meant, or the place where a field of this name belongs.
func (b *builder) hint(key string, fields []Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = lastName(f.Path)
	}
	if b.flat {
		names = append(names, specParts()...)
	}
	if name := nearest.Name(key, names); name != "" {
		return nearest.Question(name)
	}
	for _, f := range b.vocabulary {
		if lastName(f.Path) == key && f.Class != Refused {
			if parent := strings.TrimSuffix(f.Path, "."+key); parent != f.Path {
				return "; it belongs to " + parent
			}
		}
	}
	return ""
}

func lastName(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// checkValue checks a used field's form, brings scalars to it, and goes into objects.
func (b *builder) checkValue(o object, e strictyaml.Entry, f Field) {
	path, n := o.shownPath(e.Key), e.Value
	switch f.Kind {
	case KindObject:
		if n.Kind != strictyaml.Map {
			b.problem(path, fmt.Sprintf("must be an object, not %s", n.Kind))
			return
		}
		b.check(o.child(e.Key))
	case KindList, KindTexts:
		b.checkList(o, e, f)
	case KindForeign, KindForeignList:
		b.checkForeign(path, n, f.Kind)
	case KindTextMap:
		if n.Kind != strictyaml.Map {
			b.problem(path, fmt.Sprintf("must be an object, not %s", n.Kind))
		}
	case KindBool:
		if n.Kind == strictyaml.String && (n.Text == "true" || n.Text == "false") {
			n.Kind = strictyaml.Bool
		}
		if n.Kind != strictyaml.Bool {
			b.problem(path, "must be true or false")
			break
		}
		n.Text = strconv.FormatBool(n.True())
	case KindWhole:
		b.checkWhole(path, n)
	case KindChunk:
		if n.Kind != strictyaml.String && n.Kind != strictyaml.Map {
			b.problem(path, fmt.Sprintf("must be the name of a granularity, not %s", n.Kind))
		}
	default:
		b.checkText(path, n)
	}
}

// checkForeign checks the form of what others read, and that it can be kept as JSON.
func (b *builder) checkForeign(path string, n *node, kind Kind) {
	if kind == KindForeign {
		if n.Kind != strictyaml.Map {
			b.problem(path, fmt.Sprintf("must be an object, not %s", n.Kind))
			return
		}
		b.checkJSON(path, n)
		return
	}
	if n.Kind != strictyaml.List {
		b.problem(path, fmt.Sprintf("must be a list of objects, not %s", n.Kind))
		return
	}
	for i, item := range n.List {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.Kind != strictyaml.Map {
			b.problem(at, fmt.Sprintf("must be an object, not %s", item.Kind))
			continue
		}
		b.checkJSON(at, item)
	}
}

// checkJSON refuses numbers that YAML knows and JSON does not.
func (b *builder) checkJSON(path string, n *node) {
	if n.Kind == strictyaml.Number && !json.Valid([]byte(n.Text)) {
		b.problem(path, shown(n.Text)+" must be a number in decimal digits")
	}
	for i, item := range n.List {
		b.checkJSON(fmt.Sprintf("%s[%d]", path, i), item)
	}
	for _, e := range n.Entries {
		b.checkJSON(strictyaml.Join(path, e.Key), e.Value)
	}
}

// checkText makes a text of a scalar, as it was written.
func (b *builder) checkText(path string, n *node) bool {
	switch n.Kind {
	case strictyaml.String, strictyaml.Number, strictyaml.Bool:
		n.Kind = strictyaml.String
		return true
	default:
		b.problem(path, fmt.Sprintf("must be a text, not %s", n.Kind))
		return false
	}
}

func (b *builder) checkWhole(path string, n *node) {
	digits := strings.TrimPrefix(n.Text, "-")
	plain := digits != "" && strings.Trim(digits, "0123456789") == "" && (len(digits) == 1 || digits[0] != '0') &&
		n.Text != "-0"
	if (n.Kind != strictyaml.Number && n.Kind != strictyaml.String) || !plain {
		b.problem(path, "must be a whole number in decimal digits")
		n.Kind, n.Text = strictyaml.Null, ""
		return
	}
	n.Kind = strictyaml.Number
}

func (b *builder) checkList(o object, e strictyaml.Entry, f Field) {
	if e.Value.Kind != strictyaml.List {
		b.problem(o.shownPath(e.Key), fmt.Sprintf("must be a list, not %s", e.Value.Kind))
		return
	}
	for i, item := range e.Value.List {
		at := fmt.Sprintf("%s[%d]", e.Key, i)
		if f.Kind == KindTexts || item.Kind != strictyaml.Map {
			b.checkText(o.shownPath(at), item)
			continue
		}
		b.check(object{b, item, f.Path + "[]", strictyaml.Join(o.shown, at)})
	}
}

// items returns the objects of a list. A bare text stands for an object that has only a name.
func (o object) items(key string) []object {
	list := o.node.Get(key)
	if list == nil {
		return nil
	}
	var out []object
	for i, item := range list.List {
		if item.Kind == strictyaml.String {
			item = &node{Kind: strictyaml.Map, Entries: []strictyaml.Entry{{Key: "name", Value: item}}}
		}
		if item.Kind == strictyaml.Map {
			out = append(out, object{o.b, item, strictyaml.Join(o.table, key) + "[]", strictyaml.Join(o.shown, fmt.Sprintf("%s[%d]", key, i))})
		}
	}
	return out
}
