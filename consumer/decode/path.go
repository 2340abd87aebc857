package decode

import (
	"sort"

	"drumlin/spec"
)

// at returns the node that the steps lead to, made if need be.
func (n *node) at(steps []spec.PathStep) *node {
	for _, step := range steps {
		if step.IsIndex {
			n = n.element(step.Index)
			continue
		}
		if n.keys == nil {
			n.keys = newKeyTable()
		}
		n = n.keys.child(step.Name)
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
