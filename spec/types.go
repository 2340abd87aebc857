package spec

import "encoding/json"

// Supervisor is a valid, canonical supervisor spec: every default filled in, every name checked. It is immutable.
type Supervisor struct {
	ID         string // the supervisor's id; the datasource's name unless the spec gives an id
	Suspended  bool
	DataSchema DataSchema
	IO         IOConfig
	Tuning     TuningConfig
	// Canonical is the spec as JSON with only the fields that were given; Parse(Canonical) gives the same Supervisor.
	Canonical []byte
}

// DataSchema says what becomes of a record.
type DataSchema struct {
	DataSource string
	Timestamp  TimestampSpec
	Dimensions []Dimension // in the spec's order; never empty
	// SortBy is the order of rows: __time first, or the dimensions' order where forceSegmentSortByTime is false.
	SortBy             []string
	SegmentGranularity Granularity
	Dedup              *DedupSpec // nil: no dedup
	// Rollup groups rows by (__time truncated to QueryGranularity, Dimensions) and aggregates Metrics.
	Rollup           bool
	QueryGranularity Granularity // the zero value: none
	// Metrics is the metricsSpec, Transforms the transformSpec, as canonical JSON; nil: none. The rollup package reads them.
	Metrics    json.RawMessage
	Transforms json.RawMessage
}

// TimestampSpec finds __time in the flattened record.
type TimestampSpec struct {
	Column        string
	Format        string // auto, iso, posix, millis, micro, nano, ruby, or a Joda pattern
	MissingMillis *int64 // missingValue, parsed; nil: a record without a timestamp is rejected
}

// DimensionType is the type of a dimension.
type DimensionType string

// The dimension types that are accepted.
const (
	DimString DimensionType = "string"
	DimLong   DimensionType = "long"
	DimDouble DimensionType = "double"
	DimFloat  DimensionType = "float"
	DimJSON   DimensionType = "json"
)

// Dimension is one column that the spec fills from the field of the same name in the flattened record.
type Dimension struct {
	Name string
	Type DimensionType
}

// DedupSpec asks for one row per key within a bucket.
type DedupSpec struct {
	Key                 string // field of the flattened record; need not be a dimension
	HorizonMillis       int64  // 0: no horizon
	AcceptBeyondHorizon bool   // beyondHorizon: accept
}

// IOConfig says what is read and how.
type IOConfig struct {
	Topic              string // exactly one of Topic and TopicPattern is set
	TopicPattern       string // matches whole topic names
	ConsumerProperties map[string]string
	UseEarliestOffset  bool
	Input              InputFormat
	// Late and early limits, judged by the record's Kafka timestamp; 0: none.
	LateRejectionMillis  int64
	EarlyRejectionMillis int64
	// LateRejectionStartMillis is lateMessageRejectionStartDateTime; nil: none.
	LateRejectionStartMillis *int64
}

// InputFormat is how a record becomes a flattened record.
type InputFormat struct {
	Value FlattenSpec
	// Kafka is set for inputFormat type kafka: it puts parts of the Kafka record into the flattened record.
	Kafka *KafkaFormat
}

// FlattenSpec says which fields a JSON value has. Discovery makes a field of every root-level field.
type FlattenSpec struct {
	Discovery bool
	Fields    []FlattenField
}

// FlattenField is one field made by flattening. Type is root or path; Expr of a path is a JSONPath of the documented
// subset ($, .name, ['name'], [index]); "$" gives the whole record as text.
type FlattenField struct {
	Type string
	Name string
	Expr string
}

// KafkaFormat is Druid's kafka input format.
type KafkaFormat struct {
	KeyColumn       string       // kafka.key
	KeyFormat       *FlattenSpec // nil: no key column; the first field of the key's JSON value otherwise
	KeyAsString     bool         // the key as UTF-8 text (keyFormat type string or regex-free csv/tsv of one column)
	HeaderPrefix    string       // kafka.header.
	Headers         bool
	TimestampColumn string // kafka.timestamp
	TopicColumn     string // kafka.topic
	PartitionColumn string // kafka.partition
	OffsetColumn    string // kafka.offset
}

// TuningConfig holds limits. A zero limit means none.
type TuningConfig struct {
	MaxRowsPerSegment         int64 // a handoff is cut exactly at the row that fills a segment
	MaxTotalRows              int64 // hot rows of one partition
	MaxRowsInMemory           int64 // hot rows of one partition: hands off early
	MaxBytesInMemory          int64 // hot bytes of one partition: hands off early
	IntermediateHandoffMillis int64 // oldest hot row's age
	MaxParseExceptions        int64 // −1: unlimited; more records than that which cannot be read halt the partition
	ResetOffsetAutomatically  bool
}
