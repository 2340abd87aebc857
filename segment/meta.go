package segment

// Kind says what the rows of a segment are.
type Kind string

// The kinds of segments.
const (
	KindData    Kind = "data"
	KindRejects Kind = "rejects"
	KindIDs     Kind = "ids" // ids sidecars: never in a Meta, only in names of objects
)

// Position identifies a record for ever. Positions are totally ordered by (Topic, Generation, Partition, Offset); of
// the copies of one identity the one with the lowest position wins.
type Position struct {
	Topic      string `json:"topic"`
	Generation int32  `json:"generation"`
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`
}

// OffsetRange is the half-open range [From, To) of offsets of one partition.
type OffsetRange struct {
	Topic      string `json:"topic"`
	Generation int32  `json:"generation"`
	Partition  int32  `json:"partition"`
	From       int64  `json:"from"`
	To         int64  `json:"to"`
}

// Bucket is a catalog time chunk [StartMillis, EndMillis), in Unix milliseconds UTC: the segmentGranularity of the
// datasource at its creation, for ever.
type Bucket struct {
	StartMillis int64 `json:"start"`
	EndMillis   int64 `json:"end"`
}

// ColumnStats are the bounds of one column in one segment. Min and Max are nil where the column holds nulls only,
// and for doubles and floats they leave NaN out (HasNaN tells). String bounds may be truncated: Min is then a lower
// bound and Max an upper bound, still valid for pruning.
type ColumnStats struct {
	ID     int32  `json:"id"`
	Nulls  int64  `json:"nulls,omitempty"`
	HasNaN bool   `json:"nan,omitempty"`
	Min    *Bound `json:"min,omitempty"`
	Max    *Bound `json:"max,omitempty"`
}

// Bound holds one value in the field that fits the column's type.
type Bound struct {
	Long   *int64   `json:"l,omitempty"` // long, int; microseconds for timestamp
	Double *float64 `json:"d,omitempty"` // double, float
	String *string  `json:"s,omitempty"` // string, json
}

// Meta describes one immutable segment: everything that pruning, planning and publishing need without opening it.
type Meta struct {
	Object     string        `json:"object"` // key in the object store; unique, never reused
	Bytes      int64         `json:"bytes"`  // size of the whole object
	SHA256     string        `json:"sha256"` // checksum of the whole object, lower-case hex
	Kind       Kind          `json:"kind"`
	Datasource string        `json:"datasource"`
	Bucket     Bucket        `json:"bucket"`
	Rows       int64         `json:"rows"`
	SchemaID   int32         `json:"schema"`
	MinMillis  int64         `json:"minTime"` // smallest __time
	MaxMillis  int64         `json:"maxTime"` // largest __time, inclusive
	Columns    []ColumnStats `json:"columns,omitempty"`
	// Sources are where its rows came from, one range for each (topic, generation, partition): after a compaction the
	// smallest range that holds all of its inputs'.
	Sources []OffsetRange `json:"sources"`
	// Folded rows are groups: dimensions and states, without identity and position (FoldedArrowSchema).
	Folded bool `json:"folded,omitempty"`
	// Events is how many records the rows of a folded segment stand for; 0 where a row is a record.
	Events int64 `json:"events,omitempty"`
}

// InputRows is how many records the segment's rows stand for.
func (m *Meta) InputRows() int64 {
	if m.Folded {
		return m.Events
	}
	return m.Rows
}

// Counters is law 1 for one commit or, summed, for one partition: To−From = Stored+Duplicates+Rejected+Skipped+Lost.
type Counters struct {
	Stored     int64 `json:"stored"`
	Duplicates int64 `json:"duplicates"` // copies found inside the commit's own range
	Rejected   int64 `json:"rejected"`
	Skipped    int64 `json:"skipped"` // control records, aborted transactions, holes, rows that the spec filters out
	Lost       int64 `json:"lost"`    // gaps that a person or a policy accepted
	Keyless    int64 `json:"keyless"` // of Stored: records without a dedup key, where the spec asks for dedup
	// Unparseable, of Rejected: records that could not be read. The others were refused for their time.
	Unparseable int64 `json:"unparseable"`
}

// Sum is the number of offsets that the counters account for.
func (c Counters) Sum() int64 {
	return c.Stored + c.Duplicates + c.Rejected + c.Skipped + c.Lost
}

// Add returns the field-wise sum.
func (c Counters) Add(o Counters) Counters {
	return Counters{
		Stored: c.Stored + o.Stored, Duplicates: c.Duplicates + o.Duplicates, Rejected: c.Rejected + o.Rejected,
		Skipped: c.Skipped + o.Skipped, Lost: c.Lost + o.Lost, Keyless: c.Keyless + o.Keyless,
		Unparseable: c.Unparseable + o.Unparseable,
	}
}
