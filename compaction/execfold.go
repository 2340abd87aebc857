package compaction

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/rollup"
	"drumlin/rollup/fold"
	"drumlin/segment"
	"drumlin/segment/rows"
)

// folding is one job's work of grouping rows: what a folder holds beyond its limit is spilled as a sorted run of folded rows,
// and the runs are merged by folding once more. Any split of the rows gives equal groups.
type folding struct {
	x      *execution
	folder *fold.Folder
	sorter *rowSorter // keeps and merges the runs
	limit  int64
	held   int64
}

// fold writes the groups of all rows that stay.
func (x *execution) fold(ctx context.Context) error {
	f, err := x.newFolding()
	if err != nil {
		return err
	}
	defer f.close()
	err = x.eachBatch(ctx, x.inputs, nil, func(b inputBatch) error {
		defer x.release(b.heldBatch)
		return f.add(ctx, b)
	})
	if err != nil {
		return err
	}
	x.stats.Filtered += f.folder.Filtered()
	if n := f.leftOut(); n > 0 {
		x.e.o.Logger.Warn("aggregators have left out values that are no numbers, or out of range", "datasource", x.job.Datasource, "values", n)
	}
	return x.writeFolded(ctx, f)
}

func (x *execution) newFolding() (*folding, error) {
	sorter, err := newRowSorter(x, x.plan.FoldedSchema(), x.plan.Order(), x.e.o.MaxMemoryBytes/4)
	if err != nil {
		return nil, err
	}
	folder, err := fold.New(x.plan, x.mem)
	if err != nil {
		return nil, err
	}
	return &folding{x: x, folder: folder, sorter: sorter, limit: x.e.o.MaxMemoryBytes * 3 / 8}, nil
}

func (f *folding) close() {
	f.folder.Release()
	f.sorter.close()
	f.x.mem.letGo(f.held)
	f.held = 0
}

func (f *folding) leftOut() int64 {
	var sum int64
	for _, n := range f.folder.LeftOut() {
		sum += n
	}
	return sum
}

func (f *folding) add(ctx context.Context, b inputBatch) error {
	var err error
	if b.in.meta.Folded {
		err = f.folder.AddFolded(b.rec)
	} else {
		var drop []bool
		if b.in.losers != nil {
			drop = make([]bool, b.rec.NumRows())
			for row := range drop {
				drop[row] = b.in.losers.has(b.first + row)
			}
		}
		err = f.folder.AddRows(rollup.Rows{Record: b.rec}, drop)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b.in.object, err)
	}
	f.account()
	if f.folder.Bytes() >= f.limit {
		return f.spill(ctx)
	}
	return nil
}

func (f *folding) account() {
	bytes := f.folder.Bytes()
	f.x.mem.hold(bytes)
	f.x.mem.letGo(f.held)
	f.held = bytes
}

// spill writes the groups as a sorted run.
func (f *folding) spill(ctx context.Context) error {
	out, err := f.x.newRunWriter(f.x.plan.FoldedSchema())
	if err != nil {
		return err
	}
	if err := f.folder.Flush(ctx, f.runRows(), out.write); err != nil {
		out.abort()
		return err
	}
	run, err := out.finish(0)
	if err != nil {
		return err
	}
	f.account()
	f.sorter.runs = append(f.sorter.runs, run)
	return f.sorter.compact(ctx)
}

// runRows is how many groups of a run stand in one batch.
func (f *folding) runRows() int {
	perRow := f.folder.Bytes() / int64(max(f.folder.Groups(), 1))
	return int(max(f.x.runBatchBytes()/max(perRow, 1), 1))
}

// each gives the final groups in order, in batches that are good during fn only. The folder is empty afterwards.
func (f *folding) each(ctx context.Context, fn func(arrow.RecordBatch) error) error {
	if len(f.sorter.runs) == 0 {
		return f.folder.Flush(ctx, f.runRows(), fn)
	}
	if f.folder.Groups() > 0 {
		if err := f.spill(ctx); err != nil {
			return err
		}
	}
	stream, err := f.sorter.sorted(ctx)
	if err != nil {
		return err
	}
	defer stream.close()
	return f.refold(ctx, stream, fn)
}

// refold merges the rows of equal keys, which stand side by side. A batch of them never ends inside a key.
func (f *folding) refold(ctx context.Context, from rowStream, fn func(arrow.RecordBatch) error) error {
	asm := newAssembler(f.x, f.x.plan.FoldedSchema(), 0)
	defer asm.drop()
	fixed, batchBytes := rows.FixedBytes(asm.schema), f.x.runBatchBytes()
	var bytes int64
	var last keptRow
	defer last.release()
	flush := func() error {
		rec, err := asm.take()
		if err != nil {
			return err
		}
		defer rec.Release()
		bytes = 0
		if err := f.folder.AddFolded(rec); err != nil {
			return err
		}
		f.account()
		return f.folder.Flush(ctx, int(rec.NumRows()), fn)
	}
	for {
		r, ok, err := from.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if bytes >= batchBytes && f.sorter.order.Compare(last.rec, last.row, r.rec, r.row) != 0 {
			if err := flush(); err != nil {
				return err
			}
		}
		slot := asm.at(r)
		if err := asm.add(slot, r.row); err != nil {
			return err
		}
		bytes += fixed + slot.sizes.of(r.row)
		last.set(r)
	}
	if asm.rows == 0 {
		return ctx.Err()
	}
	return flush()
}

// keptRow keeps a row's batch until the next one is kept.
type keptRow struct{ rowAt }

func (k *keptRow) set(r rowAt) {
	if k.rec != r.rec {
		k.release()
		r.rec.Retain()
	}
	k.rowAt = r
}

func (k *keptRow) release() {
	if k.rec != nil {
		k.rec.Release()
		k.rec = nil
	}
}

// writeFolded cuts the groups into segments. They come in the order of their key; where segments are cut by time chunk or by
// range before that, they are sorted once more.
func (x *execution) writeFolded(ctx context.Context, f *folding) error {
	schema, cut := x.plan.FoldedSchema(), x.newCutting()
	byTime := len(x.plan.Order()) > 0 && x.plan.Order()[0] == segment.TimeColumn
	if x.job.PartitionDimensions == nil && (!cut.parted() || byTime) {
		out := newCutter(x, schema, x.plan.Order(), cut)
		defer out.drop()
		err := f.each(ctx, func(rec arrow.RecordBatch) error { return x.pushBatch(ctx, out, cut, rec) })
		if err != nil {
			return err
		}
		return out.finish(ctx)
	}
	spool, err := x.spool(ctx, f)
	if err != nil {
		return err
	}
	defer spool.close()
	if x.job.PartitionDimensions != nil {
		err := checkNames(schema, x.job.PartitionDimensions)
		if err == nil {
			cut.ranges, err = x.findRanges(ctx, schema, cut, spool.each)
		}
		if err != nil {
			return fmt.Errorf("cut ranges: %w", err)
		}
		defer cut.ranges.release()
	}
	sorter, err := newRowSorter(x, cut.schema(schema), cut.order(x.plan.Order()), x.e.o.MaxMemoryBytes/2)
	if err != nil {
		return err
	}
	defer sorter.close()
	err = spool.each(ctx, func(b heldBatch, keep []bool) error {
		b, err := cut.withPart(x, b)
		if err != nil {
			return err
		}
		return sorter.add(ctx, b, keep)
	})
	if err != nil {
		return err
	}
	return x.writeSorted(ctx, sorter, schema, x.plan.Order(), cut)
}

// pushBatch pushes the rows of a batch that is only lent.
func (x *execution) pushBatch(ctx context.Context, to *cutter, cut *cutting, rec arrow.RecordBatch) error {
	rec.Retain()
	b, err := cut.withPart(x, heldBatch{rec: rec})
	if err != nil {
		return err
	}
	defer x.release(b)
	for row := range int(b.rec.NumRows()) {
		if err := to.push(ctx, rowAt{rec: b.rec, row: row}); err != nil {
			return err
		}
	}
	return nil
}

// spool keeps folded rows in a file, to be read more than once.
type spool struct {
	x   *execution
	run *rowRun
}

func (x *execution) spool(ctx context.Context, f *folding) (*spool, error) {
	out, err := x.newRunWriter(x.plan.FoldedSchema())
	if err != nil {
		return nil, err
	}
	if err := f.each(ctx, out.write); err != nil {
		out.abort()
		return nil, err
	}
	run, err := out.finish(0)
	if err != nil {
		return nil, err
	}
	return &spool{x: x, run: run}, nil
}

func (s *spool) close() { s.run.close() }

func (s *spool) each(ctx context.Context, fn func(b heldBatch, keep []bool) error) (err error) {
	reader, err := s.x.readRun(s.run)
	if err != nil {
		return err
	}
	defer reader.reader.Release() // the run stays
	for {
		rec, err := reader.next(ctx)
		if err != nil || rec == nil {
			return err
		}
		if err := fn(heldBatch{rec: rec}, nil); err != nil {
			return err
		}
	}
}
