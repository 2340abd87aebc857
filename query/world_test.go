package query

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"drumlin/catalog"
	"drumlin/duckdb"
	"drumlin/indexer"
	"drumlin/objectstore/mem"
	"drumlin/segment"
	"drumlin/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a pipeline without Kafka and etcd: topics are slices, a commit runs the real indexer, and views and hot rows
// are made from both. Tests change it between queries only, unless they hold mu.
type world struct {
	t       testing.TB
	objects *mem.Store
	indexer *indexer.Indexer
	alloc   memory.Allocator

	mu       sync.Mutex
	revision int64
	tables   map[string]*worldTable
	// refuse lets a test stand in the way of a hot request.
	refuse func(segment.HotRequest) error
	asked  int
}

type worldTable struct {
	datasource catalog.Datasource
	schema     *segment.Schema
	hashKey    [16]byte
	partitions []*worldPartition
	buckets    map[segment.Bucket]*catalog.BucketView
	suspended  bool
}

type worldPartition struct {
	key       catalog.PartitionKey
	rows      []worldRow // by offset
	next      int64      // of the log
	committed int64
	revision  int64
	unowned   bool
}

type worldRow struct {
	offset int64
	millis int64
	key    string // empty: none
	values []any  // by the schema's columns: nil, string, int64, float64
	reject string // not empty: the record was rejected for this reason
}

const hour = int64(3600_000)

func newWorld(t testing.TB) *world {
	store := mem.New()
	ix, err := indexer.New(indexer.Options{Objects: store, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	t.Cleanup(func() { checked.AssertSize(t, 0) })
	return &world{t: t, objects: store, indexer: ix, alloc: checked, revision: 1, tables: map[string]*worldTable{}}
}

func (w *world) table(name string, dedup bool, partitions int, columns ...segment.Column) *worldTable {
	s := &segment.Schema{ID: 1, Columns: columns, SortBy: []string{segment.TimeColumn}, Dedup: dedup}
	for i := range s.Columns {
		s.Columns[i].ID = segment.FirstUserColumnID + int32(i)
		s.Dimensions = append(s.Dimensions, s.Columns[i].Name)
		s.SortBy = append(s.SortBy, s.Columns[i].Name)
	}
	if err := s.Validate(); err != nil {
		w.t.Fatal(err)
	}
	t := &worldTable{
		datasource: catalog.Datasource{
			Name: name, SegmentGranularity: "hour", HashKey: strings.Repeat("0123456789abcdef", 2), CreatedMillis: 1_000_000_000_000,
		},
		schema: s, buckets: map[segment.Bucket]*catalog.BucketView{},
	}
	var err error
	if t.hashKey, err = segment.ParseHashKey(t.datasource.HashKey); err != nil {
		w.t.Fatal(err)
	}
	for p := range partitions {
		t.partitions = append(t.partitions, &worldPartition{
			key: catalog.PartitionKey{Supervisor: name, Topic: "topic-" + name, Partition: int32(p)}, revision: w.revision,
		})
	}
	w.tables[name] = t
	return t
}

// add appends a row to a partition's log.
func (p *worldPartition) add(r worldRow) {
	r.offset = p.next
	p.next++
	p.rows = append(p.rows, r)
}

func (t *worldTable) batch(alloc memory.Allocator, rows []worldRow) segment.HotBatch {
	layout := segment.HotArrowSchema(t.schema)
	b := array.NewRecordBuilder(alloc, layout)
	defer b.Release()
	counts := map[segment.Bucket]int64{}
	out := segment.HotBatch{
		SchemaID: t.schema.ID, FromOffset: rows[0].offset, ToOffset: rows[len(rows)-1].offset + 1,
		MinMillis: rows[0].millis, MaxMillis: rows[0].millis,
	}
	for _, r := range rows {
		bucket := segment.Bucket{StartMillis: r.millis - r.millis%hour, EndMillis: r.millis - r.millis%hour + hour}
		counts[bucket]++
		out.MinMillis, out.MaxMillis = min(out.MinMillis, r.millis), max(out.MaxMillis, r.millis)
		for i, f := range layout.Fields() {
			t.append(b.Field(i), f.Name, r, bucket)
		}
	}
	for bucket, n := range counts {
		out.Buckets = append(out.Buckets, segment.BucketRows{Bucket: bucket, Rows: n, Bytes: n * 100})
	}
	sort.Slice(out.Buckets, func(i, j int) bool { return out.Buckets[i].Bucket.StartMillis < out.Buckets[j].Bucket.StartMillis })
	out.Record = b.NewRecordBatch()
	return out
}

func (t *worldTable) append(b array.Builder, name string, r worldRow, bucket segment.Bucket) {
	hi, lo := segment.Identity(t.hashKey, bucket.StartMillis, []byte(r.key))
	switch {
	case name == segment.TimeColumn:
		b.(*array.TimestampBuilder).Append(arrow.Timestamp(r.millis * 1000))
	case name == segment.OffsetColumn:
		b.(*array.Int64Builder).Append(r.offset)
	case strings.HasPrefix(name, "__") && r.key == "":
		b.AppendNull()
	case name == segment.IDHighColumn:
		b.(*array.Int64Builder).Append(int64(hi))
	case name == segment.IDLowColumn:
		b.(*array.Int64Builder).Append(int64(lo))
	case name == segment.KeyColumn:
		b.(*array.StringBuilder).Append(r.key)
	case name == segment.KeyUUIDColumn:
		b.AppendNull()
	default:
		for i, c := range t.schema.Columns {
			if c.Name == name {
				if i < len(r.values) {
					appendAny(b, r.values[i])
				} else {
					b.AppendNull()
				}
			}
		}
	}
}

func appendAny(b array.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.(*array.StringBuilder).Append(v)
	case int64:
		b.(*array.Int64Builder).Append(v)
	case float64:
		b.(*array.Float64Builder).Append(v)
	default:
		b.AppendNull()
	}
}

func rejectsBatch(alloc memory.Allocator, rows []worldRow) segment.HotBatch {
	b := array.NewRecordBuilder(alloc, segment.HotRejectsArrowSchema())
	defer b.Release()
	out := segment.HotBatch{FromOffset: rows[0].offset, ToOffset: rows[len(rows)-1].offset + 1, MinMillis: rows[0].millis, MaxMillis: rows[0].millis}
	for _, r := range rows {
		out.MinMillis, out.MaxMillis = min(out.MinMillis, r.millis), max(out.MaxMillis, r.millis)
		for i, f := range segment.HotRejectsArrowSchema().Fields() {
			switch f.Name {
			case segment.TimeColumn:
				b.Field(i).(*array.TimestampBuilder).Append(arrow.Timestamp(r.millis * 1000))
			case segment.OffsetColumn:
				b.Field(i).(*array.Int64Builder).Append(r.offset)
			case segment.RejectRawBytesColumn:
				b.Field(i).(*array.Int64Builder).Append(int64(len(r.reject)))
			default:
				b.Field(i).(*array.StringBuilder).Append(r.reject)
			}
		}
	}
	out.Record = b.NewRecordBatch()
	return out
}

// batches cuts the rows of [from, to) into small batches.
func (t *worldTable) batches(alloc memory.Allocator, p *worldPartition, from, to int64, size int) (data, rejects []segment.HotBatch) {
	var good, bad []worldRow
	for _, r := range p.rows {
		if r.offset < from || r.offset >= to {
			continue
		}
		if r.reject != "" {
			bad = append(bad, r)
		} else {
			good = append(good, r)
		}
	}
	for len(good) > 0 {
		n := min(size, len(good))
		data = append(data, t.batch(alloc, good[:n]))
		good = good[n:]
	}
	if len(bad) > 0 {
		rejects = append(rejects, rejectsBatch(alloc, bad))
	}
	return data, rejects
}

// commit hands the rows of a partition below the offset off.
func (w *world) commit(t *worldTable, p *worldPartition, to int64) {
	w.t.Helper()
	if to <= p.committed {
		return
	}
	data, rejects := t.batches(w.alloc, p, p.committed, to, 1000)
	rows := segment.HotRows{Data: data, Rejects: rejects}
	defer rows.Release()
	granularity, err := spec.ParseGranularity(t.datasource.SegmentGranularity)
	if err != nil {
		w.t.Fatal(err)
	}
	rng := segment.OffsetRange{Topic: p.key.Topic, Partition: p.key.Partition, From: p.committed, To: to}
	res, err := w.indexer.Build(context.Background(), indexer.Request{
		Datasource: t.datasource, Schema: t.schema, Incarnation: "inc", Epoch: w.revision + 1, Range: rng,
		Data: data, Rejects: rejects, Granularity: granularity,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision++
	ref := catalog.CommitRef{
		Key: fmt.Sprintf("commit/%d", w.revision), CreateRevision: w.revision,
		Commit: &catalog.Commit{UUID: strconv.FormatInt(w.revision, 10), Datasource: t.datasource.Name, Supervisor: p.key.Supervisor, Range: rng, Segments: res.Segments},
	}
	seen := map[segment.Bucket]bool{}
	for _, m := range res.Segments {
		b := t.bucketView(m.Bucket)
		if m.Kind == segment.KindRejects {
			b.Rejects = append(b.Rejects, m)
		} else {
			b.Tail = append(b.Tail, catalog.TailSegment{Meta: m, Unit: ref.Key})
		}
		if !seen[m.Bucket] {
			seen[m.Bucket] = true
			b.Commits = append(b.Commits, ref)
		}
	}
	p.committed, p.revision = to, w.revision
}

// bucketView finds the view that holds a bucket, which several may share, or begins one.
func (t *worldTable) bucketView(bucket segment.Bucket) *catalog.BucketView {
	for _, b := range t.buckets {
		if b.Bucket.StartMillis <= bucket.StartMillis && bucket.EndMillis <= b.Bucket.EndMillis {
			return b
		}
	}
	b := &catalog.BucketView{Bucket: bucket, Members: []segment.Bucket{bucket}, PlanSpec: t.datasource.Plan}
	t.buckets[bucket] = b
	return b
}

func (w *world) view() *catalog.View {
	v := &catalog.View{
		Revision: w.revision, Datasources: map[string]*catalog.DatasourceView{}, Supervisors: map[string]*catalog.SupervisorView{},
		Nodes: map[string]catalog.Node{"n1": {ID: "n1", Address: "127.0.0.1:8888", Roles: []string{"ingest", "query"}, Version: "dev"}},
	}
	for name, t := range w.tables {
		ds := &catalog.DatasourceView{Datasource: t.datasource, Schema: t.schema, Schemas: map[int32]*segment.Schema{t.schema.ID: t.schema}}
		for _, b := range t.buckets {
			c := *b
			ds.Buckets = append(ds.Buckets, &c)
		}
		sort.Slice(ds.Buckets, func(i, j int) bool { return ds.Buckets[i].Bucket.StartMillis < ds.Buckets[j].Bucket.StartMillis })
		v.Datasources[name] = ds
		s := &catalog.SupervisorView{
			Supervisor: catalog.Supervisor{
				ID: name, Datasource: name, Version: 1, SchemaID: 1, Suspended: t.suspended,
				Spec: []byte(`{"type":"kafka","spec":{"dataSchema":{"dataSource":"` + name + `","timestampSpec":{"column":"t"},` +
					`"dimensionsSpec":{"dimensions":["a"]},"granularitySpec":{"segmentGranularity":"hour","rollup":false}},"ioConfig":{` +
					`"topic":"topic-` + name + `","inputFormat":{"type":"json"},"consumerProperties":{"bootstrap.servers":"b:9092",` +
					`"security.protocol":"SASL_PLAINTEXT","sasl.mechanism":"PLAIN","sasl.jaas.config":"x.PlainLoginModule required username=\"u\" password=\"secret\";"}}}}`),
			},
			Partitions: map[catalog.PartitionKey]*catalog.PartitionView{},
		}
		for _, p := range t.partitions {
			pv := &catalog.PartitionView{Key: p.key, Offset: catalog.Offset{Next: p.committed}, OffsetRevision: p.revision}
			if !p.unowned {
				pv.Owner = &catalog.Owner{PartitionKey: p.key, Node: "n1", Epoch: 1}
			}
			s.Partitions[p.key] = pv
		}
		v.Supervisors[name] = s
	}
	return v
}

func (w *world) View() *catalog.View {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view()
}

func (w *world) Refresh(context.Context) (*catalog.View, error) { return w.View(), nil }

func (w *world) WaitRevision(ctx context.Context, revision int64) (*catalog.View, error) {
	for {
		if v := w.View(); v.Revision >= revision {
			return v, nil
		}
		tick := time.NewTimer(time.Millisecond)
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// Hot answers as an owner does: its first batch may begin below the asked offset.
func (w *world) Hot(_ context.Context, r segment.HotRequest) (*segment.HotRows, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.refuse != nil {
		if err := w.refuse(r); err != nil {
			return nil, err
		}
	}
	for _, t := range w.tables {
		for _, p := range t.partitions {
			if p.key != (catalog.PartitionKey{Supervisor: r.Supervisor, Topic: r.Topic, Partition: r.Partition}) {
				continue
			}
			if r.From < p.committed {
				return nil, &segment.HotUnavailable{Status: segment.HotStaleView, Revision: p.revision, Detail: "stale"}
			}
			data, rejects := t.batches(w.alloc, p, max(0, r.From-1), p.next, 3)
			return &segment.HotRows{
				OffsetRange: segment.OffsetRange{Topic: r.Topic, Generation: r.Generation, Partition: r.Partition, From: r.From, To: p.next},
				Data:        data, Rejects: rejects,
			}, nil
		}
	}
	return nil, &segment.HotUnavailable{Status: segment.HotNotOwner, Detail: "not the owner"}
}

func (w *world) engine(change ...func(*Options)) *Engine {
	w.t.Helper()
	o := Options{
		Catalog: w, Hot: w, Objects: w.objects, CacheDir: w.t.TempDir(), HotBudget: 2 * time.Second,
		DuckDB: duckdb.Options{MemoryLimitBytes: 1 << 30, Threads: 2}, Allocator: w.alloc,
		ViewCheckEvery: time.Hour, // a world belongs to its test's goroutine while nothing is asked
	}
	for _, c := range change {
		c(&o)
	}
	e, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := e.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return e
}
