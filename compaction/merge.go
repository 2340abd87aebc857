package compaction

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/rollup/fold"
	"drumlin/segment/rows"
)

// rowRef points at a row of one of several batches (segment/rows).
type rowRef uint64

// rowAt is a row of a batch. Slot names the stream's place that the batch stands in, so that its taker need not look for
// it; the batch is the stream's, and is good until the next row is asked for unless the taker retains it.
type rowAt struct {
	slot int
	rec  arrow.RecordBatch
	row  int
}

// rowStream gives rows in their order.
type rowStream interface {
	next(ctx context.Context) (rowAt, bool, error)
	close()
}

// batchSource gives sorted batches, which their taker releases; nil at the end.
type batchSource interface {
	next(ctx context.Context) (arrow.RecordBatch, error)
	close()
}

// memoryRows are sorted rows of batches that lie in memory and that the stream owns.
type memoryRows struct {
	x       *execution
	batches []heldBatch
	refs    []rowRef
	held    int64
}

func (m *memoryRows) next(context.Context) (rowAt, bool, error) {
	if len(m.refs) == 0 {
		return rowAt{}, false, nil
	}
	batch, row := rows.Split(m.refs[0])
	m.refs = m.refs[1:]
	return rowAt{slot: batch, rec: m.batches[batch].rec, row: row}, true, nil
}

func (m *memoryRows) close() {
	for _, b := range m.batches {
		m.x.release(b)
	}
	m.x.mem.letGo(m.held)
	m.batches, m.refs, m.held = nil, nil, 0
}

// mergedRows merges sorted sources by a heap of their next rows. Most comparisons are of 64 bits of the first column.
type mergedRows struct {
	order   *fold.Order
	first   int // column that keys are of
	sources []batchSource
	heap    []*mergeCursor
	started bool
}

type mergeCursor struct {
	slot   int
	source batchSource
	rec    arrow.RecordBatch
	row    int
	keys   func(row int) uint64
	key    uint64
}

func newMergedRows(order *fold.Order, first int, sources []batchSource) *mergedRows {
	return &mergedRows{order: order, first: first, sources: sources}
}

func (m *mergedRows) next(ctx context.Context) (rowAt, bool, error) {
	if err := m.advance(ctx); err != nil {
		return rowAt{}, false, err
	}
	if len(m.heap) == 0 {
		return rowAt{}, false, nil
	}
	top := m.heap[0]
	return rowAt{slot: top.slot, rec: top.rec, row: top.row}, true, nil
}

// advance leaves the row behind that was given last.
func (m *mergedRows) advance(ctx context.Context) error {
	if !m.started {
		m.started = true
		return m.start(ctx)
	}
	if len(m.heap) == 0 {
		return nil
	}
	top := m.heap[0]
	if top.row++; int64(top.row) < top.rec.NumRows() {
		top.key = top.keys(top.row)
	} else if ok, err := m.load(ctx, top); err != nil {
		return err
	} else if !ok {
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	m.down(0)
	return nil
}

func (m *mergedRows) start(ctx context.Context) error {
	for slot, source := range m.sources {
		c := &mergeCursor{slot: slot, source: source}
		m.heap = append(m.heap, c)
		ok, err := m.load(ctx, c)
		if err != nil {
			return err
		}
		if !ok {
			m.heap = m.heap[:len(m.heap)-1]
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return nil
}

// load takes the cursor to its source's next row in a new batch.
func (m *mergedRows) load(ctx context.Context, c *mergeCursor) (bool, error) {
	for {
		if c.rec != nil {
			c.rec.Release()
			c.rec = nil
		}
		rec, err := c.source.next(ctx)
		if err != nil || rec == nil {
			return false, err
		}
		c.rec = rec
		if rec.NumRows() == 0 {
			continue
		}
		if c.keys, err = rows.Prefix(rec.Column(m.first)); err != nil {
			return false, err
		}
		c.row, c.key = 0, c.keys(0)
		return true, nil
	}
}

func (m *mergedRows) before(a, b *mergeCursor) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	return m.order.Compare(a.rec, a.row, b.rec, b.row) < 0
}

func (m *mergedRows) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heap); child++ {
			if m.before(m.heap[child], m.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}

func (m *mergedRows) close() {
	for _, c := range m.heap {
		if c.rec != nil {
			c.rec.Release()
		}
	}
	for _, s := range m.sources {
		s.close()
	}
	m.heap, m.sources = nil, nil
}

// assembler collects rows of many batches and gathers them into one, piece by piece, so that it keeps few of the batches.
type assembler struct {
	x      *execution
	schema *arrow.Schema // of what it gives: the rows' columns after the first ones that it leaves out
	skip   int
	slots  []assemblerSlot
	inPlay []arrow.RecordBatch
	refs   []rowRef            // of the piece
	pieces []arrow.RecordBatch // of the rows before it
	rows   int                 // of all
}

// pieceRows is how many rows are gathered at a time.
const pieceRows = 8192

type assemblerSlot struct {
	rec   arrow.RecordBatch
	index int // in inPlay; −1: not there
	sizes textSizes
	parts []int64 // the first column, where it is left out
}

func newAssembler(x *execution, s *arrow.Schema, skip int) *assembler {
	return &assembler{x: x, schema: s, skip: skip}
}

// at describes the batch that a row lies in.
func (a *assembler) at(r rowAt) *assemblerSlot {
	for r.slot >= len(a.slots) {
		a.slots = append(a.slots, assemblerSlot{index: -1})
	}
	s := &a.slots[r.slot]
	if s.rec != r.rec {
		*s = assemblerSlot{rec: r.rec, index: -1, sizes: textSizesOf(r.rec, a.skip)}
		if a.skip > 0 {
			s.parts = partsOf(r.rec)
		}
	}
	return s
}

func (a *assembler) add(s *assemblerSlot, row int) error {
	if s.index < 0 {
		s.rec.Retain()
		s.index = len(a.inPlay)
		a.inPlay = append(a.inPlay, s.rec)
	}
	a.refs = append(a.refs, rows.Make[rowRef](s.index, row))
	if a.rows++; len(a.refs) < pieceRows {
		return nil
	}
	return a.endPiece()
}

func (a *assembler) endPiece() error {
	rec, err := gather(a.x, a.schema, a.skip, a.inPlay, a.refs)
	if err != nil {
		return err
	}
	a.pieces = append(a.pieces, rec)
	a.dropRefs()
	return nil
}

// take gives what was added. Its receiver releases it.
func (a *assembler) take() (arrow.RecordBatch, error) {
	defer a.drop()
	if len(a.refs) > 0 {
		if err := a.endPiece(); err != nil {
			return nil, err
		}
	}
	if len(a.pieces) == 1 {
		rec := a.pieces[0]
		a.pieces = nil
		return rec, nil
	}
	return a.join()
}

// join makes one batch of the pieces, a column at a time, and gives each piece's column back once it is copied.
func (a *assembler) join() (arrow.RecordBatch, error) {
	pieces := make([][]arrow.Array, len(a.pieces))
	for i, rec := range a.pieces {
		for _, c := range rec.Columns() {
			c.Retain()
			pieces[i] = append(pieces[i], c)
		}
		rec.Release()
	}
	a.pieces = nil
	columns := make([]arrow.Array, 0, a.schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	var failed error
	for i, f := range a.schema.Fields() {
		from := make([]arrow.Array, len(pieces))
		for p := range pieces {
			from[p] = pieces[p][i]
		}
		if failed == nil {
			c, err := concatenate(a.x, f, from)
			if failed = err; err == nil {
				columns = append(columns, c)
			}
		}
		for _, c := range from {
			c.Release()
		}
	}
	if failed != nil {
		return nil, failed
	}
	return array.NewRecordBatch(a.schema, columns, int64(a.rows)), nil
}

func concatenate(x *execution, f arrow.Field, from []arrow.Array) (arrow.Array, error) {
	if len(from) == 0 {
		return array.MakeArrayOfNull(x.mem, f.Type, 0), nil
	}
	c, err := array.Concatenate(from, x.mem)
	if err != nil {
		return nil, fmt.Errorf("column %q: %w", f.Name, err)
	}
	return c, nil
}

func (a *assembler) dropRefs() {
	for _, rec := range a.inPlay {
		rec.Release()
	}
	for i := range a.slots {
		a.slots[i].index = -1
	}
	a.inPlay, a.refs = a.inPlay[:0], a.refs[:0]
}

func (a *assembler) drop() {
	a.dropRefs()
	for _, rec := range a.pieces {
		rec.Release()
	}
	a.pieces, a.rows = nil, 0
}

// gather copies rows of batches into one batch, leaving the first columns out.
func gather(x *execution, s *arrow.Schema, skip int, batches []arrow.RecordBatch, refs []rowRef) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, s.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	from := make([]arrow.Array, len(batches))
	for i, f := range s.Fields() {
		for b, rec := range batches {
			from[b] = rec.Column(i + skip)
		}
		c, err := rows.Gather(x.mem, f.Type, from, refs)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		columns = append(columns, c)
	}
	return array.NewRecordBatch(s, columns, int64(len(refs))), nil
}

// textSizes tells how long the texts and states of a batch's rows are.
type textSizes [][]int32

func textSizesOf(rec arrow.RecordBatch, skip int) textSizes {
	var out textSizes
	for _, c := range rec.Columns()[skip:] {
		switch c := c.(type) {
		case *array.String:
			out = append(out, c.ValueOffsets())
		case *array.Binary:
			out = append(out, c.ValueOffsets())
		}
	}
	return out
}

func (t textSizes) of(row int) int64 {
	var sum int64
	for _, ends := range t {
		sum += int64(ends[row+1] - ends[row])
	}
	return sum
}
