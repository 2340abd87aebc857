package compaction

import (
	"encoding/json"

	"drumlin/catalog"
	"drumlin/spec"
)

// Shape is what a chunk, or several, consist of at one view.
type Shape struct {
	Segments     int64 `json:"segments"`
	TailSegments int64 `json:"tailSegments"` // of Segments: not compacted with the others yet
	Rows         int64 `json:"rows"`
	Bytes        int64 `json:"bytes"`
	SidecarBytes int64 `json:"sidecarBytes"` // identities of rows that are no longer there one by one
	// Events are the records that the rows stand for, copies in the tail included; RollupRatio is Events ÷ Rows, 0 without rows.
	Events      int64   `json:"events"`
	RollupRatio float64 `json:"rollupRatio"`
	Dropped     bool    `json:"dropped,omitempty"` // hidden for ever by the retention floor
}

func shapeOf(views ...*catalog.BucketView) Shape {
	s := Shape{Dropped: len(views) > 0}
	for _, piece := range views {
		s.Dropped = s.Dropped && piece.Dropped()
		for i := range piece.Settled {
			m := &piece.Settled[i]
			s.Segments, s.Rows, s.Bytes, s.Events = s.Segments+1, s.Rows+m.Rows, s.Bytes+m.Bytes, s.Events+m.InputRows()
		}
		for i := range piece.Tail {
			m := &piece.Tail[i].Meta
			s.Segments, s.Rows, s.Bytes, s.Events = s.Segments+1, s.Rows+m.Rows, s.Bytes+m.Bytes, s.Events+m.InputRows()
			s.TailSegments++
		}
		if piece.Manifest != nil {
			for _, sidecar := range piece.Manifest.Sidecars {
				s.SidecarBytes += sidecar.Bytes
			}
		}
	}
	s.RollupRatio = ratio(s.Events, s.Rows)
	return s
}

func (s Shape) add(o Shape) Shape {
	out := Shape{
		Segments: s.Segments + o.Segments, TailSegments: s.TailSegments + o.TailSegments, Rows: s.Rows + o.Rows,
		Bytes: s.Bytes + o.Bytes, SidecarBytes: s.SidecarBytes + o.SidecarBytes, Events: s.Events + o.Events,
	}
	out.RollupRatio = ratio(out.Events, out.Rows)
	return out
}

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func (s Stats) add(o Stats) Stats {
	return Stats{
		InputSegments: s.InputSegments + o.InputSegments, InputRows: s.InputRows + o.InputRows,
		InputBytes: s.InputBytes + o.InputBytes, InputEvents: s.InputEvents + o.InputEvents,
		OutputSegments: s.OutputSegments + o.OutputSegments, OutputRows: s.OutputRows + o.OutputRows,
		OutputBytes: s.OutputBytes + o.OutputBytes, OutputEvents: s.OutputEvents + o.OutputEvents,
		Duplicates: s.Duplicates + o.Duplicates, Filtered: s.Filtered + o.Filtered, Keyless: s.Keyless + o.Keyless,
		IDs: s.IDs + o.IDs, SpilledBytes: s.SpilledBytes + o.SpilledBytes, SpillFiles: s.SpillFiles + o.SpillFiles,
		PeakBytes: max(s.PeakBytes, o.PeakBytes),
	}
}

// Outcome is what became of a chunk.
type Outcome string

// The outcomes.
const (
	OutcomeDone    Outcome = "DONE"    // swapped in
	OutcomeNothing Outcome = "NOTHING" // nothing was left to do
	OutcomeSkipped Outcome = "SKIPPED" // refused, with the reason
	OutcomeBusy    Outcome = "BUSY"    // claimed by another task
	OutcomeFailed  Outcome = "FAILED"
)

// ChunkReport is one chunk in a report.
type ChunkReport struct {
	Interval string  `json:"interval"`
	Outcome  Outcome `json:"outcome"`
	Mode     Mode    `json:"mode,omitempty"`
	Reason   string  `json:"reason,omitempty"`
	Error    string  `json:"error,omitempty"`
	Attempts int     `json:"attempts,omitempty"` // more than one: a swap was lost, and the work was done again
	Before   Shape   `json:"before"`
	After    Shape   `json:"after"`
	Stats    Stats   `json:"stats"`
	// Totals are those of the chunk's whole life, and WriteAmplification is what was written in it by compaction ÷ what was
	// ingested.
	Totals             catalog.Totals `json:"totals"`
	WriteAmplification float64        `json:"writeAmplification"`
	Revision           int64          `json:"revision,omitempty"` // of the swap
}

// Report tells what a task has done: the state of each chunk before and after, and Druid's row counts beside.
type Report struct {
	TaskType   spec.TaskType `json:"type"`
	DataSource string        `json:"dataSource"`
	Intervals  []string      `json:"intervals,omitempty"`
	Chunks     []ChunkReport `json:"chunks,omitempty"`
	// Empty are the parts of the intervals that hold no data: they were left out.
	Empty              []string        `json:"empty,omitempty"`
	Warnings           []string        `json:"warnings,omitempty"`
	Before             Shape           `json:"before"`
	After              Shape           `json:"after"`
	Stats              Stats           `json:"stats"`
	WriteAmplification float64         `json:"writeAmplification"` // bytes written ÷ bytes ingested, over the chunks' lives
	Collected          json.RawMessage `json:"collected,omitempty"`
	Error              string          `json:"error,omitempty"`
}

// sum adds the chunks up.
func (r *Report) sum() {
	r.Before, r.After, r.Stats = Shape{}, Shape{}, Stats{}
	var totals catalog.Totals
	for i := range r.Chunks {
		c := &r.Chunks[i]
		c.WriteAmplification = ratio(c.Totals.WrittenBytes, c.Totals.AbsorbedBytes)
		r.Before, r.After, r.Stats = r.Before.add(c.Before), r.After.add(c.After), r.Stats.add(c.Stats)
		totals = totals.Add(c.Totals)
	}
	r.WriteAmplification = ratio(totals.WrittenBytes, totals.AbsorbedBytes)
}

// MarshalJSON puts Druid's report beside ours: {"compaction": …, "ingestionStatsAndErrors": …}. The id of the task is not known
// here; whoever shows the report knows it.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report // without this method
	state := "COMPLETED"
	var message *string
	if r.Error != "" {
		state, message = "BUILD_SEGMENTS", &r.Error
	}
	return json.Marshal(map[string]any{
		"compaction": plain(r),
		"ingestionStatsAndErrors": map[string]any{
			"type": "ingestionStatsAndErrors",
			"payload": map[string]any{
				"ingestionState": state, "unparseableEvents": map[string]any{}, "errorMsg": message,
				"rowStats": map[string]any{"buildSegments": map[string]int64{
					"processed": r.Stats.InputEvents, "processedBytes": r.Stats.InputBytes, "processedWithError": 0,
					"thrownAway": r.Stats.Duplicates + r.Stats.Filtered, "unparseable": 0,
				}},
				"segmentAvailabilityConfirmed": r.Error == "", "segmentAvailabilityWaitTimeMs": 0,
			},
		},
	})
}
