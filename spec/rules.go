package spec

import (
	"encoding/json"
	"fmt"
	"slices"

	"drumlin/internal/strictyaml"
)

const maxRules = 1000

// ParseRules reads a datasource's retention rules, a list in YAML or JSON. The error is of type Problems and names everything
// that is wrong. Warnings name what was accepted without effect. An empty list is none: everything is kept. The
// canonical form is the JSON of the result.
func ParseRules(data []byte) (rules []Rule, warnings []string, err error) {
	root, problems := readRoot(data, strictyaml.List, "rules are a list of objects")
	if root == nil {
		return nil, nil, problems
	}
	b := newBuilder(RuleFields(), false)
	b.problems = problems
	if len(root.List) > maxRules {
		b.problem("", fmt.Sprintf("there are %d rules; at most %d are read", len(root.List), maxRules))
	}
	rules = make([]Rule, 0, len(root.List))
	for i, n := range root.List {
		at := fmt.Sprintf("[%d]", i)
		if n.Kind != strictyaml.Map {
			b.problem(at, fmt.Sprintf("must be an object, not %s", n.Kind))
			continue
		}
		o := object{b: b, node: n, shown: at}
		b.check(o)
		rules = append(rules, b.rule(o))
	}
	if len(b.problems) > 0 {
		return nil, b.warnings, b.problems
	}
	return rules, b.warnings, nil
}

func ruleTypes() []string {
	return []string{
		string(RuleLoadForever), string(RuleLoadByPeriod), string(RuleLoadByInterval), string(RuleDropForever),
		string(RuleDropByPeriod), string(RuleDropBeforeByPeriod), string(RuleDropByInterval),
	}
}

func (b *builder) rule(o object) Rule {
	if name := o.text("type"); slices.Contains([]string{"broadcastForever", "broadcastByPeriod", "broadcastByInterval"}, name) {
		o.problem("type", "%s is refused: segments have no place that they could be copied to", name)
		return Rule{}
	}
	before := len(b.problems)
	r := Rule{Type: RuleType(o.oneOf("type", ruleTypes()...))}
	if len(b.problems) > before {
		return r
	}
	byPeriod := r.Type == RuleLoadByPeriod || r.Type == RuleDropByPeriod || r.Type == RuleDropBeforeByPeriod
	byInterval := r.Type == RuleLoadByInterval || r.Type == RuleDropByInterval
	r.IncludeFuture = (r.Type == RuleLoadByPeriod || r.Type == RuleDropByPeriod) && o.boolean("includeFuture")
	if o.given("includeFuture") && r.Type != RuleLoadByPeriod && r.Type != RuleDropByPeriod {
		o.problem("includeFuture", "belongs to loadByPeriod and dropByPeriod")
	}
	switch {
	case byPeriod:
		if text := o.need("period", "such as P30D"); text != "" {
			p, err := ParseCalendarPeriod(text)
			if err != nil {
				o.problem("period", "%s", err)
			}
			r.Period = p
		}
	case o.given("period"):
		o.problem("period", "belongs to loadByPeriod, dropByPeriod and dropBeforeByPeriod")
	}
	switch {
	case byInterval:
		if intervals := o.intervals("interval", "the interval that matches"); intervals != nil {
			r.Interval = intervals[0]
		}
	case o.given("interval"):
		o.problem("interval", "belongs to loadByInterval and dropByInterval")
	}
	return r
}

// MarshalJSON writes the rule in Druid's form: equal rules give equal bytes, and ParseRules reads them.
func (r Rule) MarshalJSON() ([]byte, error) {
	out := struct {
		Type          RuleType `json:"type"`
		Period        string   `json:"period,omitempty"`
		IncludeFuture *bool    `json:"includeFuture,omitempty"`
		Interval      string   `json:"interval,omitempty"`
	}{Type: r.Type}
	switch r.Type {
	case RuleLoadByPeriod, RuleDropByPeriod:
		out.Period, out.IncludeFuture = r.Period.String(), &r.IncludeFuture
	case RuleDropBeforeByPeriod:
		out.Period = r.Period.String()
	case RuleLoadByInterval, RuleDropByInterval:
		out.Interval = r.Interval.String()
	}
	return json.Marshal(out)
}
