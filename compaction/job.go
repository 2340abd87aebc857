package compaction

import (
	"encoding/json"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

// Mode is what a job does to its buckets.
type Mode string

// The modes.
const (
	// ModeFull compacts everything together: afterwards no identity occurs twice, a rollup datasource's rows are folded,
	// and nothing is left in the tail.
	ModeFull Mode = "full"
	// ModeTail merges chosen tail segments into one unit and leaves the settled ones alone: cheap, for new chunks.
	ModeTail Mode = "tail"
	// ModeAdopt writes no data: the manifest takes over the commits as they are, so that their keys can go.
	ModeAdopt Mode = "adopt"
	// ModeDrop hides the buckets for ever: they lie below the retention floor.
	ModeDrop Mode = "drop"
	// ModeDiscard removes the rows that are there and keeps their identities, so that no copy of them rises: markUnused.
	ModeDiscard Mode = "discard"
)

// Job is one piece of work on one group of adjacent buckets, decided by the planner from one view and carried out by the
// executor. All objects that it names are of that view.
type Job struct {
	Datasource string
	Schema     *segment.Schema // the newest
	Mode       Mode
	Buckets    []segment.Bucket // ascending and adjacent, empty ones too: claimed and swapped together
	State      catalog.HeadState
	// Definition is the plan of the output, Plan its number, PlanSpec its canonical JSON where Plan is not 0. A nil
	// Definition means rows as ingested.
	Definition *rollup.Definition
	Plan       int64
	PlanSpec   json.RawMessage
	// Settled, Tail and Sidecars are the inputs. In ModeFull and ModeDiscard they are all of the buckets'.
	Settled  []segment.Meta
	Tail     []catalog.TailSegment
	Sidecars []catalog.Sidecar
	// ForgetIDs leaves the sidecar out: every partition has acknowledged a dedup floor past the buckets.
	ForgetIDs bool
	// Chunk cuts the output by time; the zero value makes one chunk of all buckets.
	Chunk              spec.Granularity
	MaxRowsPerSegment  int64
	TargetSegmentBytes int64
	// LastCompaction goes into the manifest; nil: what stands there stays.
	LastCompaction json.RawMessage
	// PartitionDimensions: segments are ranges of these columns, and equal values never lie in two; nil: dynamic.
	PartitionDimensions []string
}

// Naming is what the names of a job's objects say.
type Naming struct {
	Incarnation string
	Epoch       int64 // of the claim
}

// Output is what a job has written. It is live only once the catalog has swapped it in.
type Output struct {
	Consumed []string // objects that the new ones replace
	Settled  []segment.Meta
	Adopted  []catalog.TailSegment
	Sidecars []catalog.Sidecar
	Stats    Stats
}

// Stats count one job, for reports and totals. Events are records: a folded row stands for many.
type Stats struct {
	InputSegments  int64 `json:"inputSegments"`
	InputRows      int64 `json:"inputRows"`
	InputBytes     int64 `json:"inputBytes"`
	InputEvents    int64 `json:"inputEvents"`
	OutputSegments int64 `json:"outputSegments"`
	OutputRows     int64 `json:"outputRows"`
	OutputBytes    int64 `json:"outputBytes"`
	OutputEvents   int64 `json:"outputEvents"`
	Duplicates     int64 `json:"duplicates"` // records removed as copies
	Filtered       int64 `json:"filtered"`   // records removed by the plan's filter, or discarded
	Keyless        int64 `json:"keyless"`    // records without an identity, where the schema has dedup
	IDs            int64 `json:"ids"`        // identities in the new sidecars
	SpilledBytes   int64 `json:"spilledBytes"`
	SpillFiles     int64 `json:"spillFiles"`
	PeakBytes      int64 `json:"peakBytes"` // most memory that the job's budget has accounted at a time
}
