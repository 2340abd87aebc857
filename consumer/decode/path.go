package decode

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// maxPathIndex bounds the array indexes of paths.
const maxPathIndex = 1 << 30

// pathStep is one step of a path: a key, or an index where key is empty and isIndex is set.
type pathStep struct {
	key     string
	index   int
	isIndex bool
}

// parsePath reads the subset of JSONPath that flattening knows: $, .name, ['name'], [index].
func parsePath(expr string) ([]pathStep, error) {
	rest, found := strings.CutPrefix(expr, "$")
	if !found {
		return nil, fmt.Errorf("path %q: begin it with $, as in $.a.b, $['a b'] or $.a[0]", expr)
	}
	var steps []pathStep
	for rest != "" {
		step, after, err := parsePathStep(rest)
		if err != nil {
			return nil, fmt.Errorf("path %q, at %q: %w", expr, rest, err)
		}
		steps = append(steps, step)
		rest = after
	}
	return steps, nil
}

func parsePathStep(rest string) (step pathStep, after string, err error) {
	switch {
	case rest[0] == '.':
		end := strings.IndexAny(rest[1:], ".[")
		if end < 0 {
			end = len(rest) - 1
		}
		step.key = rest[1 : 1+end]
		if step.key == "" || strings.ContainsAny(step.key, "*?@()'\"]") {
			return step, "", fmt.Errorf("expected a name behind the dot; write unusual names as ['name'], and note that " +
				"wildcards, filters and functions are not supported")
		}
		return step, rest[1+end:], nil
	case strings.HasPrefix(rest, "['"), strings.HasPrefix(rest, `["`):
		return parseQuotedStep(rest)
	case rest[0] == '[':
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return step, "", fmt.Errorf("the bracket is not closed")
		}
		step.isIndex = true
		step.index, err = strconv.Atoi(rest[1:end])
		if err != nil || step.index < 0 || step.index > maxPathIndex || rest[1] == '+' {
			return step, "", fmt.Errorf("expected ['name'] or an index from 0 on; wildcards, slices, filters and indexes from " +
				"the end are not supported")
		}
		return step, rest[end+1:], nil
	default:
		return step, "", fmt.Errorf("expected .name, ['name'] or [index]")
	}
}

// parseQuotedStep reads ['name'] or ["name"], in which a backslash takes the next character as it is.
func parseQuotedStep(rest string) (step pathStep, after string, err error) {
	quote := rest[1]
	var name strings.Builder
	for i := 2; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && i+1 < len(rest):
			i++
			name.WriteByte(rest[i])
		case rest[i] == quote:
			if i+1 == len(rest) || rest[i+1] != ']' {
				return step, "", fmt.Errorf("expected ] behind the name; several names in one bracket are not supported")
			}
			return pathStep{key: name.String()}, rest[i+2:], nil
		default:
			name.WriteByte(rest[i])
		}
	}
	return step, "", fmt.Errorf("the quote is not closed")
}

// at returns the node that the steps lead to, made if need be.
func (n *node) at(steps []pathStep) *node {
	for _, step := range steps {
		if step.isIndex {
			n = n.element(step.index)
			continue
		}
		if n.keys == nil {
			n.keys = newKeyTable()
		}
		n = n.keys.child(step.key)
	}
	return n
}

func (n *node) element(index int) *node {
	i := sort.Search(len(n.elems), func(i int) bool { return n.elems[i].index >= index })
	if i == len(n.elems) || n.elems[i].index != index {
		n.elems = append(n.elems, elemChild{})
		copy(n.elems[i+1:], n.elems[i:])
		n.elems[i] = elemChild{index: index, node: &node{}}
	}
	return n.elems[i].node
}
