package query

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// chunkColumns are those of sys.chunks: one row for each time chunk, or group of chunks compacted together, that has committed
// rows or has ever been compacted. Hot rows are not in it.
const chunkColumns = `datasource start end segments:n tail_segments:n rows:n bytes:n events:n rollup_ratio:d duplicates:n filtered:n
	write_amplification:d state plan sequence:n members:n known_ids:n sidecar_bytes:n ingested_segments:n ingested_rows:n ingested_bytes:n
	written_segments:n written_bytes:n last_compaction_state`

// chunkFigures are what a chunk, or several, consist of now, and what has happened to them.
type chunkFigures struct {
	chunks, segments, tailSegments int64
	rows, bytes, events            int64 // of segments; events are the records that rows stand for, copies in the tail included
	knownIDs, sidecarBytes         int64
	totals                         catalog.Totals // up to the heads, and what is in the tail by commits since
}

func (f *chunkFigures) add(b *catalog.BucketView) {
	f.chunks++
	for i := range b.Settled {
		f.addSegment(&b.Settled[i])
	}
	for i := range b.Tail {
		f.tailSegments++
		f.addSegment(&b.Tail[i].Meta)
	}
	if b.Manifest != nil {
		for _, s := range b.Manifest.Sidecars {
			f.knownIDs, f.sidecarBytes = f.knownIDs+s.Rows, f.sidecarBytes+s.Bytes
		}
		f.totals = f.totals.Add(b.Manifest.Totals)
	}
	for _, ref := range b.Commits {
		for i := range ref.Commit.Segments {
			m := &ref.Commit.Segments[i]
			if m.Kind == segment.KindData && m.Bucket.StartMillis >= b.Bucket.StartMillis && m.Bucket.EndMillis <= b.Bucket.EndMillis {
				f.totals.AbsorbedSegments++
				f.totals.AbsorbedRows += m.InputRows()
				f.totals.AbsorbedBytes += m.Bytes
			}
		}
	}
}

func (f *chunkFigures) addSegment(m *segment.Meta) {
	f.segments, f.rows, f.bytes, f.events = f.segments+1, f.rows+m.Rows, f.bytes+m.Bytes, f.events+m.InputRows()
}

func (f *chunkFigures) rollupRatio() any { return ratio(f.events, f.rows) }

// writeAmplification is what compaction has written ÷ what was ingested.
func (f *chunkFigures) writeAmplification() any {
	return ratio(f.totals.WrittenBytes, f.totals.AbsorbedBytes)
}

// ratio is null where there is nothing to divide by.
func ratio(a, b int64) any {
	if b == 0 {
		return nil
	}
	return float64(a) / float64(b)
}

func chunkRows(v *catalog.View) [][]any {
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(v.Datasources)) {
		for _, b := range v.Datasources[name].Buckets {
			rows = append(rows, chunkRow(name, b))
		}
	}
	return rows
}

func chunkRow(datasource string, b *catalog.BucketView) []any {
	var f chunkFigures
	f.add(b)
	state, sequence := "uncompacted", int64(0)
	var last any
	if b.Head != nil {
		state, sequence = string(b.Head.State), b.Head.Sequence
	}
	if b.Manifest != nil {
		last = jsonOrNull(b.Manifest.LastCompaction)
	}
	return []any{
		datasource, spec.FormatInstant(b.Bucket.StartMillis), spec.FormatInstant(b.Bucket.EndMillis), f.segments, f.tailSegments, f.rows, f.bytes, f.events,
		f.rollupRatio(), f.totals.Duplicates, f.totals.Filtered, f.writeAmplification(), state, jsonOrNull(b.PlanSpec), sequence,
		int64(len(b.Members)), f.knownIDs, f.sidecarBytes, f.totals.AbsorbedSegments, f.totals.AbsorbedRows, f.totals.AbsorbedBytes,
		f.totals.WrittenSegments, f.totals.WrittenBytes, last,
	}
}

func jsonOrNull(text json.RawMessage) any {
	if len(text) == 0 {
		return nil
	}
	return string(text)
}

// bucketShape is what sys.segments says of the compacted segments of a bucket.
type bucketShape struct {
	columns        columnNames // of folded rows
	lastCompaction any
	shardSpec      string
}

// numberedShards says that rows have been divided by number alone.
const numberedShards = `{"type":"numbered"}`

func bucketShapeOf(own *tableRules, table columnNames, b *catalog.BucketView) (bucketShape, error) {
	out := bucketShape{columns: table, shardSpec: numberedShards}
	if own.rollup {
		at, err := own.add(b.PlanSpec)
		if err != nil {
			return out, fmt.Errorf("the bucket at %s: %w", spec.FormatInstant(b.Bucket.StartMillis), err)
		}
		if out.columns, err = own.list[at].names(); err != nil {
			return out, err
		}
	}
	if b.Manifest == nil || len(b.Manifest.LastCompaction) == 0 {
		return out, nil
	}
	out.lastCompaction = string(b.Manifest.LastCompaction)
	var layout struct {
		PartitionDimensions []string `json:"partitionDimensions"`
	}
	if err := json.Unmarshal(b.Manifest.LastCompaction, &layout); err != nil || len(layout.PartitionDimensions) == 0 {
		return out, nil // written by another version of the planner: shown as it is
	}
	text, err := json.Marshal(map[string]any{"type": "range", "dimensions": layout.PartitionDimensions})
	out.shardSpec = string(text)
	return out, err
}

// names are the columns that folded rows have.
func (r *rules) names() (columnNames, error) {
	dimensions, metrics := []string{}, []string{}
	for _, c := range r.plan.Dimensions() {
		dimensions = append(dimensions, c.Name)
	}
	if r.rollup() {
		for _, m := range r.plan.Metrics().Metrics() {
			metrics = append(metrics, m.Name)
		}
	}
	return newColumnNames(dimensions, metrics)
}
