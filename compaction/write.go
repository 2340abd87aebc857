package compaction

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/segment"
	"drumlin/segment/rows"
)

// arrowPerObjectByte is about how many bytes of Arrow columns one byte of a segment's object holds. Where a segment ends must
// depend on its rows alone, and the bytes of its object are known only afterwards.
const arrowPerObjectByte = 3

// cutter cuts rows that come in order into segments and row groups. Where it cuts depends on the rows alone, so that equal
// rows give equal bytes. It is used by one goroutine; finish or drop ends it.
type cutter struct {
	x        *execution
	asm      *assembler
	cut      *cutting
	fixed    int64 // bytes of a row beside its texts
	maxRows  int64
	maxBytes int64 // in Arrow bytes
	open     bool  // a segment has begun
	part     int64
	rows     int64 // of the segment
	bytes    int64
	group    int64 // bytes of the row group
	pushed   int
}

// newCutter takes rows of the layout, with the part before it where there is more than one.
func newCutter(x *execution, s *arrow.Schema, sortBy []string, cut *cutting) *cutter {
	x.writers.layout(s, sortBy)
	c := &cutter{
		x: x, asm: newAssembler(x, s, cut.skip()), cut: cut, fixed: rows.FixedBytes(s), maxRows: x.job.MaxRowsPerSegment,
		maxBytes: x.job.TargetSegmentBytes * arrowPerObjectByte,
	}
	if cut.ranges != nil {
		c.maxRows, c.maxBytes = 0, 0 // the parts are the segments
	}
	return c
}

func (c *cutter) push(ctx context.Context, r rowAt) error {
	slot := c.asm.at(r)
	bytes := c.fixed + slot.sizes.of(r.row)
	var part int64
	if slot.parts != nil {
		part = slot.parts[r.row]
	}
	switch {
	case c.open && (part != c.part || c.full(bytes)):
		if err := c.endSegment(ctx); err != nil {
			return err
		}
	case c.asm.rows == segment.RowGroupRows || c.group+bytes > rows.MaxRowGroupBytes && c.asm.rows > 0:
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	c.open, c.part = true, part
	c.rows++
	c.bytes += bytes
	c.group += bytes
	if c.pushed++; c.pushed%pieceRows == 0 {
		if err := c.makeRoom(ctx); err != nil {
			return err
		}
	}
	return c.asm.add(slot, r.row)
}

// full says whether a row of so many bytes belongs into the next segment.
func (c *cutter) full(bytes int64) bool {
	return c.maxRows > 0 && c.rows >= c.maxRows || c.maxBytes > 0 && c.bytes+bytes > c.maxBytes && c.rows > 0
}

// flush hands a row group on.
func (c *cutter) flush(ctx context.Context) error {
	if c.asm.rows == 0 {
		return nil
	}
	if err := c.makeRoom(ctx); err != nil {
		return err
	}
	rec, err := c.asm.take()
	c.group = 0
	if err != nil {
		return err
	}
	c.x.reported.add(rec.NumRows())
	return c.x.writers.write(ctx, writeCommand{rec: rec, bucket: c.cut.bucket(c.part)})
}

// makeRoom lets the row group before be written first, where two may be too many.
func (c *cutter) makeRoom(ctx context.Context) error {
	if c.x.mem.used.Load() > c.x.e.o.MaxMemoryBytes*3/4 {
		return c.x.writers.idle(ctx)
	}
	return ctx.Err()
}

func (c *cutter) endSegment(ctx context.Context) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	c.open, c.rows, c.bytes = false, 0, 0
	return c.x.writers.write(ctx, writeCommand{end: true})
}

func (c *cutter) finish(ctx context.Context) error {
	if !c.open {
		return nil
	}
	return c.endSegment(ctx)
}

func (c *cutter) drop() { c.asm.drop() }

// drain pushes all rows of a stream and ends the last segment.
func (c *cutter) drain(ctx context.Context, from rowStream) error {
	for {
		r, ok, err := from.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return c.finish(ctx)
		}
		if err := c.push(ctx, r); err != nil {
			return err
		}
	}
}
