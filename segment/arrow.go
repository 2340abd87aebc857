package segment

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

// FieldIDKey is the key of an Arrow field's metadata that holds its Parquet field id.
const FieldIDKey = "PARQUET:field_id"

// Columns of rejects segments beside __time (the record's Kafka timestamp) and the position. Their ids are fixed for
// ever.
const (
	RejectReasonColumn   = "reason"    // why, in one snake_case word
	RejectMessageColumn  = "message"   // why, for a person
	RejectRawColumn      = "raw"       // the record's value, at most MaxRejectRawBytes; bytes that are not UTF-8 as \xNN
	RejectRawBytesColumn = "raw_bytes" // size of the record's value before it was cut

	RejectReasonColumnID   int32 = 100
	RejectMessageColumnID  int32 = 101
	RejectRawColumnID      int32 = 102
	RejectRawBytesColumnID int32 = 103

	// RejectsSchemaID stands in the Meta of rejects segments, whose columns belong to no datasource's schema.
	RejectsSchemaID int32 = 0
	// MaxRejectRawBytes bounds the raw column.
	MaxRejectRawBytes = 64 << 10
)

// ArrowType returns the one Arrow form of a column type.
func ArrowType(t ColumnType) (arrow.DataType, error) {
	switch t {
	case TypeTime:
		return &arrow.TimestampType{Unit: arrow.Microsecond}, nil
	case TypeString, TypeJSON:
		return arrow.BinaryTypes.String, nil
	case TypeLong:
		return arrow.PrimitiveTypes.Int64, nil
	case TypeDouble:
		return arrow.PrimitiveTypes.Float64, nil
	case TypeFloat:
		return arrow.PrimitiveTypes.Float32, nil
	case TypeInt:
		return arrow.PrimitiveTypes.Int32, nil
	case TypeUUID:
		return &arrow.FixedSizeBinaryType{ByteWidth: 16}, nil
	case TypeBinary:
		return arrow.BinaryTypes.Binary, nil
	}
	return nil, fmt.Errorf("column type %q is not known", t)
}

// ColumnTypeOf is the column type that an Arrow type stands for: string for text, JSON or not.
func ColumnTypeOf(t arrow.DataType) (ColumnType, error) {
	for _, c := range []ColumnType{TypeTime, TypeString, TypeLong, TypeDouble, TypeFloat, TypeInt, TypeUUID, TypeBinary} {
		if known, err := ArrowType(c); err == nil && arrow.TypeEqual(known, t) {
			return c, nil
		}
	}
	return "", fmt.Errorf("the Arrow type %s is not one of a segment's", t)
}

// HotArrowSchema is the layout of hot data batches: __time, the identity where the schema has dedup, the key where
// dedup has one that no column holds, __offset, then the user's columns as Schema.Dimensions orders them, then those of
// Schema.Inputs. The identity's halves are the bits of an unsigned number kept in int64. The schema must be valid (Schema.Validate); it panics
// otherwise.
func HotArrowSchema(s *Schema) *arrow.Schema {
	return dataSchema(s, []Column{{OffsetColumnID, OffsetColumn, TypeLong}})
}

// FileArrowSchema is the layout of data segments: as HotArrowSchema, with topic, generation and partition before
// __offset. Every field carries its id under FieldIDKey.
func FileArrowSchema(s *Schema) *arrow.Schema {
	return dataSchema(s, positionColumns())
}

// HotRejectsArrowSchema is the layout of hot rejects batches: __time (Kafka's timestamp), __offset, then the rejects'
// columns.
func HotRejectsArrowSchema() *arrow.Schema {
	return rejectsSchema([]Column{{OffsetColumnID, OffsetColumn, TypeLong}})
}

// FileRejectsArrowSchema is the layout of rejects segments: as HotRejectsArrowSchema, with topic, generation and
// partition before __offset.
func FileRejectsArrowSchema() *arrow.Schema {
	return rejectsSchema(positionColumns())
}

// FieldID returns the Parquet field id that an Arrow field carries.
func FieldID(f arrow.Field) (int32, bool) {
	text, ok := f.Metadata.GetValue(FieldIDKey)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 10, 32)
	return int32(id), err == nil
}

func positionColumns() []Column {
	return []Column{
		{TopicColumnID, TopicColumn, TypeString},
		{GenerationColumnID, GenerationColumn, TypeInt},
		{PartitionColumnID, PartitionColumn, TypeInt},
		{OffsetColumnID, OffsetColumn, TypeLong},
	}
}

// KeptArrowSchema is the layout of raw rows that compaction writes: as FileArrowSchema, with the columns given after the
// position, such as AllColumns or those that a plan keeps. The newest schema must be valid.
func KeptArrowSchema(s *Schema, columns []Column) *arrow.Schema {
	if err := s.Validate(); err != nil {
		panic(err)
	}
	return arrowSchema(append(hiddenColumns(s, positionColumns()), columns...))
}

// AllColumns are the columns that raw rows of any of the datasource's specs hold: the dimensions, the inputs of metrics, and
// then, by id, those that no spec fills any more, which older files still have and which the table shows.
func (s *Schema) AllColumns() []Column {
	var out []Column
	for _, names := range [][]string{s.Dimensions, s.Inputs} {
		for _, name := range names {
			if c, ok := s.column(name); ok {
				out = append(out, c)
			}
		}
	}
	for _, c := range s.Columns {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

func dataSchema(s *Schema, position []Column) *arrow.Schema {
	if err := s.Validate(); err != nil {
		panic(err)
	}
	columns := hiddenColumns(s, position)
	for _, c := range s.AllColumns() {
		if slices.Contains(s.Dimensions, c.Name) || slices.Contains(s.Inputs, c.Name) {
			columns = append(columns, c)
		}
	}
	return arrowSchema(columns)
}

// hiddenColumns are those that stand before the user's.
func hiddenColumns(s *Schema, position []Column) []Column {
	columns := []Column{{TimeColumnID, TimeColumn, TypeTime}}
	if s.Dedup {
		columns = append(columns, Column{IDHighColumnID, IDHighColumn, TypeLong}, Column{IDLowColumnID, IDLowColumn, TypeLong})
		if s.KeyColumn == "" {
			columns = append(columns, Column{KeyUUIDColumnID, KeyUUIDColumn, TypeUUID}, Column{KeyColumnID, KeyColumn, TypeString})
		}
	}
	return append(columns, position...)
}

// FoldedArrowSchema is the layout of folded segments: __time, __events, the dimensions by which their rows were grouped, in that
// order, then the states' columns (rollup.Plan.StateFields), which keep their metadata. Every field carries its id. An
// error names what the schema does not have.
func FoldedArrowSchema(s *Schema, dimensions []string, states []arrow.Field) (*arrow.Schema, error) {
	columns := []Column{{TimeColumnID, TimeColumn, TypeTime}, {EventsColumnID, EventsColumn, TypeLong}}
	for _, name := range dimensions {
		c, ok := s.column(name)
		if !ok {
			return nil, fmt.Errorf("schema %d has no dimension %q", s.ID, name)
		}
		columns = append(columns, c)
	}
	fields := arrowSchema(columns).Fields()
	for _, f := range states {
		at := slices.IndexFunc(s.States, func(c Column) bool { return c.Name == f.Name })
		if at < 0 {
			return nil, fmt.Errorf("schema %d has no state column %q", s.ID, f.Name)
		}
		keys, values := append(f.Metadata.Keys(), FieldIDKey), append(f.Metadata.Values(), strconv.Itoa(int(s.States[at].ID)))
		fields = append(fields, arrow.Field{
			Name: f.Name, Type: f.Type, Nullable: f.Nullable, Metadata: arrow.NewMetadata(keys, values),
		})
	}
	return arrow.NewSchema(fields, nil), nil
}

// IDsArrowSchema is the layout of ids sidecars: the two halves of each identity, both signed 64-bit numbers, never null.
// Rows are sorted by (high, low) and no identity occurs twice.
func IDsArrowSchema() *arrow.Schema {
	fields := arrowSchema([]Column{{IDHighColumnID, IDHighColumn, TypeLong}, {IDLowColumnID, IDLowColumn, TypeLong}}).Fields()
	for i := range fields {
		fields[i].Nullable = false
	}
	return arrow.NewSchema(fields, nil)
}

func rejectsSchema(position []Column) *arrow.Schema {
	columns := append([]Column{{TimeColumnID, TimeColumn, TypeTime}}, position...)
	columns = append(columns,
		Column{RejectReasonColumnID, RejectReasonColumn, TypeString},
		Column{RejectMessageColumnID, RejectMessageColumn, TypeString},
		Column{RejectRawColumnID, RejectRawColumn, TypeString},
		Column{RejectRawBytesColumnID, RejectRawBytesColumn, TypeLong})
	return arrowSchema(columns)
}

// arrowSchema panics on a type that is not known: validation has refused those.
func arrowSchema(columns []Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		t, err := ArrowType(c.Type)
		if err != nil {
			panic(err)
		}
		id := arrow.NewMetadata([]string{FieldIDKey}, []string{strconv.Itoa(int(c.ID))})
		fields[i] = arrow.Field{Name: c.Name, Type: t, Nullable: !required(c.ID), Metadata: id}
	}
	return arrow.NewSchema(fields, nil)
}

// required says whether a column never holds a null: the time and the position.
func required(id int32) bool {
	switch id {
	case TimeColumnID, TopicColumnID, GenerationColumnID, PartitionColumnID, OffsetColumnID, EventsColumnID:
		return true
	}
	return false
}
