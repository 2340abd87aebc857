package segment

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// How files are laid out (docs/format/segment.md). Changing any of these changes the bytes of equal rows.
const (
	// RowGroupRows is the most rows of a row group: 60 of DuckDB's vectors.
	RowGroupRows = 122_880

	formatVersion      = "1"
	createdBy          = "drumlin"
	dataPageBytes      = 256 << 10
	dictionaryMaxBytes = 1 << 20
	zstdLevel          = 1

	formatVersionKey = "drumlin.format"
)

// parquetSchema gives every Arrow field its Parquet form. Timestamps are written as local time, which every reader
// takes as it stands: they mean UTC.
func parquetSchema(s *arrow.Schema) (*schema.GroupNode, error) {
	nodes := make(schema.FieldList, s.NumFields())
	for i, f := range s.Fields() {
		node, err := parquetNode(f)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		nodes[i] = node
	}
	return schema.NewGroupNode("schema", parquet.Repetitions.Required, nodes, -1)
}

func parquetNode(f arrow.Field) (schema.Node, error) {
	id, ok := FieldID(f)
	if !ok {
		return nil, fmt.Errorf("no field id in the metadata under %s", FieldIDKey)
	}
	repetition := parquet.Repetitions.Required
	if f.Nullable {
		repetition = parquet.Repetitions.Optional
	}
	var (
		logical  schema.LogicalType = schema.NoLogicalType{}
		physical parquet.Type
		length   = -1
	)
	switch t := f.Type.(type) {
	case *arrow.TimestampType:
		if t.Unit != arrow.Microsecond || t.TimeZone != "" {
			return nil, fmt.Errorf("%s cannot be stored: use timestamp[us] without a zone", t)
		}
		physical = parquet.Types.Int64
		logical = schema.NewTimestampLogicalType(false, schema.TimeUnitMicros)
	case *arrow.StringType:
		physical, logical = parquet.Types.ByteArray, schema.StringLogicalType{}
	case *arrow.BinaryType:
		physical = parquet.Types.ByteArray
	case *arrow.Int64Type:
		physical = parquet.Types.Int64
	case *arrow.Int32Type:
		physical = parquet.Types.Int32
	case *arrow.Float64Type:
		physical = parquet.Types.Double
	case *arrow.Float32Type:
		physical = parquet.Types.Float
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth != 16 {
			return nil, fmt.Errorf("%s cannot be stored: only 16 bytes, a UUID", t)
		}
		physical, logical, length = parquet.Types.FixedLenByteArray, schema.UUIDLogicalType{}, 16
	default:
		return nil, fmt.Errorf("%s cannot be stored", f.Type)
	}
	return schema.NewPrimitiveNodeLogical(f.Name, repetition, logical, physical, length, id)
}

// writerProperties says how each column is encoded: values that differ from row to row plainly, times, offsets and the
// sorted halves of ids sidecars as differences, everything else by dictionary until the dictionary grows too large.
func writerProperties(s *arrow.Schema, sortBy []string, options ...parquet.WriterProperty) *parquet.WriterProperties {
	p := append([]parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(zstdLevel),
		parquet.WithDataPageSize(dataPageBytes),
		parquet.WithDictionaryPageSizeLimit(dictionaryMaxBytes),
		parquet.WithMaxRowGroupLength(RowGroupRows),
		parquet.WithStats(true),
		parquet.WithPageIndexEnabled(true),
	}, options...)
	var order []parquet.SortingColumn
	for _, name := range sortBy {
		if at := s.FieldIndices(name); len(at) == 1 {
			order = append(order, parquet.SortingColumn{ColumnIdx: int32(at[0]), NullsFirst: true})
		}
	}
	p = append(p, parquet.WithSortingColumns(order))
	for _, f := range s.Fields() {
		if id := f.Type.ID(); id == arrow.FLOAT64 || id == arrow.FLOAT32 || id == arrow.BINARY {
			// Bounds of states say nothing. Of numbers, Parquet leaves NaN out of bounds, and readers for whom NaN is the
			// greatest number (DuckDB) then skip rows that a filter such as x > 5 selects.
			p = append(p, parquet.WithStatsFor(f.Name, false), parquet.WithPageIndexEnabledFor(f.Name, false))
		}
		switch id, _ := FieldID(f); id {
		case IDHighColumnID, IDLowColumnID, KeyUUIDColumnID:
			if id == IDHighColumnID && !f.Nullable { // an ids sidecar: sorted by it, so that its bounds find an identity
				p = append(p, parquet.WithDictionaryFor(f.Name, false),
					parquet.WithEncodingFor(f.Name, parquet.Encodings.DeltaBinaryPacked))
				continue
			}
			p = append(p, parquet.WithDictionaryFor(f.Name, false), parquet.WithStatsFor(f.Name, false),
				parquet.WithPageIndexEnabledFor(f.Name, false))
		case KeyColumnID:
			p = append(p, parquet.WithDictionaryFor(f.Name, false))
		case TimeColumnID, OffsetColumnID:
			p = append(p, parquet.WithDictionaryFor(f.Name, false),
				parquet.WithEncodingFor(f.Name, parquet.Encodings.DeltaBinaryPacked))
		}
	}
	return parquet.NewWriterProperties(p...)
}
