package indexer

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
	"drumlin/segment/rows"
)

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
func (g *gatherer) rowGroup(refs []rowRef) int {
	refs = refs[:min(len(refs), segment.RowGroupRows)]
	sizes := make([]int32, len(refs))
	for _, column := range g.columns {
		if len(column) == 0 || column[0].DataType().ID() != arrow.STRING {
			continue
		}
		for i, ref := range refs {
			batch, row := ref.split()
			sizes[i] = int32(min(int64(sizes[i])+int64(column[batch].(*array.String).ValueLen(row)), math.MaxInt32))
		}
	}
	fixed := rows.FixedBytes(g.file)
	var sum int64
	for i, size := range sizes {
		if sum += fixed + int64(size); sum > rows.MaxRowGroupBytes && i > 0 {
			return i
		}
	}
	return len(refs)
}

// gather returns the rows as one batch. The caller releases it.
func (g *gatherer) gather(refs []rowRef) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(g.columns))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, f := range g.file.Fields() {
		c, err := g.column(f, g.columns[i], refs)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		columns = append(columns, c)
	}
	return array.NewRecordBatch(g.file, columns, int64(len(refs))), nil
}

func (g *gatherer) column(f arrow.Field, from []arrow.Array, refs []rowRef) (arrow.Array, error) {
	switch f.Name {
	case segment.TopicColumn:
		return g.topic(len(refs)), nil
	case segment.GenerationColumn:
		return g.number(g.rng.Generation, len(refs)), nil
	case segment.PartitionColumn:
		return g.number(g.rng.Partition, len(refs)), nil
	}
	return rows.Gather(g.mem, f.Type, from, refs)
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
