package duckdb

import (
	"fmt"
	"strconv"
	"strings"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// TypeID names a SQL type without its parameters.
type TypeID string

// The types that a result can have. Any other is refused by Query with KindUnsupported.
const (
	Boolean     TypeID = "BOOLEAN"
	TinyInt     TypeID = "TINYINT"
	SmallInt    TypeID = "SMALLINT"
	Integer     TypeID = "INTEGER"
	BigInt      TypeID = "BIGINT"
	HugeInt     TypeID = "HUGEINT"
	UTinyInt    TypeID = "UTINYINT"
	USmallInt   TypeID = "USMALLINT"
	UInteger    TypeID = "UINTEGER"
	UBigInt     TypeID = "UBIGINT"
	UHugeInt    TypeID = "UHUGEINT"
	Float       TypeID = "FLOAT"
	Double      TypeID = "DOUBLE"
	Decimal     TypeID = "DECIMAL"
	Varchar     TypeID = "VARCHAR"
	Blob        TypeID = "BLOB"
	Bit         TypeID = "BIT"
	UUID        TypeID = "UUID"
	Enum        TypeID = "ENUM"
	Date        TypeID = "DATE"
	Time        TypeID = "TIME"
	TimeNS      TypeID = "TIME_NS"
	TimeTZ      TypeID = "TIME WITH TIME ZONE"
	Timestamp   TypeID = "TIMESTAMP"
	TimestampS  TypeID = "TIMESTAMP_S"
	TimestampMS TypeID = "TIMESTAMP_MS"
	TimestampNS TypeID = "TIMESTAMP_NS"
	TimestampTZ TypeID = "TIMESTAMP WITH TIME ZONE"
	Interval    TypeID = "INTERVAL"
	List        TypeID = "LIST"
	Array       TypeID = "ARRAY"
	Struct      TypeID = "STRUCT"
	Map         TypeID = "MAP"
	Union       TypeID = "UNION"
	Null        TypeID = "NULL"
)

var typeIDs = map[bindings.Type]TypeID{
	bindings.TypeBoolean: Boolean, bindings.TypeTinyInt: TinyInt, bindings.TypeSmallInt: SmallInt,
	bindings.TypeInteger: Integer, bindings.TypeBigInt: BigInt, bindings.TypeHugeInt: HugeInt,
	bindings.TypeUTinyInt: UTinyInt, bindings.TypeUSmallInt: USmallInt, bindings.TypeUInteger: UInteger,
	bindings.TypeUBigInt: UBigInt, bindings.TypeUHugeInt: UHugeInt, bindings.TypeFloat: Float,
	bindings.TypeDouble: Double, bindings.TypeDecimal: Decimal, bindings.TypeVarchar: Varchar,
	bindings.TypeBlob: Blob, bindings.TypeBit: Bit, bindings.TypeUUID: UUID, bindings.TypeEnum: Enum,
	bindings.TypeDate: Date, bindings.TypeTime: Time, bindings.TypeTimeNS: TimeNS, bindings.TypeTimeTZ: TimeTZ,
	bindings.TypeTimestamp: Timestamp, bindings.TypeTimestampS: TimestampS, bindings.TypeTimestampMS: TimestampMS,
	bindings.TypeTimestampNS: TimestampNS, bindings.TypeTimestampTZ: TimestampTZ, bindings.TypeInterval: Interval,
	bindings.TypeList: List, bindings.TypeArray: Array, bindings.TypeStruct: Struct, bindings.TypeMap: Map,
	bindings.TypeUnion: Union, bindings.TypeSQLNull: Null,
}

// Type is the SQL type of a column.
type Type struct {
	ID     TypeID // empty: a type that results cannot have
	Alias  string // a name given to the type, such as JSON for VARCHAR
	Width  int    // Decimal: digits
	Scale  int    // Decimal: digits after the point
	Size   int    // Array: elements
	Child  *Type  // List, Array
	Fields []Field
	Values []string // Enum

	physical bindings.Type // Decimal, Enum: how values are stored
}

// Field is a member of a Struct or Union, or the key and the value of a Map.
type Field struct {
	Name string
	Type *Type
}

// String gives the type as SQL writes it.
func (t *Type) String() string {
	if t.Alias != "" {
		return t.Alias
	}
	switch t.ID {
	case Decimal:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Width, t.Scale)
	case List:
		return t.Child.String() + "[]"
	case Array:
		return t.Child.String() + "[" + strconv.Itoa(t.Size) + "]"
	case Map:
		return "MAP(" + t.Fields[0].Type.String() + ", " + t.Fields[1].Type.String() + ")"
	case Struct, Union:
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			parts[i] = `"` + strings.ReplaceAll(f.Name, `"`, `""`) + `" ` + f.Type.String()
		}
		return string(t.ID) + "(" + strings.Join(parts, ", ") + ")"
	}
	return string(t.ID)
}

// unnamed says whether the members of a Struct have no names, as those of ROW(1, 2).
func (t *Type) unnamed() bool { return len(t.Fields) > 0 && t.Fields[0].Name == "" }

// supported says whether values of the type can be read.
func (t *Type) supported() bool {
	if t.ID == "" || (t.Child != nil && !t.Child.supported()) {
		return false
	}
	for _, f := range t.Fields {
		if !f.Type.supported() {
			return false
		}
	}
	return true
}

func newType(logical bindings.LogicalType) *Type {
	id := bindings.GetTypeId(logical)
	t := &Type{ID: typeIDs[id], Alias: bindings.LogicalTypeGetAlias(logical), physical: id}
	switch t.ID {
	case Decimal:
		t.Width, t.Scale = int(bindings.DecimalWidth(logical)), int(bindings.DecimalScale(logical))
		t.physical = bindings.DecimalInternalType(logical)
	case Enum:
		t.physical = bindings.EnumInternalType(logical)
		t.Values = make([]string, bindings.EnumDictionarySize(logical))
		for i := range t.Values {
			t.Values[i] = bindings.EnumDictionaryValue(logical, bindings.IdxT(i))
		}
	case List:
		t.Child = childType(bindings.ListTypeChildType(logical))
	case Array:
		t.Child, t.Size = childType(bindings.ArrayTypeChildType(logical)), int(bindings.ArrayTypeArraySize(logical))
	case Map:
		t.Fields = []Field{
			{"key", childType(bindings.MapTypeKeyType(logical))},
			{"value", childType(bindings.MapTypeValueType(logical))},
		}
	case Struct:
		t.Fields = make([]Field, bindings.StructTypeChildCount(logical))
		for i := range t.Fields {
			at := bindings.IdxT(i)
			t.Fields[i] = Field{bindings.StructTypeChildName(logical, at), childType(bindings.StructTypeChildType(logical, at))}
		}
	case Union:
		t.Fields = make([]Field, bindings.UnionTypeMemberCount(logical))
		for i := range t.Fields {
			at := bindings.IdxT(i)
			t.Fields[i] = Field{bindings.UnionTypeMemberName(logical, at), childType(bindings.UnionTypeMemberType(logical, at))}
		}
	}
	return t
}

// childType reads and destroys a logical type.
func childType(logical bindings.LogicalType) *Type {
	defer bindings.DestroyLogicalType(&logical)
	return newType(logical)
}
