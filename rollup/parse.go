package rollup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"drumlin/segment"
)

// aggregator is one name of Druid's vocabulary: what it is here, and the fields that it takes.
type aggregator struct {
	kind   Kind
	typ    segment.ColumnType
	states bool     // the field holds states
	used   []string // beside type and name
	idle   []string // accepted without effect
}

var aggregators = knownAggregators()

func knownAggregators() map[string]aggregator {
	out := map[string]aggregator{
		"count": {kind: KindCount, typ: segment.TypeLong},
		"hyperUnique": {
			kind: KindDistinct, typ: segment.TypeLong, used: []string{"fieldName", "isInputHyperUnique"},
			idle: []string{"round"},
		},
		"HLLSketchBuild": {
			kind: KindDistinct, typ: segment.TypeLong, used: []string{"fieldName"},
			idle: []string{"lgK", "tgtHllType", "round", "stringEncoding", "shouldFinalize"},
		},
		"HLLSketchMerge": {
			kind: KindDistinct, typ: segment.TypeLong, states: true, used: []string{"fieldName"},
			idle: []string{"lgK", "tgtHllType", "round", "stringEncoding", "shouldFinalize"},
		},
		"cardinality": {
			kind: KindDistinct, typ: segment.TypeLong, used: []string{"fields", "fieldNames", "byRow"},
			idle: []string{"round"},
		},
		"quantilesDoublesSketch": {
			kind: KindQuantiles, typ: segment.TypeDouble, used: []string{"fieldName"},
			idle: []string{"k", "maxStreamLength", "shouldFinalize"},
		},
	}
	for _, typ := range []segment.ColumnType{segment.TypeLong, segment.TypeDouble, segment.TypeFloat, segment.TypeString} {
		for suffix, kind := range map[string]Kind{"First": KindFirst, "Last": KindLast} {
			a := aggregator{kind: kind, typ: typ, used: []string{"fieldName", "timeColumn"}}
			if typ == segment.TypeString {
				a.used = append(a.used, "maxStringBytes")
			}
			out[string(typ)+suffix] = a
		}
		for suffix, kind := range map[string]Kind{"Sum": KindSum, "Min": KindMin, "Max": KindMax} {
			if typ != segment.TypeString {
				out[string(typ)+suffix] = aggregator{kind: kind, typ: typ, used: []string{"fieldName"}}
			}
		}
	}
	return out
}

// refused names aggregators of Druid's that are not offered, with the reason.
var refused = map[string]string{
	"thetaSketch":           "set operations over sketches are not supported: HLLSketchBuild counts distinct values",
	"arrayOfDoublesSketch":  "tuple sketches are not supported",
	"fixedBucketsHistogram": "histograms are not supported: quantilesDoublesSketch gives quantiles",
	"approxHistogram":       "histograms are not supported: quantilesDoublesSketch gives quantiles",
	"approxHistogramFold":   "histograms are not supported: quantilesDoublesSketch gives quantiles",
	"momentSketch":          "use quantilesDoublesSketch",
	"tDigestSketch":         "its states depend on the order of merges: use quantilesDoublesSketch",
	"KllDoublesSketch":      "its states depend on the order of merges: use quantilesDoublesSketch",
	"KllFloatsSketch":       "its states depend on the order of merges: use quantilesDoublesSketch",
	"variance":              "not supported: keep a doubleSum of the values and of their squares",
	"varianceFold":          "not supported: keep a doubleSum of the values and of their squares",
	"bloom":                 "bloom filters are not supported",
	"doubleMean":            "a mean cannot be stored: keep a doubleSum and a count, and divide in SQL",
	"doubleAny":             "any value depends on the order of merges: use doubleFirst",
	"floatAny":              "any value depends on the order of merges: use floatFirst",
	"longAny":               "any value depends on the order of merges: use longFirst",
	"stringAny":             "any value depends on the order of merges: use stringFirst",
	"stringFirstFold":       "use stringFirst over the stored column",
	"stringLastFold":        "use stringLast over the stored column",
	"grouping":              "it is for queries only",
	"expression":            "expressions cannot be shown to combine: use a transform and a plain aggregator",
	"javascript":            "scripts are not supported",
	"histogram":             "histograms are not supported: quantilesDoublesSketch gives quantiles",
	"timeMin":               "use longMin over __time",
	"timeMax":               "use longMax over __time",
	"singleValue":           "it is for queries only",
	"spectatorHistogram":    "histograms are not supported: quantilesDoublesSketch gives quantiles",
	"ddSketch":              "use quantilesDoublesSketch, which is a DDSketch here",
	"mergeTDigestSketch":    "its states depend on the order of merges: use quantilesDoublesSketch",
	"buildTDigestSketch":    "its states depend on the order of merges: use quantilesDoublesSketch",
	"distinctCount":         "use HLLSketchBuild",
}

// ParseMetrics reads a metricsSpec: a JSON list of Druid's aggregators. The error joins every problem, each with its
// path. The warnings name fields that are accepted without effect.
func ParseMetrics(data []byte) (metrics []Metric, warnings []string, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, nil, fmt.Errorf("metricsSpec: not a JSON list: %w", err)
	}
	var p parser
	seen := map[string]string{}
	for i, raw := range list {
		path := fmt.Sprintf("metricsSpec[%d]", i)
		m := p.metric(path, raw)
		metrics = append(metrics, m)
		if previous, ok := seen[strings.ToLower(m.Name)]; ok && m.Name != "" {
			p.problem(path+".name", "the metrics %q and %q have one name: SQL does not tell cases apart", previous, m.Name)
		}
		seen[strings.ToLower(m.Name)] = m.Name
	}
	if err := p.err(); err != nil {
		return nil, nil, err
	}
	return metrics, p.warnings, nil
}

type parser struct {
	problems []error
	warnings []string
}

func (p *parser) problem(path, format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (p *parser) err() error { return errors.Join(p.problems...) }

// object reads a JSON object's fields; null fields count as not given.
func (p *parser) object(path string, data []byte) map[string]json.RawMessage {
	var out map[string]json.RawMessage
	if err := json.Unmarshal(data, &out); err != nil || out == nil {
		p.problem(path, "must be an object")
		return nil
	}
	return out
}

// fields refuses fields that are not known, and warns of those without effect.
func (p *parser) fields(path string, o map[string]json.RawMessage, used, idle []string) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		switch {
		case slices.Contains(used, name):
		case slices.Contains(idle, name):
			p.warnings = append(p.warnings, path+"."+name+": accepted without effect")
		default:
			p.problem(path+"."+name, "is not known here; known are %s", strings.Join(used, ", "))
		}
	}
}

// value reads one field into out and says whether it was given.
func (p *parser) value(path string, o map[string]json.RawMessage, name, want string, out any) bool {
	raw, ok := o[name]
	if !ok || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return false
	}
	if err := json.Unmarshal(raw, out); err != nil {
		p.problem(path+"."+name, "must be %s", want)
		return false
	}
	return true
}

func (p *parser) metric(path string, data []byte) Metric {
	o := p.object(path, data)
	if o == nil {
		return Metric{}
	}
	var name string
	if !p.value(path, o, "type", "a string", &name) {
		p.problem(path+".type", "is missing: name the aggregator")
		return Metric{}
	}
	if name == "filtered" {
		return p.filtered(path, o)
	}
	a, ok := aggregators[name]
	if !ok {
		if reason, ok := refused[name]; ok {
			p.problem(path+".type", "%s is refused: %s", name, reason)
		} else {
			p.problem(path+".type", "the aggregator %q is not known; known are filtered, %s", name,
				strings.Join(slices.Sorted(maps.Keys(aggregators)), ", "))
		}
		return Metric{}
	}
	p.fields(path, o, append([]string{"type", "name"}, a.used...), a.idle)
	m := Metric{Kind: a.kind, Type: a.typ, OfStates: a.states}
	p.value(path, o, "name", "a string", &m.Name)
	if reason := badMetricName(m.Name); reason != "" {
		p.problem(path+".name", "%s", reason)
	}
	p.inputs(path, o, a, &m)
	return m
}

// inputs reads what the aggregator reads.
func (p *parser) inputs(path string, o map[string]json.RawMessage, a aggregator, m *Metric) {
	var field string
	switch {
	case m.Kind == KindCount:
		return
	case slices.Contains(a.used, "fields"):
		if !p.value(path, o, "fields", "a list of column names", &m.Fields) {
			p.value(path, o, "fieldNames", "a list of column names", &m.Fields)
		}
		p.value(path, o, "byRow", "true or false", &m.ByRow)
		if len(m.Fields) == 0 || slices.Contains(m.Fields, "") {
			p.problem(path+".fields", "is missing or empty: name the columns")
		}
		if !m.ByRow || len(m.Fields) == 1 {
			// The order of a union says nothing, and a tuple of one is a value.
			m.ByRow = m.ByRow && len(m.Fields) > 1
			slices.Sort(m.Fields)
			m.Fields = slices.Compact(m.Fields)
		}
	case !p.value(path, o, "fieldName", "a string", &field) || field == "":
		p.problem(path+".fieldName", "is missing: name the column that is read")
	default:
		m.Fields = []string{field}
	}
	p.value(path, o, "isInputHyperUnique", "true or false", &m.OfStates)
	if m.Kind == KindFirst || m.Kind == KindLast {
		m.TimeColumn = segment.TimeColumn
		if p.value(path, o, "timeColumn", "a string", &m.TimeColumn) && m.TimeColumn == "" {
			p.problem(path+".timeColumn", "must not be empty")
		}
	}
	if m.Type == segment.TypeString {
		m.MaxStringBytes = defaultMaxStringBytes
		p.value(path, o, "maxStringBytes", "a number", &m.MaxStringBytes)
		if m.MaxStringBytes < 1 || m.MaxStringBytes > limitMaxStringBytes {
			p.problem(path+".maxStringBytes", "must be from 1 to %d", limitMaxStringBytes)
		}
	}
}

func (p *parser) filtered(path string, o map[string]json.RawMessage) Metric {
	p.fields(path, o, []string{"type", "name", "filter", "aggregator"}, nil)
	inner, ok := o["aggregator"]
	if !ok {
		p.problem(path+".aggregator", "is missing")
		return Metric{}
	}
	var outerName string
	p.value(path, o, "name", "a string", &outerName)
	if outerName != "" {
		named := p.object(path+".aggregator", inner)
		if named == nil {
			return Metric{}
		}
		text, err := json.Marshal(outerName)
		if err != nil {
			p.problem(path+".name", "%s", err)
			return Metric{}
		}
		named["name"] = text
		if inner, err = json.Marshal(named); err != nil {
			p.problem(path+".aggregator", "%s", err)
			return Metric{}
		}
	}
	var innerType string
	if t := p.object(path+".aggregator", inner); t == nil || p.value(path+".aggregator", t, "type", "a string", &innerType) && innerType == "filtered" {
		p.problem(path+".aggregator.type", "filtered inside filtered: join the filters with and")
		return Metric{}
	}
	m := p.metric(path+".aggregator", inner)
	raw, ok := o["filter"]
	if !ok {
		p.problem(path+".filter", "is missing")
		return m
	}
	m.Filter = p.filter(path+".filter", raw, 0)
	if m.OfStates {
		p.problem(path, "a filter cannot choose among states that are stored already")
	}
	return m
}

const maxMetricNameBytes = 256

func badMetricName(name string) string {
	switch {
	case name == "":
		return "is missing: name the metric's column"
	case len(name) > maxMetricNameBytes:
		return fmt.Sprintf("is longer than %d bytes", maxMetricNameBytes)
	case strings.HasPrefix(name, "__"):
		return "must not begin with two underscores: such names belong to the product"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	}
	return ""
}
