package rollup

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"drumlin/segment"
)

const maxTransforms = 500

// Transforms is a transformSpec: expressions that make fields of a record, and a filter that chooses records. It is immutable.
//
// Expressions see the fields of the record alone, __time as the timestampSpec has read it among them; none sees another's
// result. A transform shadows the field of its name for everything behind it, but for the dedup key; one named __time
// replaces the time. The filter runs last, and sees transforms, the other fields, and the final __time.
type Transforms struct {
	names  []string
	evals  []evalFunc
	texts  []string // of the expressions
	fields []string // that are read from the record, by slot
	filter *Filter
	keeps  rowPredicate // nil: every record
}

// ParseTransforms reads a transformSpec. The error joins every problem, each with its path; warnings name what was accepted
// without effect.
func ParseTransforms(data []byte) (*Transforms, []string, error) {
	var p parser
	t := &Transforms{}
	o := p.object("transformSpec", data)
	if o != nil {
		p.fields("transformSpec", o, []string{"transforms", "filter"}, nil)
	}
	slots := &fieldSlots{}
	var list []json.RawMessage
	if p.value("transformSpec", o, "transforms", "a list of transforms", &list) && len(list) > maxTransforms {
		p.problem("transformSpec.transforms", "has %d entries; at most %d are allowed", len(list), maxTransforms)
		list = nil
	}
	seen := map[string]string{}
	for i, raw := range list {
		path := fmt.Sprintf("transformSpec.transforms[%d]", i)
		p.transform(path, raw, t, slots)
		name := t.names[len(t.names)-1]
		if before, twice := seen[strings.ToLower(name)]; twice && name != "" {
			p.problem(path+".name", "the transforms %q and %q have one name: SQL does not tell cases apart", before, name)
		}
		seen[strings.ToLower(name)] = name
	}
	if raw, ok := o["filter"]; ok && strings.TrimSpace(string(raw)) != "null" {
		t.filter = p.filter("transformSpec.filter", raw, 0)
	}
	if err := p.err(); err != nil {
		return nil, p.warnings, err
	}
	if t.filter != nil {
		var err error
		if t.keeps, err = compileRowFilter(t.filter, t.names, slots); err != nil {
			return nil, p.warnings, fmt.Errorf("transformSpec.filter: %w", err)
		}
	}
	t.fields = slots.names
	return t, p.warnings, nil
}

// transform reads one entry, and adds it whatever is wrong with it.
func (p *parser) transform(path string, raw []byte, t *Transforms, slots *fieldSlots) {
	var typ, name, text string
	t.names, t.evals, t.texts = append(t.names, ""), append(t.evals, nothing), append(t.texts, "")
	last := len(t.names) - 1
	o := p.object(path, raw)
	if o == nil {
		return
	}
	p.fields(path, o, []string{"type", "name", "expression"}, nil)
	if p.value(path, o, "type", "a string", &typ); typ != "expression" {
		p.problem(path+".type", "%q is not supported: use expression", typ)
	}
	p.value(path, o, "name", "a string", &name)
	if reason := badMetricName(name); reason != "" && name != segment.TimeColumn {
		p.problem(path+".name", "%s", reason)
	}
	t.names[last] = name
	if !p.value(path, o, "expression", "a string", &text) {
		if _, given := o["expression"]; !given {
			p.problem(path+".expression", "is missing")
		}
		return
	}
	if len(text) > 0 && !utf8.ValidString(text) {
		p.problem(path+".expression", "is not UTF-8")
		return
	}
	root, err := parseExpression(text, slots)
	if err != nil {
		p.problem(path+".expression", "%s", err)
		return
	}
	t.evals[last], t.texts[last] = root.eval, text
}

// Names returns the names of the transforms, in their order.
func (t *Transforms) Names() []string { return slices.Clone(t.names) }

// Fields returns the fields of the record that expressions and filter read, each once, by their number in a Transformer.
// __time among them is the time that the timestampSpec has read.
func (t *Transforms) Fields() []string { return slices.Clone(t.fields) }

// TimeFields returns the fields that the transform named __time reads; ok is false where there is none.
func (t *Transforms) TimeFields() (fields []string, ok bool) {
	i := slices.Index(t.names, segment.TimeColumn)
	if i < 0 {
		return nil, false
	}
	e, err := ParseExpression(t.texts[i])
	if err != nil {
		return nil, true // it has been read before
	}
	return e.Fields(), true
}

// Filter returns the filter, nil: every record is kept.
func (t *Transforms) Filter() *Filter { return t.filter }

// CheckTypes checks the filter against the columns whose type is known: it refuses to compare the texts of numbers. The error
// joins every problem.
func (t *Transforms) CheckTypes(columns []segment.Column) error {
	if t.filter == nil {
		return nil
	}
	types := map[string]segment.ColumnType{segment.TimeColumn: segment.TypeTime}
	for _, c := range columns {
		types[c.Name] = c.Type
	}
	problems := map[string]error{}
	t.filter.eachLeaf(func(f *Filter) {
		switch types[f.Column] {
		case segment.TypeTime, segment.TypeLong, segment.TypeDouble, segment.TypeFloat:
			if err := f.needNumeric(); err != nil {
				problems[f.Column] = fmt.Errorf("transformSpec.filter: %w", err)
			}
		}
	})
	var out []error
	for _, column := range slices.Sorted(maps.Keys(problems)) {
		out = append(out, problems[column])
	}
	return errors.Join(out...)
}

// Transformer evaluates transforms over one record after another. It serves one goroutine.
type Transformer struct {
	t      *Transforms
	env    exprEnv
	load   func(field int) (Scalar, error)
	fields []memo
	values []memo
	record uint64
	millis int64 // the final __time, while the filter runs
}

// memo is a value of the record whose number it carries.
type memo struct {
	record uint64
	value  Scalar
	err    error
}

// NewTransformer returns a Transformer that asks load for a field of the record at hand, by its number in Fields, at most once
// a record. load's errors are the record's: it has no row then.
func (t *Transforms) NewTransformer(load func(field int) (Scalar, error)) *Transformer {
	r := &Transformer{t: t, load: load, fields: make([]memo, len(t.fields)), values: make([]memo, len(t.names))}
	r.env.load = r.field
	return r
}

// Begin turns to the next record. The texts of the one before are no longer valid.
func (r *Transformer) Begin() {
	r.record++
	r.env.reset()
}

func (r *Transformer) field(i int) (Scalar, error) {
	m := &r.fields[i]
	if m.record != r.record {
		v, err := r.load(i)
		*m = memo{record: r.record, value: v, err: err}
	}
	return m.value, m.err
}

// Value returns the value of transform i. It is evaluated when it is asked for, and once.
func (r *Transformer) Value(i int) (Scalar, error) {
	m := &r.values[i]
	if m.record != r.record {
		r.env.err = nil
		v := r.t.evals[i](&r.env)
		*m = memo{record: r.record, value: v, err: r.env.err}
		if m.err != nil {
			m.err = fmt.Errorf("transform %q: %w", r.t.names[i], m.err)
		}
	}
	return m.value, m.err
}

// Keeps says whether the filter keeps the record, whose final __time is given.
func (r *Transformer) Keeps(millis int64) (bool, error) {
	if r.t.keeps == nil {
		return true, nil
	}
	r.millis, r.env.err = millis, nil
	kept := r.t.keeps(r)
	if r.env.err != nil {
		return false, r.env.err
	}
	return kept == isTrue, nil
}
