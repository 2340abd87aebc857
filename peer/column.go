package peer

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// copyRecord checks a batch as it came, column by column, and copies it into memory of the allocator.
func copyRecord(mem memory.Allocator, layout *arrow.Schema, header, body []byte, rows int64) (arrow.RecordBatch, error) {
	h, err := readBatchHeader(header)
	if err != nil {
		return nil, err
	}
	// A row takes 16 bytes at the least: its time and its offset.
	if h.rows != rows || rows < 1 || rows > int64(len(body))/16 || len(h.nodes) != layout.NumFields() {
		return nil, malformed("a batch of %d rows and %d columns was announced with %d and %d", h.rows, len(h.nodes), rows, layout.NumFields())
	}
	columns := make([]arrow.Array, 0, layout.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release() // the record holds its own references
		}
	}()
	next := 0
	for i, f := range layout.Fields() {
		c := columnCopy{mem: mem, field: f, rows: int(rows), nulls: int(h.nodes[i].second)}
		if h.nodes[i].first != rows {
			return nil, malformed("the column %s has %d values in %d rows", f.Name, h.nodes[i].first, rows)
		}
		for range buffersOf(f.Type) {
			b, err := h.slice(body, next)
			if err != nil {
				return nil, err
			}
			c.from, next = append(c.from, b), next+1
		}
		out, err := c.array()
		if err != nil {
			return nil, err
		}
		columns = append(columns, out)
	}
	if next != len(h.buffers) {
		return nil, malformed("a batch has %d buffers, and %d columns need %d", len(h.buffers), layout.NumFields(), next)
	}
	return array.NewRecordBatch(layout, columns, rows), nil
}

// buffersOf is how many buffers a column has.
func buffersOf(t arrow.DataType) int {
	if _, ok := t.(arrow.BinaryDataType); ok {
		return 3
	}
	return 2
}

// columnCopy copies one column.
type columnCopy struct {
	mem     memory.Allocator
	field   arrow.Field
	rows    int
	nulls   int      // as they were counted by the sender
	from    [][]byte // buffers as they came
	buffers []*memory.Buffer
}

func (c *columnCopy) array() (arrow.Array, error) {
	defer func() {
		memory.ReleaseBuffers(c.buffers) // the array holds its own references
	}()
	if err := c.validity(); err != nil {
		return nil, err
	}
	var err error
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
	data := array.NewData(c.field.Type, c.rows, c.buffers, nil, c.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}

// validity copies which rows have a value; nothing where all have one.
func (c *columnCopy) validity() error {
	if c.nulls == 0 {
		c.buffers = append(c.buffers, nil)
		return nil
	}
	if !c.field.Nullable {
		return malformed("the column %s has %d nulls, and can have none", c.field.Name, c.nulls)
	}
	bitmap, size := c.from[0], int(bitutil.BytesForBits(int64(c.rows)))
	if len(bitmap) < size || c.rows-bitutil.CountSetBits(bitmap[:size], 0, c.rows) != c.nulls {
		return malformed("the column %s does not say which %d of its values are null", c.field.Name, c.nulls)
	}
	c.copy(bitmap[:size])
	return nil
}

func (c *columnCopy) fixed(width int) error {
	values := c.from[1]
	if len(values)/width < c.rows {
		return malformed("the column %s has fewer values than its batch has rows", c.field.Name)
	}
	c.copy(values[:c.rows*width])
	return nil
}

// texts copies ends and values. DuckDB gives up its whole database over a text that is not UTF-8.
func (c *columnCopy) texts() error {
	raw, values := c.from[1], c.from[2]
	if len(raw)/arrow.Int32SizeBytes < c.rows+1 {
		return malformed("the column %s has fewer texts than its batch has rows", c.field.Name)
	}
	ends := arrow.Int32Traits.CastFromBytes(c.copy(raw[:(c.rows+1)*arrow.Int32SizeBytes]))
	first, before := ends[0], ends[0]
	if last := ends[c.rows]; first < 0 || last < first || int(last) > len(values) {
		return malformed("the texts of the column %s do not lie in their buffer", c.field.Name)
	}
	values = values[first:ends[c.rows]]
	for i, end := range ends {
		if end < before || int(end-first) > len(values) {
			return malformed("the texts of the column %s do not lie in their buffer", c.field.Name)
		}
		if at := int(end - first); at < len(values) && !utf8.RuneStart(values[at]) {
			return malformed("the column %s holds a text that is not UTF-8", c.field.Name)
		}
		before, ends[i] = end, end-first
	}
	if !utf8.Valid(values) {
		return malformed("the column %s holds a text that is not UTF-8", c.field.Name)
	}
	c.copy(values)
	return nil
}

// copy adds a buffer of its own with these bytes.
func (c *columnCopy) copy(from []byte) []byte {
	to := c.mem.Allocate(len(from))
	copy(to, from)
	c.buffers = append(c.buffers, memory.NewBufferWithAllocator(to, c.mem))
	return to
}

// littleEndian says whether this machine's numbers look like those of the wire.
func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }
