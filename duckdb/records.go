package duckdb

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	bindings "github.com/duckdb/duckdb-go-bindings"
)

// A record of a streamed answer ends with the chunk that reaches one of these.
const (
	recordRows  = 4 * vectorRows
	recordBytes = 8 << 20
)

// Records runs one statement and hands its rows over as Arrow records of the layout, whose columns are the statement's, in
// their order. Only one record is held at a time: emit must retain what it keeps. emit may not use the session. The types
// that a layout may have are those of segment.ArrowType but for the 16-byte one. An error of emit ends the statement and
// is returned as it is.
func (s *Session) Records(ctx context.Context, sql string, layout *arrow.Schema, mem memory.Allocator, emit func(arrow.RecordBatch) error) error {
	if err := checkText("statement", sql); err != nil {
		return err
	}
	return s.run(ctx, func() error {
		return s.withPrepared(sql, func(stmt bindings.PreparedStatement) error {
			r := &Result{session: s, filling: -1}
			defer r.destroy()
			if bindings.ExecutePreparedStreaming(stmt, &r.res) == bindings.StateError {
				return newError(bindings.ResultErrorType(&r.res), bindings.ResultError(&r.res))
			}
			if err := r.readColumns(); err != nil {
				return err
			}
			if err := r.checkLayout(layout); err != nil {
				return err
			}
			return r.stream(ctx, layout, mem, emit)
		})
	})
}

// recordTypes are the SQL types whose values a column of an Arrow type takes.
var recordTypes = map[arrow.Type]TypeID{
	arrow.TIMESTAMP: Timestamp, arrow.INT64: BigInt, arrow.INT32: Integer, arrow.FLOAT64: Double, arrow.FLOAT32: Float,
	arrow.STRING: Varchar, arrow.BINARY: Blob,
}

func (r *Result) checkLayout(layout *arrow.Schema) error {
	if layout.NumFields() != len(r.columns) {
		return fmt.Errorf("the statement gives %d columns, the layout has %d", len(r.columns), layout.NumFields())
	}
	for i, c := range r.columns {
		f := layout.Field(i)
		unit, isTime := f.Type.(*arrow.TimestampType)
		if recordTypes[f.Type.ID()] != c.Type.ID || isTime && unit.Unit != arrow.Microsecond {
			return fmt.Errorf("the statement gives column %q as %s, the layout has %q as %s", c.Name, c.Type, f.Name, f.Type)
		}
	}
	return nil
}

// stream reads the result to its end, chunk by chunk.
func (r *Result) stream(ctx context.Context, layout *arrow.Schema, mem memory.Allocator, emit func(arrow.RecordBatch) error) error {
	b := array.NewRecordBuilder(mem, layout)
	defer b.Release()
	rows, bytes := 0, int64(0)
	flush := func() error {
		if rows == 0 {
			return nil
		}
		rows, bytes = 0, 0
		rec := b.NewRecordBatch()
		defer rec.Release()
		return emit(rec)
	}
	for {
		chunk := bindings.FetchChunk(r.res)
		if chunk.Ptr == nil {
			if err := r.streamError(); err != nil {
				return err
			}
			return flush()
		}
		n := int(bindings.DataChunkGetSize(chunk))
		for i := range r.vectors {
			r.vectors[i].load(bindings.DataChunkGetVector(chunk, bindings.IdxT(i)))
			r.vectors[i].appendTo(b.Field(i), n)
			bytes += r.vectors[i].cost(0, n)
		}
		bindings.DestroyDataChunk(&chunk)
		if rows += n; rows < recordRows && bytes < recordBytes {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ErrInterrupted
		}
	}
}

// appendTo copies the vector's first rows behind those of the builder.
func (v *vector) appendTo(b array.Builder, rows int) {
	b.Reserve(rows)
	switch b := b.(type) {
	case *array.TimestampBuilder:
		appendFixed(v, rows, b.UnsafeAppend, b.UnsafeAppendBoolToBitmap)
	case *array.Int64Builder:
		appendFixed(v, rows, b.UnsafeAppend, b.UnsafeAppendBoolToBitmap)
	case *array.Int32Builder:
		appendFixed(v, rows, b.UnsafeAppend, b.UnsafeAppendBoolToBitmap)
	case *array.Float64Builder:
		appendFixed(v, rows, b.UnsafeAppend, b.UnsafeAppendBoolToBitmap)
	case *array.Float32Builder:
		appendFixed(v, rows, b.UnsafeAppend, b.UnsafeAppendBoolToBitmap)
	case *array.StringBuilder:
		v.appendBytes(rows, func(p []byte) { b.Append(unsafe.String(unsafe.SliceData(p), len(p))) }, b.AppendNull)
	case *array.BinaryBuilder:
		v.appendBytes(rows, b.Append, b.AppendNull)
	}
}

func appendFixed[T any](v *vector, rows int, value func(T), valid func(bool)) {
	for row := range rows {
		if v.valid(row) {
			value(at[T](v, row))
		} else {
			valid(false)
		}
	}
}

func (v *vector) appendBytes(rows int, value func([]byte), null func()) {
	for row := range rows {
		if v.valid(row) {
			value(v.bytes(row))
		} else {
			null()
		}
	}
}
