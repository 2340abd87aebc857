package duckdb

/*
#include "scan.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"drumlin/segment"

	"github.com/apache/arrow-go/v18/arrow"
)

// layout is how C reads a column type: its code, the Arrow type that holds it, and bytes per value (4 per offset).
type layout struct {
	code  int
	arrow func(arrow.DataType) bool
	width int
}

var layouts = map[segment.ColumnType]layout{
	segment.TypeTime: {C.DR_TIMESTAMP, func(t arrow.DataType) bool {
		ts, ok := t.(*arrow.TimestampType)
		return ok && ts.Unit == arrow.Microsecond
	}, 8},
	segment.TypeString: {C.DR_VARCHAR, isA(arrow.STRING), 4},
	segment.TypeJSON:   {C.DR_VARCHAR, isA(arrow.STRING), 4},
	segment.TypeLong:   {C.DR_BIGINT, isA(arrow.INT64), 8},
	segment.TypeDouble: {C.DR_DOUBLE, isA(arrow.FLOAT64), 8},
	segment.TypeFloat:  {C.DR_FLOAT, isA(arrow.FLOAT32), 4},
	segment.TypeInt:    {C.DR_INTEGER, isA(arrow.INT32), 4},
	segment.TypeUUID: {C.DR_BLOB16, func(t arrow.DataType) bool {
		b, ok := t.(*arrow.FixedSizeBinaryType)
		return ok && b.ByteWidth == 16
	}, 16},
	segment.TypeBinary: {C.DR_BLOB, isA(arrow.BINARY), 4},
}

func isA(id arrow.Type) func(arrow.DataType) bool {
	return func(t arrow.DataType) bool { return t.ID() == id }
}

// describeVector points v at the buffers of one column of a record. Buffers on Go's heap are pinned; those outside it
// stay where they are anyway. The bounds of every buffer are checked here, string offsets when they are read.
func (e *scanEntry) describeVector(v *C.dr_vector, col ScanColumn, r arrow.RecordBatch, index int) error {
	if index >= int(r.NumCols()) {
		return fmt.Errorf("column %q is said to be at %d, the record has %d columns", col.Name, index, r.NumCols())
	}
	data, layout := r.Column(index).Data(), layouts[col.Type]
	if !layout.arrow(data.DataType()) {
		return fmt.Errorf("column %q of type %s cannot be read from Arrow %s", col.Name, col.Type, data.DataType())
	}
	rows, offset, buffers := data.Len(), data.Offset(), data.Buffers()
	// A slice does not know its nulls and says −1: only 0 means that the bitmap can be left alone.
	if bits := buffers[0]; bits != nil && bits.Len() > 0 && data.NullN() != 0 {
		if int64(bits.Len())*8 < int64(offset)+int64(rows) {
			return fmt.Errorf("column %q has a validity bitmap that is too short", col.Name)
		}
		v.validity = (*C.uint8_t)(e.pin(bits.Bytes()))
		v.validity_offset = C.int64_t(offset)
	}
	values := buffers[1]
	need := (offset + rows) * layout.width
	byOffset := layout.code == C.DR_VARCHAR || layout.code == C.DR_BLOB
	if byOffset {
		need += layout.width
	}
	if values == nil || values.Len() < need {
		return fmt.Errorf("column %q has a value buffer that is too short", col.Name)
	}
	v.form = C.DR_ARRAY
	v.values = (*C.uint8_t)(e.pin(values.Bytes()[offset*layout.width:]))
	if byOffset && buffers[2] != nil && buffers[2].Len() > 0 {
		v.bytes = (*C.char)(e.pin(buffers[2].Bytes()))
		v.bytes_len = C.int64_t(buffers[2].Len())
	}
	return nil
}

func (e *scanEntry) pin(b []byte) unsafe.Pointer {
	p := unsafe.Pointer(unsafe.SliceData(b))
	e.pinner.Pin(p)
	return p
}
