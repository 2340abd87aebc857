package rollup

import (
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/segment"
)

// Keys of a state column's metadata. The definition names the metric and with it the combiner.
const (
	MetricKey = "drumlin:metric" // the metric's canonical JSON
	PartKey   = "drumlin:part"   // of a second column: carry, rest or at
)

// Second columns of states, named by these and the metric's name.
const (
	CarryPrefix = "__carry:" // long sums: what 64 bits cannot hold
	restPrefix  = "__rest:"  // double sums: what the rounded sum leaves
	atPrefix    = "__at:"    // first and last: time and position
)

// Plan is the metrics of a datasource, compiled against the types of the columns that they read. It is immutable.
type Plan struct {
	metrics []compiled
}

type compiled struct {
	Metric
	definition string
	where      predicate                          // nil: every row
	inputs     []segment.ColumnType               // of Fields
	fields     []arrow.Field                      // of its state
	make       func(*States, *compiled) aggregate // states of this metric
}

// Compile checks metrics against the columns of the rows that they will read; __time is always one. The error joins
// every problem.
func Compile(metrics []Metric, columns []segment.Column) (*Plan, error) {
	types := map[string]segment.ColumnType{segment.TimeColumn: segment.TypeTime}
	for _, c := range columns {
		types[c.Name] = c.Type
	}
	var p parser
	out := &Plan{}
	for _, m := range metrics {
		c, err := compile(m, types)
		if err != nil {
			p.problem("metric "+m.Name, "%s", err)
			continue
		}
		out.metrics = append(out.metrics, c)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return out, nil
}

func compile(m Metric, types map[string]segment.ColumnType) (compiled, error) {
	definition, err := json.Marshal(m)
	if err != nil {
		return compiled{}, err
	}
	out := compiled{Metric: m, definition: string(definition)}
	if m.OfStates {
		return out, fmt.Errorf("%s combines stored sketches, and rows hold none: use HLLSketchBuild over the values", m.typeName())
	}
	for _, field := range m.Fields {
		typ, ok := types[field]
		if !ok {
			return out, fmt.Errorf("reads the column %q, which does not exist", field)
		}
		if err := m.takes(field, typ); err != nil {
			return out, err
		}
		out.inputs = append(out.inputs, typ)
	}
	if m.TimeColumn != "" {
		switch typ, ok := types[m.TimeColumn]; {
		case !ok:
			return out, fmt.Errorf("timeColumn %q does not exist", m.TimeColumn)
		case typ != segment.TypeTime && typ != segment.TypeLong:
			return out, fmt.Errorf("timeColumn %q has type %s: it must be __time or a long of milliseconds", m.TimeColumn, typ)
		}
	}
	if m.Filter != nil {
		if out.where, err = compileFilter(m.Filter, types); err != nil {
			return out, err
		}
	}
	out.fields, err = out.stateFields()
	return out, err
}

// takes says whether the aggregator can read a column of that type, and what to do where it cannot.
func (m Metric) takes(field string, typ segment.ColumnType) error {
	isText := typ == segment.TypeString || typ == segment.TypeJSON
	switch {
	case typ == segment.TypeUUID:
		return fmt.Errorf("cannot read the hidden column %q", field)
	case m.Kind == KindDistinct:
		return nil
	case m.Type == segment.TypeString && !isText:
		return fmt.Errorf("%s reads text, and the column %q is %s: use %sFirst or %sLast of its type", m.typeName(), field, typ, typ, typ)
	case m.Type != segment.TypeString && isText:
		return fmt.Errorf("%s reads numbers, and the column %q is %s: declare it as long or double", m.typeName(), field, typ)
	}
	return nil
}

// stateFields describes the columns of the metric's state. Their ids are the catalog's to give.
func (c *compiled) stateFields() ([]arrow.Field, error) {
	typ := c.Type
	var second string
	switch c.Kind {
	case KindCount:
		c.make = newCount
	case KindSum:
		c.make, second = newDoubleSum, restPrefix
		if c.Type == segment.TypeLong {
			c.make, second = newLongSum, CarryPrefix
		} else {
			typ = segment.TypeDouble
		}
	case KindMin, KindMax:
		c.make = newExtreme
	case KindFirst, KindLast:
		c.make, second = newPick, atPrefix
	case KindDistinct:
		c.make = newDistincts
	case KindQuantiles:
		c.make = newQuantileStates
	default:
		return nil, fmt.Errorf("the kind %q is not known", c.Kind)
	}
	main := arrow.DataType(arrow.BinaryTypes.Binary)
	if c.Kind != KindDistinct && c.Kind != KindQuantiles {
		var err error
		if main, err = segment.ArrowType(typ); err != nil {
			return nil, err
		}
	}
	fields := []arrow.Field{{
		Name: c.Name, Type: main, Nullable: c.Kind != KindCount,
		Metadata: arrow.NewMetadata([]string{MetricKey}, []string{c.definition}),
	}}
	if second != "" {
		extra := arrow.Field{
			Name: second + c.Name, Type: arrow.BinaryTypes.Binary, Nullable: true,
			Metadata: arrow.NewMetadata([]string{MetricKey, PartKey}, []string{c.definition, second[2 : len(second)-1]}),
		}
		if second == CarryPrefix {
			extra.Type = arrow.PrimitiveTypes.Int64
		}
		fields = append(fields, extra)
	}
	return fields, nil
}

// Metrics returns the plan's metrics, in their order.
func (p *Plan) Metrics() []Metric {
	out := make([]Metric, len(p.metrics))
	for i, m := range p.metrics {
		out[i] = m.Metric
	}
	return out
}

// StateFields describes the columns that States.Columns gives and States.AddStates takes: for each metric one named as it,
// and, for some, a second one.
func (p *Plan) StateFields() []arrow.Field {
	var out []arrow.Field
	for _, m := range p.metrics {
		out = append(out, m.fields...)
	}
	return out
}

// FinalFields describes the columns that States.Final gives.
func (p *Plan) FinalFields() ([]arrow.Field, error) {
	var out []arrow.Field
	for _, m := range p.metrics {
		typ := m.Type
		if m.Kind == KindQuantiles {
			typ = segment.TypeLong // the number of values: one column cannot hold every quantile
		}
		arrowType, err := segment.ArrowType(typ)
		if err != nil {
			return nil, err
		}
		out = append(out, arrow.Field{Name: m.Name, Type: arrowType, Nullable: true})
	}
	return out, nil
}

// NeedsPosition says whether some metric reads the position of rows (first, last).
func (p *Plan) NeedsPosition() bool {
	for _, m := range p.metrics {
		if m.Kind == KindFirst || m.Kind == KindLast {
			return true
		}
	}
	return false
}

// CheckStates says whether the states of a file can be taken: each state column is there with its type, and, where the
// file names the definition, it is this plan's.
func (p *Plan) CheckStates(s *arrow.Schema) error {
	for _, m := range p.metrics {
		for _, want := range m.fields {
			at := s.FieldIndices(want.Name)
			if len(at) != 1 {
				return fmt.Errorf("metric %s: the file has %d columns %q, not one", m.Name, len(at), want.Name)
			}
			have := s.Field(at[0])
			if !arrow.TypeEqual(have.Type, want.Type) {
				return fmt.Errorf("metric %s: the column %q has type %s, not %s", m.Name, want.Name, have.Type, want.Type)
			}
			if text, ok := have.Metadata.GetValue(MetricKey); ok && text != m.definition {
				return fmt.Errorf("metric %s: the file holds states of %s, which %s cannot combine", m.Name, text, m.definition)
			}
		}
	}
	return nil
}
