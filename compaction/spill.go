package compaction

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/rollup/fold"
	"drumlin/segment/rows"
)

// rowFanIn is how many runs are merged at a time.
const rowFanIn = 64

// rowBytes is what a row takes in a sorter beside its columns: its reference and the scratch of sorting.
const rowBytes = 8 + rows.ScratchBytesPerRow

// rowSorter sorts rows by columns, outside memory beyond its limit. It is used by one goroutine and ends with close, or
// with that of the stream that it gives.
type rowSorter struct {
	x       *execution
	schema  *arrow.Schema
	by      []int // columns, the first one first; together they leave no two rows equal
	order   *fold.Order
	limit   int64
	batches []heldBatch
	refs    []rowRef
	bytes   int64
	held    int64 // of refs and scratch, accounted
	runs    []*rowRun
	sources []batchSource // further rows, sorted already; they are merged with the runs
}

func newRowSorter(x *execution, s *arrow.Schema, by []string, limit int64) (*rowSorter, error) {
	order, err := fold.NewOrder(s, by)
	if err != nil {
		return nil, err
	}
	out := &rowSorter{x: x, schema: s, order: order, limit: limit}
	for _, name := range by {
		out.by = append(out.by, s.FieldIndices(name)[0])
	}
	return out, nil
}

// add takes the batch over, and of it the rows that are kept (nil: all).
func (s *rowSorter) add(ctx context.Context, b heldBatch, keep []bool) error {
	from := len(s.refs)
	for row := range int(b.rec.NumRows()) {
		if keep == nil || keep[row] {
			s.refs = append(s.refs, rows.Make[rowRef](len(s.batches), row))
		}
	}
	kept := len(s.refs) - from
	if kept == 0 {
		s.x.release(b)
		return nil
	}
	if int64(kept) <= b.rec.NumRows()/2 {
		var err error
		if b, err = s.shrink(b, s.refs[from:]); err != nil {
			s.refs = s.refs[:from]
			return err
		}
	}
	s.batches = append(s.batches, b)
	s.bytes += bufferBytes(b.rec) + int64(kept)*rowBytes
	s.x.mem.hold(int64(kept) * rowBytes)
	s.held += int64(kept) * rowBytes
	if s.bytes >= s.limit {
		return s.spill(ctx)
	}
	return nil
}

// shrink copies the rows out of a batch, so as not to hold many rows for the sake of few, and takes the batch over.
func (s *rowSorter) shrink(b heldBatch, refs []rowRef) (heldBatch, error) {
	defer s.x.release(b)
	chosen := make([]rowRef, len(refs))
	for i, ref := range refs {
		batch, row := rows.Split(ref)
		chosen[i], refs[i] = rows.Make[rowRef](0, row), rows.Make[rowRef](batch, i)
	}
	rec, err := gather(s.x, s.schema, 0, []arrow.RecordBatch{b.rec}, chosen)
	return heldBatch{rec: rec}, err
}

// inMemory sorts what is in memory, and gives it away.
func (s *rowSorter) inMemory(ctx context.Context) (*memoryRows, error) {
	out := &memoryRows{x: s.x, batches: s.batches, refs: s.refs, held: s.held}
	s.batches, s.refs, s.bytes, s.held = nil, nil, 0, 0
	columns := make([][]arrow.Array, len(s.by))
	for i, at := range s.by {
		for _, b := range out.batches {
			columns[i] = append(columns[i], b.rec.Column(at))
		}
	}
	sorter, err := rows.NewSorter[rowRef](columns)
	if err == nil {
		err = sorter.Sort(ctx, out.refs)
	}
	if err != nil {
		out.close()
		return nil, err
	}
	return out, nil
}

func (s *rowSorter) spill(ctx context.Context) error {
	from, err := s.inMemory(ctx)
	if err != nil {
		return err
	}
	run, err := s.writeRun(ctx, from, 0)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run)
	return s.compact(ctx)
}

// compact merges the runs of a level into one of the next, wherever there are as many as are merged at a time: the number of
// open files stays small, and a row is written once a level.
func (s *rowSorter) compact(ctx context.Context) error {
	for level := 0; ; level++ {
		same := 0
		for _, r := range s.runs {
			if r.level == level {
				same++
			}
		}
		if same < rowFanIn {
			return nil
		}
		if err := s.compactLevel(ctx, level); err != nil {
			return err
		}
	}
}

// compactLevel merges the runs up to a level into one of the next level.
func (s *rowSorter) compactLevel(ctx context.Context, level int) error {
	var low, high []*rowRun
	for _, r := range s.runs {
		if r.level <= level {
			low = append(low, r)
		} else {
			high = append(high, r)
		}
	}
	s.runs = high
	if len(low) == 0 {
		return nil
	}
	stream, err := s.merge(low)
	if err != nil {
		return err
	}
	run, err := s.writeRun(ctx, stream, level+1)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run)
	return nil
}

// merge gives the runs' rows in order; they end with the stream.
func (s *rowSorter) merge(runs []*rowRun) (*mergedRows, error) {
	out := newMergedRows(s.order, s.by[0], nil)
	for i, r := range runs {
		reader, err := s.x.readRun(r)
		if err != nil {
			out.close()
			for _, left := range runs[i:] {
				left.close()
			}
			return nil, err
		}
		out.sources = append(out.sources, reader)
	}
	return out, nil
}

// writeRun writes the stream's rows and closes it.
func (s *rowSorter) writeRun(ctx context.Context, from rowStream, level int) (*rowRun, error) {
	defer from.close()
	out, err := s.x.newRunWriter(s.schema)
	if err != nil {
		return nil, err
	}
	if err := s.copyRows(ctx, from, out); err != nil {
		out.abort()
		return nil, err
	}
	return out.finish(level)
}

func (s *rowSorter) copyRows(ctx context.Context, from rowStream, out *runWriter) error {
	asm := newAssembler(s.x, s.schema, 0)
	defer asm.drop()
	write := func() error {
		rec, err := asm.take()
		if err != nil {
			return err
		}
		defer rec.Release()
		return out.write(rec)
	}
	fixed, batchBytes := rows.FixedBytes(s.schema), s.x.runBatchBytes()
	var bytes int64
	for {
		r, ok, err := from.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		slot := asm.at(r)
		if err := asm.add(slot, r.row); err != nil {
			return err
		}
		if bytes += fixed + slot.sizes.of(r.row); bytes >= batchBytes {
			bytes = 0
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := write(); err != nil {
				return err
			}
		}
	}
	if asm.rows == 0 {
		return ctx.Err()
	}
	return write()
}

// sorted gives all rows in order; the sorter is empty afterwards.
func (s *rowSorter) sorted(ctx context.Context) (rowStream, error) {
	if len(s.runs)+len(s.sources) == 0 {
		return s.inMemory(ctx)
	}
	if len(s.refs) > 0 {
		if err := s.spill(ctx); err != nil {
			return nil, err
		}
	}
	for level := 0; len(s.runs)+len(s.sources) > rowFanIn; level++ {
		if err := s.compactLevel(ctx, level); err != nil {
			return nil, err
		}
	}
	runs := s.runs
	s.runs = nil
	out, err := s.merge(runs)
	if err != nil {
		return nil, err
	}
	out.sources = append(out.sources, s.sources...)
	s.sources = nil
	return out, nil
}

func (s *rowSorter) close() {
	for _, b := range s.batches {
		s.x.release(b)
	}
	for _, r := range s.runs {
		r.close()
	}
	for _, source := range s.sources {
		source.close()
	}
	s.x.mem.letGo(s.held)
	s.batches, s.refs, s.runs, s.sources, s.held = nil, nil, nil, nil, 0
}
