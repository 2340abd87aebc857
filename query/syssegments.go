package query

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// isoMillis is Druid's form of a time in system tables.
const isoMillis = "2006-01-02T15:04:05.000Z"

func isoTime(millis int64) string { return time.UnixMilli(millis).UTC().Format(isoMillis) }

// segmentRow is one row of sys.segments before its number within bucket and version is known.
type segmentRow struct {
	datasource string
	bucket     segment.Bucket
	version    string
	hot        bool
	rows       int64
	bytes      int64
	columns    columnNames
	topic      any
	partition  any
	from, to   any
	object     any
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
			interval := isoTime(r.bucket.StartMillis) + "_" + isoTime(r.bucket.EndMillis)
			group := interval + "_" + r.version
			number := numbers[group]
			numbers[group]++
			out = append(out, r.values(number))
		}
	}
	return out, nil
}

func (r *segmentRow) values(number int64) []any {
	start, end := isoTime(r.bucket.StartMillis), isoTime(r.bucket.EndMillis)
	id := fmt.Sprintf("%s_%s_%s_%s", r.datasource, start, end, r.version)
	if number > 0 {
		id += fmt.Sprintf("_%d", number)
	}
	state, cold := "cold", boolean(!r.hot)
	if r.hot {
		state = "hot"
	}
	return []any{
		id, r.datasource, start, end, r.bytes, r.version, number, int64(1), r.rows,
		int64(1), cold, int64(1), boolean(r.hot), int64(0), `{"type":"numbered"}`, r.columns.dimensions, r.columns.metrics,
		nil, int64(1), state, r.topic, r.partition, r.from, r.to, r.object,
	}
}

func datasourceSegments(name string, ds *datasourceSnapshot) ([]segmentRow, error) {
	columns, err := columnNamesOf(ds.view)
	if err != nil {
		return nil, err
	}
	// version gives every commit, swap and hot range a time-like text that is its own for ever and grows with the catalog's
	// revision.
	version := func(revision int64) string { return isoTime(ds.view.CreatedMillis + revision) }
	var rows []segmentRow
	for _, b := range ds.view.Buckets {
		if b.Dropped() {
			continue
		}
		revisions := commitRevisions(b)
		add := func(m segment.Meta, absorbed int64) {
			revision, ok := revisions[m.Object]
			if !ok {
				revision = absorbed
			}
			r := segmentRow{
				datasource: name, bucket: m.Bucket, version: version(revision), rows: m.Rows, bytes: m.Bytes,
				columns: columns, object: m.Object,
			}
			r.source(m.Sources)
			rows = append(rows, r)
		}
		absorbed := int64(0)
		if b.Head != nil {
			absorbed = b.Head.Absorbed
		}
		for _, m := range b.Settled {
			add(m, absorbed)
		}
		for _, t := range b.Tail {
			add(t.Meta, absorbed)
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

// columnNames are names of columns as JSON.
type columnNames struct{ dimensions, metrics string }

func columnNamesOf(ds *catalog.DatasourceView) (columnNames, error) {
	own, err := newOwnRules(ds)
	if err != nil {
		return columnNames{}, err
	}
	names, metrics := ds.Schema.Dimensions, []string{}
	if own.rollup {
		names = []string{}
		for _, c := range own.columns()[1:] {
			if c.metric == nil {
				names = append(names, c.Name)
			} else {
				metrics = append(metrics, c.Name)
			}
		}
	}
	var out columnNames
	for _, list := range []struct {
		names []string
		text  *string
	}{{names, &out.dimensions}, {metrics, &out.metrics}} {
		text, err := json.Marshal(list.names)
		if err != nil {
			return out, fmt.Errorf("datasource %s: %w", ds.Name, err)
		}
		*list.text = string(text)
	}
	return out, nil
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
				datasource: name, bucket: bucket, version: version(p.revision), hot: true, rows: c.Rows, bytes: c.Bytes,
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
