package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"drumlin/catalog"
	"drumlin/catalog/memkv"
	"drumlin/indexer"
	"drumlin/internal/failpoint"
	"drumlin/internal/testkit"
	"drumlin/objectstore/mem"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that ought to happen at once.
const patience = time.Minute

// rig is a broker, a catalog, an object store and an indexer, all in this process, with one manager on top.
type rig struct {
	t       *testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
	kafka   *Kafka
	store   *shakyObjects
	kv      *shakyKV
	cat     *catalog.Catalog
	session *catalog.Session
	options Options
	manager *Manager
	mem     *memory.CheckedAllocator
	ended   chan error
	owner   catalog.Owner
}

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, store: &shakyObjects{Store: mem.New()}, kv: &shakyKV{Backend: memkv.New(nil)}, ended: make(chan error, 10), mem: memory.NewCheckedAllocator(offHeap{})}
	var err error
	r.cluster, err = kfake.NewCluster(kfake.NumBrokers(1))
	r.must(err)
	t.Cleanup(r.cluster.Close)
	r.client, err = kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r.must(err)
	t.Cleanup(r.client.Close)
	r.kafka, err = NewKafka(map[string]string{"bootstrap.servers": strings.Join(r.cluster.ListenAddrs(), ",")})
	r.must(err)
	t.Cleanup(r.kafka.Close)
	r.cat, err = catalog.Open(t.Context(), catalog.Options{KV: r.kv, Objects: r.store})
	r.must(err)
	t.Cleanup(func() { r.must(r.cat.Close()) })
	r.register("node-1")
	ix, err := indexer.New(indexer.Options{Objects: r.store, TempDir: t.TempDir()})
	r.must(err)
	r.options = Options{
		Offsets: r.cat, Versions: r.cat, Builder: ix, Broker: r.kafka, Incarnation: r.cat.Incarnation(), Allocator: r.mem,
		Logger: testkit.Log(), PublishEvery: 10 * time.Millisecond, ProbeEvery: 50 * time.Millisecond, Backoff: 100 * time.Millisecond,
		Failpoints: failpoint.New(),
	}
	if change != nil {
		change(&r.options)
	}
	r.newManager()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.manager.StopAll(ctx); err != nil {
			t.Logf("stop: %v", err)
		}
		r.mem.AssertSize(t, 0)
		if n := r.manager.HotBytes(); n != 0 {
			t.Errorf("%d bytes of hot memory are still counted", n)
		}
	})
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) register(node string) {
	r.t.Helper()
	s, err := r.cat.Register(r.t.Context(), catalog.Node{ID: node}, time.Minute)
	r.must(err)
	r.session = s
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			r.t.Logf("close the session: %v", err)
		}
	})
}

func (r *rig) newManager() {
	r.t.Helper()
	m, err := NewManager(r.options)
	r.must(err)
	r.manager = m
}

// specText is a spec of topic t with the columns ts, id and n. tuning and more are YAML flow fields to add.
func specText(dataSchema, io, tuning string) string {
	return fmt.Sprintf(`
type: kafka
spec:
  dataSchema: {dataSource: t, timestampSpec: {column: ts, format: millis}, %s
    dimensionsSpec: {dimensions: [id, {name: n, type: long}]},
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}}
  ioConfig: {topic: t, inputFormat: {type: json}, useEarliestOffset: true%s}
  tuningConfig: {type: kafka%s}
`, dataSchema, io, tuning)
}

// submit puts the next version of the supervisor, with the schema that it needs.
func (r *rig) submit(text string) catalog.Supervisor {
	r.t.Helper()
	s, _, err := spec.Parse([]byte(text))
	r.must(err)
	view, err := r.cat.Refresh(r.t.Context())
	r.must(err)
	schema := schemaOf(s)
	change := catalog.SupervisorChange{Supervisor: catalog.Supervisor{
		ID: s.ID, Datasource: s.DataSchema.DataSource, Version: 1, SchemaID: 1, Spec: s.Canonical,
	}}
	if old := view.Supervisors[s.ID]; old != nil {
		change.Supervisor.Version, change.ExpectVersion = old.Version+1, old.Version
		change.Supervisor.SchemaID = old.SchemaID
		last := view.Datasources[s.DataSchema.DataSource].Schema
		if len(last.Columns) != len(schema.Columns) {
			schema.ID = last.ID + 1
			change.NewSchema, change.Supervisor.SchemaID = schema, schema.ID
		}
	} else {
		change.NewSchema = schema
		change.NewDatasource = &catalog.Datasource{
			Name: s.DataSchema.DataSource, SegmentGranularity: s.DataSchema.SegmentGranularity.String(),
			HashKey: "000102030405060708090a0b0c0d0e0f", Plan: r.rollup(s, schema),
		}
	}
	_, err = r.cat.PutSupervisor(r.t.Context(), change)
	r.must(err)
	return change.Supervisor
}

func schemaOf(s *spec.Supervisor) *segment.Schema {
	out := &segment.Schema{ID: 1, SortBy: s.DataSchema.SortBy, Dedup: s.DataSchema.Dedup != nil}
	for i, d := range s.DataSchema.Dimensions {
		typ := map[spec.DimensionType]segment.ColumnType{
			spec.DimString: segment.TypeString, spec.DimLong: segment.TypeLong, spec.DimDouble: segment.TypeDouble,
			spec.DimFloat: segment.TypeFloat, spec.DimJSON: segment.TypeJSON,
		}[d.Type]
		out.Columns = append(out.Columns, segment.Column{ID: segment.FirstUserColumnID + int32(i), Name: d.Name, Type: typ})
		out.Dimensions = append(out.Dimensions, d.Name)
		if s.DataSchema.Dedup != nil && d.Name == s.DataSchema.Dedup.Key {
			out.KeyColumn = d.Name
		}
	}
	return out
}

// rollup adds what a spec with rollup needs to the schema, and returns the plan.
func (r *rig) rollup(s *spec.Supervisor, schema *segment.Schema) json.RawMessage {
	r.t.Helper()
	if !s.DataSchema.Rollup {
		return nil
	}
	metrics, _, err := rollup.ParseMetrics(s.DataSchema.Metrics)
	r.must(err)
	inputs, err := rollup.Inputs(metrics, schema.Columns)
	r.must(err)
	id := segment.FirstUserColumnID + int32(len(schema.Columns))
	for _, c := range inputs {
		c.ID = id
		schema.Columns, schema.Inputs, id = append(schema.Columns, c), append(schema.Inputs, c.Name), id+1
	}
	plan, err := rollup.Compile(metrics, schema.Columns)
	r.must(err)
	states, err := rollup.StateColumns(plan)
	r.must(err)
	for _, c := range states {
		c.ID = id
		schema.States, id = append(schema.States, c), id+1
	}
	definition := &rollup.Definition{
		Rollup: true, QueryGranularity: s.DataSchema.QueryGranularity, Dimensions: schema.Dimensions, Metrics: metrics,
	}
	out, err := definition.Canonical()
	r.must(err)
	return out
}

var testKey = catalog.PartitionKey{Supervisor: "t", Topic: "t"}

// start acquires partition 0 of topic t and starts to read it.
func (r *rig) start(s catalog.Supervisor) {
	r.t.Helper()
	owner, err := r.session.Acquire(r.t.Context(), testKey)
	r.must(err)
	r.owner = owner
	r.must(r.manager.Start(r.t.Context(), Assignment{
		Owner: owner, Supervisor: s, Ended: func(_ catalog.PartitionKey, err error) { r.ended <- err },
	}))
}

// stop stops partition 0 and lets go of it.
func (r *rig) stop(handoff bool) {
	r.t.Helper()
	r.must(r.manager.Stop(r.t.Context(), testKey, handoff))
	r.must(r.session.Release(r.t.Context(), r.owner))
	if err := r.waitEnded(); err != nil {
		r.t.Fatalf("stopped, but with %v", err)
	}
}

func (r *rig) waitEnded() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		r.t.Fatal("the worker did not end")
		return nil
	}
}

// event is a record's value; baseMillis is 2026-01-01T00:00:00Z.
const baseMillis = 1767225600000

func event(id string, n int, millis int64) string {
	b, err := json.Marshal(map[string]any{"id": id, "n": n, "ts": millis})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (r *rig) createTopic(partitions int32) {
	r.t.Helper()
	r.must(r.cluster.CreateTopic("t", partitions, nil))
}

// produce writes values to partition 0, each with the Kafka timestamp baseMillis plus its index in seconds.
func (r *rig) produce(values ...string) {
	r.t.Helper()
	var records []*kgo.Record
	for i, v := range values {
		records = append(records, &kgo.Record{
			Topic: "t", Value: []byte(v), Timestamp: time.UnixMilli(baseMillis + int64(i)*1000),
		})
	}
	r.must(r.client.ProduceSync(r.t.Context(), records...).FirstErr())
}

func (r *rig) produceEvents(from, n int) {
	r.t.Helper()
	var values []string
	for i := from; i < from+n; i++ {
		values = append(values, event(fmt.Sprintf("id-%d", i), i, baseMillis+int64(i)*1000))
	}
	r.produce(values...)
}

func (r *rig) status() PartitionStatus {
	s, _ := r.manager.Status(testKey)
	return s
}

func (r *rig) waitFor(what string, ok func(PartitionStatus) bool) PartitionStatus {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if s := r.status(); ok(s) {
			return s
		}
	}
	r.t.Fatalf("waited for %s; status: %+v", what, r.status())
	return PartitionStatus{}
}

func (r *rig) waitPosition(n int64) {
	r.t.Helper()
	r.waitFor(fmt.Sprintf("position %d", n), func(s PartitionStatus) bool { return s.Position >= n })
}

func (r *rig) handoff(upTo int64) int64 {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	revision, err := r.manager.Handoff(ctx, testKey, upTo)
	r.must(err)
	return revision
}

// committed is what the catalog says of partition 0.
type committedState struct {
	offset             catalog.Offset
	rows, rejects      int64
	segments, rejected int
	ranges             []segment.OffsetRange
}

func (r *rig) committed() committedState {
	r.t.Helper()
	view, err := r.cat.Refresh(r.t.Context())
	r.must(err)
	var out committedState
	if p := view.Supervisors["t"].Partitions[testKey]; p != nil {
		out.offset = p.Offset
	}
	seen := map[string]bool{}
	for _, b := range view.Datasources["t"].Buckets {
		for _, s := range b.Tail {
			out.rows += s.Rows
			out.segments++
		}
		for _, s := range b.Rejects {
			out.rejects += s.Rows
			out.rejected++
		}
		for _, c := range b.Commits {
			if !seen[c.Key] {
				seen[c.Key] = true
				out.ranges = append(out.ranges, c.Commit.Range)
				if n := c.Commit.Counters.Sum(); n != c.Commit.Range.To-c.Commit.Range.From {
					r.t.Errorf("commit %s breaks law 1: %+v", c.Key, c.Commit.Counters)
				}
			}
		}
	}
	return out
}

func (r *rig) hotRequest() segment.HotRequest {
	r.t.Helper()
	view, err := r.cat.Refresh(r.t.Context())
	r.must(err)
	return requestAt(view)
}

func requestAt(view *catalog.View) segment.HotRequest {
	out := segment.HotRequest{Supervisor: "t", Topic: "t", Revision: view.Revision}
	if p := view.Supervisors["t"].Partitions[testKey]; p != nil {
		out.Generation, out.From, out.Facts = p.Offset.Generation, p.Offset.Next, p.Offset.Facts
	}
	return out
}

func hotOffsets(h *segment.HotRows) []int64 {
	var out []int64
	for _, b := range h.Data {
		i := b.Record.Schema().FieldIndices(segment.OffsetColumn)[0]
		text := b.Record.Column(i).String()
		for _, f := range strings.Fields(strings.Trim(text, "[]")) {
			var n int64
			if _, err := fmt.Sscan(f, &n); err != nil {
				panic(err)
			}
			out = append(out, n)
		}
	}
	return out
}

func replace(text, old, with string) string {
	if !strings.Contains(text, old) {
		panic("the spec has no " + old)
	}
	return strings.Replace(text, old, with, 1)
}

func planFromText(text string) (*spec.Supervisor, error) {
	s, _, err := spec.Parse([]byte(text))
	return s, err
}
