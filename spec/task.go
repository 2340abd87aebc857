package spec

import "encoding/json"

// Interval is a half-open range of event time, in Unix milliseconds.
type Interval struct{ StartMillis, EndMillis int64 }

// TaskType is what a task does.
type TaskType string

// The task types that are accepted.
const (
	TaskCompact    TaskType = "compact"
	TaskKill       TaskType = "kill"
	TaskMarkUnused TaskType = "markUnused"
)

// Task is a valid, canonical task, whichever of Druid's generations it was written in.
type Task struct {
	ID         string // empty: the server gives one
	Type       TaskType
	DataSource string
	// Intervals is what the task covers; empty only with Segments.
	Intervals []Interval
	// Segments are ids of segments (inputSpec type segments): the chunks that hold them are the task's.
	Segments []string
	Priority int // context.priority; 25 unless given
	// Policy is context.policy: "recent" merges tail segments only (cheap), "" and "historical" compact whole chunks.
	Policy string
	// Change is what a compaction changes; the zero value keeps everything.
	Change CompactionChange
	Tuning CompactionTuning
	// AllowNonAlignedInterval is ioConfig's.
	AllowNonAlignedInterval bool
	// Canonical is the task as JSON with only the fields that were given; ParseTask(Canonical) gives the same Task.
	Canonical []byte
}

// CompactionChange is what a compaction asks for beyond merging. A nil or zero field keeps what there is.
type CompactionChange struct {
	SegmentGranularity *Granularity
	// QueryGranularity: nil keeps; the zero Granularity is "none".
	QueryGranularity *Granularity
	Rollup           *bool
	Dimensions       []Dimension // dimensionsSpec.dimensions; nil: not given
	SortBy           []string    // order of rows that the dimensionsSpec asks for; nil: not given
	Exclusions       []string    // dimensionsSpec.dimensionExclusions
	Metrics          json.RawMessage
	Filter           json.RawMessage // transformSpec.filter
}

// CompactionTuning holds limits and the way of cutting segments. A zero limit means the default.
type CompactionTuning struct {
	MaxRowsPerSegment  int64 // default 5,000,000
	TargetSegmentBytes int64 // of a segment's object, approximately; default 300,000,000
	// PartitionDimensions: range partitioning by them; nil: dynamic.
	PartitionDimensions []string
	MaxRetry            int // default 3
}

// AutoCompaction is a datasource's auto-compaction config, in Druid's vocabulary.
type AutoCompaction struct {
	DataSource   string
	TaskPriority int // 25
	// InputSegmentSizeBytes: a chunk with more is left alone.
	InputSegmentSizeBytes int64
	// SkipOffsetFromLatestMillis counts back from the end of the newest chunk, SkipOffsetFromNowMillis from now; exactly one
	// is in force (P1D from latest by default). Months and years of a period count 30 and 365 days.
	SkipOffsetFromLatestMillis int64
	SkipOffsetFromNowMillis    *int64
	Change                     CompactionChange
	Tuning                     CompactionTuning
	// Recent and Historical say which of the two standing policies run; both by default.
	Recent, Historical bool
	Canonical          []byte
}

// RuleType is what a retention rule does.
type RuleType string

// The rule types that are accepted.
const (
	RuleLoadForever        RuleType = "loadForever"
	RuleLoadByPeriod       RuleType = "loadByPeriod"
	RuleLoadByInterval     RuleType = "loadByInterval"
	RuleDropForever        RuleType = "dropForever"
	RuleDropByPeriod       RuleType = "dropByPeriod"
	RuleDropBeforeByPeriod RuleType = "dropBeforeByPeriod"
	RuleDropByInterval     RuleType = "dropByInterval"
)

// Period is an ISO 8601 period that may hold months and years; the zero value has no length.
type Period struct {
	Months int
	Millis int64
}

// Rule is one retention rule; the first that matches a chunk decides.
type Rule struct {
	Type          RuleType
	Period        Period // …ByPeriod
	IncludeFuture bool   // …ByPeriod; true by default
	Interval      Interval
}
