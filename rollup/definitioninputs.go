package rollup

import (
	"slices"
	"strings"

	"drumlin/segment"
)

// Inputs gives the columns beyond the dimensions that raw rows must hold for the metrics, in the order of their first use
// and without ids. A column has the type that its readers ask for: the metric's, where it aggregates numbers; double where
// both long and double are read; text where nobody reads numbers. __time is always there.
func Inputs(metrics []Metric, dimensions []segment.Column) ([]segment.Column, error) {
	in := inputs{dimensions: dimensions}
	var p parser
	for _, m := range metrics {
		typ := m.Type
		switch {
		case m.Kind == KindDistinct:
			typ = segment.TypeString
		case typ == segment.TypeFloat:
			typ = segment.TypeDouble
		}
		for _, field := range m.Fields {
			in.need(&p, m.Name, field, typ)
		}
		if m.TimeColumn != "" {
			in.need(&p, m.Name, m.TimeColumn, segment.TypeLong)
		}
		if m.Filter != nil {
			for _, field := range m.Filter.Columns() {
				in.need(&p, m.Name, field, segment.TypeString)
			}
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return in.columns, nil
}

type inputs struct {
	dimensions []segment.Column
	columns    []segment.Column
}

// need notes that a metric reads a column as values of a type.
func (in *inputs) need(p *parser, metric, name string, typ segment.ColumnType) {
	if name == segment.TimeColumn {
		return
	}
	if strings.HasPrefix(name, "__") {
		p.problem("metric "+metric, "cannot read the hidden column %q", name)
		return
	}
	isDimension := func(c segment.Column) bool { return c.Name == name }
	if slices.ContainsFunc(in.dimensions, isDimension) {
		return
	}
	for _, list := range [][]segment.Column{in.dimensions, in.columns} {
		for _, c := range list {
			if c.Name != name && strings.EqualFold(c.Name, name) {
				p.problem("metric "+metric, "reads %q beside the column %q: SQL does not tell cases apart", name, c.Name)
				return
			}
		}
	}
	at := slices.IndexFunc(in.columns, isDimension)
	if at < 0 {
		in.columns = append(in.columns, segment.Column{Name: name, Type: typ})
		return
	}
	in.columns[at].Type = widerInput(in.columns[at].Type, typ)
}

// widerInput is the type of a column that is read as both: numbers before text, fractions before whole numbers.
func widerInput(a, b segment.ColumnType) segment.ColumnType {
	for _, typ := range []segment.ColumnType{segment.TypeDouble, segment.TypeLong} {
		if a == typ || b == typ {
			return typ
		}
	}
	return segment.TypeString
}

// StateColumns gives the columns that folded rows hold for the metrics of a plan, without ids: what a schema's States are
// made of.
func StateColumns(p *Plan) ([]segment.Column, error) {
	var out []segment.Column
	for _, f := range p.StateFields() {
		typ, err := segment.ColumnTypeOf(f.Type)
		if err != nil {
			return nil, err
		}
		out = append(out, segment.Column{Name: f.Name, Type: typ})
	}
	return out, nil
}
