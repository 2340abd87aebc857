package rollup

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/segment"
	"drumlin/spec"
)

// BucketPlan is a definition compiled against a schema. It is immutable and safe for concurrent use.
type BucketPlan struct {
	definition *Definition // nil: rows as ingested
	granular   spec.Granularity
	metrics    *Plan
	folded     *arrow.Schema
	dimensions []segment.Column
	sortBy     []string
	where      predicate // nil: every row
}

// Compile checks a definition, which may be nil, against the columns of a schema. The error joins every problem.
func (d *Definition) Compile(s *segment.Schema) (*BucketPlan, error) {
	var p parser
	out := &BucketPlan{definition: d}
	view := d.clone()
	view.validate(&p)
	if err := p.err(); err != nil {
		return nil, err
	}
	out.granular = view.QueryGranularity
	types := map[string]segment.ColumnType{segment.TimeColumn: segment.TypeTime}
	for _, name := range view.dimensionsOf(s) {
		at := slices.IndexFunc(s.Columns, func(c segment.Column) bool { return c.Name == name })
		if at < 0 {
			p.problem("dimensions", "the schema %d has no column %q", s.ID, name)
			continue
		}
		types[name] = s.Columns[at].Type
		out.dimensions = append(out.dimensions, s.Columns[at])
	}
	out.sortBy = view.orderOf(s)
	for _, name := range out.sortBy {
		if _, ok := types[name]; !ok {
			p.problem("sortBy", "the schema %d has no column %q", s.ID, name)
		}
	}
	if view.Filter != nil {
		var err error
		if out.where, err = compileFilter(view.Filter, types); err != nil {
			p.problem("filter", "%s", err)
		}
	}
	if view.Rollup {
		out.compileMetrics(&p, view, s)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return out, nil
}

// compileMetrics lets metrics read every column that raw rows have, dimensions that a compaction dropped among them.
func (b *BucketPlan) compileMetrics(p *parser, d *Definition, s *segment.Schema) {
	plan, err := Compile(d.Metrics, s.Columns)
	if err != nil {
		p.problems = append(p.problems, err)
		return
	}
	b.metrics = plan
	if b.folded, err = segment.FoldedArrowSchema(s, d.Dimensions, plan.StateFields()); err != nil {
		p.problem("metricsSpec", "%s", err)
	}
}

// orderOf is the order of rows: the definition's, or what is left of the schema's.
func (d *Definition) orderOf(s *segment.Schema) []string {
	if len(d.SortBy) > 0 {
		return d.SortBy
	}
	return d.kept(s.SortBy)
}

// Definition is what the plan was compiled from; nil: rows as ingested.
func (b *BucketPlan) Definition() *Definition { return b.definition }

// Metrics is the plan of the states, or nil where the definition has no rollup.
func (b *BucketPlan) Metrics() *Plan { return b.metrics }

// FoldedSchema is the layout of folded rows, or nil where the definition has no rollup.
func (b *BucketPlan) FoldedSchema() *arrow.Schema { return b.folded }

// Dimensions are the columns that rows keep, in the table's order, without __time.
func (b *BucketPlan) Dimensions() []segment.Column { return b.dimensions }

// SortBy is the order of rows as the definition or the schema asks for it.
func (b *BucketPlan) SortBy() []string { return b.sortBy }

// Order is SortBy made total: for folded rows by __time and the remaining dimensions, for others by position.
func (b *BucketPlan) Order() []string {
	out := slices.Clone(b.sortBy)
	rest := []string{segment.TopicColumn, segment.GenerationColumn, segment.PartitionColumn, segment.OffsetColumn}
	if b.metrics != nil {
		rest = []string{segment.TimeColumn}
		for _, c := range b.dimensions {
			rest = append(rest, c.Name)
		}
	}
	for _, name := range rest {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Truncate gives the start of the chunk that holds a time, both in microseconds.
func (b *BucketPlan) Truncate(micros int64) int64 {
	start, _ := b.Chunk(micros)
	return start
}

// Chunk gives the chunk [start, end) that holds a time, all in microseconds: a single one where times are kept.
func (b *BucketPlan) Chunk(micros int64) (start, end int64) {
	if b.granular.IsZero() {
		return micros, micros + 1
	}
	millis := micros / microsPerMilli
	if micros%microsPerMilli < 0 {
		millis--
	}
	start, end = b.granular.Chunk(millis)
	return start * microsPerMilli, end * microsPerMilli
}

const microsPerMilli = 1000

// Keep says which rows the filter keeps, raw or folded by this definition or a wider one; nil: all.
func (b *BucketPlan) Keep(rec arrow.RecordBatch) ([]bool, error) {
	if b.where == nil {
		return nil, nil
	}
	n := int(rec.NumRows())
	var run batch
	run.reset(Rows{Record: rec}, 0, n)
	truths := make([]uint8, n)
	if err := b.where.eval(&run, truths); err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	out := make([]bool, n)
	for i, t := range truths {
		out[i] = t == isTrue
	}
	return out, nil
}
