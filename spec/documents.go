package spec

import (
	"encoding/json"

	"drumlin/internal/strictyaml"
)

// Documents are the parts of a spec, a task or an auto-compaction config that are read by those who give them their meaning:
// as JSON, nil where they are absent or of another kind.
type Documents struct {
	Metrics    json.RawMessage // metricsSpec
	Transforms json.RawMessage // transformSpec
	Filter     json.RawMessage // transformSpec.filter
}

// DocumentsOf finds the documents in a text that is refused for its form, so that what is wrong inside them can be told in the
// same answer. Of a text that cannot be read at all there are none.
func DocumentsOf(data []byte) Documents {
	root, _ := readTree(data)
	if root == nil || root.Kind != strictyaml.Map {
		return Documents{}
	}
	nest(root)
	o := object{node: root}
	if supervisor := root.Get("spec"); supervisor != nil {
		o = object{node: supervisor.Get("dataSchema"), table: "spec.dataSchema"}
	}
	transform := object{node: o.node.Get("transformSpec"), table: strictyaml.Join(o.table, "transformSpec")}
	return Documents{
		Metrics:    o.document("metricsSpec", strictyaml.List),
		Transforms: o.document("transformSpec", strictyaml.Map),
		Filter:     transform.document("filter", strictyaml.Map),
	}
}

func (o object) document(key string, kind strictyaml.Kind) json.RawMessage {
	if n := o.node.Get(key); n == nil || n.Kind != kind {
		return nil
	}
	return o.json(key)
}
