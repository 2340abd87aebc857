package peer

import (
	"fmt"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
	"drumlin/segment/rows"
)

const (
	// maxSentBytes is where a batch is sent in pieces. One row may exceed it.
	maxSentBytes = 4 << 20
	// A batch is filtered row by row where fewer than one in filterBelow of the rows between its first and last match are
	// wanted; else these rows are sent as they stand.
	filterBelow = 2
)

// alwaysSent are the columns that come whatever is asked for: what a reader cuts, prunes and removes copies by.
var alwaysSent = []string{segment.TimeColumn, segment.IDHighColumn, segment.IDLowColumn, segment.OffsetColumn}

// narrower leaves out of batches what a request does not need. It is used by one goroutine.
type narrower struct {
	request segment.HotRequest
	to      int64 // end of the range that is answered for
	rejects bool
	mem     memory.Allocator

	columns map[string]bool // nil: all
	layouts map[*arrow.Schema]layout
}

// layout is a schema without the columns that are not sent.
type layout struct {
	schema  *arrow.Schema
	columns []int
}

func newNarrower(r segment.HotRequest, to int64, rejects bool, mem memory.Allocator) *narrower {
	n := &narrower{request: r, to: to, rejects: rejects, mem: mem, layouts: map[*arrow.Schema]layout{}}
	if r.Columns != nil && !rejects {
		n.columns = map[string]bool{}
		for _, name := range slices.Concat(alwaysSent, r.Columns) {
			n.columns[name] = true
		}
	}
	return n
}

// narrow returns what is to be sent of a batch, in pieces that fit a message. The caller releases the pieces; the batch
// stays his.
func (n *narrower) narrow(b segment.HotBatch) ([]segment.HotBatch, error) {
	if b.ToOffset <= n.request.From || b.FromOffset >= n.to || n.outside(b.MinMillis, b.MaxMillis) {
		return nil, nil
	}
	whole := b
	whole.Record = n.project(b.Record)
	view, err := newRowView(whole.Record)
	if err != nil {
		whole.Record.Release()
		return nil, err
	}
	first, last, matches := n.span(view)
	if matches == 0 {
		whole.Record.Release()
		return nil, nil
	}
	if first == 0 && last == view.rows() && matches == last {
		return split(whole)
	}
	defer whole.Record.Release()
	cut := b
	if matches*filterBelow < last-first {
		if cut.Record, err = n.gather(whole.Record, n.matching(view, first, last, matches)); err != nil {
			return nil, err
		}
	} else {
		cut.Record = whole.Record.NewSlice(int64(first), int64(last))
	}
	if err := describe(&cut, b.Buckets); err != nil {
		cut.Record.Release()
		return nil, err
	}
	return split(cut)
}

// outside says whether times from min to max are not asked for.
func (n *narrower) outside(minMillis, maxMillis int64) bool {
	from, to := n.request.FromMillis, n.request.ToMillis
	return (from != 0 || to != 0) && (maxMillis < from || minMillis >= to)
}

// span is the range of rows that holds every wanted one, and how many these are.
func (n *narrower) span(v rowView) (first, last, matches int) {
	low := sort.Search(v.rows(), func(row int) bool { return v.offset(row) >= n.request.From })
	high := sort.Search(v.rows(), func(row int) bool { return v.offset(row) >= n.to })
	if n.request.FromMillis == 0 && n.request.ToMillis == 0 {
		return low, high, max(0, high-low)
	}
	first = high
	for row := low; row < high; row++ {
		if at := v.millis(row); n.outside(at, at) {
			continue
		}
		first, last, matches = min(first, row), row+1, matches+1
	}
	return first, last, matches
}

func (n *narrower) matching(v rowView, first, last, matches int) []uint64 {
	out := make([]uint64, 0, matches)
	for row := first; row < last; row++ {
		if at := v.millis(row); !n.outside(at, at) {
			out = append(out, rows.Make[uint64](0, row))
		}
	}
	return out
}

func (n *narrower) gather(record arrow.RecordBatch, refs []uint64) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, record.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, c := range record.Columns() {
		out, err := rows.Gather(n.mem, c.DataType(), []arrow.Array{c}, refs)
		if err != nil {
			return nil, fmt.Errorf("filter hot rows: column %s: %w", record.ColumnName(i), err)
		}
		columns = append(columns, out)
	}
	return array.NewRecordBatch(record.Schema(), columns, int64(len(refs))), nil
}

// project returns the record without columns that nobody asked for, with a reference of its own. Its arrays are never those
// of the record, which others read at the same time: an array notes how many nulls it has when it is first asked.
func (n *narrower) project(record arrow.RecordBatch) arrow.RecordBatch {
	if n.columns == nil {
		return record.NewSlice(0, record.NumRows())
	}
	l, ok := n.layouts[record.Schema()]
	if !ok {
		var fields []arrow.Field
		for i, f := range record.Schema().Fields() {
			if n.columns[f.Name] {
				fields, l.columns = append(fields, f), append(l.columns, i)
			}
		}
		l.schema = arrow.NewSchema(fields, nil)
		n.layouts[record.Schema()] = l
	}
	columns := make([]arrow.Array, len(l.columns))
	for i, at := range l.columns {
		columns[i] = array.NewSlice(record.Column(at), 0, record.NumRows())
	}
	out := array.NewRecordBatch(l.schema, columns, record.NumRows())
	for _, c := range columns {
		c.Release() // the record holds its own references
	}
	return out
}

// split cuts a batch into pieces of at most maxSentBytes, and takes over its reference.
func split(b segment.HotBatch) ([]segment.HotBatch, error) {
	n := b.Record.NumRows()
	if n == 1 || sizeOf(b.Record) <= maxSentBytes {
		return []segment.HotBatch{b}, nil
	}
	defer b.Record.Release()
	var out []segment.HotBatch
	for _, part := range [][2]int64{{0, n / 2}, {n / 2, n}} {
		piece := b
		piece.Record = b.Record.NewSlice(part[0], part[1])
		err := describe(&piece, b.Buckets)
		var pieces []segment.HotBatch
		if err != nil {
			piece.Record.Release()
		} else {
			pieces, err = split(piece)
		}
		out = append(out, pieces...)
		if err != nil {
			releaseAll(out)
			return nil, err
		}
	}
	return out, nil
}

func releaseAll(list []segment.HotBatch) {
	for _, b := range list {
		b.Record.Release()
	}
}

// describe counts anew what is said of a batch, after rows were taken out. among are the buckets that its rows can be in.
func describe(b *segment.HotBatch, among []segment.BucketRows) error {
	v, err := newRowView(b.Record)
	if err != nil {
		return err
	}
	n := v.rows()
	b.FromOffset, b.ToOffset = v.offset(0), v.offset(n-1)+1
	b.MinMillis, b.MaxMillis, b.Buckets = v.millis(0), v.millis(0), nil
	counts := make([]int64, len(among))
	for row := range n {
		at := v.millis(row)
		b.MinMillis, b.MaxMillis = min(b.MinMillis, at), max(b.MaxMillis, at)
		if len(among) == 0 {
			continue
		}
		i := sort.Search(len(among), func(i int) bool { return among[i].Bucket.EndMillis > at })
		if i == len(among) || at < among[i].Bucket.StartMillis {
			return fmt.Errorf("the hot row at offset %d lies in none of the buckets of its batch", v.offset(row))
		}
		counts[i]++
	}
	bytes := sizeOf(b.Record)
	for i, rows := range counts {
		if rows > 0 {
			b.Buckets = append(b.Buckets, segment.BucketRows{Bucket: among[i].Bucket, Rows: rows, Bytes: bytes * rows / int64(n)})
		}
	}
	return nil
}

// sizeOf is about how many bytes the record's rows take up in a message.
func sizeOf(r arrow.RecordBatch) int64 {
	var sum int64
	for _, c := range r.Columns() {
		switch a := c.(type) {
		case *array.String:
			sum += int64(len(a.ValueBytes())) + int64(a.Len()*arrow.Int32SizeBytes)
		case *array.Binary:
			sum += int64(len(a.ValueBytes())) + int64(a.Len()*arrow.Int32SizeBytes)
		default:
			if t, ok := c.DataType().(arrow.FixedWidthDataType); ok {
				sum += int64(c.Len()) * int64(t.Bytes())
			}
		}
		if c.NullN() > 0 {
			sum += int64(c.Len() / 8)
		}
	}
	return sum
}

// rowView reads the two columns that every batch has.
type rowView struct {
	times   []arrow.Timestamp // microseconds
	offsets []int64
}

func newRowView(r arrow.RecordBatch) (rowView, error) {
	var v rowView
	for i, c := range r.Columns() {
		switch a := c.(type) {
		case *array.Timestamp:
			if r.ColumnName(i) == segment.TimeColumn {
				v.times = a.Values()
			}
		case *array.Int64:
			if r.ColumnName(i) == segment.OffsetColumn {
				v.offsets = a.Int64Values()
			}
		}
	}
	if n := int(r.NumRows()); len(v.times) != n || len(v.offsets) != n {
		return rowView{}, fmt.Errorf("hot batch: a column %s or %s is missing, or of another type", segment.TimeColumn, segment.OffsetColumn)
	}
	return v, nil
}

func (v rowView) rows() int            { return len(v.offsets) }
func (v rowView) offset(row int) int64 { return v.offsets[row] }
func (v rowView) millis(row int) int64 { return segment.FloorMillis(int64(v.times[row])) }
