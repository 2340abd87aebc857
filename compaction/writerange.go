package compaction

import (
	"context"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/rollup/fold"

	"drumlin/segment/rows"
)

// bytesColumn stands behind the columns by which ranges are found.
const bytesColumn = "__bytes"

// ranges are the first tuples of each segment, by (time chunk, dimensions). A segment's number is its part.
type ranges struct {
	bounds arrow.RecordBatch // part column (the time chunk), then the dimensions
	order  *fold.Order       // of its columns
}

func (r *ranges) chunkOf(part int64) int64 { return partsOf(r.bounds)[part] }

func (r *ranges) release() { r.bounds.Release() }

// parts gives the number of each row's segment.
func (r *ranges) parts(x *execution, chunks arrow.Array, rec arrow.RecordBatch) (arrow.Array, error) {
	tuples := tuplesOf(r.bounds.Schema(), chunks, rec)
	defer tuples.Release()
	b := array.NewInt64Builder(x.mem)
	defer b.Release()
	n := int(r.bounds.NumRows())
	b.Reserve(int(rec.NumRows()))
	for row := range int(rec.NumRows()) {
		// The first bound past the row; the one before it begins the row's segment.
		past := sort.Search(n, func(i int) bool { return r.order.Compare(r.bounds, i, tuples, row) > 0 })
		b.UnsafeAppend(int64(past - 1))
	}
	return b.NewArray(), nil
}

// tuplesOf gives the columns that ranges are of: the chunks, then the dimensions that the schema names.
func tuplesOf(s *arrow.Schema, chunks arrow.Array, rec arrow.RecordBatch) arrow.RecordBatch {
	columns := []arrow.Array{chunks}
	for _, f := range s.Fields()[1:] {
		columns = append(columns, rec.Column(rec.Schema().FieldIndices(f.Name)[0]))
	}
	return array.NewRecordBatch(s, columns, rec.NumRows())
}

// eachRows calls fn for batches of rows, of which those are meant that keep says (nil: all). fn owns the batch.
type eachRows func(ctx context.Context, fn func(b heldBatch, keep []bool) error) error

// findRanges reads all rows once and decides where segments begin: as many rows go into one as the limits allow, but equal
// tuples are never parted.
func (x *execution) findRanges(ctx context.Context, s *arrow.Schema, c *cutting, each eachRows) (*ranges, error) {
	fields := []arrow.Field{{Name: partColumn, Type: arrow.PrimitiveTypes.Int64}}
	for _, name := range x.job.PartitionDimensions {
		fields = append(fields, s.Field(s.FieldIndices(name)[0]))
	}
	tuple := arrow.NewSchema(fields, nil)
	by := append([]string{partColumn}, x.job.PartitionDimensions...)
	order, err := fold.NewOrder(tuple, by)
	if err != nil {
		return nil, err
	}
	withBytes := arrow.NewSchema(append(fields, arrow.Field{Name: bytesColumn, Type: arrow.PrimitiveTypes.Int64}), nil)
	sorter, err := newRowSorter(x, withBytes, by, x.e.o.MaxMemoryBytes/4)
	if err != nil {
		return nil, err
	}
	defer sorter.close()
	fixed := rows.FixedBytes(s)
	err = each(ctx, func(b heldBatch, keep []bool) error {
		defer x.release(b)
		sized, err := x.sizedTuples(tuple, c, b.rec, fixed)
		if err != nil {
			return err
		}
		return sorter.add(ctx, heldBatch{rec: sized}, keep)
	})
	if err != nil {
		return nil, err
	}
	stream, err := sorter.sorted(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.close()
	f := rangeFinder{x: x, order: order, asm: newAssembler(x, tuple, 0)}
	defer f.asm.drop()
	bounds, err := f.find(ctx, stream)
	if err != nil {
		return nil, err
	}
	return &ranges{bounds: bounds, order: order}, nil
}

// sizedTuples are the rows' tuples with the bytes of the rows.
func (x *execution) sizedTuples(s *arrow.Schema, c *cutting, rec arrow.RecordBatch, fixed int64) (arrow.RecordBatch, error) {
	chunks, err := c.chunks(x, rec)
	if err != nil {
		return nil, err
	}
	defer chunks.Release()
	tuples := tuplesOf(s, chunks, rec)
	defer tuples.Release()
	b := array.NewInt64Builder(x.mem)
	defer b.Release()
	b.Reserve(int(rec.NumRows()))
	sizes := textSizesOf(rec, 0)
	for row := range int(rec.NumRows()) {
		b.UnsafeAppend(fixed + sizes.of(row))
	}
	bytes := b.NewArray()
	defer bytes.Release()
	fields := append(s.Fields(), arrow.Field{Name: bytesColumn, Type: arrow.PrimitiveTypes.Int64})
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), append(slices.Clone(tuples.Columns()), bytes), rec.NumRows()), nil
}

// rangeFinder goes through sorted tuples and collects the first of each segment.
type rangeFinder struct {
	x     *execution
	order *fold.Order
	asm   *assembler

	chunk       int64 // of the open segment
	rows, bytes int64
	some        bool
}

type tupleSize struct{ chunk, rows, bytes int64 }

func (f *rangeFinder) find(ctx context.Context, from rowStream) (arrow.RecordBatch, error) {
	// The tuple being counted, as a batch of one row.
	var tuple arrow.RecordBatch
	release := func() {
		if tuple != nil {
			tuple.Release()
		}
	}
	defer func() { release() }()
	var bounds []arrow.RecordBatch
	defer func() {
		for _, b := range bounds {
			b.Release()
		}
	}()
	var size tupleSize
	end := func() {
		if tuple != nil && f.begins(size) {
			tuple.Retain()
			bounds = append(bounds, tuple)
		}
	}
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r, ok, err := from.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if tuple == nil || f.order.Compare(tuple, 0, r.rec, r.row) != 0 {
			end()
			if err := f.asm.add(f.asm.at(r), r.row); err != nil {
				return nil, err
			}
			next, err := f.asm.take()
			if err != nil {
				return nil, err
			}
			release()
			tuple, size = next, tupleSize{chunk: partsOf(r.rec)[r.row]}
		}
		size.rows++
		size.bytes += r.rec.Column(int(r.rec.NumCols()) - 1).(*array.Int64).Value(r.row)
	}
	end()
	for i, b := range bounds {
		if err := f.asm.add(f.asm.at(rowAt{slot: i, rec: b}), 0); err != nil {
			return nil, err
		}
	}
	return f.asm.take()
}

// begins says whether a tuple of this size begins a segment, and counts it.
func (f *rangeFinder) begins(t tupleSize) bool {
	maxRows, maxBytes := f.x.job.MaxRowsPerSegment, f.x.job.TargetSegmentBytes*arrowPerObjectByte
	if maxRows > 0 && t.rows > maxRows || maxBytes > 0 && t.bytes > maxBytes {
		f.x.e.o.Logger.Warn("one value of the partition dimensions is larger than a segment should be: it stays whole",
			"datasource", f.x.job.Datasource, "rows", t.rows, "arrowBytes", t.bytes)
	}
	begins := !f.some || t.chunk != f.chunk || maxRows > 0 && f.rows+t.rows > maxRows || maxBytes > 0 && f.bytes+t.bytes > maxBytes
	if begins {
		f.rows, f.bytes = 0, 0
	}
	f.some, f.chunk = true, t.chunk
	f.rows, f.bytes = f.rows+t.rows, f.bytes+t.bytes
	return begins
}
