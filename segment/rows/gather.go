package rows

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// MaxRowGroupBytes ends a row group early, so that wide rows do not fill the memory. A row has FixedBytes and its texts.
const MaxRowGroupBytes = 64 << 20

// FixedBytes is what a row of the layout takes beside its texts and states.
func FixedBytes(s *arrow.Schema) int64 {
	var sum int64
	for _, f := range s.Fields() {
		if t, ok := f.Type.(arrow.FixedWidthDataType); ok {
			sum += int64(t.Bytes())
		} else {
			sum += int64(arrow.Int32SizeBytes)
		}
	}
	return sum
}

// Gather copies the rows' values of one column into a new array of type t, which the caller releases. from holds the
// column of each batch; a nil among them stands for a batch without the column: nulls.
func Gather[R Ref](mem memory.Allocator, t arrow.DataType, from []arrow.Array, refs []R) (arrow.Array, error) {
	validity, nulls := gatherValidity(mem, from, refs)
	defer release(validity)
	switch t.ID() {
	case arrow.STRING:
		return gatherTexts(mem, t, texts[*array.String](from), refs, validity, nulls)
	case arrow.BINARY:
		return gatherTexts(mem, t, texts[*array.Binary](from), refs, validity, nulls)
	case arrow.FIXED_SIZE_BINARY:
		return gatherUUIDs(mem, t, from, refs, validity, nulls), nil
	case arrow.TIMESTAMP:
		return gatherFixed(mem, t, from, refs, validity, nulls, func(a *array.Timestamp) []arrow.Timestamp { return a.Values() }), nil
	case arrow.INT64:
		return gatherFixed(mem, t, from, refs, validity, nulls, func(a *array.Int64) []int64 { return a.Values() }), nil
	case arrow.INT32:
		return gatherFixed(mem, t, from, refs, validity, nulls, func(a *array.Int32) []int32 { return a.Values() }), nil
	case arrow.FLOAT64:
		return gatherFixed(mem, t, from, refs, validity, nulls, func(a *array.Float64) []float64 { return a.Values() }), nil
	case arrow.FLOAT32:
		return gatherFixed(mem, t, from, refs, validity, nulls, func(a *array.Float32) []float32 { return a.Values() }), nil
	}
	return nil, fmt.Errorf("type %s cannot be gathered", t)
}

// gatherValidity gathers which rows have a value; nil where all have. Nulls are read from the bitmaps: NullN keeps what it
// counts, and batches may be shared.
func gatherValidity[R Ref](mem memory.Allocator, from []arrow.Array, refs []R) (*memory.Buffer, int) {
	none := true
	for _, a := range from {
		none = none && a != nil && a.Data().Buffers()[0] == nil
	}
	if none {
		return nil, 0
	}
	out := newBuffer(mem, int(bitutil.BytesForBits(int64(len(refs)))))
	bitmap := out.Bytes()
	clear(bitmap)
	nulls := 0
	for i, ref := range refs {
		batch, row := Split(ref)
		if from[batch] == nil || from[batch].IsNull(row) {
			nulls++
			continue
		}
		bitmap[i>>3] |= 1 << (i & 7)
	}
	return out, nulls
}

// gatherFixed collects values of a fixed width. What stands under a null is zero: it is never written to a file.
func gatherFixed[R Ref, A arrow.Array, T arrow.FixedWidthType](mem memory.Allocator, t arrow.DataType, from []arrow.Array, refs []R,
	validity *memory.Buffer, nulls int, values func(A) []T,
) arrow.Array {
	all, absent := make([][]T, len(from)), false
	for i, a := range from {
		if a == nil {
			absent = true
			continue
		}
		all[i] = values(a.(A))
	}
	width := t.(arrow.FixedWidthDataType).Bytes()
	out := newBuffer(mem, len(refs)*width)
	defer release(out)
	to := arrow.GetData[T](out.Bytes())
	for i, ref := range refs {
		batch, row := Split(ref)
		if absent && all[batch] == nil {
			var zero T
			to[i] = zero
			continue
		}
		to[i] = all[batch][row]
	}
	return makeArray(t, len(refs), nulls, validity, out)
}

// text is an array of strings or of bytes: where each value begins and ends, and all of them in one piece.
type text interface {
	arrow.Array
	ValueOffsets() []int32
	ValueBytes() []byte
}

type textColumn struct {
	ends  []int32 // one more than there are values
	first int32   // where ValueBytes begins
	bytes []byte
}

func texts[A text](from []arrow.Array) []textColumn {
	out := make([]textColumn, len(from))
	for i, a := range from {
		if a == nil || a.Len() == 0 {
			continue
		}
		values := a.(A)
		out[i] = textColumn{ends: values.ValueOffsets(), bytes: values.ValueBytes()}
		out[i].first = out[i].ends[0]
	}
	return out
}

func gatherTexts[R Ref](mem memory.Allocator, t arrow.DataType, from []textColumn, refs []R, validity *memory.Buffer, nulls int,
) (arrow.Array, error) {
	ends := newBuffer(mem, (len(refs)+1)*arrow.Int32SizeBytes)
	defer release(ends)
	offsets := arrow.Int32Traits.CastFromBytes(ends.Bytes())
	offsets[0] = 0
	var size int64
	for i, ref := range refs {
		if nulls == 0 || bitutil.BitIsSet(validity.Bytes(), i) {
			batch, row := Split(ref)
			size += int64(from[batch].ends[row+1] - from[batch].ends[row])
		}
		if size > math.MaxInt32 {
			return nil, fmt.Errorf("more than %d bytes of text in one row group", math.MaxInt32)
		}
		offsets[i+1] = int32(size)
	}
	out := newBuffer(mem, int(size))
	defer release(out)
	to := out.Bytes()
	for i, ref := range refs {
		if offsets[i+1] > offsets[i] {
			batch, row := Split(ref)
			c := &from[batch]
			copy(to[offsets[i]:offsets[i+1]], c.bytes[c.ends[row]-c.first:c.ends[row+1]-c.first])
		}
	}
	return makeArray(t, len(refs), nulls, validity, ends, out), nil
}

func gatherUUIDs[R Ref](mem memory.Allocator, t arrow.DataType, from []arrow.Array, refs []R, validity *memory.Buffer, nulls int) arrow.Array {
	width := t.(*arrow.FixedSizeBinaryType).ByteWidth
	out := newBuffer(mem, len(refs)*width)
	defer release(out)
	to := out.Bytes()
	clear(to)
	for i, ref := range refs {
		if nulls == 0 || bitutil.BitIsSet(validity.Bytes(), i) {
			batch, row := Split(ref)
			copy(to[i*width:], from[batch].(*array.FixedSizeBinary).Value(row))
		}
	}
	return makeArray(t, len(refs), nulls, validity, out)
}

func newBuffer(mem memory.Allocator, bytes int) *memory.Buffer {
	b := memory.NewResizableBuffer(mem)
	b.Resize(bytes)
	return b
}

// makeArray takes references of its own to the buffers.
func makeArray(t arrow.DataType, n, nulls int, buffers ...*memory.Buffer) arrow.Array {
	data := array.NewData(t, n, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func release(b *memory.Buffer) {
	if b != nil {
		b.Release()
	}
}
