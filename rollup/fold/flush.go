package fold

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/rollup"
	"drumlin/segment"
)

const (
	// blockRows is how many groups become columns at a time; fewHeavyRows where their states can be long. A batch ends
	// where a block ends, so that its end depends on the rows alone.
	blockRows    = 8192
	fewHeavyRows = 512
	// maxBatchBytes is about where a batch ends, whatever its rows: the offsets of its columns have 32 bits, and long before
	// that memory would be too dear.
	maxBatchBytes = 64 << 20
)

// Flush gives all groups in the plan's order, in batches of the plan's FoldedSchema, of at most maxRows rows and about 64 MiB:
// where a batch ends depends on the rows alone. A batch is released once emit returns. The folder is empty afterwards, and
// can be used again; after an error it can only be released.
func (f *Folder) Flush(ctx context.Context, maxRows int, emit func(arrow.RecordBatch) error) error {
	if f.failed == nil {
		if maxRows < 1 {
			return fmt.Errorf("fold: batches of %d rows", maxRows)
		}
		f.failed = f.flush(ctx, maxRows, emit)
	}
	return f.failed
}

func (f *Folder) flush(ctx context.Context, maxRows int, emit func(arrow.RecordBatch) error) error {
	order, err := f.sorted(ctx)
	if err != nil {
		return err
	}
	for len(order) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.emitBatch(order, maxRows, emit)
		if err != nil {
			return err
		}
		order = order[n:]
	}
	f.leftOut = f.LeftOut()
	f.groups, f.states, f.events, f.inGroups = newTable(f.keys.width), f.plan.Metrics().NewStates(), nil, 0
	f.keys.reset()
	return nil
}

// emitBatch makes a batch of the first groups of the order and says how many they were.
func (f *Folder) emitBatch(order []uint32, maxRows int, emit func(arrow.RecordBatch) error) (n int, err error) {
	var blocks []arrow.RecordBatch
	defer func() {
		for _, b := range blocks {
			b.Release()
		}
	}()
	var bytes int64
	for n < len(order) && n < maxRows && bytes < f.batchBytes {
		part := order[n:min(len(order), maxRows, n+f.blockRows())]
		part = f.cutTexts(part, f.batchBytes-bytes)
		if len(part) == 0 {
			break
		}
		block, err := f.block(part)
		if err != nil {
			return 0, err
		}
		blocks = append(blocks, block)
		n += len(part)
		bytes += recordBytes(block)
	}
	batch, err := f.join(blocks)
	if err != nil {
		return 0, err
	}
	defer batch.Release()
	return n, emit(batch)
}

// blockRows is the number of groups of a block.
func (f *Folder) blockRows() int {
	for _, m := range f.plan.Metrics().Metrics() {
		heavy := m.Kind == rollup.KindDistinct || m.Kind == rollup.KindQuantiles || m.Type == segment.TypeString
		if heavy {
			return fewHeavyRows
		}
	}
	return blockRows
}

// cutTexts ends a block where its dimensions' texts would pass the bytes left in its batch. The first row of a batch is
// always taken.
func (f *Folder) cutTexts(order []uint32, left int64) []uint32 {
	var bytes int64
	for i, g := range order {
		key := f.groups.key(g)
		for k := range f.keys.dims {
			if d := &f.keys.dims[k]; d.texts != nil && !d.isNull(key) {
				bytes += int64(len(d.text(key)))
			}
		}
		if bytes > left && (i > 0 || left < f.batchBytes) {
			return order[:i]
		}
	}
	return order
}

// block makes one record of the groups.
func (f *Folder) block(order []uint32) (arrow.RecordBatch, error) {
	columns := []arrow.Array{f.timeColumn(order), f.eventsColumn(order)}
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i := range f.keys.dims {
		column, err := f.dimensionColumn(&f.keys.dims[i], order)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	states, err := f.states.Columns(f.mem, order)
	if err != nil {
		return nil, fmt.Errorf("fold: %w", err)
	}
	columns = append(columns, states...)
	return array.NewRecordBatch(f.plan.FoldedSchema(), columns, int64(len(order))), nil
}

func (f *Folder) timeColumn(order []uint32) arrow.Array {
	b := array.NewTimestampBuilder(f.mem, &arrow.TimestampType{Unit: arrow.Microsecond})
	defer b.Release()
	b.Reserve(len(order))
	for _, g := range order {
		b.UnsafeAppend(arrow.Timestamp(f.groups.key(g)[0]))
	}
	return b.NewArray()
}

func (f *Folder) eventsColumn(order []uint32) arrow.Array {
	b := array.NewInt64Builder(f.mem)
	defer b.Release()
	b.Reserve(len(order))
	for _, g := range order {
		b.UnsafeAppend(f.events[g])
	}
	return b.NewArray()
}

func (f *Folder) dimensionColumn(d *dimension, order []uint32) (arrow.Array, error) {
	switch d.column.Type {
	case segment.TypeLong:
		return fillColumn(f, array.NewInt64Builder(f.mem), d, order, d.long), nil
	case segment.TypeDouble:
		return fillColumn(f, array.NewFloat64Builder(f.mem), d, order, d.double), nil
	case segment.TypeFloat:
		return fillColumn(f, array.NewFloat32Builder(f.mem), d, order, d.float), nil
	case segment.TypeString, segment.TypeJSON:
		b := array.NewStringBuilder(f.mem)
		defer b.Release()
		b.Reserve(len(order))
		for _, g := range order {
			if key := f.groups.key(g); d.isNull(key) {
				b.AppendNull()
			} else {
				b.BinaryBuilder.Append(d.text(key))
			}
		}
		return b.NewArray(), nil
	}
	return nil, fmt.Errorf("fold: the dimension %q has type %s", d.column.Name, d.column.Type)
}

// numberBuilder is what the builders of numbers share.
type numberBuilder[T any] interface {
	array.Builder
	Append(v T)
}

func fillColumn[T any](f *Folder, b numberBuilder[T], d *dimension, order []uint32, value func(key []uint64) T) arrow.Array {
	defer b.Release()
	b.Reserve(len(order))
	for _, g := range order {
		if key := f.groups.key(g); d.isNull(key) {
			b.AppendNull()
		} else {
			b.Append(value(key))
		}
	}
	return b.NewArray()
}

// join makes one record of blocks, which stay the caller's.
func (f *Folder) join(blocks []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(blocks) == 0 {
		return nil, errors.New("fold: a batch of no rows")
	}
	if len(blocks) == 1 {
		blocks[0].Retain()
		return blocks[0], nil
	}
	var rows int64
	for _, b := range blocks {
		rows += b.NumRows()
	}
	columns := make([]arrow.Array, 0, blocks[0].NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i := range int(blocks[0].NumCols()) {
		parts := make([]arrow.Array, len(blocks))
		for k, b := range blocks {
			parts[k] = b.Column(i)
		}
		column, err := array.Concatenate(parts, f.mem)
		if err != nil {
			return nil, fmt.Errorf("fold: join column %q: %w", blocks[0].ColumnName(i), err)
		}
		columns = append(columns, column)
	}
	return array.NewRecordBatch(f.plan.FoldedSchema(), columns, rows), nil
}

// recordBytes is the size of a record's values, which depends on the rows alone.
func recordBytes(rec arrow.RecordBatch) int64 {
	var sum int64
	for _, column := range rec.Columns() {
		switch c := column.(type) {
		case *array.String:
			sum += int64(len(c.ValueBytes())) + 4*rec.NumRows()
		case *array.Binary:
			sum += int64(len(c.ValueBytes())) + 4*rec.NumRows()
		default:
			sum += 8 * rec.NumRows()
		}
	}
	return sum
}
