package indexer

import (
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/segment"
)

// rowRef points at a row: the batch's index in the upper half, the row in the lower. Within one input, refs ascend as
// offsets do, so that comparing refs compares positions.
type rowRef uint64

func makeRef(batch, row int) rowRef      { return rowRef(batch)<<32 | rowRef(row) }
func (r rowRef) split() (batch, row int) { return int(r >> 32), int(uint32(r)) }

// source is one kind's batches of a handoff with the columns that every row is judged by.
type source struct {
	batches []segment.HotBatch
	times   [][]arrow.Timestamp // microseconds, per batch
	offsets [][]int64
}

type input struct {
	data, rejects source
	schema        *arrow.Schema // of the data batches
}

// newInput checks the batches against the layout that the schema asks for.
func newInput(r Request) (*input, error) {
	if r.Schema == nil {
		return nil, errors.New("no schema")
	}
	if err := r.Schema.Validate(); err != nil {
		return nil, err
	}
	if r.Range.From >= r.Range.To || r.Range.From < 0 {
		return nil, errors.New("the range of offsets is empty")
	}
	in := &input{schema: segment.HotArrowSchema(r.Schema)}
	var err error
	if in.data, err = newSource(r.Data, in.schema); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if in.rejects, err = newSource(r.Rejects, segment.HotRejectsArrowSchema()); err != nil {
		return nil, fmt.Errorf("rejects: %w", err)
	}
	return in, nil
}

func newSource(batches []segment.HotBatch, want *arrow.Schema) (source, error) {
	s := source{batches: batches}
	timeAt, offsetAt := want.FieldIndices(segment.TimeColumn)[0], want.FieldIndices(segment.OffsetColumn)[0]
	last := int64(-1)
	for i, b := range batches {
		if b.Record == nil || b.Record.NumRows() > math.MaxInt32 {
			return s, fmt.Errorf("batch %d has no record or too many rows", i)
		}
		if err := checkLayout(b.Record, want); err != nil {
			return s, fmt.Errorf("batch %d: %w", i, err)
		}
		offsets := b.Record.Column(offsetAt).(*array.Int64).Values()
		for _, offset := range offsets {
			if offset <= last {
				return s, fmt.Errorf("batch %d: offset %d after %d: rows must come in offset order", i, offset, last)
			}
			last = offset
		}
		s.times = append(s.times, b.Record.Column(timeAt).(*array.Timestamp).Values())
		s.offsets = append(s.offsets, offsets)
	}
	return s, nil
}

func checkLayout(rec arrow.RecordBatch, want *arrow.Schema) error {
	if int(rec.NumCols()) != want.NumFields() {
		return fmt.Errorf("%d columns, want %d", rec.NumCols(), want.NumFields())
	}
	for i, f := range want.Fields() {
		if got := rec.Schema().Field(i); got.Name != f.Name || !arrow.TypeEqual(got.Type, f.Type) {
			return fmt.Errorf("column %d is %q of type %s, want %q of type %s", i, got.Name, got.Type, f.Name, f.Type)
		}
		if !f.Nullable && rec.Column(i).Data().Buffers()[0] != nil && hasNull(rec.Column(i)) {
			return fmt.Errorf("column %q holds a null and may not", f.Name)
		}
	}
	return nil
}

// hasNull looks at the bitmap itself: NullN keeps what it counts, and batches are shared with readers.
func hasNull(a arrow.Array) bool {
	for i := range a.Len() {
		if a.IsNull(i) {
			return true
		}
	}
	return false
}

// each calls fn for every row inside the range, in offset order.
func (s *source) each(r segment.OffsetRange, fn func(batch, row int)) {
	for b, offsets := range s.offsets {
		for row, offset := range offsets {
			if offset >= r.From && offset < r.To {
				fn(b, row)
			}
		}
	}
}

// millis is the row's time. Times are whole milliseconds; before 1970 the division rounds down all the same.
func (s *source) millis(batch, row int) int64 {
	micros := int64(s.times[batch][row])
	if micros >= 0 {
		return micros / 1000
	}
	return -((-micros + 999) / 1000)
}
