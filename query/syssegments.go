package query

import (
	"encoding/json"
	"fmt"
	"sort"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// segmentRow is one row of sys.segments before its number within bucket and version is known.
type segmentRow struct {
	datasource string
	bucket     segment.Bucket
	version    string
	revision   int64 // that the version stands for
	hot        bool
	rows       int64
	bytes      int64
	columns    columnNames
	topic      any
	partition  any
	from, to   any
	object     any
	events     int64
	// shardSpec and lastCompaction are empty and nil but for compacted segments.
	shardSpec      string
	lastCompaction any
}

func segmentRows(s *snapshot) ([][]any, error) {
	var out [][]any
	for _, name := range s.order {
		found, err := datasourceSegments(name, s.datasources[name])
		if err != nil {
			return nil, err
		}
		numbers := map[string]int64{}
		for _, r := range found {
			interval := spec.FormatInstant(r.bucket.StartMillis) + "_" + spec.FormatInstant(r.bucket.EndMillis)
			group := interval + "_" + r.version
			number := numbers[group]
			numbers[group]++
			out = append(out, r.values(number))
		}
	}
	return out, nil
}

func (r *segmentRow) values(number int64) []any {
	start, end := spec.FormatInstant(r.bucket.StartMillis), spec.FormatInstant(r.bucket.EndMillis)
	id := fmt.Sprintf("%s_%s_%s_%s", r.datasource, start, end, r.version)
	if number > 0 {
		id += fmt.Sprintf("_%d", number)
	}
	state, cold := "cold", boolean(!r.hot)
	if r.hot {
		state = "hot"
	}
	shards := r.shardSpec
	if shards == "" {
		shards = numberedShards
	}
	return []any{
		id, r.datasource, start, end, r.bytes, r.version, number, int64(1), r.rows,
		int64(1), cold, int64(1), boolean(r.hot), int64(0), shards, r.columns.dimensions, r.columns.metrics,
		r.lastCompaction, int64(1), state, r.topic, r.partition, r.from, r.to, r.object, r.events, ratio(r.events, r.rows),
	}
}

func datasourceSegments(name string, ds *datasourceSnapshot) ([]segmentRow, error) {
	own, err := newOwnRules(ds.view)
	if err != nil {
		return nil, err
	}
	columns, err := columnNamesOf(own)
	if err != nil {
		return nil, fmt.Errorf("datasource %s: %w", name, err)
	}
	// version gives every commit, swap and hot range a time-like text that is its own for ever and grows with the catalog's
	// revision.
	version := func(revision int64) string { return spec.FormatInstant(ds.view.CreatedMillis + revision) }
	var rows []segmentRow
	for _, b := range ds.view.Buckets {
		if b.Dropped() {
			continue
		}
		shape, err := bucketShapeOf(own, columns, b)
		if err != nil {
			return nil, fmt.Errorf("datasource %s: %w", name, err)
		}
		for _, r := range coldSegments(b, shape, columns) {
			r.datasource, r.version = name, version(r.revision)
			rows = append(rows, r)
		}
	}
	hot, err := hotSegments(name, ds, version, columns)
	if err != nil {
		return nil, err
	}
	rows = append(oncePerObject(rows), hot...)
	sortSegments(rows)
	return rows, nil
}

// coldSegments are the rows of one bucket, without datasource and version.
func coldSegments(b *catalog.BucketView, shape bucketShape, columns columnNames) []segmentRow {
	revisions, absorbed := commitRevisions(b), int64(0)
	if b.Head != nil {
		absorbed = b.Head.Absorbed
	}
	var rows []segmentRow
	add := func(m *segment.Meta, settled bool) {
		revision, ok := revisions[m.Object]
		if !ok {
			revision = absorbed
		}
		r := segmentRow{
			bucket: m.Bucket, revision: revision, rows: m.Rows, bytes: m.Bytes, events: m.InputRows(), columns: columns, object: m.Object,
		}
		if settled {
			if m.Folded {
				r.columns = shape.columns
			}
			r.shardSpec, r.lastCompaction = shape.shardSpec, shape.lastCompaction
		}
		r.source(m.Sources)
		rows = append(rows, r)
	}
	for i := range b.Settled {
		add(&b.Settled[i], true)
	}
	for i := range b.Tail {
		add(&b.Tail[i].Meta, false)
	}
	return rows
}

// columnNames are names of columns as JSON.
type columnNames struct{ dimensions, metrics string }

// columnNamesOf are those of the table.
func columnNamesOf(own *tableRules) (columnNames, error) {
	if own.rollup {
		return own.list[0].names()
	}
	return newColumnNames(own.schema.Dimensions, []string{})
}

func newColumnNames(dimensions, metrics []string) (columnNames, error) {
	d, err := json.Marshal(dimensions)
	if err != nil {
		return columnNames{}, fmt.Errorf("names of dimensions: %w", err)
	}
	m, err := json.Marshal(metrics)
	if err != nil {
		return columnNames{}, fmt.Errorf("names of metrics: %w", err)
	}
	return columnNames{string(d), string(m)}, nil
}

// droppedAt says whether the bucket lies in one whose head hides all of its rows.
func droppedAt(ds *catalog.DatasourceView, bucket segment.Bucket) bool {
	at := sort.Search(len(ds.Buckets), func(i int) bool { return ds.Buckets[i].Bucket.EndMillis > bucket.StartMillis })
	return at < len(ds.Buckets) && ds.Buckets[at].Bucket.StartMillis <= bucket.StartMillis && ds.Buckets[at].Dropped()
}

// source shows the offsets of a segment of one partition; merged ones have many ranges.
func (r *segmentRow) source(sources []segment.OffsetRange) {
	if len(sources) == 1 {
		s := sources[0]
		r.topic, r.partition, r.from, r.to = s.Topic, int64(s.Partition), s.From, s.To
	}
}

func commitRevisions(b *catalog.BucketView) map[string]int64 {
	out := map[string]int64{}
	for _, c := range b.Commits {
		for _, m := range c.Commit.Segments {
			out[m.Object] = c.CreateRevision
		}
	}
	return out
}

func oncePerObject(rows []segmentRow) []segmentRow {
	seen := map[any]bool{}
	kept := rows[:0]
	for _, r := range rows {
		if !seen[r.object] {
			seen[r.object] = true
			kept = append(kept, r)
		}
	}
	return kept
}

func sortSegments(rows []segmentRow) {
	key := func(r *segmentRow) string { return fmt.Sprint(r.object, r.topic, r.partition) }
	sort.SliceStable(rows, func(i, j int) bool {
		a, b := &rows[i], &rows[j]
		switch {
		case a.bucket.StartMillis != b.bucket.StartMillis:
			return a.bucket.StartMillis < b.bucket.StartMillis
		case a.hot != b.hot:
			return b.hot
		case a.version != b.version:
			return a.version < b.version
		}
		return key(a) < key(b)
	})
}

func hotSegments(name string, ds *datasourceSnapshot, version func(int64) string, columns columnNames) ([]segmentRow, error) {
	chunk, err := chunkOf(ds.view)
	if err != nil {
		return nil, err
	}
	var rows []segmentRow
	for _, p := range ds.partitions {
		if p.hot == nil {
			continue
		}
		counts, err := hotBuckets(p.hot, chunk)
		if err != nil {
			return nil, fmt.Errorf("partition %s: %w", partitionName(p.key), err)
		}
		for bucket, c := range counts {
			if c.Rows == 0 || droppedAt(ds.view, bucket) {
				continue
			}
			rows = append(rows, segmentRow{
				datasource: name, bucket: bucket, version: version(p.revision), hot: true, rows: c.Rows, bytes: c.Bytes, events: c.Rows,
				columns: columns, topic: p.key.Topic, partition: int64(p.key.Partition), from: p.offset.Next, to: p.end,
			})
		}
	}
	return rows, nil
}

// chunkOf returns the function that gives the bucket of a time.
func chunkOf(ds *catalog.DatasourceView) (func(int64) segment.Bucket, error) {
	g, err := spec.ParseGranularity(ds.SegmentGranularity)
	if err != nil {
		return nil, fmt.Errorf("datasource %s: %w", ds.Name, err)
	}
	return func(millis int64) segment.Bucket {
		start, end := g.Chunk(millis)
		return segment.Bucket{StartMillis: start, EndMillis: end}
	}, nil
}
