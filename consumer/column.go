package consumer

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// column gathers the values of one column in Go memory that is used again for every batch. finish copies them into
// buffers of exactly the size they need, so that small batches cost little and what is counted is what is held.
type column struct {
	dataType arrow.DataType
	width    int    // bytes of one value; 0 where values vary in length
	fixed    []byte // values, where width > 0
	ends     []int32
	data     []byte // values, where width = 0
	valid    []byte // bitmap; empty while nothing is null
	rows     int
	nulls    int
}

func newColumn(t arrow.DataType) (*column, error) {
	c := &column{dataType: t}
	switch t := t.(type) {
	case *arrow.StringType, *arrow.BinaryType:
		c.ends = append(c.ends, 0)
	case arrow.FixedWidthDataType:
		c.width = t.BitWidth() / 8
		if c.width == 0 {
			return nil, fmt.Errorf("hot rows cannot hold a column of Arrow type %s", t)
		}
	default:
		return nil, fmt.Errorf("hot rows cannot hold a column of Arrow type %s", t)
	}
	return c, nil
}

func (c *column) appendLong(v int64) {
	c.fixed = binary.NativeEndian.AppendUint64(c.fixed, uint64(v))
	c.appended()
}

func (c *column) appendDouble(v float64) {
	c.fixed = binary.NativeEndian.AppendUint64(c.fixed, math.Float64bits(v))
	c.appended()
}

func (c *column) appendFloat(v float32) {
	c.fixed = binary.NativeEndian.AppendUint32(c.fixed, math.Float32bits(v))
	c.appended()
}

// appendBytes appends a value of varying length, or one of exactly the column's width.
func (c *column) appendBytes(v []byte) {
	if c.width > 0 {
		c.fixed = append(c.fixed, v...)
	} else {
		c.data = append(c.data, v...)
		c.ends = append(c.ends, int32(len(c.data)))
	}
	c.appended()
}

func (c *column) appendNull() {
	if c.width > 0 {
		c.fixed = append(c.fixed, make([]byte, c.width)...)
	} else {
		c.ends = append(c.ends, int32(len(c.data)))
	}
	if c.nulls == 0 {
		c.valid = c.valid[:0]
		for i := 0; i < c.rows; i += 8 {
			c.valid = append(c.valid, byte(uint(1)<<min(8, c.rows-i)-1))
		}
	}
	if c.rows%8 == 0 {
		c.valid = append(c.valid, 0)
	}
	c.rows++
	c.nulls++
}

func (c *column) appended() {
	if c.nulls > 0 {
		if c.rows%8 == 0 {
			c.valid = append(c.valid, 0)
		}
		c.valid[c.rows/8] |= 1 << (c.rows % 8)
	}
	c.rows++
}

// bytes is how much the gathered values take up.
func (c *column) bytes() int { return len(c.fixed) + len(c.data) + 4*len(c.ends) + len(c.valid) }

// finish returns the gathered values as an Arrow array that the caller releases, and begins anew.
func (c *column) finish(mem memory.Allocator) arrow.Array {
	buffers := []*memory.Buffer{nil}
	if c.nulls > 0 {
		buffers[0] = copyBuffer(mem, c.valid)
	}
	if c.width > 0 {
		buffers = append(buffers, copyBuffer(mem, c.fixed))
	} else {
		ends := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(c.ends))), 4*len(c.ends))
		buffers = append(buffers, copyBuffer(mem, ends), copyBuffer(mem, c.data))
	}
	data := array.NewData(c.dataType, c.rows, buffers, nil, c.nulls, 0)
	defer data.Release()
	for _, b := range buffers {
		if b != nil {
			b.Release() // data holds its own reference
		}
	}
	c.fixed, c.data, c.valid, c.rows, c.nulls = keep(c.fixed), keep(c.data), keep(c.valid), 0, 0
	if c.width == 0 {
		c.ends = c.ends[:1]
	}
	return array.MakeFromData(data)
}

// maxKeptBytes bounds what a column keeps for its next batch, so that one huge record is not remembered for ever.
const maxKeptBytes = 1 << 20

func keep(b []byte) []byte {
	if cap(b) > maxKeptBytes {
		return nil
	}
	return b[:0]
}

func copyBuffer(mem memory.Allocator, from []byte) *memory.Buffer {
	to := mem.Allocate(len(from))
	copy(to, from)
	return memory.NewBufferWithAllocator(to, mem)
}
