package metamorphic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"drumlin/query"
	"drumlin/segment"
)

// row is one accepted record.
type row struct {
	at       place
	offset   int64
	millis   int64
	key      string // empty: none
	commit   int64  // revision of its commit; math.MaxInt64: hot
	values   map[string]any
	internal map[string]any // what metrics read, dimensions included
}

func (r *row) hour() int64 { return r.millis - r.millis%hourMillis }

func comparePositions(a, b *row) int {
	return cmp.Or(strings.Compare(a.at.topic, b.at.topic), cmp.Compare(a.at.partition, b.at.partition), cmp.Compare(a.offset, b.offset))
}

// ingested is what records below a cut become before any copy is removed.
type ingested struct {
	rows    []*row  // by position
	rejects []int64 // Kafka timestamps
}

// ingest reads the log up to the cut, each record by the facts that the catalog has recorded for its offset.
func (w *world) ingest(t *table, cut query.Cut) (*ingested, error) {
	out := &ingested{}
	for _, p := range cut.Datasources[t.name][t.name] {
		if err := w.ingestPartition(out, t, cut.Revision, place{p.Topic, p.Partition}, p.Offset); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out.rows, comparePositions)
	return out, nil
}

func (w *world) ingestPartition(out *ingested, t *table, revision int64, at place, end int64) error {
	now, ok := w.kv.offsetAt(t.name, at, revision)
	if !ok {
		return fmt.Errorf("the cut names %s/%d, which has no offset at revision %d", at.topic, at.partition, revision)
	}
	facts := make([]segment.Facts, end)
	commits := make([]int64, end)
	for o := range end {
		facts[o], commits[o] = now.Facts, math.MaxInt64
	}
	for _, c := range w.kv.commitsOf(t.name, at, revision) {
		for o := c.Range.From; o < min(c.Range.To, end); o++ {
			facts[o], commits[o] = c.Facts, c.revision
		}
	}
	clock := int64(0)
	for o := range end {
		e := w.log.parts[at][o]
		r, reject := t.judge(e, facts[o], clock)
		clock = max(clock, e.kafkaMillis)
		switch {
		case reject:
			out.rejects = append(out.rejects, e.kafkaMillis)
		case r != nil:
			r.at, r.offset, r.commit = at, o, commits[o]
			out.rows = append(out.rows, r)
		}
	}
	return nil
}

// judge makes a record a row, a reject, or neither.
func (t *table) judge(e entry, facts segment.Facts, clock int64) (r *row, reject bool) {
	v := t.versions[facts.SpecVersion-1]
	d := json.NewDecoder(bytes.NewReader([]byte(e.value)))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil || fields == nil {
		return nil, true
	}
	number, ok := fields["t"].(json.Number)
	millis, err := number.Int64()
	if !ok || err != nil {
		return nil, true
	}
	r = &row{millis: millis, values: map[string]any{}, internal: map[string]any{}}
	wanted := slices.Clone(v.dimensions)
	if t.rollup {
		wanted = append(wanted, "n", "price", "user")
	}
	for _, name := range append(wanted, "page") {
		value, ok := convert(fields[name], types[name])
		if !ok {
			if name == "page" && !slices.Contains(wanted, name) {
				continue
			}
			return nil, true
		}
		if text, is := value.(string); is && name == "country" && v.upper {
			value = strings.ToUpper(text)
		}
		r.internal[name] = value
		if slices.Contains(v.dimensions, name) {
			r.values[name] = value
		}
	}
	if late(v, millis, e.kafkaMillis) || t.beyond(v, r, facts, clock) {
		return nil, true
	}
	if v.dropPage && (r.internal["page"] == "drop" || r.internal["page"] == nil) {
		return nil, false // not(unknown) is unknown, and only what is true is kept
	}
	if id, ok := fields["id"].(string); ok && t.dedup && r.key != "unchecked" {
		r.key = id
	} else {
		r.key = ""
	}
	return r, false
}

func late(v rules, millis, kafka int64) bool {
	return millis < 0 || millis > kafka+dayMillis || v.lateMillis > 0 && millis < kafka-v.lateMillis
}

// beyond judges by floors and horizon; a row that is accepted unchecked is marked by its key.
func (t *table) beyond(v rules, r *row, facts segment.Facts, clock int64) bool {
	end := r.hour() + hourMillis
	if facts.RetentionFloorMillis != 0 && end <= facts.RetentionFloorMillis {
		return true
	}
	if !t.dedup || !(facts.DedupFloorMillis != 0 && end <= facts.DedupFloorMillis || v.horizon > 0 && end+v.horizon < clock) {
		return false
	}
	if v.acceptOlder {
		r.key = "unchecked"
		return false
	}
	return true
}

// convert makes a JSON value the value of a column.
func convert(v any, kind string) (any, bool) {
	text := ""
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		text = v
	case json.Number:
		text = v.String()
	}
	switch kind {
	case "long":
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	case "double":
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil
	}
	return text, true
}

// plan is a stored definition, read by the oracle itself.
type plan struct {
	Rollup           bool             `json:"rollup"`
	QueryGranularity string           `json:"queryGranularity"`
	Dimensions       *[]string        `json:"dimensions"`
	Metrics          []map[string]any `json:"metricsSpec"`
	Filter           *condition       `json:"filter"`
}

func readPlan(text []byte) (plan, error) {
	var p plan
	if len(text) == 0 {
		return p, nil
	}
	err := json.Unmarshal(text, &p)
	return p, err
}

func (p *plan) truncate(millis int64) (int64, error) {
	sizes := map[string]int64{
		"": 1, "none": 1, "minute": 60_000, "ten_minute": 600_000, "hour": hourMillis, "day": dayMillis,
	}
	size, ok := sizes[p.QueryGranularity]
	if !ok {
		return 0, fmt.Errorf("the oracle does not know the granularity %q", p.QueryGranularity)
	}
	return millis - millis%size, nil
}

func (p *plan) keeps(dimension string) bool {
	return p.Dimensions == nil || slices.Contains(*p.Dimensions, dimension)
}

// metricNames are the metrics that the plan keeps, by name; also of those that are wrapped in a filter.
func (p *plan) metricNames() []string {
	var out []string
	for _, m := range p.Metrics {
		name, _ := m["name"].(string)
		if inner, ok := m["aggregator"].(map[string]any); ok {
			name, _ = inner["name"].(string)
		}
		out = append(out, name)
	}
	return out
}

// condition is one of Druid's filters.
type condition struct {
	Type        string      `json:"type"`
	Dimension   string      `json:"dimension"`
	Value       *string     `json:"value"`
	Values      []*string   `json:"values"`
	Lower       *string     `json:"lower"`
	Upper       *string     `json:"upper"`
	LowerStrict bool        `json:"lowerStrict"`
	UpperStrict bool        `json:"upperStrict"`
	Ordering    string      `json:"ordering"`
	Fields      []condition `json:"fields"`
	Field       *condition  `json:"field"`
}

// truth is SQL's: −1 false, 0 unknown, 1 true.
func (c *condition) truth(millis int64, values map[string]any) (int, error) {
	v := values[c.Dimension]
	if c.Dimension == "__time" {
		v = millis
	}
	switch c.Type {
	case "not":
		is, err := c.Field.truth(millis, values)
		return -is, err
	case "and", "or":
		sign := map[string]int{"and": 1, "or": -1}[c.Type]
		out := sign
		for i := range c.Fields {
			is, err := c.Fields[i].truth(millis, values)
			if err != nil {
				return 0, err
			}
			out = sign * min(sign*out, sign*is)
		}
		return out, nil
	case "selector":
		return among(v, []*string{c.Value}), nil
	case "in":
		return among(v, c.Values), nil
	case "bound":
		return c.within(v)
	}
	return 0, fmt.Errorf("the oracle does not know the filter %q", c.Type)
}

// among: a null in the list matches null; else null is unknown.
func among(v any, list []*string) int {
	for _, want := range list {
		switch {
		case want == nil && v == nil:
			return 1
		case want == nil || v == nil:
		case equalText(v, *want):
			return 1
		}
	}
	if v == nil && !slices.Contains(list, nil) {
		return 0
	}
	return -1
}

func equalText(v any, want string) bool {
	switch v := v.(type) {
	case string:
		return v == want
	case int64:
		n, err := strconv.ParseInt(want, 10, 64)
		return err == nil && n == v
	case float64:
		f, err := strconv.ParseFloat(want, 64)
		return err == nil && f == v
	}
	return false
}

func (c *condition) within(v any) (int, error) {
	if v == nil {
		return 0, nil
	}
	for _, b := range []struct {
		text   *string
		strict bool
		sign   int
	}{{c.Lower, c.LowerStrict, 1}, {c.Upper, c.UpperStrict, -1}} {
		if b.text == nil {
			continue
		}
		order := 0
		switch v := v.(type) {
		case string:
			order = strings.Compare(v, *b.text)
		case int64:
			n, err := strconv.ParseInt(*b.text, 10, 64)
			if err != nil {
				return 0, err
			}
			order = cmp.Compare(v, n)
		case float64:
			f, err := strconv.ParseFloat(*b.text, 64)
			if err != nil {
				return 0, err
			}
			order = cmp.Compare(v, f)
		}
		if order*b.sign < 0 || order == 0 && b.strict {
			return -1, nil
		}
	}
	return 1, nil
}
