package coordinator

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

// defined is what a spec's metricsSpec, transformSpec and granularitySpec come to.
type defined struct {
	definition *rollup.Definition
	// inputs are the columns that metrics alone read, states the columns of folded rows, both without ids; nil where the spec
	// has no rollup.
	inputs, states []segment.Column
	transformed    []string // names of transforms
	warnings       []string
}

// define checks metrics and transforms, and makes the definition of a spec. It is a pure function.
func define(s *spec.Supervisor) (*defined, spec.Problems) {
	d := &defined{definition: &rollup.Definition{Rollup: s.DataSchema.Rollup, QueryGranularity: s.DataSchema.QueryGranularity}}
	problems := d.metrics(s)
	problems = append(problems, d.transforms(s)...)
	if len(problems) > 0 {
		return nil, problems
	}
	if d.definition.Rollup {
		d.definition.Dimensions = []string{}
		for _, dim := range s.DataSchema.Dimensions {
			d.definition.Dimensions = append(d.definition.Dimensions, dim.Name)
			if s.DataSchema.Dedup != nil && dim.Name == s.DataSchema.Dedup.Key {
				d.warnings = append(d.warnings, dimensionPath(dim.Name)+": is the dedup key too: no two records have one row, so "+
					"rollup saves nothing; the key need not be a dimension")
			}
		}
	}
	return d, nil
}

func columnsOf(dimensions []spec.Dimension) []segment.Column {
	out := make([]segment.Column, len(dimensions))
	for i, dim := range dimensions {
		out[i] = segment.Column{Name: dim.Name, Type: segment.ColumnType(dim.Type)}
	}
	return out
}

func (d *defined) metrics(s *spec.Supervisor) spec.Problems {
	if !d.definition.Rollup {
		return nil
	}
	var metrics []rollup.Metric
	if len(s.DataSchema.Metrics) > 0 {
		var warnings []string
		var err error
		if metrics, warnings, err = rollup.ParseMetrics(s.DataSchema.Metrics); err != nil {
			return problemsOf(err)
		}
		for _, w := range warnings {
			d.warnings = append(d.warnings, "spec.dataSchema."+w)
		}
	}
	dimensions := columnsOf(s.DataSchema.Dimensions)
	inputs, err := rollup.Inputs(metrics, dimensions)
	if err != nil {
		return problemsOf(err)
	}
	plan, err := rollup.Compile(metrics, append(slices.Clone(dimensions), inputs...))
	if err != nil {
		return problemsOf(err)
	}
	if d.states, err = rollup.StateColumns(plan); err != nil {
		return problemsOf(err)
	}
	d.definition.Metrics, d.inputs = metrics, inputs
	d.warnings = append(d.warnings, roundedInputs(metrics, inputs)...)
	for _, m := range metrics {
		path := "spec.dataSchema.metricsSpec (" + m.Name + "): "
		switch m.Kind {
		case rollup.KindDistinct:
			d.warnings = append(d.warnings, path+"counts by sketches that are not Druid's: estimates differ from Druid's, and sketches "+
				"cannot be exchanged with it")
		case rollup.KindQuantiles:
			d.warnings = append(d.warnings, path+"its error is 1 % of the value, where Druid's is one of rank; sketches cannot be "+
				"exchanged with Druid")
		}
	}
	return nil
}

// roundedInputs warns of fields that are kept as doubles for some metrics although others aggregate whole numbers of them.
func roundedInputs(metrics []rollup.Metric, inputs []segment.Column) []string {
	var out []string
	for _, c := range inputs {
		var whole []string
		for _, m := range metrics {
			if m.Type == segment.TypeLong && m.Kind != rollup.KindDistinct && slices.Contains(m.Fields, c.Name) {
				whole = append(whole, m.Name)
			}
		}
		if c.Type == segment.TypeDouble && len(whole) > 0 {
			out = append(out, fmt.Sprintf("spec.dataSchema.metricsSpec (%s): %s is kept as a double, since another metric reads it so: "+
				"whole numbers beyond 2^53 lose their last digits; where there are such, let a transform give the other metric a field "+
				"of its own", strings.Join(whole, ", "), c.Name))
		}
	}
	return out
}

func (d *defined) transforms(s *spec.Supervisor) spec.Problems {
	if len(s.DataSchema.Transforms) == 0 {
		return nil
	}
	t, warnings, err := rollup.ParseTransforms(s.DataSchema.Transforms)
	if err != nil {
		return problemsOf(err)
	}
	for _, w := range warnings {
		d.warnings = append(d.warnings, "spec.dataSchema."+w)
	}
	d.transformed = t.Names()
	columns := append(columnsOf(s.DataSchema.Dimensions), d.inputs...)
	if err := t.CheckTypes(columns); err != nil {
		return problemsOf(err)
	}
	read := []string{segment.TimeColumn}
	for _, c := range columns {
		read = append(read, c.Name)
	}
	if f := t.Filter(); f != nil {
		read = append(read, f.Columns()...)
	}
	for i, name := range t.Names() {
		if !slices.Contains(read, name) {
			d.warnings = append(d.warnings, fmt.Sprintf("spec.dataSchema.transformSpec.transforms[%d].name: nothing reads %s: it is no "+
				"dimension, and no metric and no filter names it", i, name))
		}
	}
	return nil
}

// problemsOf takes apart what the rollup package has joined: each error begins with its path, or with the metric's name.
func problemsOf(err error) spec.Problems {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out spec.Problems
		for _, e := range joined.Unwrap() {
			out = append(out, problemsOf(e)...)
		}
		return out
	}
	path, message, ok := strings.Cut(err.Error(), ": ")
	metric, isMetric := strings.CutPrefix(path, "metric ")
	switch {
	case ok && isMetric:
		path = "metricsSpec (" + metric + ")"
	case !ok || !strings.HasPrefix(path, "metricsSpec") && !strings.HasPrefix(path, "transformSpec"):
		return spec.Problems{{Path: "spec.dataSchema", Message: err.Error()}}
	}
	return spec.Problems{{Path: "spec.dataSchema." + path, Message: message}}
}

// planOf gives the definition's canonical form; nil: rows as ingested.
func (d *defined) planOf(schema *segment.Schema) (json.RawMessage, error) {
	if d.definition.Identity() {
		return nil, nil
	}
	if _, err := d.definition.Compile(schema); err != nil {
		return nil, err
	}
	return d.definition.Canonical()
}

// checkDefinition checks that a datasource's definition stays what it was at its creation. plan is its canonical form.
func checkDefinition(name string, plan json.RawMessage, schema *segment.Schema, d *defined) spec.Problems {
	was := &rollup.Definition{}
	if plan != nil {
		var err error
		if was, err = rollup.ParseDefinition(plan); err != nil {
			return spec.Problems{{Path: "spec.dataSchema.dataSource", Message: fmt.Sprintf(
				"the plan of datasource %s in the catalog cannot be read by this program: %v", name, err)}}
		}
	}
	now := d.definition
	if was.Rollup != now.Rollup {
		return spec.Problems{{Path: "spec.dataSchema.granularitySpec.rollup", Message: fmt.Sprintf(
			"is %t, but datasource %s was created with %t, and its rows stay what they are: use another datasource", now.Rollup, name, was.Rollup)}}
	}
	var problems spec.Problems
	if was.QueryGranularity != now.QueryGranularity {
		problems = append(problems, spec.Problem{Path: "spec.dataSchema.granularitySpec.queryGranularity", Message: fmt.Sprintf(
			"is %s, but datasource %s was created with %s: a compaction task can make it coarser; a finer one needs another datasource",
			granularityName(now.QueryGranularity), name, granularityName(was.QueryGranularity))})
	}
	if !was.Rollup {
		return problems
	}
	if problem := sameDimensions(name, was.Dimensions, now.Dimensions); problem != "" {
		problems = append(problems, spec.Problem{Path: "spec.dataSchema.dimensionsSpec.dimensions", Message: problem})
	}
	problems = append(problems, sameMetrics(name, was.Metrics, now.Metrics)...)
	if len(problems) == 0 {
		problems = sameInputs(name, schema, d.inputs)
	}
	return problems
}

func granularityName(g spec.Granularity) string {
	if g.IsZero() {
		return "none"
	}
	return g.String()
}

const rollupIsFixed = "rows that are rolled up cannot follow: use another datasource, or leave out by a compaction task what is not needed"

func sameDimensions(name string, was, now []string) string {
	var added, gone []string
	for _, dim := range now {
		if !slices.Contains(was, dim) {
			added = append(added, dim)
		}
	}
	for _, dim := range was {
		if !slices.Contains(now, dim) {
			gone = append(gone, dim)
		}
	}
	switch {
	case slices.Equal(was, now):
		return ""
	case len(added)+len(gone) == 0:
		return fmt.Sprintf("stand in another order than datasource %s was created with, %s: keep that order", name, strings.Join(was, ", "))
	case len(gone) == 0:
		return fmt.Sprintf("add %s, which datasource %s was created without: %s", strings.Join(added, ", "), name, rollupIsFixed)
	case len(added) == 0:
		return fmt.Sprintf("lack %s, which datasource %s was created with: %s", strings.Join(gone, ", "), name, rollupIsFixed)
	}
	return fmt.Sprintf("add %s and lack %s of what datasource %s was created with: %s", strings.Join(added, ", "),
		strings.Join(gone, ", "), name, rollupIsFixed)
}

func sameMetrics(name string, was, now []rollup.Metric) spec.Problems {
	if slices.EqualFunc(was, now, rollup.Metric.Equal) {
		return nil
	}
	var problems spec.Problems
	problem := func(metric, format string, args ...any) {
		problems = append(problems, spec.Problem{
			Path: "spec.dataSchema.metricsSpec (" + metric + ")", Message: fmt.Sprintf(format, args...) + ": " + rollupIsFixed,
		})
	}
	for _, m := range now {
		at := slices.IndexFunc(was, func(o rollup.Metric) bool { return o.Name == m.Name })
		if at < 0 {
			problem(m.Name, "is new, and datasource %s was created without it", name)
		} else if !m.Equal(was[at]) {
			problem(m.Name, "is not defined as datasource %s was created with it, %s", name, metricText(was[at]))
		}
	}
	for _, m := range was {
		if !slices.ContainsFunc(now, func(o rollup.Metric) bool { return o.Name == m.Name }) {
			problem(m.Name, "is missing, and datasource %s was created with it", name)
		}
	}
	if len(problems) == 0 {
		return spec.Problems{{Path: "spec.dataSchema.metricsSpec", Message: fmt.Sprintf(
			"stand in another order than datasource %s was created with: keep that order", name)}}
	}
	return problems
}

func metricText(m rollup.Metric) string {
	text, err := json.Marshal(m)
	if err != nil {
		return m.Name
	}
	return string(text)
}

// sameInputs checks what follows from metrics and dimensions: it differs only if this program derives it in another way.
func sameInputs(name string, schema *segment.Schema, inputs []segment.Column) spec.Problems {
	var published []segment.Column
	for _, input := range schema.Inputs {
		at := slices.IndexFunc(schema.Columns, func(c segment.Column) bool { return c.Name == input })
		if at >= 0 {
			published = append(published, segment.Column{Name: input, Type: schema.Columns[at].Type})
		}
	}
	if slices.Equal(published, inputs) {
		return nil
	}
	return spec.Problems{{Path: "spec.dataSchema.metricsSpec", Message: fmt.Sprintf(
		"read other columns than datasource %s was created with (a newer program wrote them?): %v instead of %v", name, inputs, published)}}
}

// decoderProblems gives the error of a decoder its path.
func decoderProblems(err error) spec.Problems {
	if strings.HasPrefix(err.Error(), "transformSpec") {
		return problemsOf(errors.New(err.Error()))
	}
	return spec.Problems{{Path: "spec.ioConfig.inputFormat", Message: err.Error()}}
}
