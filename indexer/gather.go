package indexer

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// maxRowGroupTextBytes ends a row group early, so that rows of many kilobytes do not fill the memory.
const maxRowGroupTextBytes = 64 << 20

// gatherer collects rows from all over a source's batches into columns of a file.
type gatherer struct {
	source  *source
	file    *arrow.Schema
	columns [][]arrow.Array // per column of the file, one array per batch; nil: a constant of the range
	rng     segment.OffsetRange
	mem     memory.Allocator
}

func newGatherer(s *source, hot, file *arrow.Schema, rng segment.OffsetRange, mem memory.Allocator) *gatherer {
	g := &gatherer{source: s, file: file, columns: make([][]arrow.Array, file.NumFields()), rng: rng, mem: mem}
	for i, f := range file.Fields() {
		at := hot.FieldIndices(f.Name)
		if len(at) == 0 {
			continue
		}
		g.columns[i] = make([]arrow.Array, len(s.batches))
		for b, batch := range s.batches {
			g.columns[i][b] = batch.Record.Column(at[0])
		}
	}
	return g
}

// rowGroup is how many of the rows fit into one row group: at least one, and a function of the rows alone.
func (g *gatherer) rowGroup(rows []rowRef) int {
	rows = rows[:min(len(rows), segment.RowGroupRows)]
	sizes := make([]int32, len(rows))
	for _, column := range g.columns {
		if len(column) == 0 || column[0].DataType().ID() != arrow.STRING {
			continue
		}
		for i, ref := range rows {
			batch, row := ref.split()
			sizes[i] = int32(min(int64(sizes[i])+int64(column[batch].(*array.String).ValueLen(row)), math.MaxInt32))
		}
	}
	var sum int64
	for i, size := range sizes {
		if sum += int64(size); sum > maxRowGroupTextBytes && i > 0 {
			return i
		}
	}
	return len(rows)
}

// gather returns the rows as one batch. The caller releases it.
func (g *gatherer) gather(rows []rowRef) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(g.columns))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, f := range g.file.Fields() {
		c, err := g.column(f, g.columns[i], rows)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		columns = append(columns, c)
	}
	return array.NewRecordBatch(g.file, columns, int64(len(rows))), nil
}

func (g *gatherer) column(f arrow.Field, from []arrow.Array, rows []rowRef) (arrow.Array, error) {
	switch f.Name {
	case segment.TopicColumn:
		return g.topic(len(rows)), nil
	case segment.GenerationColumn:
		return g.number(g.rng.Generation, len(rows)), nil
	case segment.PartitionColumn:
		return g.number(g.rng.Partition, len(rows)), nil
	}
	validity, nulls := g.validity(from, rows)
	defer release(validity)
	switch f.Type.ID() {
	case arrow.STRING:
		return g.texts(f.Type, from, rows, validity, nulls)
	case arrow.FIXED_SIZE_BINARY:
		return g.uuids(f.Type, from, rows, validity, nulls), nil
	case arrow.TIMESTAMP:
		return gatherFixed(g, f.Type, from, rows, validity, nulls,
			func(a arrow.Array) []arrow.Timestamp { return a.(*array.Timestamp).Values() }), nil
	case arrow.INT64:
		return gatherFixed(g, f.Type, from, rows, validity, nulls,
			func(a arrow.Array) []int64 { return a.(*array.Int64).Values() }), nil
	case arrow.FLOAT64:
		return gatherFixed(g, f.Type, from, rows, validity, nulls,
			func(a arrow.Array) []float64 { return a.(*array.Float64).Values() }), nil
	case arrow.FLOAT32:
		return gatherFixed(g, f.Type, from, rows, validity, nulls,
			func(a arrow.Array) []float32 { return a.(*array.Float32).Values() }), nil
	}
	return nil, fmt.Errorf("type %s cannot be gathered", f.Type)
}

// validity gathers which rows have a value; nil where all have. Nulls are read from the bitmaps: NullN keeps what it
// counts, and the batches are shared.
func (g *gatherer) validity(from []arrow.Array, rows []rowRef) (*memory.Buffer, int) {
	none := true
	for _, a := range from {
		none = none && a.Data().Buffers()[0] == nil
	}
	if none {
		return nil, 0
	}
	out := g.buffer(int(bitutil.BytesForBits(int64(len(rows)))))
	bitmap := out.Bytes()
	clear(bitmap)
	nulls := 0
	for i, ref := range rows {
		batch, row := ref.split()
		if from[batch].IsNull(row) {
			nulls++
			continue
		}
		bitmap[i>>3] |= 1 << (i & 7)
	}
	return out, nulls
}

// gatherFixed collects values of a fixed width. What stands under a null is never written to a file.
func gatherFixed[T arrow.FixedWidthType](g *gatherer, t arrow.DataType, from []arrow.Array, rows []rowRef,
	validity *memory.Buffer, nulls int, values func(arrow.Array) []T,
) arrow.Array {
	all := make([][]T, len(from))
	for i, a := range from {
		all[i] = values(a)
	}
	width := t.(arrow.FixedWidthDataType).Bytes()
	out := g.buffer(len(rows) * width)
	defer release(out)
	to := arrow.GetData[T](out.Bytes())
	for i, ref := range rows {
		batch, row := ref.split()
		to[i] = all[batch][row]
	}
	return makeArray(t, len(rows), nulls, validity, out)
}

func (g *gatherer) texts(t arrow.DataType, from []arrow.Array, rows []rowRef, validity *memory.Buffer, nulls int) (arrow.Array, error) {
	ends := g.buffer((len(rows) + 1) * arrow.Int32SizeBytes)
	defer release(ends)
	offsets := arrow.Int32Traits.CastFromBytes(ends.Bytes())
	offsets[0] = 0
	texts := make([]*array.String, len(from))
	for i, a := range from {
		texts[i] = a.(*array.String)
	}
	var size int64
	for i, ref := range rows {
		batch, row := ref.split()
		if nulls == 0 || bitutil.BitIsSet(validity.Bytes(), i) {
			size += int64(texts[batch].ValueLen(row))
		}
		if size > math.MaxInt32 {
			return nil, fmt.Errorf("more than %d bytes of text in one row group", math.MaxInt32)
		}
		offsets[i+1] = int32(size)
	}
	out := g.buffer(int(size))
	defer release(out)
	to := out.Bytes()
	for i, ref := range rows {
		if offsets[i+1] > offsets[i] {
			batch, row := ref.split()
			copy(to[offsets[i]:offsets[i+1]], texts[batch].Value(row))
		}
	}
	return makeArray(t, len(rows), nulls, validity, ends, out), nil
}

func (g *gatherer) uuids(t arrow.DataType, from []arrow.Array, rows []rowRef, validity *memory.Buffer, nulls int) arrow.Array {
	width := t.(*arrow.FixedSizeBinaryType).ByteWidth
	out := g.buffer(len(rows) * width)
	defer release(out)
	to := out.Bytes()
	clear(to)
	for i, ref := range rows {
		if nulls == 0 || bitutil.BitIsSet(validity.Bytes(), i) {
			batch, row := ref.split()
			copy(to[i*width:], from[batch].(*array.FixedSizeBinary).Value(row))
		}
	}
	return makeArray(t, len(rows), nulls, validity, out)
}

func (g *gatherer) topic(n int) arrow.Array {
	b := array.NewStringBuilder(g.mem)
	defer b.Release()
	b.Reserve(n)
	b.ReserveData(n * len(g.rng.Topic))
	for range n {
		b.Append(g.rng.Topic)
	}
	return b.NewArray()
}

func (g *gatherer) number(v int32, n int) arrow.Array {
	b := array.NewInt32Builder(g.mem)
	defer b.Release()
	b.Reserve(n)
	for range n {
		b.UnsafeAppend(v)
	}
	return b.NewArray()
}

func (g *gatherer) buffer(bytes int) *memory.Buffer {
	b := memory.NewResizableBuffer(g.mem)
	b.Resize(bytes)
	return b
}

// makeArray takes references of its own to the buffers.
func makeArray(t arrow.DataType, n, nulls int, buffers ...*memory.Buffer) arrow.Array {
	data := array.NewData(t, n, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func release(b *memory.Buffer) {
	if b != nil {
		b.Release()
	}
}
