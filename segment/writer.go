package segment

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

const writeBufferBytes = 256 << 10

// WriterOptions say what a file holds.
type WriterOptions struct {
	Schema    *arrow.Schema // FileArrowSchema, FoldedArrowSchema, …: every field carries its id
	SortBy    []string      // the order that the rows come in, recorded in the file
	Allocator memory.Allocator
}

// Writer turns sorted rows into one Parquet file, and keeps what its Meta needs on the way. It is used by one
// goroutine, and ends with Close or Abort.
type Writer struct {
	schema  *arrow.Schema
	buffer  *bufio.Writer
	sum     *summingWriter
	file    *file.Writer
	columns []columnStats
	rows    int64
	err     error
}

// NewWriter begins a file that is written to out.
func NewWriter(out io.Writer, o WriterOptions) (*Writer, error) {
	root, err := parquetSchema(o.Schema)
	if err != nil {
		return nil, fmt.Errorf("begin segment: %w", err)
	}
	sum := &summingWriter{out: out, hash: sha256.New()}
	buffer := bufio.NewWriterSize(sum, writeBufferBytes)
	mem := o.Allocator
	if mem == nil {
		mem = memory.DefaultAllocator
	}
	props := writerProperties(o.Schema, o.SortBy, parquet.WithAllocator(mem))
	f, err := file.NewParquetWriterWithError(buffer, root, file.WithWriterProps(props))
	if err != nil {
		return nil, fmt.Errorf("begin segment: %w", err)
	}
	w := &Writer{schema: o.Schema, buffer: buffer, sum: sum, file: f, columns: make([]columnStats, o.Schema.NumFields())}
	for i, field := range o.Schema.Fields() {
		w.columns[i].id, _ = FieldID(field)
		w.columns[i].unbounded = unbounded(field)
	}
	if err := f.AppendKeyValueMetadata(formatVersionKey, formatVersion); err != nil {
		return nil, fmt.Errorf("begin segment: %w", err)
	}
	return w, writeFieldMeta(f, o.Schema)
}

// Write appends the batch, of 1 to RowGroupRows rows, as one row group. Where row groups end is part of the bytes: it must
// depend on the rows alone. The caller keeps its reference. After an error only Abort is left.
func (w *Writer) Write(ctx context.Context, rec arrow.RecordBatch) error {
	if w.err == nil {
		w.err = w.write(ctx, rec)
	}
	return w.err
}

func (w *Writer) write(ctx context.Context, rec arrow.RecordBatch) error {
	if !sameLayout(w.schema, rec.Schema()) {
		return fmt.Errorf("write segment: the batch has columns %v, the file %v", rec.Schema(), w.schema)
	}
	if rec.NumRows() < 1 || rec.NumRows() > RowGroupRows {
		return fmt.Errorf("write segment: a row group of %d rows: it must have 1 to %d", rec.NumRows(), RowGroupRows)
	}
	if err := w.writeRowGroup(ctx, rec); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

func (w *Writer) writeRowGroup(ctx context.Context, rec arrow.RecordBatch) error {
	group, err := w.file.AppendRowGroupChecked()
	if err != nil {
		return err
	}
	props := pqarrow.NewArrowWriterProperties()
	ctx = pqarrow.NewArrowWriteContext(ctx, &props)
	levels := make([]int16, rec.NumRows())
	for i, values := range rec.Columns() {
		if err := ctx.Err(); err != nil {
			return err
		}
		field := w.schema.Field(i)
		if err := w.columns[i].add(values); err != nil {
			return fmt.Errorf("column %q: %w", field.Name, err)
		}
		column, err := group.NextColumn()
		if err != nil {
			return fmt.Errorf("column %q: %w", field.Name, err)
		}
		var definition []int16
		if field.Nullable {
			definition = levels
			fillDefinitionLevels(definition, values)
		} else if values.NullN() > 0 {
			return fmt.Errorf("column %q holds a null and may not", field.Name)
		}
		if err := pqarrow.WriteArrowToColumn(ctx, column, values, definition, nil, field.Nullable); err != nil {
			return fmt.Errorf("column %q: %w", field.Name, err)
		}
		if err := column.Close(); err != nil {
			return fmt.Errorf("column %q: %w", field.Name, err)
		}
	}
	w.rows += rec.NumRows()
	return group.Close()
}

// fillDefinitionLevels writes 1 for a value and 0 for a null.
func fillDefinitionLevels(levels []int16, values arrow.Array) {
	nulls := values.NullN() > 0
	for i := range levels {
		levels[i] = 1
		if nulls && values.IsNull(i) {
			levels[i] = 0
		}
	}
}

// Close ends the file and describes it. The writer that the file went to is not closed.
func (w *Writer) Close() (*Summary, error) {
	if w.err != nil {
		return nil, w.err
	}
	w.err = errors.New("write segment: the file has been closed")
	if err := w.file.Close(); err != nil {
		return nil, fmt.Errorf("end segment: %w", err)
	}
	if err := w.buffer.Flush(); err != nil {
		return nil, fmt.Errorf("end segment: %w", err)
	}
	s := &Summary{Rows: w.rows, Bytes: w.sum.bytes, SHA256: hex.EncodeToString(w.sum.hash.Sum(nil))}
	for i := range w.columns {
		c := &w.columns[i]
		s.Columns = append(s.Columns, c.stats())
		if c.id == TimeColumnID && c.some {
			s.MinMillis, s.MaxMillis = FloorMillis(c.minLong), FloorMillis(c.maxLong)
		}
	}
	return s, nil
}

// Abort gives back what an unfinished file holds. It does nothing after Close.
func (w *Writer) Abort() {
	w.sum.out = io.Discard
	w.err = errors.New("write segment: the file has been given up")
	_ = w.file.Close() // what was written is thrown away: only the buffers matter
}

// Summary is what writing a file found out about it.
type Summary struct {
	Rows, Bytes          int64
	SHA256               string
	MinMillis, MaxMillis int64 // 0 where there are no rows
	Columns              []ColumnStats
}

// FloorMillis turns microseconds into milliseconds, downwards also before 1970.
func FloorMillis(micros int64) int64 {
	millis := micros / 1000
	if micros%1000 < 0 {
		millis--
	}
	return millis
}

// sameLayout says whether two schemas have the same columns in the same order; nullability and metadata may differ.
func sameLayout(a, b *arrow.Schema) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for i := range a.NumFields() {
		if a.Field(i).Name != b.Field(i).Name || !arrow.TypeEqual(a.Field(i).Type, b.Field(i).Type) {
			return false
		}
	}
	return true
}

// summingWriter counts and hashes what passes through.
type summingWriter struct {
	out   io.Writer
	hash  hash.Hash
	bytes int64
}

func (s *summingWriter) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	s.hash.Write(p[:n])
	s.bytes += int64(n)
	return n, err
}
