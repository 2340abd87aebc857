package query

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

// rules are how the table shows the rows of some buckets: the definition that is in force there, compiled.
type rules struct {
	plan *rollup.BucketPlan
}

// tableRules are all rules of one datasource at one view.
type tableRules struct {
	schema *segment.Schema
	rollup bool
	// list holds each of the rules once, the datasource's own first.
	list   []*rules
	byText map[string]int // canonical JSON of a definition, empty for rows as ingested → its place in list
}

// tableColumn is a column of the table. ID is that of the column that files hold.
type tableColumn struct {
	segment.Column
	metric *rollup.Metric // nil: __time or a dimension
}

// newOwnRules compiles the datasource's own rules alone, which say what columns its table has.
func newOwnRules(ds *catalog.DatasourceView) (*tableRules, error) {
	t := &tableRules{schema: ds.Schema, byText: map[string]int{}}
	if _, err := t.add(ds.Plan); err != nil {
		return nil, fmt.Errorf("datasource %s: its plan: %w", ds.Name, err)
	}
	t.rollup = t.list[0].rollup()
	return t, nil
}

// newTableRules compiles what the datasource and its buckets name. A bucket whose rows no code here can show is an error.
func newTableRules(ds *catalog.DatasourceView) (*tableRules, error) {
	t, err := newOwnRules(ds)
	if err != nil {
		return nil, err
	}
	for _, b := range ds.Buckets {
		if b.Dropped() {
			continue
		}
		at, err := t.add(b.PlanSpec)
		if err == nil {
			err = t.check(b, t.list[at])
		}
		if err != nil {
			return nil, fmt.Errorf("datasource %s: the bucket at %s: %w", ds.Name, spec.FormatInstant(b.Bucket.StartMillis), err)
		}
	}
	return t, nil
}

// add returns the place of the rules that a definition's JSON stands for.
func (t *tableRules) add(text []byte) (int, error) {
	if at, ok := t.byText[string(text)]; ok {
		return at, nil
	}
	var definition *rollup.Definition
	if len(text) > 0 {
		var err error
		if definition, err = rollup.ParseDefinition(text); err != nil {
			return 0, err
		}
	}
	plan, err := definition.Compile(t.schema)
	if err != nil {
		return 0, err
	}
	t.byText[string(text)] = len(t.list)
	t.list = append(t.list, &rules{plan})
	return len(t.list) - 1, nil
}

// check refuses a bucket that these rules do not fit.
func (t *tableRules) check(b *catalog.BucketView, r *rules) error {
	if r.rollup() != t.rollup {
		return fmt.Errorf("its plan and its datasource's disagree on rollup")
	}
	if r.rollup() {
		if start, _ := r.plan.Chunk(satMicros(b.Bucket.StartMillis)); start != satMicros(b.Bucket.StartMillis) {
			return errors.New("its queryGranularity is coarser than its rows have been divided by")
		}
		return nil
	}
	for i := range b.Settled {
		if b.Settled[i].Folded {
			return fmt.Errorf("segment %s holds rolled-up rows, and the datasource has no rollup", b.Settled[i].Object)
		}
	}
	for i := range b.Tail {
		if b.Tail[i].Folded {
			return fmt.Errorf("segment %s holds rolled-up rows, and the datasource has no rollup", b.Tail[i].Object)
		}
	}
	return nil
}

// columns are those of SELECT *: __time, the dimensions and, with rollup, the metrics.
func (t *tableRules) columns() []tableColumn {
	out := []tableColumn{{Column: timeColumnDef}}
	base := t.list[0].plan
	if !t.rollup {
		for _, c := range tableDimensions(t.schema) {
			out = append(out, tableColumn{Column: c})
		}
		return out
	}
	for _, c := range base.Dimensions() {
		out = append(out, tableColumn{Column: c})
	}
	for _, m := range base.Metrics().Metrics() {
		c := tableColumn{Column: segment.Column{Name: m.Name, Type: m.Type}, metric: &m}
		if m.Kind == rollup.KindDistinct || m.Kind == rollup.KindQuantiles {
			c.Type = segment.TypeBinary
		}
		out = append(out, c)
	}
	return out
}

// prunable are the columns whose bounds say which rows of the table a segment may hold: not those of metrics, whose
// values come about by merging, nor those that only metrics read.
func (t *tableRules) prunable() columnsByName {
	out := columnsByName{}
	for _, c := range t.columns()[1:] {
		if c.metric == nil {
			out[foldName(c.Name)] = c.Column
		}
	}
	return out
}

func plainColumns(columns []tableColumn) []segment.Column {
	out := make([]segment.Column, len(columns))
	for i, c := range columns {
		out[i] = c.Column
	}
	return out
}

func (r *rules) rollup() bool { return r.plan.Metrics() != nil }

// asStored says that raw rows are shown as they are.
func (r *rules) asStored() bool { return r.plan.Definition().Identity() }

// granularity is what times are truncated to; the zero value where they are kept.
func (r *rules) granularity() spec.Granularity {
	if d := r.plan.Definition(); d != nil {
		return d.QueryGranularity
	}
	return spec.Granularity{}
}

// keeps says whether rows under these rules have the dimension.
func (r *rules) keeps(name string) bool {
	return slices.ContainsFunc(r.plan.Dimensions(), func(c segment.Column) bool { return c.Name == name })
}

// hasMetric says whether folded rows under these rules have the metric.
func (r *rules) hasMetric(name string) bool {
	return r.rollup() && slices.ContainsFunc(r.plan.Metrics().Metrics(), func(m rollup.Metric) bool { return m.Name == name })
}

// shown are the times under which the table shows a segment's rows, which its own times are not where its rows have yet
// to be truncated.
func (r *rules) shown(m segment.Meta) segment.Meta {
	low, _ := r.plan.Chunk(satMicros(m.MinMillis))
	high, _ := r.plan.Chunk(satMicros(m.MaxMillis))
	m.MinMillis, m.MaxMillis = segment.FloorMillis(low), segment.FloorMillis(high)
	return m
}

// stored is the range of times that rows have which the table shows within the given one. It ends at chunks, so that
// it holds every row of a group or none.
func (r *rules) stored(shown timeRange) timeRange {
	if shown.empty() {
		return shown
	}
	out := shown
	if out.from > -maxCalendarMicros && out.from < maxCalendarMicros {
		out.from, _ = r.plan.Chunk(out.from)
	}
	if out.to > -maxCalendarMicros && out.to < maxCalendarMicros {
		_, out.to = r.plan.Chunk(out.to - 1)
	} else if out.to < math.MaxInt64 {
		out.to = math.MaxInt64
	}
	return out
}

// maxCalendarMicros is past every time that a row can have; chunks are not asked for beyond.
const maxCalendarMicros = 1 << 57
