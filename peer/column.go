package peer

import (
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// copyRecord checks a decoded batch, column by column, and copies it into memory of the allocator. The layout has the
// batch's types.
func copyRecord(mem memory.Allocator, layout *arrow.Schema, sent arrow.RecordBatch, rows int64) (arrow.RecordBatch, error) {
	if sent.NumRows() != rows || rows < 1 || sent.NumCols() != int64(layout.NumFields()) {
		return nil, malformed("a batch of %d rows and %d columns was announced with %d and %d",
			sent.NumRows(), sent.NumCols(), rows, layout.NumFields())
	}
	columns := make([]arrow.Array, 0, layout.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release() // the record holds its own references
		}
	}()
	for i, f := range layout.Fields() {
		c := columnCopy{mem: mem, field: f, from: sent.Column(i).Data(), rows: int(rows)}
		out, err := c.array()
		if err != nil {
			return nil, err
		}
		columns = append(columns, out)
	}
	return array.NewRecordBatch(layout, columns, rows), nil
}

// columnCopy copies one column.
type columnCopy struct {
	mem     memory.Allocator
	field   arrow.Field
	from    arrow.ArrayData
	rows    int
	buffers []*memory.Buffer
}

func (c *columnCopy) array() (arrow.Array, error) {
	defer func() {
		memory.ReleaseBuffers(c.buffers) // the array holds its own references
	}()
	if c.from.Len() != c.rows || c.from.Offset() != 0 {
		return nil, malformed("the column %s has %d values in %d rows", c.field.Name, c.from.Len(), c.rows)
	}
	nulls, err := c.validity()
	if err != nil {
		return nil, err
	}
	switch t := c.field.Type.(type) {
	case *arrow.StringType:
		err = c.texts()
	case arrow.FixedWidthDataType:
		err = c.fixed(t.Bytes())
	default:
		err = malformed("the column %s is of the type %s", c.field.Name, t)
	}
	if err != nil {
		return nil, err
	}
	data := array.NewData(c.field.Type, c.rows, c.buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}

// validity copies which rows have a value, and counts those that have none; nothing where all have one.
func (c *columnCopy) validity() (nulls int, err error) {
	bitmap := c.bytes(0)
	if len(bitmap) == 0 {
		if c.from.NullN() != 0 {
			return 0, malformed("the column %s does not say which of its values are null", c.field.Name)
		}
		c.buffers = append(c.buffers, nil)
		return 0, nil
	}
	size := int(bitutil.BytesForBits(int64(c.rows)))
	if len(bitmap) < size {
		return 0, malformed("the column %s says of too few of its values whether they are null", c.field.Name)
	}
	nulls = c.rows - bitutil.CountSetBits(bitmap, 0, c.rows)
	switch {
	case nulls == 0:
		c.buffers = append(c.buffers, nil)
	case !c.field.Nullable:
		return 0, malformed("the column %s has %d nulls, and can have none", c.field.Name, nulls)
	default:
		c.copy(bitmap[:size])
	}
	return nulls, nil
}

func (c *columnCopy) fixed(width int) error {
	values := c.bytes(1)
	if len(values)/width < c.rows {
		return malformed("the column %s has fewer values than its batch has rows", c.field.Name)
	}
	c.copy(values[:c.rows*width])
	return nil
}

// texts copies ends and values. DuckDB gives up its whole database over a text that is not UTF-8.
func (c *columnCopy) texts() error {
	raw, values := c.bytes(1), c.bytes(2)
	if len(raw)/arrow.Int32SizeBytes < c.rows+1 {
		return malformed("the column %s has fewer texts than its batch has rows", c.field.Name)
	}
	ends := arrow.Int32Traits.CastFromBytes(raw[:(c.rows+1)*arrow.Int32SizeBytes])
	first, last := ends[0], ends[0]
	if first < 0 {
		return malformed("the texts of the column %s do not lie in their buffer", c.field.Name)
	}
	for _, end := range ends {
		if end < last || int(end) > len(values) {
			return malformed("the texts of the column %s do not lie in their buffer", c.field.Name)
		}
		if int(end) < len(values) && !utf8.RuneStart(values[end]) && end != ends[c.rows] {
			return malformed("the column %s holds a text that is not UTF-8", c.field.Name)
		}
		last = end
	}
	values = values[first:last]
	if !utf8.Valid(values) {
		return malformed("the column %s holds a text that is not UTF-8", c.field.Name)
	}
	to := arrow.Int32Traits.CastFromBytes(c.copy(raw[:(c.rows+1)*arrow.Int32SizeBytes]))
	if first != 0 {
		for i := range to {
			to[i] -= first
		}
	}
	c.copy(values)
	return nil
}

// bytes are those of a buffer of the decoded column.
func (c *columnCopy) bytes(i int) []byte {
	if buffers := c.from.Buffers(); i < len(buffers) && buffers[i] != nil {
		return buffers[i].Bytes()
	}
	return nil
}

// copy adds a buffer of its own with these bytes.
func (c *columnCopy) copy(from []byte) []byte {
	to := c.mem.Allocate(len(from))
	copy(to, from)
	c.buffers = append(c.buffers, memory.NewBufferWithAllocator(to, c.mem))
	return to
}
