package rollup

import (
	"bytes"
	"encoding/json"
	"fmt"

	"drumlin/segment"
)

// Kind is what an aggregator computes, whatever it is called in a spec.
type Kind string

// The kinds of aggregators.
const (
	KindCount     Kind = "count"
	KindSum       Kind = "sum"
	KindMin       Kind = "min"
	KindMax       Kind = "max"
	KindFirst     Kind = "first"
	KindLast      Kind = "last"
	KindDistinct  Kind = "distinct"
	KindQuantiles Kind = "quantiles"
)

const (
	defaultMaxStringBytes = 1024
	limitMaxStringBytes   = 1 << 20
)

// Metric is one aggregator of a metricsSpec, valid and with its defaults filled in. Its JSON is Druid's.
type Metric struct {
	Name string
	Kind Kind
	// Type is the type of the value: long, double or float; also string for first and last; long for count and
	// distinct, double for quantiles.
	Type segment.ColumnType
	// Fields are the columns that are read: none for count, one or more for distinct, else one.
	Fields []string
	// TimeColumn orders first and last; the record's position breaks ties.
	TimeColumn string
	// MaxStringBytes cuts the text that first and last keep, at a character's border.
	MaxStringBytes int
	// ByRow counts distinct tuples of Fields instead of distinct values in any of them.
	ByRow bool
	// OfStates says that the field holds states, not values (HLLSketchMerge): such a metric only names a stored one
	// (Narrow), and compiles into no plan.
	OfStates bool
	// Filter chooses the rows that count; nil: all.
	Filter *Filter
}

// metricJSON is Druid's form of a metric. It names every field that has a meaning here.
type metricJSON struct {
	Type           string          `json:"type"`
	Name           string          `json:"name,omitempty"`
	FieldName      string          `json:"fieldName,omitempty"`
	Fields         []string        `json:"fields,omitempty"`
	ByRow          bool            `json:"byRow,omitempty"`
	TimeColumn     string          `json:"timeColumn,omitempty"`
	MaxStringBytes int             `json:"maxStringBytes,omitempty"`
	Filter         *Filter         `json:"filter,omitempty"`
	Aggregator     json.RawMessage `json:"aggregator,omitempty"`
}

// MarshalJSON writes the canonical form: equal metrics give equal bytes, and ParseMetrics reads it.
func (m Metric) MarshalJSON() ([]byte, error) {
	if m.Filter != nil {
		bare := m
		bare.Filter = nil
		inner, err := bare.MarshalJSON()
		if err != nil {
			return nil, err
		}
		return json.Marshal(metricJSON{Type: "filtered", Filter: m.Filter, Aggregator: inner})
	}
	out := metricJSON{Type: m.typeName(), Name: m.Name, TimeColumn: m.TimeColumn, ByRow: m.ByRow}
	if m.Type == segment.TypeString {
		out.MaxStringBytes = m.MaxStringBytes
	}
	if out.Type == "cardinality" {
		out.Fields = m.Fields
	} else if len(m.Fields) == 1 {
		out.FieldName = m.Fields[0]
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads one metric as ParseMetrics does, without its warnings.
func (m *Metric) UnmarshalJSON(data []byte) error {
	p := parser{}
	out := p.metric("metric", data)
	if err := p.err(); err != nil {
		return err
	}
	*m = out
	return nil
}

// typeName is the aggregator's canonical name in Druid's vocabulary.
func (m Metric) typeName() string {
	switch m.Kind {
	case KindCount:
		return "count"
	case KindQuantiles:
		return "quantilesDoublesSketch"
	case KindDistinct:
		switch {
		case m.OfStates:
			return "HLLSketchMerge"
		case len(m.Fields) == 1 && !m.ByRow:
			return "HLLSketchBuild"
		}
		return "cardinality"
	}
	return string(m.Type) + map[Kind]string{
		KindSum: "Sum", KindMin: "Min", KindMax: "Max", KindFirst: "First", KindLast: "Last",
	}[m.Kind]
}

// Equal says whether both metrics have the same definition, so that the states of one are states of the other.
func (m Metric) Equal(o Metric) bool {
	a, errA := json.Marshal(m)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// Narrow finds the metrics that a new plan asks for among those of the current one: each as it was defined, or by its
// combining form over its own column, as Druid users write it in compaction (longSum over a stored count, HLLSketchMerge
// over a stored sketch). Anything else is refused with the reason: stored states cannot follow. The error joins all.
func Narrow(current, asked []Metric) ([]Metric, error) {
	var out []Metric
	var p parser
	for i, a := range asked {
		stored, ok := byName(current, a.Name)
		path := fmt.Sprintf("metricsSpec[%d]", i)
		switch {
		case !ok:
			p.problem(path, "the metric %q is not stored: compaction cannot add a metric, nor rename one", a.Name)
		case a.Equal(stored), a.combines(stored):
			out = append(out, stored)
		default:
			have, err := json.Marshal(stored)
			if err != nil {
				return nil, err
			}
			p.problem(path, "%s cannot combine the stored states of %q, which are of %s: repeat that, or leave the metric out",
				a.typeName(), a.Name, have)
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return out, nil
}

// combines says whether m, over the column of the stored metric itself, is what combines that metric's states.
func (m Metric) combines(stored Metric) bool {
	if m.Filter != nil || m.ByRow || len(m.Fields) != 1 || m.Fields[0] != stored.Name {
		return false
	}
	switch stored.Kind {
	case KindCount:
		return m.Kind == KindSum && m.Type == segment.TypeLong
	case KindDistinct, KindQuantiles:
		return m.Kind == stored.Kind
	case KindFirst, KindLast:
		return m.Kind == stored.Kind && m.Type == stored.Type && m.TimeColumn == stored.TimeColumn &&
			m.MaxStringBytes == stored.MaxStringBytes
	}
	return m.Kind == stored.Kind && m.Type == stored.Type
}

func byName(metrics []Metric, name string) (Metric, bool) {
	for _, m := range metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}
