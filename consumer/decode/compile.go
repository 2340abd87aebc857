package decode

import (
	"fmt"

	"drumlin/spec"
)

// field is where one field of the flattened record is found: the first of the two captures that is not missing.
type field struct {
	slot      int // in the value
	kafkaSlot int // in the rest of the Kafka record
}

// compiler turns the names that a spec reads into the places where a record has them.
type compiler struct {
	flatten *spec.FlattenSpec
	listed  map[string]spec.FlattenField
	root    *node
	kafka   *kafkaColumns // nil: the value is all there is
	slots   int           // captures given out, noSlot included
	fields  map[string]field
}

func newCompiler(input *spec.InputFormat) (*compiler, error) {
	c := &compiler{
		flatten: &input.Value, listed: map[string]spec.FlattenField{}, fields: map[string]field{},
		root: newRoot(), slots: noSlot + 1,
	}
	for _, f := range input.Value.Fields {
		if _, twice := c.listed[f.Name]; twice {
			return nil, fmt.Errorf("flattenSpec lists the field %q twice: name each field once", f.Name)
		}
		if _, err := fieldSteps(f); err != nil {
			return nil, err
		}
		c.listed[f.Name] = f
	}
	var err error
	if input.Kafka != nil {
		c.kafka, err = newKafkaColumns(input.Kafka)
	}
	return c, err
}

// newRoot makes the place of a whole value. It has a key table in any case, so that repeated keys are found.
func newRoot() *node { return &node{keys: newKeyTable()} }

// field returns where the named field is found.
func (c *compiler) field(name string) (field, error) {
	if f, ok := c.fields[name]; ok {
		return f, nil
	}
	var f field
	listed, isListed := c.listed[name]
	if !isListed && c.flatten.Discovery {
		listed, isListed = spec.FlattenField{Type: "root", Name: name, Expr: name}, true
	}
	if isListed {
		steps, err := fieldSteps(listed)
		if err != nil {
			return f, err
		}
		n := c.root.at(steps)
		if n.slot == noSlot {
			n.slot = c.newSlot()
		}
		f.slot = n.slot
	}
	if c.kafka != nil && c.kafka.has(name) {
		f.kafkaSlot = c.newSlot()
		c.kafka.want(name, f.kafkaSlot)
	}
	c.fields[name] = f
	return f, nil
}

func (c *compiler) newSlot() int {
	c.slots++
	return c.slots - 1
}

// fieldSteps returns the way to a listed field.
func fieldSteps(f spec.FlattenField) ([]spec.PathStep, error) {
	switch f.Type {
	case "root":
		key := f.Expr
		if key == "" {
			key = f.Name
		}
		return []spec.PathStep{{Name: key}}, nil
	case "path":
		steps, err := spec.ParsePath(f.Expr)
		if err != nil {
			return nil, fmt.Errorf("flattenSpec field %q: %w", f.Name, err)
		}
		return steps, nil
	default:
		return nil, fmt.Errorf("flattenSpec field %q has type %q: use root or path", f.Name, f.Type)
	}
}
