package decode

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte // nil: null
}

// Record is one Kafka record. A nil Value is a tombstone; a nil Key is no key.
type Record struct {
	Topic           string
	Partition       int32
	Offset          int64
	TimestampMillis int64 // Kafka's
	Key             []byte
	Value           []byte
	Headers         []Header
}

// ValueKind says which field of a Value counts.
type ValueKind uint8

// The kinds of values. The zero Value is null.
const (
	Null ValueKind = iota
	Long
	Double // of double and float dimensions; a float's value is one that a float32 holds exactly
	Bytes  // UTF-8 text, of string and json dimensions
)

// Value is one value of a row.
type Value struct {
	Kind   ValueKind
	Long   int64
	Double float64
	Bytes  []byte
}

// Row is one decoded record. It and the bytes it refers to hold until the Decoder's next Decode, and as long as the
// record's bytes do.
type Row struct {
	TimeMillis int64 // event time, any value of an int64
	HasKey     bool  // whether the record has a dedup key
	Key        []byte
	Values     []Value // by index in Decoder.Columns
	Filtered   bool    // the spec's filter leaves the record out
}

// Reject says why a record has no row.
type Reject struct {
	Reason  string // one of the Reason constants
	Message string // one line for people, valid UTF-8
}

// The reasons for which Decode rejects records.
const (
	ReasonTombstone          = "tombstone"           // no value, and no Kafka columns to make a row from
	ReasonEmptyRecord        = "empty_record"        // no bytes, or only white space
	ReasonTooLarge           = "record_too_large"    // longer than the limit
	ReasonInvalidUTF8        = "invalid_utf8"        // value, or a Kafka column that is read
	ReasonMalformedJSON      = "malformed_json"      // not one JSON text
	ReasonNotAnObject        = "not_an_object"       // JSON, but the root is no object
	ReasonNestingTooDeep     = "nesting_too_deep"    // more than 64 levels
	ReasonDuplicateKey       = "duplicate_key"       // in the root, or in an object that a path steps through
	ReasonLoneSurrogate      = "lone_surrogate"      // \ud800 to \udfff that is no pair
	ReasonInvalidKafkaKey    = "invalid_kafka_key"   // the record's key does not have its format
	ReasonMissingTimestamp   = "missing_timestamp"   // no timestamp, and the spec has no missingValue
	ReasonBadTimestamp       = "bad_timestamp"       // not readable in the spec's format, or out of range
	ReasonUnconvertibleValue = "unconvertible_value" // a value that the column's type cannot hold
	ReasonTransformFailed    = "transform_failed"    // an expression of the transformSpec has no value for the record
)
