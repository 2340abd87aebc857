package coordinator

import (
	"encoding/json"
	"maps"
	"slices"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

// CompactionStatus is a datasource's state of compaction in Druid's shape, by the policy historical where it is on.
type CompactionStatus struct {
	DataSource         string `json:"dataSource"`
	ScheduleStatus     string `json:"scheduleStatus"` // NOT_ENABLED or RUNNING
	Message            string `json:"message,omitempty"`
	BytesAwaiting      int64  `json:"bytesAwaitingCompaction"`
	BytesCompacted     int64  `json:"bytesCompacted"`
	BytesSkipped       int64  `json:"bytesSkipped"`
	SegmentsAwaiting   int64  `json:"segmentCountAwaitingCompaction"`
	SegmentsCompacted  int64  `json:"segmentCountCompacted"`
	SegmentsSkipped    int64  `json:"segmentCountSkipped"`
	IntervalsAwaiting  int64  `json:"intervalCountAwaitingCompaction"`
	IntervalsCompacted int64  `json:"intervalCountCompacted"`
	IntervalsSkipped   int64  `json:"intervalCountSkipped"`
}

// The schedule's states.
const (
	scheduleOff     = "NOT_ENABLED"
	scheduleRunning = "RUNNING"
)

// Explanation tells of every chunk of a datasource what each policy makes of it, and why.
type Explanation struct {
	DataSource string              `json:"dataSource"`
	Enabled    bool                `json:"enabled"`
	Note       string              `json:"note,omitempty"`
	Config     json.RawMessage     `json:"config,omitempty"`
	Policies   []PolicyExplanation `json:"policies"`
}

// PolicyExplanation is one policy's part of an explanation, in its order of preference.
type PolicyExplanation struct {
	Policy string             `json:"policy"`
	Chunks []ChunkExplanation `json:"chunks"`
}

// ChunkExplanation is what a policy makes of one chunk.
type ChunkExplanation struct {
	Interval string          `json:"interval"`
	Chosen   bool            `json:"chosen"`
	Skipped  bool            `json:"skipped"` // held back; neither chosen nor skipped: it needs nothing
	Mode     compaction.Mode `json:"mode,omitempty"`
	Reason   string          `json:"reason"`
	Task     string          `json:"task,omitempty"` // that works on it, or waits to
	Segments int             `json:"segments"`
	Bytes    int64           `json:"bytes"`
	Rows     int64           `json:"rows"`
	TailRows int64           `json:"tailRows"`
}

// CompactionStatus tells of every datasource with a config, or of the one that is named, whether it has one or not.
func (c *Coordinator) CompactionStatus(datasource string) ([]CompactionStatus, error) {
	view := c.o.Catalog.View()
	names := slices.Sorted(maps.Keys(view.Datasources))
	if datasource != "" {
		if _, err := datasourceOf(view, datasource); err != nil {
			return nil, err
		}
		names = []string{datasource}
	}
	out := []CompactionStatus{}
	for _, name := range names {
		if ds := view.Datasources[name]; ds != nil && (datasource != "" || ds.AutoCompaction != nil) {
			out = append(out, c.compactionStatus(view, ds))
		}
	}
	return out, nil
}

func (c *Coordinator) compactionStatus(view *catalog.View, ds *catalog.DatasourceView) CompactionStatus {
	s := CompactionStatus{DataSource: ds.Name, ScheduleStatus: scheduleOff}
	if ds.AutoCompaction == nil {
		s.Message = "auto-compaction is not configured for this datasource"
		return s
	}
	config, err := autoConfig(ds)
	if err != nil {
		s.Message = err.Error()
		return s
	}
	s.ScheduleStatus = scheduleRunning
	policy := originHistorical
	if !config.Historical {
		policy = originRecent
	}
	for _, d := range c.decisions(view, ds, config, policy) {
		bytes, segments, intervals := &s.BytesCompacted, &s.SegmentsCompacted, &s.IntervalsCompacted
		switch {
		case d.Chosen:
			bytes, segments, intervals = &s.BytesAwaiting, &s.SegmentsAwaiting, &s.IntervalsAwaiting
		case d.Skipped:
			bytes, segments, intervals = &s.BytesSkipped, &s.SegmentsSkipped, &s.IntervalsSkipped
		}
		*bytes += d.Bytes
		*segments += int64(d.Segments)
		*intervals++
	}
	return s
}

// Explain lists every chunk of the datasource with what each policy makes of it. Where auto-compaction is off it tells what
// the defaults would do.
func (c *Coordinator) Explain(datasource string) (*Explanation, error) {
	view := c.o.Catalog.View()
	ds, err := datasourceOf(view, datasource)
	if err != nil {
		return nil, err
	}
	out := &Explanation{DataSource: ds.Name, Enabled: ds.AutoCompaction != nil, Policies: []PolicyExplanation{}}
	config, err := explainedConfig(ds)
	if err != nil {
		out.Note = err.Error()
		return out, nil
	}
	if out.Enabled {
		out.Config = ds.AutoCompaction.Value
	} else {
		out.Note = "auto-compaction is off: nothing is chosen until a config is set; this is what the defaults would do"
	}
	open := openIntervals(view.Tasks, ds.Name)
	for _, policy := range []string{originRecent, originHistorical} {
		p := PolicyExplanation{Policy: policy, Chunks: []ChunkExplanation{}}
		for _, d := range c.decisions(view, ds, config, policy) {
			e := ChunkExplanation{
				Interval: d.Interval.String(), Chosen: d.Chosen, Skipped: d.Skipped, Mode: d.Mode, Reason: d.Reason,
				Task: overlapping(open, d.Interval), Segments: d.Segments, Bytes: d.Bytes, Rows: d.Rows, TailRows: d.TailRows,
			}
			p.Chunks = append(p.Chunks, e)
		}
		out.Policies = append(out.Policies, p)
	}
	return out, nil
}

func explainedConfig(ds *catalog.DatasourceView) (*spec.AutoCompaction, error) {
	if ds.AutoCompaction != nil {
		return autoConfig(ds)
	}
	text, err := json.Marshal(map[string]string{"dataSource": ds.Name})
	if err != nil {
		return nil, err
	}
	config, _, err := spec.ParseAutoCompaction(text)
	return config, err
}
