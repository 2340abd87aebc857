package peer

import (
	"fmt"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// maxJoinedRows is as long as batches become by joining; it is that of the owner's own.
const maxJoinedRows = 2048

// held are rows that stay between queries: those of [from, to) of one reading, in one shape. Under one reading rows are only
// ever added, so what is held is right for every request that it fits. It owns a reference to each batch.
type held struct {
	reading    string
	generation int32
	facts      segment.Facts
	shape      shape
	from, to   int64
	data       []segment.HotBatch
	rejects    []segment.HotBatch
	bytes      int64
}

// hold makes held rows of an answer to a request of the shape, and takes over the references.
func hold(r segment.HotRequest, s shape, rows *segment.HotRows) *held {
	h := &held{
		reading: rows.Reading, generation: rows.Generation, facts: r.Facts, shape: s, from: rows.From, to: rows.To,
		data: rows.Data, rejects: rows.Rejects,
	}
	for _, b := range append(append([]segment.HotBatch(nil), h.data...), h.rejects...) {
		h.bytes += settle(b)
	}
	return h
}

// reaches says whether the rows are those of the request's offsets, as far as they go.
func (h *held) reaches(r segment.HotRequest) bool {
	return h.generation == r.Generation && h.facts == r.Facts && h.from <= r.From && r.From <= h.to
}

// add takes over what came since h.to, in the shape of h, and joins small batches.
func (h *held) add(mem memory.Allocator, rows *segment.HotRows) error {
	h.to = rows.To
	for _, part := range []struct {
		to   *[]segment.HotBatch
		from *[]segment.HotBatch
	}{{&h.data, &rows.Data}, {&h.rejects, &rows.Rejects}} {
		for len(*part.from) > 0 {
			b := (*part.from)[0]
			*part.from = (*part.from)[1:]
			h.bytes += settle(b)
			*part.to = append(*part.to, b)
			if err := h.joinLast(mem, part.to); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinLast joins the newest batches while the older one is at most twice as long, so that every row is copied a few times at
// most and few small batches remain.
func (h *held) joinLast(mem memory.Allocator, list *[]segment.HotBatch) error {
	for l := *list; len(l) > 1; l = *list {
		older, newer := l[len(l)-2], l[len(l)-1]
		if n, m := older.Record.NumRows(), newer.Record.NumRows(); n > 2*m || n+m > maxJoinedRows || older.SchemaID != newer.SchemaID ||
			(len(older.Buckets) == 0) != (len(newer.Buckets) == 0) || !older.Record.Schema().Equal(newer.Record.Schema()) {
			return nil
		}
		joined, err := join(mem, older, newer)
		if err != nil {
			return err
		}
		h.bytes += settle(joined) - settle(older) - settle(newer)
		older.Record.Release()
		newer.Record.Release()
		*list = append(l[:len(l)-2], joined)
	}
	return nil
}

// join makes one batch of two that follow each other.
func join(mem memory.Allocator, older, newer segment.HotBatch) (segment.HotBatch, error) {
	columns := make([]arrow.Array, 0, older.Record.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i := range int(older.Record.NumCols()) {
		c, err := array.Concatenate([]arrow.Array{older.Record.Column(i), newer.Record.Column(i)}, mem)
		if err != nil {
			return segment.HotBatch{}, fmt.Errorf("join hot rows from offset %d on: column %s: %w", older.FromOffset, older.Record.ColumnName(i), err)
		}
		columns = append(columns, c)
	}
	return segment.HotBatch{
		Record:   array.NewRecordBatch(older.Record.Schema(), columns, older.Record.NumRows()+newer.Record.NumRows()),
		SchemaID: older.SchemaID, FromOffset: older.FromOffset, ToOffset: newer.ToOffset,
		MinMillis: min(older.MinMillis, newer.MinMillis), MaxMillis: max(older.MaxMillis, newer.MaxMillis),
		Buckets: joinBuckets(older.Buckets, newer.Buckets),
	}, nil
}

// joinBuckets adds up two lists, both ascending.
func joinBuckets(a, b []segment.BucketRows) []segment.BucketRows {
	var out []segment.BucketRows
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Bucket.StartMillis < b[0].Bucket.StartMillis:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0].Bucket.StartMillis < a[0].Bucket.StartMillis:
			out, b = append(out, b[0]), b[1:]
		default:
			sum := a[0]
			sum.Rows, sum.Bytes = sum.Rows+b[0].Rows, sum.Bytes+b[0].Bytes
			out, a, b = append(out, sum), a[1:], b[1:]
		}
	}
	return out
}

// dropBelow lets go the batches that a cut has passed.
func (h *held) dropBelow(offset int64) {
	h.from = max(h.from, offset)
	for _, list := range []*[]segment.HotBatch{&h.data, &h.rejects} {
		n := 0
		for ; n < len(*list) && (*list)[n].ToOffset <= offset; n++ {
			h.bytes -= settle((*list)[n])
			(*list)[n].Record.Release()
			(*list)[n] = segment.HotBatch{}
		}
		*list = (*list)[n:]
	}
}

// count is how many rows are held from an offset on.
func (h *held) count(from int64) (rows, rejects int64, err error) {
	if rows, err = countFrom(h.data, from); err != nil {
		return 0, 0, err
	}
	rejects, err = countFrom(h.rejects, from)
	return rows, rejects, err
}

func countFrom(list []segment.HotBatch, from int64) (int64, error) {
	var n int64
	for _, b := range list {
		if b.FromOffset >= from {
			n += b.Record.NumRows()
			continue
		}
		v, err := newRowView(b.Record)
		if err != nil {
			return 0, err
		}
		n += int64(v.rows() - sort.Search(v.rows(), func(row int) bool { return v.offset(row) >= from }))
	}
	return n, nil
}

// answer is what a request gets: with references of its own, which the caller releases.
func (h *held) answer(r segment.HotRequest, c segment.Counters) *segment.HotRows {
	out := &segment.HotRows{
		OffsetRange: segment.OffsetRange{Topic: r.Topic, Generation: h.generation, Partition: r.Partition, From: r.From, To: h.to},
		Counters:    c, Reading: h.reading,
	}
	for _, part := range []struct {
		from []segment.HotBatch
		to   *[]segment.HotBatch
	}{{h.data, &out.Data}, {h.rejects, &out.Rejects}} {
		for _, b := range part.from {
			if b.ToOffset > r.From {
				b.Record.Retain()
				*part.to = append(*part.to, b)
			}
		}
	}
	return out
}

func (h *held) release() {
	releaseAll(h.data)
	releaseAll(h.rejects)
}

// settle lets each array note its count of nulls, which it would else do while several queries read it, and returns how many
// bytes its buffers take up.
func settle(b segment.HotBatch) int64 {
	var sum int64
	for _, c := range b.Record.Columns() {
		c.NullN()
		for _, buffer := range c.Data().Buffers() {
			if buffer != nil {
				sum += int64(buffer.Cap())
			}
		}
	}
	return sum
}
