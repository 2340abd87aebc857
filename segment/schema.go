package segment

// ColumnType is the type of a stored column. The set is closed: every type has one Arrow, one Parquet and one SQL form
// (docs/format/segment.md).
type ColumnType string

// The column types, named as dimension types are in a spec, and those that only hidden columns and states use.
const (
	TypeTime   ColumnType = "timestamp" // Arrow timestamp[us] without zone, always UTC, always whole milliseconds
	TypeString ColumnType = "string"    // Arrow utf8
	TypeLong   ColumnType = "long"      // Arrow int64
	TypeDouble ColumnType = "double"    // Arrow float64
	TypeFloat  ColumnType = "float"     // Arrow float32
	TypeJSON   ColumnType = "json"      // Arrow utf8 holding one JSON text
	TypeInt    ColumnType = "int"       // Arrow int32, hidden columns only
	TypeUUID   ColumnType = "uuid"      // Arrow fixed_size_binary[16], hidden columns only
	TypeBinary ColumnType = "binary"    // Arrow binary: states of aggregators (docs/format/rollup.md)
)

// Column is one column of a datasource. ID is the Parquet field id: it is given once, and never given again to
// another column of the same datasource.
type Column struct {
	ID   int32      `json:"id"`
	Name string     `json:"name"`
	Type ColumnType `json:"type"`
}

// Hidden columns, stored in every raw segment beside the user's. Their ids and names are fixed for ever; a user's
// column ids begin at FirstUserColumnID, and names that begin with two underscores are refused in specs.
const (
	TimeColumn       = "__time"
	IDHighColumn     = "__id_hi"      // identity, high 64 bits; null where the record has no key
	IDLowColumn      = "__id_lo"      // identity, low 64 bits; null where the record has no key
	TopicColumn      = "__topic"      // position: topic
	GenerationColumn = "__generation" // position: generation of the topic
	PartitionColumn  = "__partition"  // position: partition
	OffsetColumn     = "__offset"     // position: offset
	KeyUUIDColumn    = "__key_uuid"   // the dedup key where it is a canonical lower-case UUID and no column holds it
	KeyColumn        = "__key"        // the dedup key otherwise, where no column holds it
	EventsColumn     = "__events"     // of folded rows only: how many records the group stands for

	TimeColumnID       int32 = 1
	IDHighColumnID     int32 = 2
	IDLowColumnID      int32 = 3
	TopicColumnID      int32 = 4
	GenerationColumnID int32 = 5
	PartitionColumnID  int32 = 6
	OffsetColumnID     int32 = 7
	KeyUUIDColumnID    int32 = 8
	KeyColumnID        int32 = 9
	EventsColumnID     int32 = 10

	FirstUserColumnID int32 = 100
)

// Schema is one numbered, immutable version of a datasource's columns. Columns only ever get added: a later schema
// holds every column of the earlier ones with the same id and type, so the newest schema can read every file.
type Schema struct {
	ID int32 `json:"id"` // 1, 2, …
	// Columns are the user's columns ever published, by ascending id, without __time and without hidden columns.
	Columns []Column `json:"columns"`
	// Dimensions are the names of the columns that the current spec fills, in the spec's order: the order of
	// SELECT * after __time. Columns that no spec fills any more follow, by id.
	Dimensions []string `json:"dimensions"`
	// SortBy is the order of rows in every file: names of columns, with __time in its place.
	SortBy []string `json:"sortBy"`
	// Inputs are the names of columns that only metrics read (rollup datasources): raw rows hold them after the
	// dimensions, and the table does not show them.
	Inputs []string `json:"inputs,omitempty"`
	// States are the columns that folded rows hold after their dimensions (rollup datasources): the metrics' states, named
	// as rollup.Plan.StateFields names them. A metric may have the name of an input: the two never stand in one file. Ids
	// come from the same sequence as those of Columns.
	States []Column `json:"states,omitempty"`
	// Dedup says that rows carry an identity (IDHighColumn, IDLowColumn).
	Dedup bool `json:"dedup"`
	// KeyColumn names the user's string column that holds the dedup key as it was read; empty where the key is kept
	// in the hidden key columns, or where there is no dedup.
	KeyColumn string `json:"keyColumn,omitempty"`
}
