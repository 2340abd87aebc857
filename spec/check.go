package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"drumlin/internal/nearest"
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
	path := joinPath(o.shown, key)
	if o.b.flat {
		path = strings.TrimPrefix(path, "spec.")
	}
	return path
}

func (o object) child(key string) object {
	child := o.node.get(key)
	if child != nil && child.kind != kindMap {
		child = nil
	}
	return object{o.b, child, joinPath(o.table, key), joinPath(o.shown, key)}
}

// check reports unknown and refused fields, those without effect, and values of the wrong form, at every depth.
func (b *builder) check(o object) {
	fields := b.children[o.table]
	for _, e := range o.node.entries {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Path == joinPath(o.table, e.key) })
		path := o.shownPath(e.key)
		switch {
		case i < 0:
			b.problem(path, "unknown field"+b.hint(e.key, fields))
		case e.value.kind == kindNull:
		case fields[i].Class == Refused:
			if !e.value.saysNothing() {
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
		return didYouMean(name)
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
func (b *builder) checkValue(o object, e entry, f Field) {
	path, n := o.shownPath(e.key), e.value
	switch f.Kind {
	case KindObject:
		if n.kind != kindMap {
			b.problem(path, fmt.Sprintf("must be an object, not %s", n.kind))
			return
		}
		b.check(o.child(e.key))
	case KindList, KindTexts:
		b.checkList(o, e, f)
	case KindForeign, KindForeignList:
		b.checkForeign(path, n, f.Kind)
	case KindTextMap:
		if n.kind != kindMap {
			b.problem(path, fmt.Sprintf("must be an object, not %s", n.kind))
		}
	case KindBool:
		if n.kind == kindString && (n.text == "true" || n.text == "false") {
			n.kind = kindBool
		}
		if n.kind != kindBool {
			b.problem(path, "must be true or false")
		}
	case KindWhole:
		b.checkWhole(path, n)
	case KindChunk:
		if n.kind != kindString && n.kind != kindMap {
			b.problem(path, fmt.Sprintf("must be the name of a granularity, not %s", n.kind))
		}
	default:
		b.checkText(path, n)
	}
}

// checkForeign checks the form of what others read, and that it can be kept as JSON.
func (b *builder) checkForeign(path string, n *node, kind Kind) {
	if kind == KindForeign {
		if n.kind != kindMap {
			b.problem(path, fmt.Sprintf("must be an object, not %s", n.kind))
			return
		}
		b.checkJSON(path, n)
		return
	}
	if n.kind != kindList {
		b.problem(path, fmt.Sprintf("must be a list of objects, not %s", n.kind))
		return
	}
	for i, item := range n.list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.kind != kindMap {
			b.problem(at, fmt.Sprintf("must be an object, not %s", item.kind))
			continue
		}
		b.checkJSON(at, item)
	}
}

// checkJSON refuses numbers that YAML knows and JSON does not.
func (b *builder) checkJSON(path string, n *node) {
	if n.kind == kindNumber && !json.Valid([]byte(n.text)) {
		b.problem(path, shown(n.text)+" must be a number in decimal digits")
	}
	for i, item := range n.list {
		b.checkJSON(fmt.Sprintf("%s[%d]", path, i), item)
	}
	for _, e := range n.entries {
		b.checkJSON(joinPath(path, e.key), e.value)
	}
}

// checkText makes a text of a scalar, as it was written.
func (b *builder) checkText(path string, n *node) bool {
	switch n.kind {
	case kindString, kindNumber, kindBool:
		n.kind = kindString
		return true
	default:
		b.problem(path, fmt.Sprintf("must be a text, not %s", n.kind))
		return false
	}
}

func (b *builder) checkWhole(path string, n *node) {
	digits := strings.TrimPrefix(n.text, "-")
	plain := digits != "" && strings.Trim(digits, "0123456789") == "" && (len(digits) == 1 || digits[0] != '0') &&
		n.text != "-0"
	if (n.kind != kindNumber && n.kind != kindString) || !plain {
		b.problem(path, "must be a whole number in decimal digits")
		n.kind, n.text = kindNull, ""
		return
	}
	n.kind = kindNumber
}

func (b *builder) checkList(o object, e entry, f Field) {
	if e.value.kind != kindList {
		b.problem(o.shownPath(e.key), fmt.Sprintf("must be a list, not %s", e.value.kind))
		return
	}
	for i, item := range e.value.list {
		at := fmt.Sprintf("%s[%d]", e.key, i)
		if f.Kind == KindTexts || item.kind != kindMap {
			b.checkText(o.shownPath(at), item)
			continue
		}
		b.check(object{b, item, f.Path + "[]", joinPath(o.shown, at)})
	}
}

// items returns the objects of a list. A bare text stands for an object that has only a name.
func (o object) items(key string) []object {
	list := o.node.get(key)
	if list == nil {
		return nil
	}
	var out []object
	for i, item := range list.list {
		if item.kind == kindString {
			item = &node{kind: kindMap, entries: []entry{{"name", item}}}
		}
		if item.kind == kindMap {
			out = append(out, object{o.b, item, joinPath(o.table, key) + "[]", joinPath(o.shown, fmt.Sprintf("%s[%d]", key, i))})
		}
	}
	return out
}
