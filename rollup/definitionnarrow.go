package rollup

import (
	"fmt"
	"slices"
	"strings"

	"drumlin/segment"
	"drumlin/spec"
)

// Change is what a compaction asks for. The zero value keeps everything.
type Change struct {
	QueryGranularity *spec.Granularity // nil: keep; the zero Granularity is "none"
	Rollup           *bool
	// Dimensions are the ones to keep; empty: all. Exclusions go from them. The order of the table's columns stays.
	Dimensions, SortBy, Exclusions []string
	Metrics                        []Metric // nil: keep; empty: none
	Filter                         *Filter  // beside the one there is
}

// Narrow gives the definition that a change makes of d, which may be nil (rows as ingested). A change that rows folded
// already could not follow is refused; the error joins all refusals with their reasons. One that changes nothing gives a
// definition equal to d.
func (d *Definition) Narrow(c Change, s *segment.Schema) (*Definition, error) {
	var p parser
	out := d.clone()
	out.Dimensions = out.narrowDimensions(&p, c, s)
	out.narrowTime(&p, c)
	out.narrowMetrics(&p, c)
	out.narrowOrder(c, s)
	var err error
	if out.Filter, err = conjunction(out.Filter, c.Filter); err != nil {
		return nil, err
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	out.validate(&p)
	if err := p.err(); err != nil {
		return nil, err
	}
	if _, err := out.Compile(s); err != nil {
		return nil, err
	}
	return out, nil
}

// narrowDimensions leaves nil, which follows the schema, where nothing goes.
func (d *Definition) narrowDimensions(p *parser, c Change, s *segment.Schema) []string {
	have := d.dimensionsOf(s)
	keep := func(string) bool { return true }
	if len(c.Dimensions) > 0 {
		keep = func(name string) bool { return slices.Contains(c.Dimensions, name) }
	}
	var out []string
	for _, name := range have {
		if keep(name) && !slices.Contains(c.Exclusions, name) {
			out = append(out, name)
		}
	}
	for i, name := range c.Dimensions {
		if name == segment.TimeColumn || slices.Contains(have, name) {
			continue
		}
		if !slices.Contains(c.Dimensions[:i], name) {
			p.problem("dimensions", "%q %s", name, whyNot(name, s))
		}
	}
	for _, name := range c.Exclusions {
		if !known(s, name) {
			p.problem("dimensionExclusions", "there is no column %q", name)
		}
	}
	switch {
	case len(out) == len(have):
		return d.Dimensions
	case len(out) == 0:
		return []string{}
	}
	return out
}

// whyNot says why a compaction cannot keep a column.
func whyNot(name string, s *segment.Schema) string {
	switch {
	case slices.Contains(s.Inputs, name):
		return "is read by metrics only: rows are not grouped by it, and compaction cannot add a dimension"
	case slices.ContainsFunc(s.Columns, func(c segment.Column) bool { return c.Name == name }):
		return "has been dropped by an earlier compaction: folded rows no longer have it"
	case strings.HasPrefix(name, "__"):
		return "is no column of the user's"
	}
	return "does not exist: compaction cannot add a column"
}

// known says whether the table has, or its rows have, a column.
func known(s *segment.Schema, name string) bool {
	named := func(c segment.Column) bool { return c.Name == name }
	return slices.ContainsFunc(s.Columns, named) || slices.ContainsFunc(s.States, named)
}

func (d *Definition) narrowTime(p *parser, c Change) {
	if c.QueryGranularity != nil {
		switch asked := *c.QueryGranularity; {
		case d.QueryGranularity.Divides(asked):
			d.QueryGranularity = asked
		case asked.IsZero():
			p.problem("queryGranularity", "is %s, and finer times cannot come back: leave it, or ask for a coarser one",
				d.QueryGranularity)
		default:
			p.problem("queryGranularity", "%s is not made of whole chunks of %s, which rows may have been truncated to",
				asked, d.QueryGranularity)
		}
	}
	if c.Rollup == nil || *c.Rollup == d.Rollup {
		return
	}
	if d.Rollup {
		p.problem("rollup", "rows that have been rolled up cannot be taken apart: a datasource with rollup keeps it")
		return
	}
	p.problem("rollup", "the datasource was created without rollup, and its rows were stored without what metrics need: "+
		"create a new datasource with rollup, and let a supervisor fill it")
}

func (d *Definition) narrowMetrics(p *parser, c Change) {
	switch {
	case c.Metrics == nil:
	case !d.Rollup && len(c.Metrics) > 0:
		p.problem("metricsSpec", "the datasource has no rollup, and so no metrics")
	case len(c.Metrics) == 0:
		d.Metrics = nil
	default:
		kept, err := Narrow(d.Metrics, c.Metrics)
		if err != nil {
			p.problems = append(p.problems, err)
			return
		}
		current := d.Metrics
		d.Metrics = nil
		for _, m := range current {
			if _, ok := byName(kept, m.Name); ok {
				d.Metrics = append(d.Metrics, m)
			}
		}
	}
}

// narrowOrder keeps what is left of the order there is, unless another is asked for.
func (d *Definition) narrowOrder(c Change, s *segment.Schema) {
	d.SortBy = d.kept(d.SortBy)
	if len(c.SortBy) > 0 && !slices.Equal(c.SortBy, d.orderOf(s)) {
		d.SortBy = slices.Clone(c.SortBy)
	}
}

// kept leaves the columns out that rows do not have.
func (d *Definition) kept(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !d.keeps(name) })
}

// dimensionsOf are the names of the columns that rows have, in the table's order.
func (d *Definition) dimensionsOf(s *segment.Schema) []string {
	if d != nil && d.Dimensions != nil {
		return d.Dimensions
	}
	return tableColumns(s)
}

// tableColumns are those of SELECT * of a table without rollup, but for __time: those that the spec fills, then the
// others by id.
func tableColumns(s *segment.Schema) []string {
	out := slices.Clone(s.Dimensions)
	for _, c := range s.Columns {
		if !slices.Contains(out, c.Name) && !slices.Contains(s.Inputs, c.Name) {
			out = append(out, c.Name)
		}
	}
	return slices.DeleteFunc(out, func(name string) bool { return name == segment.TimeColumn })
}

// granularities are all that there are, from the finest.
var granularities = []string{
	"second", "minute", "five_minute", "ten_minute", "fifteen_minute", "thirty_minute", "hour", "six_hour", "eight_hour", "day",
	"week", "month", "quarter", "year",
}

// Meet gives the widest definition that all of these narrow to; nil stands for rows as ingested. An error says why there
// is none. Where they order rows differently, it has the schema's order.
func Meet(s *segment.Schema, definitions ...*Definition) (*Definition, error) {
	if len(definitions) == 0 {
		return &Definition{}, nil
	}
	out := definitions[0].clone()
	var p parser
	for _, d := range definitions[1:] {
		out.meet(&p, d.clone(), s)
	}
	orders := definitions[0].clone().SortBy
	for _, d := range definitions[1:] {
		if !slices.Equal(out.kept(orders), out.kept(d.clone().SortBy)) {
			orders = nil
			break
		}
	}
	out.SortBy = out.kept(orders)
	if err := p.err(); err != nil {
		return nil, err
	}
	out.validate(&p)
	if err := p.err(); err != nil {
		return nil, fmt.Errorf("the chunks' plans have no common narrower one: %w", err)
	}
	return out, nil
}

func (d *Definition) meet(p *parser, o *Definition, s *segment.Schema) {
	if d.Rollup != o.Rollup {
		p.problem("rollup", "some chunks are rolled up and others are not")
	}
	g, err := commonGranularity(d.QueryGranularity, o.QueryGranularity)
	if err != nil {
		p.problem("queryGranularity", "%s", err)
	}
	d.QueryGranularity = g
	if d.Dimensions != nil || o.Dimensions != nil {
		theirs := o.dimensionsOf(s)
		d.Dimensions = slices.DeleteFunc(slices.Clone(d.dimensionsOf(s)),
			func(name string) bool { return !slices.Contains(theirs, name) })
	}
	var metrics []Metric
	for _, m := range d.Metrics {
		if theirs, ok := byName(o.Metrics, m.Name); ok && m.Equal(theirs) {
			metrics = append(metrics, m)
		}
	}
	d.Metrics = metrics
	if d.Filter, err = conjunction(d.Filter, o.Filter); err != nil {
		p.problem("filter", "%s", err)
	}
}

// commonGranularity is the finest whose chunks are made of whole chunks of both.
func commonGranularity(a, b spec.Granularity) (spec.Granularity, error) {
	if a.Divides(b) {
		return b, nil
	}
	if b.Divides(a) {
		return a, nil
	}
	for _, name := range granularities {
		g, err := spec.ParseGranularity(name)
		if err != nil {
			return g, err
		}
		if a.Divides(g) && b.Divides(g) {
			return g, nil
		}
	}
	return spec.Granularity{}, fmt.Errorf("no granularity is made of whole chunks of both %s and %s", a, b)
}
