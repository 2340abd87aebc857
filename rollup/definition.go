package rollup

import (
	"slices"
	"strings"

	"drumlin/segment"
	"drumlin/spec"
)

// Definition is what the rows of a bucket are seen through: the plan that its head names, by value. It is immutable. The
// order of its work on deduplicated rows is: filter, truncate __time, keep Dimensions, and where Rollup is set group by
// (__time, Dimensions) and aggregate Metrics. A definition only ever narrows (Narrow), because folded rows cannot follow
// anything else. A nil *Definition means rows as ingested.
type Definition struct {
	Rollup bool
	// QueryGranularity truncates __time; the zero value keeps it.
	QueryGranularity spec.Granularity
	// Dimensions are the columns that rows keep, in the table's order, without __time. nil: all that the schema has (never
	// nil where Rollup is set).
	Dimensions []string
	Metrics    []Metric // where Rollup is set
	// Filter keeps the rows for which it is true; nil: all. It reads columns of Dimensions and __time only, and cannot tell
	// two times of one chunk of QueryGranularity apart: it says the same of a row and of the folded row that holds it.
	Filter *Filter
	// SortBy is the order of rows in every file: names among Dimensions, with __time in its place; empty: the schema's.
	// Rows that it leaves equal are ordered by the remaining Dimensions (folded) or by position (raw).
	SortBy []string
}

// Identity says that rows are as ingested: such a definition is stored as none.
func (d *Definition) Identity() bool {
	return d == nil || !d.Rollup && d.QueryGranularity.IsZero() && d.Dimensions == nil &&
		len(d.Metrics) == 0 && d.Filter == nil && len(d.SortBy) == 0
}

// validate says what is wrong with a definition whatever the schema is.
func (d *Definition) validate(p *parser) {
	names := d.validateDimensions(p)
	if d.Rollup && d.Dimensions == nil {
		p.problem("dimensions", "are missing, and rollup groups by them")
	}
	if !d.Rollup && len(d.Metrics) > 0 {
		p.problem("metricsSpec", "needs rollup: rows that are kept one by one have no aggregates")
	}
	for _, m := range d.Metrics {
		if m.OfStates {
			p.problem("metric "+m.Name, "%s names a stored sketch, and does not say what it was made of", m.typeName())
		}
		if other, ok := names[strings.ToLower(m.Name)]; ok {
			p.problem("metric "+m.Name, "has the name of %q: SQL does not tell them apart", other)
		}
		names[strings.ToLower(m.Name)] = m.Name
	}
	d.validateSortBy(p)
	if d.Filter != nil {
		d.validateFilter(p)
	}
}

func (d *Definition) validateDimensions(p *parser) map[string]string {
	names := map[string]string{}
	for _, name := range d.Dimensions {
		if name == "" || strings.HasPrefix(name, "__") {
			p.problem("dimensions", "%q is no column of the user's", name)
		}
		if other, ok := names[strings.ToLower(name)]; ok {
			p.problem("dimensions", "%q and %q have one name: SQL does not tell cases apart", other, name)
		}
		names[strings.ToLower(name)] = name
	}
	return names
}

func (d *Definition) validateSortBy(p *parser) {
	for i, name := range d.SortBy {
		if !d.keeps(name) {
			p.problem("sortBy", "%q is not among the dimensions", name)
		}
		if slices.Contains(d.SortBy[:i], name) {
			p.problem("sortBy", "%q occurs twice", name)
		}
	}
}

// validateFilter holds the filter to what every row, folded or not, can answer.
func (d *Definition) validateFilter(p *parser) {
	if d.Filter.depth() > maxFilterDepth {
		p.problem("filter", "filters are nested deeper than %d", maxFilterDepth)
		return
	}
	for _, name := range d.Filter.Columns() {
		if !d.keeps(name) {
			p.problem("filter", "reads %q, which is not among the dimensions: folded rows do not have it", name)
		}
	}
	d.Filter.checkTimes(p, d.QueryGranularity)
}

// keeps says whether rows still have a column.
func (d *Definition) keeps(name string) bool {
	return name == segment.TimeColumn || d.Dimensions == nil || slices.Contains(d.Dimensions, name)
}

// clone copies a definition one level deep; that of nil is the one of rows as ingested.
func (d *Definition) clone() *Definition {
	if d == nil {
		return &Definition{}
	}
	out := *d
	return &out
}
