package compaction

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/segment"
	"drumlin/spec"
)

// partColumn stands before the columns of rows that are sorted for more than one part: rows of different parts never
// share a segment. It is never stored in one. Names of users' columns never begin with two underscores.
const partColumn = "__part"

// cutting says into which parts the rows of a job go: time chunks, or ranges of dimensions within them.
type cutting struct {
	group  segment.Bucket
	chunk  spec.Granularity // zero: one chunk
	ranges *ranges          // nil: the parts are the time chunks, by their start
}

func (x *execution) newCutting() *cutting {
	c := &cutting{group: x.group, chunk: x.job.Chunk}
	if !c.chunk.IsZero() {
		if _, end := c.chunk.Chunk(c.group.StartMillis); end >= c.group.EndMillis {
			c.chunk = spec.Granularity{}
		}
	}
	return c
}

// parted says whether rows carry their part.
func (c *cutting) parted() bool { return !c.chunk.IsZero() || c.ranges != nil }

// skip is the number of columns that rows have before those of a segment.
func (c *cutting) skip() int {
	if c.parted() {
		return 1
	}
	return 0
}

// bucket is the time chunk of a part's segments, clipped to the group.
func (c *cutting) bucket(part int64) segment.Bucket {
	if c.ranges != nil {
		part = c.ranges.chunkOf(part)
	}
	return c.clip(part)
}

func (c *cutting) clip(millis int64) segment.Bucket {
	if c.chunk.IsZero() {
		return c.group
	}
	start, end := c.chunk.Chunk(millis)
	return segment.Bucket{StartMillis: max(start, c.group.StartMillis), EndMillis: min(end, c.group.EndMillis)}
}

// schema is the layout with the part before it, where rows carry one.
func (c *cutting) schema(s *arrow.Schema) *arrow.Schema {
	if !c.parted() {
		return s
	}
	part := arrow.Field{Name: partColumn, Type: arrow.PrimitiveTypes.Int64}
	return arrow.NewSchema(append([]arrow.Field{part}, s.Fields()...), nil)
}

// order is the order with the part before it.
func (c *cutting) order(by []string) []string {
	if !c.parted() {
		return by
	}
	return append([]string{partColumn}, by...)
}

// withPart gives the batch its part, where rows carry one; the batch is taken over.
func (c *cutting) withPart(x *execution, b heldBatch) (heldBatch, error) {
	if !c.parted() {
		return b, nil
	}
	parts, err := c.chunks(x, b.rec)
	if err == nil && c.ranges != nil {
		chunks := parts
		parts, err = c.ranges.parts(x, chunks, b.rec)
		chunks.Release()
	}
	if err != nil {
		x.release(b)
		return heldBatch{}, err
	}
	defer parts.Release()
	b.rec = prepend(partColumn, parts, b.rec)
	return b, nil
}

// prepend puts a column before the batch's, and takes the batch's reference over.
func prepend(name string, column arrow.Array, rec arrow.RecordBatch) arrow.RecordBatch {
	defer rec.Release()
	field := arrow.Field{Name: name, Type: column.DataType()}
	fields := append([]arrow.Field{field}, rec.Schema().Fields()...)
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), append([]arrow.Array{column}, rec.Columns()...), rec.NumRows())
}

// chunks gives the start of each row's time chunk, in milliseconds.
func (c *cutting) chunks(x *execution, rec arrow.RecordBatch) (arrow.Array, error) {
	at := rec.Schema().FieldIndices(segment.TimeColumn)
	times := rec.Column(at[0]).(*array.Timestamp).Values()
	b := array.NewInt64Builder(x.mem)
	defer b.Release()
	b.Reserve(len(times))
	var chunk segment.Bucket
	for _, t := range times {
		if t := segment.FloorMillis(int64(t)); t < chunk.StartMillis || t >= chunk.EndMillis || chunk == (segment.Bucket{}) {
			if t < c.group.StartMillis || t >= c.group.EndMillis {
				return nil, fmt.Errorf("a row's time %d lies outside the job's buckets, %d to %d: %w", t, c.group.StartMillis,
					c.group.EndMillis, segment.ErrCorrupt)
			}
			chunk = c.clip(t)
		}
		b.UnsafeAppend(chunk.StartMillis)
	}
	return b.NewArray(), nil
}

// partsOf reads the parts of a batch's rows.
func partsOf(rec arrow.RecordBatch) []int64 { return rec.Column(0).(*array.Int64).Int64Values() }

// checkNames says which of the names the layout does not have.
func checkNames(s *arrow.Schema, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(s.Fields(), func(f arrow.Field) bool { return f.Name == name }) {
			return fmt.Errorf("segments cannot be ranges of %q: the rows have no such dimension", name)
		}
	}
	return nil
}
