package spec

import (
	"fmt"
	"slices"

	"drumlin/internal/strictyaml"
)

// Parse reads a supervisor spec in YAML or JSON. The error is of type Problems and names everything that is wrong.
// Warnings name what was accepted without effect.
func Parse(data []byte) (s *Supervisor, warnings []string, err error) {
	root, problems := readTree(data)
	if root == nil {
		return nil, nil, problems
	}
	if root.Kind != strictyaml.Map {
		return nil, nil, Problems{{Message: fmt.Sprintf("a spec is an object with type and spec, not %s", root.Kind)}}
	}
	if problem, ok := notASupervisor(root); ok {
		return nil, nil, append(problems, problem)
	}
	flat, nestProblems := nest(root)
	b := newBuilder(Fields(), flat)
	b.problems = append(problems, nestProblems...)
	o := object{b: b, node: root}
	b.check(o)
	out := b.supervisor(o)
	if len(b.problems) > 0 {
		return nil, b.warnings, b.problems
	}
	if out.Canonical, err = finish(root); err != nil {
		return nil, b.warnings, err
	}
	return out, b.warnings, nil
}

// notASupervisor tells what is submitted elsewhere, so that its fields are not all called unknown.
func notASupervisor(root *node) (Problem, bool) {
	n := root.Get("type")
	switch {
	case n == nil:
	case slices.Contains(taskTypes(), n.Text):
		return Problem{"type", n.Text + " is a task, not a supervisor: submit it as one"}, true
	case n.Text == "autocompact":
		return Problem{"type", "auto-compaction is no supervisor here: submit its spec as a datasource's auto-compaction config"}, true
	}
	return Problem{}, false
}

// finish writes a checked tree as canonical JSON.
func finish(root *node) ([]byte, error) {
	canonical := canonicalJSON(root, false)
	// Aliases written out, escapes and the nested form can make the canonical text exceed a limit that the user's met.
	if _, problems := readTree(canonical); len(problems) > 0 {
		return nil, Problems{{Message: "the spec, written out as JSON, is too large: " + problems[0].String()}}
	}
	return canonical, nil
}

func specParts() []string { return []string{"dataSchema", "ioConfig", "tuningConfig"} }

// nest brings Druid's older form, where dataSchema stands beside type, to the form with spec.
func nest(root *node) (flat bool, problems Problems) {
	isPart := func(e strictyaml.Entry) bool { return slices.Contains(specParts(), e.Key) }
	if !slices.ContainsFunc(root.Entries, isPart) {
		return false, nil
	}
	if root.Get("spec") != nil {
		for _, e := range root.Entries {
			if isPart(e) {
				problems = append(problems, Problem{e.Key, "given beside spec: it belongs into spec"})
			}
		}
		root.Entries = slices.DeleteFunc(root.Entries, isPart)
		return false, problems
	}
	inner := &node{Kind: strictyaml.Map}
	for _, e := range root.Entries {
		if isPart(e) {
			inner.Entries = append(inner.Entries, e)
		}
	}
	root.Entries = slices.DeleteFunc(root.Entries, func(e strictyaml.Entry) bool { return isPart(e) || e.Key == "spec" })
	root.Entries = append(root.Entries, strictyaml.Entry{Key: "spec", Value: inner})
	return true, nil
}

func (b *builder) supervisor(o object) *Supervisor {
	o.oneOf("type", "kafka")
	inner := o.child("spec")
	if !o.given("spec") {
		o.problem("spec", "is missing: it holds dataSchema, ioConfig and tuningConfig")
		return nil
	}
	s := &Supervisor{Suspended: o.boolean("suspended")}
	for _, key := range []string{"dataSchema", "ioConfig"} {
		if !inner.given(key) {
			inner.problem(key, "is missing")
		}
	}
	if inner.given("ioConfig") {
		s.IO = b.ioConfig(inner.child("ioConfig"))
	}
	s.Tuning = b.tuningConfig(inner.child("tuningConfig"))
	if inner.given("dataSchema") {
		s.DataSchema = b.dataSchema(inner.child("dataSchema"), s.IO.Input.Kafka)
	}
	s.ID = s.DataSchema.DataSource
	if o.given("id") {
		s.ID = o.text("id")
		if reason := badName(s.ID); reason != "" {
			o.problem("id", "%s", reason)
		}
	}
	age := inner.child("ioConfig").period("taskDuration")
	if s.Tuning.IntermediateHandoffMillis == 0 || age != 0 && age < s.Tuning.IntermediateHandoffMillis {
		s.Tuning.IntermediateHandoffMillis = age
	}
	return s
}

const maxNameBytes = 128

// badName says what is wrong with the name of a datasource or a supervisor: names stand in object names and paths.
func badName(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case len(name) > maxNameBytes:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(name), maxNameBytes)
	case name[0] == '.' || name[0] == '-':
		return fmt.Sprintf("%s must begin with a letter, a digit or an underscore", shown(name))
	}
	for _, c := range name {
		if !nameCharacter(c) {
			return fmt.Sprintf("%s may hold letters a–z and A–Z, digits, _, - and . only", shown(name))
		}
	}
	return ""
}

func nameCharacter(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}
