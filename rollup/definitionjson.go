package rollup

import (
	"bytes"
	"encoding/json"
	"slices"

	"drumlin/segment"
	"drumlin/spec"
)

// definitionJSON is a definition's canonical form. An empty list of dimensions is not the same as none.
type definitionJSON struct {
	Rollup           bool      `json:"rollup"`
	QueryGranularity string    `json:"queryGranularity,omitempty"`
	Dimensions       *[]string `json:"dimensions,omitempty"`
	Metrics          []Metric  `json:"metricsSpec,omitempty"`
	Filter           *Filter   `json:"filter,omitempty"`
	SortBy           []string  `json:"sortBy,omitempty"`
}

// Canonical gives the definition as JSON that ParseDefinition reads: equal definitions give equal bytes. It refuses one
// that ParseDefinition would refuse.
func (d *Definition) Canonical() ([]byte, error) {
	var p parser
	d.validate(&p)
	if err := p.err(); err != nil {
		return nil, err
	}
	out := definitionJSON{Rollup: d.Rollup, Metrics: d.Metrics, SortBy: d.SortBy}
	if !d.QueryGranularity.IsZero() {
		out.QueryGranularity = d.QueryGranularity.String()
	}
	if d.Dimensions != nil {
		out.Dimensions = &d.Dimensions
	}
	var err error
	if out.Filter, err = conjunction(d.Filter); err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// ParseDefinition reads what Canonical wrote. The error joins every problem.
func ParseDefinition(data []byte) (*Definition, error) {
	var p parser
	o := p.object("definition", data)
	if o == nil {
		return nil, p.err()
	}
	const path = "definition"
	p.fields(path, o, []string{"rollup", "queryGranularity", "dimensions", "metricsSpec", "filter", "sortBy"}, nil)
	d := &Definition{}
	p.value(path, o, "rollup", "true or false", &d.Rollup)
	var granularity string
	if p.value(path, o, "queryGranularity", "a granularity's name", &granularity) {
		var err error
		if d.QueryGranularity, err = spec.ParseQueryGranularity(granularity); err != nil {
			p.problem(path+".queryGranularity", "%s", err)
		}
	}
	if p.value(path, o, "dimensions", "a list of column names", &d.Dimensions) && d.Dimensions == nil {
		d.Dimensions = []string{}
	}
	p.value(path, o, "sortBy", "a list of column names", &d.SortBy)
	if raw, ok := o["metricsSpec"]; ok {
		metrics, _, err := ParseMetrics(raw)
		if err != nil {
			p.problem(path, "%s", err)
		}
		if len(metrics) > 0 {
			d.Metrics = metrics
		}
	}
	if raw, ok := o["filter"]; ok {
		d.Filter = p.filter(path+".filter", raw, 0)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	d.validate(&p)
	if err := p.err(); err != nil {
		return nil, err
	}
	var err error
	if d.Filter, err = conjunction(d.Filter); err != nil {
		return nil, err
	}
	return d, nil
}

// conjunction joins filters by and, in one form: conjuncts of conjuncts are its own, sorted, each once. nil filters hold
// for every row.
func conjunction(filters ...*Filter) (*Filter, error) {
	type part struct {
		filter *Filter
		text   []byte
	}
	var parts []part
	var add func(f *Filter) error
	add = func(f *Filter) error {
		if f == nil {
			return nil
		}
		if f.Type == "and" {
			for _, inner := range f.Fields {
				if err := add(inner); err != nil {
					return err
				}
			}
			return nil
		}
		text, err := json.Marshal(f)
		parts = append(parts, part{f, text})
		return err
	}
	for _, f := range filters {
		if err := add(f); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return bytes.Compare(a.text, b.text) })
	parts = slices.CompactFunc(parts, func(a, b part) bool { return bytes.Equal(a.text, b.text) })
	switch len(parts) {
	case 0:
		return nil, nil
	case 1:
		return parts[0].filter, nil
	}
	out := &Filter{Type: "and"}
	for _, p := range parts {
		out.Fields = append(out.Fields, p.filter)
	}
	return out, nil
}

// depth counts as the parser does: a filter without others inside has 0.
func (f *Filter) depth() int {
	deepest := -1
	if f.Field != nil {
		deepest = f.Field.depth()
	}
	for _, g := range f.Fields {
		deepest = max(deepest, g.depth())
	}
	return deepest + 1
}

// checkTimes refuses a filter that tells times of one chunk apart: a folded row has the chunk's start only, so that it
// would be kept or not by when it was folded.
func (f *Filter) checkTimes(p *parser, g spec.Granularity) {
	for _, inner := range f.Fields {
		inner.checkTimes(p, g)
	}
	if f.Field != nil {
		f.Field.checkTimes(p, g)
	}
	if f.Column != segment.TimeColumn || g.IsZero() {
		return
	}
	compiled, err := compileLong(f)
	if err != nil {
		p.problem("filter", "%s", err)
		return
	}
	within := compiled.(longPredicate)
	if !within.wholeChunks(g) {
		p.problem("filter", "tells times of one %s apart, and rows keep the %s only: let it bound %s at the start of one, "+
			"as lower or as strict upper", g, g, segment.TimeColumn)
	}
}

// wholeChunks says whether the predicate over milliseconds holds for all or none of each chunk.
func (l longPredicate) wholeChunks(g spec.Granularity) bool {
	if l.values != nil {
		return len(l.values) == 0
	}
	if l.lower > l.upper {
		return true
	}
	return startsChunk(g, l.lower) && (l.upper == noUpperMillis || startsChunk(g, l.upper+1))
}

const (
	noLowerMillis = -1 << 63
	noUpperMillis = 1<<63 - 1
	// maxMillis is the last instant that times can have; calendars end not much later.
	maxMillis = 1 << 52
)

func startsChunk(g spec.Granularity, millis int64) bool {
	if millis == noLowerMillis {
		return true
	}
	if millis > maxMillis || millis < -maxMillis {
		return false
	}
	start, _ := g.Chunk(millis)
	return start == millis
}
