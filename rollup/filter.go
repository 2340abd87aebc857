package rollup

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Filter is one of Druid's filters: selector, in, bound, and, or, not. Its JSON is Druid's.
type Filter struct {
	Type   string    `json:"type"`
	Column string    `json:"dimension,omitempty"` // of selector, in, bound
	Values []*string `json:"values,omitempty"`    // of selector (one) and in; nil stands for null
	// Bounds of bound, as text; nil: open.
	Lower       *string   `json:"lower,omitempty"`
	Upper       *string   `json:"upper,omitempty"`
	LowerStrict bool      `json:"lowerStrict,omitempty"`
	UpperStrict bool      `json:"upperStrict,omitempty"`
	Numeric     bool      `json:"-"`                  // ordering: numeric, else lexicographic by bytes
	Ordering    string    `json:"ordering,omitempty"` // as Numeric says
	Fields      []*Filter `json:"fields,omitempty"`   // of and, or
	Field       *Filter   `json:"field,omitempty"`    // of not
}

const (
	maxFilterDepth = 32
	orderNumeric   = "numeric"
	orderText      = "lexicographic"
)

// MarshalJSON writes the canonical form.
func (f Filter) MarshalJSON() ([]byte, error) {
	if f.Type == "selector" {
		return json.Marshal(struct {
			Type   string  `json:"type"`
			Column string  `json:"dimension"`
			Value  *string `json:"value"`
		}{f.Type, f.Column, f.Values[0]})
	}
	type plain Filter // without this method
	return json.Marshal(plain(f))
}

// UnmarshalJSON reads a filter as ParseMetrics does.
func (f *Filter) UnmarshalJSON(data []byte) error {
	var p parser
	out := p.filter("filter", data, 0)
	if err := p.err(); err != nil {
		return err
	}
	*f = *out
	return nil
}

// Columns returns the columns that the filter reads, sorted, each once.
func (f *Filter) Columns() []string {
	var out []string
	if f.Column != "" {
		out = append(out, f.Column)
	}
	if f.Field != nil {
		out = append(out, f.Field.Columns()...)
	}
	for _, g := range f.Fields {
		out = append(out, g.Columns()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ParseFilter reads one filter; the error joins every problem.
func ParseFilter(data []byte) (*Filter, error) {
	var p parser
	f := p.filter("filter", data, 0)
	if err := p.err(); err != nil {
		return nil, err
	}
	return f, nil
}

func (p *parser) filter(path string, data []byte, depth int) *Filter {
	if depth > maxFilterDepth {
		p.problem(path, "filters are nested deeper than %d", maxFilterDepth)
		return nil
	}
	o := p.object(path, data)
	if o == nil {
		return nil
	}
	f := &Filter{}
	p.value(path, o, "type", "a string", &f.Type)
	switch f.Type {
	case "selector", "in", "bound":
		p.leaf(path, o, f)
	case "and", "or":
		p.fields(path, o, []string{"type", "fields"}, nil)
		var list []json.RawMessage
		if !p.value(path, o, "fields", "a list of filters", &list) || len(list) == 0 {
			p.problem(path+".fields", "is missing or empty")
		}
		for _, raw := range list {
			f.Fields = append(f.Fields, p.filter(path+".fields", raw, depth+1))
		}
	case "not":
		p.fields(path, o, []string{"type", "field"}, nil)
		f.Field = p.filter(path+".field", o["field"], depth+1)
	default:
		p.problem(path+".type", "the filter %q is not supported; known are selector, in, bound, and, or, not", f.Type)
	}
	return f
}

func (p *parser) leaf(path string, o map[string]json.RawMessage, f *Filter) {
	switch f.Type {
	case "selector":
		p.fields(path, o, []string{"type", "dimension", "value"}, []string{"filterTuning"})
		f.Values = []*string{p.scalar(path+".value", o["value"])}
	case "in":
		p.fields(path, o, []string{"type", "dimension", "values"}, []string{"filterTuning"})
		var list []json.RawMessage
		if !p.value(path, o, "values", "a list of values", &list) || len(list) == 0 {
			p.problem(path+".values", "is missing or empty")
		}
		for _, raw := range list {
			f.Values = append(f.Values, p.scalar(path+".values", raw))
		}
		slices.SortFunc(f.Values, compareNullable)
		f.Values = slices.CompactFunc(f.Values, func(a, b *string) bool { return compareNullable(a, b) == 0 })
	case "bound":
		p.fields(path, o, []string{"type", "dimension", "lower", "upper", "lowerStrict", "upperStrict", "ordering"},
			[]string{"filterTuning"})
		p.bound(path, o, f)
	}
	p.value(path, o, "dimension", "a string", &f.Column)
	if f.Column == "" || !utf8.ValidString(f.Column) {
		p.problem(path+".dimension", "is missing or not UTF-8: name the column")
	}
}

func (p *parser) bound(path string, o map[string]json.RawMessage, f *Filter) {
	f.Lower, f.Upper = p.scalar(path+".lower", o["lower"]), p.scalar(path+".upper", o["upper"])
	if f.Lower == nil && f.Upper == nil {
		p.problem(path, "names neither lower nor upper")
	}
	p.value(path, o, "lowerStrict", "true or false", &f.LowerStrict)
	p.value(path, o, "upperStrict", "true or false", &f.UpperStrict)
	f.LowerStrict = f.LowerStrict && f.Lower != nil
	f.UpperStrict = f.UpperStrict && f.Upper != nil
	f.Ordering = orderText
	p.value(path, o, "ordering", "a string", &f.Ordering)
	switch strings.ToLower(f.Ordering) {
	case orderNumeric:
		f.Ordering, f.Numeric = orderNumeric, true
	case orderText:
		f.Ordering = orderText
	default:
		p.problem(path+".ordering", "%q is not supported: use lexicographic or numeric", f.Ordering)
	}
}

// scalar reads a string, number or boolean as text; null or nothing gives nil.
func (p *parser) scalar(path string, raw json.RawMessage) *string {
	text := strings.TrimSpace(string(raw))
	switch {
	case text == "" || text == "null":
		return nil
	case text[0] == '{' || text[0] == '[':
		p.problem(path, "must be a string, a number or null")
		return nil
	case text[0] == '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			p.problem(path, "%s", err)
			return nil
		}
	}
	return &text
}

// compareNullable puts null first.
func compareNullable(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return strings.Compare(*a, *b)
}
