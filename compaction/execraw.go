package compaction

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/segment"
)

// rawLayout is what raw rows are written as.
type rawLayout struct {
	schema *arrow.Schema
	ids    []int32 // of its fields
	sortBy []string
	order  []string // sortBy made total by the position
	plan   bool     // the plan is applied: not in the tail, whose rows have not been compared with the bucket's
}

// newRawLayout: a full compaction leaves the columns out that the plan does not keep; the tail keeps what it has. Columns that
// no spec fills any more are kept as long as the plan keeps them: older rows have values there.
func (x *execution) newRawLayout() *rawLayout {
	out := &rawLayout{plan: x.job.Mode == ModeFull, sortBy: x.job.Schema.SortBy}
	columns := x.job.Schema.AllColumns()
	if out.plan {
		columns = slices.DeleteFunc(columns, func(c segment.Column) bool { return !slices.Contains(x.plan.Dimensions(), c) })
	}
	out.schema = segment.KeptArrowSchema(x.job.Schema, columns)
	for _, f := range out.schema.Fields() {
		id, _ := segment.FieldID(f)
		out.ids = append(out.ids, id)
	}
	if out.plan {
		out.sortBy = x.plan.SortBy()
	}
	out.order = slices.Clone(out.sortBy)
	for _, name := range []string{segment.TopicColumn, segment.GenerationColumn, segment.PartitionColumn, segment.OffsetColumn} {
		if !slices.Contains(out.order, name) {
			out.order = append(out.order, name)
		}
	}
	return out
}

// merge writes the rows that stay, as they are but for what the plan leaves out, in their order.
func (x *execution) merge(ctx context.Context) error {
	defer func() {
		if x.ids.filtered != nil {
			x.ids.filtered.close()
		}
	}()
	l := x.newRawLayout()
	cut := x.newCutting()
	if x.job.PartitionDimensions != nil {
		err := checkNames(l.schema, x.job.PartitionDimensions)
		if err == nil {
			cut.ranges, err = x.findRanges(ctx, l.schema, cut, func(ctx context.Context, fn func(heldBatch, []bool) error) error {
				return x.eachRaw(ctx, x.inputs, l, nil, fn)
			})
		}
		if err != nil {
			return fmt.Errorf("cut ranges: %w", err)
		}
		defer cut.ranges.release()
	}
	sorter, err := newRowSorter(x, cut.schema(l.schema), cut.order(l.order), x.e.o.MaxMemoryBytes/2)
	if err != nil {
		return err
	}
	defer sorter.close()
	direct, others, err := x.directInputs(l, cut)
	if err != nil {
		return err
	}
	for _, in := range direct {
		source, err := x.newDirectSource(ctx, in, l, cut, sorter.order)
		if err != nil {
			return err
		}
		sorter.sources = append(sorter.sources, source)
	}
	err = x.eachRaw(ctx, others, l, x.noteFiltered, func(b heldBatch, keep []bool) error {
		b, err := cut.withPart(x, b)
		if err != nil {
			return err
		}
		return sorter.add(ctx, b, keep)
	})
	if err != nil {
		return err
	}
	if err := x.writeSorted(ctx, sorter, l.schema, l.sortBy, cut); err != nil {
		return err
	}
	if x.ids.filtered == nil {
		return nil
	}
	return x.keepSidecars(ctx, x.ids.filtered)
}

// writeSorted cuts the sorter's rows into segments.
func (x *execution) writeSorted(ctx context.Context, sorter *rowSorter, s *arrow.Schema, sortBy []string, cut *cutting) error {
	stream, err := sorter.sorted(ctx)
	if err != nil {
		return err
	}
	defer stream.close()
	out := newCutter(x, s, sortBy, cut)
	defer out.drop()
	return out.drain(ctx, stream)
}

// noteRemoved is told of each batch's rows that the filter removes.
type noteRemoved func(ctx context.Context, b inputBatch, removed []bool) error

// eachRaw gives the rows of inputs in the layout, and which of them stay. note may be nil.
func (x *execution) eachRaw(ctx context.Context, inputs []*input, l *rawLayout, note noteRemoved, fn func(b heldBatch, keep []bool) error) error {
	return x.eachBatch(ctx, inputs, nil, func(b inputBatch) error {
		keep, err := x.judged(ctx, l, b, note)
		if err != nil {
			x.release(b.heldBatch)
			return err
		}
		out, err := l.of(x, b)
		if err != nil {
			return err
		}
		return fn(out, keep)
	})
}

// judged says which rows of a batch stay (nil: all), and tells of those that the filter removes.
func (x *execution) judged(ctx context.Context, l *rawLayout, b inputBatch, note noteRemoved) (keep []bool, err error) {
	keep, removed, err := x.judge(l, b)
	if err == nil && note != nil && removed != nil {
		err = note(ctx, b, removed)
	}
	return keep, err
}

// judge says which rows of a batch stay (nil: all), and which the filter removes (nil: none).
func (x *execution) judge(l *rawLayout, b inputBatch) (keep, removed []bool, err error) {
	if b.in.losers != nil {
		keep = make([]bool, b.rec.NumRows())
		for row := range keep {
			keep[row] = !b.in.losers.has(b.first + row)
		}
	}
	if !l.plan {
		return keep, nil, nil
	}
	passes, err := x.plan.Keep(b.rec)
	if err != nil || passes == nil {
		return keep, nil, err
	}
	removed = make([]bool, len(passes))
	for row, ok := range passes {
		removed[row] = !ok && (keep == nil || keep[row])
		passes[row] = ok && (keep == nil || keep[row])
	}
	return passes, removed, nil
}

// noteFiltered counts what the filter removes, and remembers the identities: a copy that comes later must not rise.
func (x *execution) noteFiltered(ctx context.Context, b inputBatch, removed []bool) error {
	var c identityColumns
	if x.ids.filtered != nil {
		var err error
		if c, err = identityColumnsOf(b.in.object, b.rec); err != nil {
			return err
		}
	}
	for row, gone := range removed {
		if !gone {
			continue
		}
		x.stats.Filtered++
		if x.ids.filtered == nil || c.high.IsNull(row) || c.low.IsNull(row) {
			continue
		}
		if err := x.ids.filtered.add(ctx, idEntry{hi: c.high.Value(row), lo: c.low.Value(row)}); err != nil {
			return err
		}
	}
	return nil
}

// of gives an input's rows the layout: columns by their ids, nulls for those that the input is older than. It takes the
// batch over.
func (l *rawLayout) of(x *execution, b inputBatch) (heldBatch, error) {
	defer b.rec.Release()
	columns := make([]arrow.Array, 0, len(l.ids))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	n := int(b.rec.NumRows())
	for i, at := range columnsByID(b.rec.Schema(), l.ids...) {
		f := l.schema.Field(i)
		switch {
		case at < 0 && !f.Nullable:
			x.mem.letGo(b.bytes)
			return heldBatch{}, fmt.Errorf("%s has no column %q: %w", b.in.object, f.Name, segment.ErrCorrupt)
		case at < 0:
			columns = append(columns, array.MakeArrayOfNull(x.mem, f.Type, n))
		case !arrow.TypeEqual(b.rec.Column(at).DataType(), f.Type):
			x.mem.letGo(b.bytes)
			return heldBatch{}, fmt.Errorf("%s: column %q is %s, not %s: %w", b.in.object, f.Name, b.rec.Column(at).DataType(), f.Type,
				segment.ErrCorrupt)
		case l.ids[i] == segment.TimeColumnID && l.plan:
			columns = append(columns, x.truncated(b.rec.Column(at)))
		default:
			b.rec.Column(at).Retain()
			columns = append(columns, b.rec.Column(at))
		}
	}
	return heldBatch{rec: array.NewRecordBatch(l.schema, columns, int64(n)), bytes: b.bytes}, nil
}

// truncated gives times as the plan's queryGranularity truncates them.
func (x *execution) truncated(times arrow.Array) arrow.Array {
	d := x.plan.Definition()
	if d == nil || d.QueryGranularity.IsZero() {
		times.Retain()
		return times
	}
	b := array.NewTimestampBuilder(x.mem, times.DataType().(*arrow.TimestampType))
	defer b.Release()
	b.Reserve(times.Len())
	var start, end int64
	for _, t := range times.(*array.Timestamp).Values() {
		if t := int64(t); t < start || t >= end {
			start, end = x.plan.Chunk(t)
		}
		b.UnsafeAppend(arrow.Timestamp(start))
	}
	return b.NewArray()
}
