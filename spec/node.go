package spec

import (
	"slices"

	"drumlin/internal/strictyaml"
)

// node is one value of the text, the same for YAML and JSON.
type node = strictyaml.Node

// options bound what is read, so that no text can use up memory or the stack.
func options() strictyaml.Options {
	return strictyaml.Options{MaxBytes: maxSpecBytes, MaxDepth: maxDepth, MaxValues: 50_000, Aliases: true}
}

const (
	maxSpecBytes = 128 << 10
	maxDepth     = 64
)

// readTree reads YAML or JSON. Without a root, the text cannot be looked at further.
func readTree(data []byte) (*node, Problems) {
	doc := strictyaml.Read(data, options())
	var problems Problems
	for _, p := range doc.Problems {
		problems = append(problems, Problem{p.Path, p.Message})
	}
	switch {
	case !doc.Whole:
		return nil, problems
	case doc.Root == nil:
		return nil, Problems{{Message: "the text is empty"}}
	}
	return doc.Root, problems
}

// saysNothing tells null, false, and lists and objects that hold nothing else. A refused field may stand in a spec
// like that: it asks for nothing.
func saysNothing(n *node) bool {
	switch n.Kind {
	case strictyaml.Null:
		return true
	case strictyaml.Bool:
		return !n.True()
	case strictyaml.List:
		return len(n.List) == 0
	case strictyaml.Map:
		return !slices.ContainsFunc(n.Entries, func(e strictyaml.Entry) bool { return !saysNothing(e.Value) })
	default:
		return false
	}
}
