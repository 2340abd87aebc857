package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Reader reads a segment back to Arrow, one row group at a time. The bytes should have been verified against their
// Meta before: only the checksum finds every damage. It is used by one goroutine; the source outlives it.
type Reader struct {
	name   string
	file   *file.Reader
	arrow  *pqarrow.FileReader
	schema *arrow.Schema
	source *sourceReader
}

// OpenReader reads the footer of the object that src holds whole. The name stands in errors. Everything comes from Go's
// heap, since the Parquet library does not give back all of its decoders' scratch.
func OpenReader(name string, src io.ReaderAt, bytes int64) (*Reader, error) {
	mem := memory.NewGoAllocator()
	r := &Reader{name: name}
	err := guard(name, func() error {
		var err error
		r.source = &sourceReader{SectionReader: io.NewSectionReader(src, 0, bytes)}
		r.file, err = file.NewParquetReader(r.source, file.WithReadProps(parquet.NewReaderProperties(mem)))
		if err != nil {
			return r.readError("footer", err)
		}
		r.arrow, err = pqarrow.NewFileReader(r.file, pqarrow.ArrowReadProperties{}, mem)
		if err != nil {
			return corrupt(name, "%v", err)
		}
		return r.check()
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// check reads the schema and refuses what the writer never makes.
func (r *Reader) check() error {
	meta := r.file.MetaData()
	version := meta.KeyValueMetadata().FindValue(formatVersionKey)
	if version == nil || *version != formatVersion {
		return corrupt(r.name, "not a segment of format %s", formatVersion)
	}
	var rows int64
	for i := range meta.RowGroups {
		n := meta.RowGroup(i).NumRows()
		if n <= 0 || n > RowGroupRows {
			return corrupt(r.name, "row group %d has %d rows", i, n)
		}
		rows += n
	}
	if rows != meta.NumRows {
		return corrupt(r.name, "%d rows in its row groups, %d in all", rows, meta.NumRows)
	}
	fields := make([]arrow.Field, meta.Schema.NumColumns())
	for i := range fields {
		field, err := arrowField(meta.Schema.Column(i))
		if err != nil {
			return corrupt(r.name, "column %d: %v", i, err)
		}
		fields[i] = field
	}
	if err := readFieldMeta(meta.KeyValueMetadata().FindValue(fieldsKey), fields); err != nil {
		return corrupt(r.name, "%v", err)
	}
	r.schema = arrow.NewSchema(fields, nil)
	return nil
}

func arrowField(c *schema.Column) (arrow.Field, error) {
	node, ok := c.SchemaNode().(*schema.PrimitiveNode)
	if !ok || c.MaxRepetitionLevel() > 0 || c.MaxDefinitionLevel() > 1 {
		return arrow.Field{}, errors.New("not a plain column")
	}
	t, err := columnType(c, node.LogicalType())
	if err != nil {
		return arrow.Field{}, err
	}
	dataType, err := ArrowType(t)
	if err != nil {
		return arrow.Field{}, err
	}
	id := arrow.NewMetadata([]string{FieldIDKey}, []string{strconv.Itoa(int(node.FieldID()))})
	return arrow.Field{Name: c.Name(), Type: dataType, Nullable: c.MaxDefinitionLevel() == 1, Metadata: id}, nil
}

func columnType(c *schema.Column, logical schema.LogicalType) (ColumnType, error) {
	switch c.PhysicalType() {
	case parquet.Types.Int64:
		if _, ok := logical.(schema.TimestampLogicalType); ok {
			return TypeTime, nil
		}
		return TypeLong, nil
	case parquet.Types.Int32:
		return TypeInt, nil
	case parquet.Types.Double:
		return TypeDouble, nil
	case parquet.Types.Float:
		return TypeFloat, nil
	case parquet.Types.ByteArray:
		if _, none := logical.(schema.NoLogicalType); none || logical == nil {
			return TypeBinary, nil
		}
		return TypeString, nil
	case parquet.Types.FixedLenByteArray:
		if c.TypeLength() == 16 {
			return TypeUUID, nil
		}
	}
	return "", fmt.Errorf("type %s is not one of a segment's", c.PhysicalType())
}

// Schema is the layout of the file, with field ids. JSON columns read as text.
func (r *Reader) Schema() *arrow.Schema { return r.schema }

// Rows is the number of rows of the file.
func (r *Reader) Rows() int64 { return r.file.NumRows() }

// RowGroups is the number of row groups.
func (r *Reader) RowGroups() int { return r.file.NumRowGroups() }

// ReadRowGroup returns one row group's columns, in the order of the indexes given (ascending; nil: all). The caller
// releases the batch.
func (r *Reader) ReadRowGroup(ctx context.Context, group int, columns []int) (arrow.RecordBatch, error) {
	if group < 0 || group >= r.RowGroups() {
		return nil, fmt.Errorf("%s: no row group %d, there are %d", r.name, group, r.RowGroups())
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out arrow.RecordBatch
	err := guard(r.name, func() error {
		what := fmt.Sprintf("row group %d", group)
		records, err := r.arrow.GetRecordReader(ctx, columns, []int{group})
		if err != nil {
			return r.readError(what, err)
		}
		defer records.Release()
		if !records.Next() {
			return r.readError(what, records.Err())
		}
		out, err = r.plain(records.RecordBatch(), columns)
		if err == nil && out.NumRows() != r.file.MetaData().RowGroup(group).NumRows() {
			err = corrupt(r.name, "row group %d holds %d rows", group, out.NumRows())
		}
		return err
	})
	if err != nil {
		if out != nil {
			out.Release()
		}
		return nil, err
	}
	return out, nil
}

// readError tells a source that failed from bytes that are wrong.
func (r *Reader) readError(what string, err error) error {
	if r.source.failed != nil {
		return fmt.Errorf("%s: read %s: %w", r.name, what, r.source.failed)
	}
	return corrupt(r.name, "%s: %v", what, err)
}

// plain gives the batch this package's types: extension types, which depend on what the process has registered, as
// their storage.
func (r *Reader) plain(rec arrow.RecordBatch, columns []int) (arrow.RecordBatch, error) {
	fields := make([]arrow.Field, rec.NumCols())
	values := make([]arrow.Array, rec.NumCols())
	for i := range values {
		at := i
		if columns != nil {
			at = columns[i]
		}
		fields[i], values[i] = r.schema.Field(at), rec.Column(i)
		if e, ok := values[i].(array.ExtensionArray); ok {
			values[i] = e.Storage()
		}
		if !arrow.TypeEqual(values[i].DataType(), fields[i].Type) {
			return nil, corrupt(r.name, "column %q reads as %s", fields[i].Name, values[i].DataType())
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), values, rec.NumRows()), nil
}

// sourceReader remembers whether the source itself failed, which says nothing about the bytes.
type sourceReader struct {
	*io.SectionReader
	failed error
}

func (s *sourceReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.SectionReader.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}
