package compaction

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/rollup/fold"
	"drumlin/segment"
	"drumlin/segment/rows"
)

const (
	// defaultMinDirectRows: smaller segments are sorted with the others, which costs less than keeping them open.
	defaultMinDirectRows = 2 * segment.RowGroupRows
	// maxDirectInputs are merged as they are at a time, and fewer where they would take more than a quarter of the memory.
	maxDirectInputs = 16
	// directBatchRows are read at a time.
	directBatchRows = 2048
)

// directInputs splits the inputs: the large ones whose files say that they have the wanted order already, and lie in one
// part, are merged as they are, without being sorted and spilled.
func (x *execution) directInputs(l *rawLayout, cut *cutting) (direct, others []*input, err error) {
	reorders := l.plan && x.plan.Definition() != nil && !x.plan.Definition().QueryGranularity.IsZero()
	var bytes int64
	for _, in := range x.inputs {
		m := &in.meta
		if reorders || cut.ranges != nil || in.rows < x.e.minDirectRows || len(direct) == maxDirectInputs ||
			cut.clip(m.MinMillis) != cut.clip(m.MaxMillis) || bytes+in.groupBytes() > x.e.o.MaxMemoryBytes/4 {
			others = append(others, in)
			continue
		}
		r, err := x.open(in)
		if err != nil {
			return nil, nil, err
		}
		if slices.Equal(r.SortedBy(), l.sortBy) {
			direct = append(direct, in)
			bytes += in.groupBytes()
		} else {
			others = append(others, in)
		}
	}
	return direct, others, nil
}

// groupBytes is about what a row group's compressed columns take: reading in batches keeps them in memory.
func (in *input) groupBytes() int64 {
	return in.size / max(in.rows/segment.RowGroupRows, 1)
}

// directSource gives the rows of a sorted input that stay, and refuses an input whose rows are not in its order.
type directSource struct {
	x       *execution
	in      *input
	l       *rawLayout
	cut     *cutting
	order   *fold.Order
	batches *segment.Batches
	first   int
	last    keptRow
	held    int64 // of the batch that was given last
}

func (x *execution) newDirectSource(ctx context.Context, in *input, l *rawLayout, cut *cutting, order *fold.Order) (*directSource, error) {
	r, err := x.open(in)
	if err != nil {
		return nil, err
	}
	batches, err := r.Batches(ctx, directBatchRows)
	if err != nil {
		return nil, err
	}
	x.mem.hold(in.groupBytes())
	return &directSource{x: x, in: in, l: l, cut: cut, order: order, batches: batches}, nil
}

func (s *directSource) next(ctx context.Context) (arrow.RecordBatch, error) {
	for {
		s.x.mem.letGo(s.held)
		s.held = 0
		rec, err := s.batches.Next(ctx)
		if err != nil || rec == nil {
			return nil, err
		}
		b := inputBatch{in: s.in, first: s.first, heldBatch: heldBatch{rec: rec, bytes: bufferBytes(rec)}}
		s.x.mem.hold(b.bytes)
		s.first += int(rec.NumRows())
		s.x.reported.add(rec.NumRows())
		out, err := s.judged(ctx, b)
		if err != nil || out != nil {
			return out, err
		}
	}
}

// judged gives the rows of a batch that stay, or nil where none do.
func (s *directSource) judged(ctx context.Context, b inputBatch) (arrow.RecordBatch, error) {
	var out heldBatch
	keep, err := s.x.judged(ctx, s.l, b, s.x.noteFiltered)
	if err == nil {
		out, err = s.l.of(s.x, b)
	} else {
		s.x.release(b.heldBatch)
	}
	if err == nil {
		out, err = s.cut.withPart(s.x, out)
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkOrder(out.rec); err != nil {
		s.x.release(out)
		return nil, err
	}
	if keep == nil {
		s.held = out.bytes
		return out.rec, nil
	}
	defer s.x.release(out)
	var refs []rowRef
	for row, stays := range keep {
		if stays {
			refs = append(refs, rows.Make[rowRef](0, row))
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	return gather(s.x, out.rec.Schema(), 0, []arrow.RecordBatch{out.rec}, refs)
}

func (s *directSource) checkOrder(rec arrow.RecordBatch) error {
	for row := range int(rec.NumRows()) {
		if s.last.rec != nil && s.order.Compare(s.last.rec, s.last.row, rec, row) >= 0 {
			return fmt.Errorf("%s says that its rows are sorted by %q, and they are not: %w", s.in.object, s.l.sortBy, segment.ErrCorrupt)
		}
		s.last.set(rowAt{rec: rec, row: row})
	}
	return nil
}

func (s *directSource) close() {
	s.last.release()
	s.batches.Close()
	s.x.mem.letGo(s.held + s.in.groupBytes())
	s.held = 0
}
