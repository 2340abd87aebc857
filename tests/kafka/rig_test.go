package kafka

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"drumlin/catalog"
	"drumlin/catalog/memkv"
	"drumlin/consumer"
	"drumlin/indexer"
	"drumlin/internal/testkit"
	"drumlin/objectstore/mem"
	"drumlin/segment"
	"drumlin/spec"
	"drumlin/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that ought to happen soon.
const patience = 90 * time.Second

// baseMillis is 2026-01-01T00:00:00Z.
const baseMillis = 1767225600000

// topicName is the test's own, as far as a topic may have it.
func topicName(t *testing.T) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, t.Name())
}

// rig is one partition's worker and all that it stands on, for one topic of the broker.
type rig struct {
	t       *testing.T
	broker  *harness.Kafka
	topic   string
	client  *kgo.Client // of the test
	admin   *kadm.Client
	store   *mem.Store
	cat     *catalog.Catalog
	session *catalog.Session
	manager *consumer.Manager
	kafka   *consumer.Kafka
	sup     catalog.Supervisor
	owners  map[int32]catalog.Owner
	ended   chan error

	mu    sync.Mutex
	acked map[int32]map[int64]int64 // n by offset, of every record that a read_committed reader must see
	next  int64
}

type rigOptions struct {
	properties map[string]string // of the server; nil: PLAINTEXT
	own        map[string]string // the spec's consumerProperties
	partitions int32
	configs    map[string]string // of the topic
	tuning     string            // YAML flow fields, beginning with a comma
}

func newRig(t *testing.T, broker *harness.Kafka, o rigOptions) *rig {
	t.Helper()
	r := &rig{
		t: t, broker: broker, topic: topicName(t), store: mem.New(), owners: map[int32]catalog.Owner{},
		ended: make(chan error, 100), acked: map[int32]map[int64]int64{},
	}
	r.client = r.newClient()
	r.admin = kadm.NewClient(r.client)
	r.createTopic(max(o.partitions, 1), o.configs)
	if o.properties == nil {
		o.properties = map[string]string{"bootstrap.servers": broker.Address()}
	}
	var err error
	r.kafka, err = consumer.NewKafka(o.properties)
	r.must(err)
	t.Cleanup(r.kafka.Close)
	r.cat, err = catalog.Open(t.Context(), catalog.Options{KV: memkv.New(nil), Objects: r.store})
	r.must(err)
	t.Cleanup(func() { r.must(r.cat.Close()) })
	r.session, err = r.cat.Register(t.Context(), catalog.Node{ID: "node"}, time.Minute)
	r.must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r.must(r.session.Close(ctx))
	})
	ix, err := indexer.New(indexer.Options{Objects: r.store, TempDir: t.TempDir()})
	r.must(err)
	r.manager, err = consumer.NewManager(consumer.Options{
		Offsets: r.cat, Versions: r.cat, Builder: ix, Broker: r.kafka, Incarnation: r.cat.Incarnation(), Logger: testkit.Log(),
		PublishEvery: 10 * time.Millisecond, ProbeEvery: 200 * time.Millisecond, Backoff: 200 * time.Millisecond,
	})
	r.must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.manager.StopAll(ctx); err != nil {
			t.Logf("stop: %v", err)
		}
	})
	r.submit(o)
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) newClient(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	base := []kgo.Opt{
		kgo.SeedBrokers(r.broker.Address()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(15 << 20),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.UnknownTopicRetries(-1), // a busy broker tells of new topics late
	}
	client, err := kgo.NewClient(append(base, opts...)...)
	r.must(err)
	r.t.Cleanup(client.Close)
	return client
}

func (r *rig) createTopic(partitions int32, configs map[string]string) {
	r.t.Helper()
	values := map[string]*string{}
	for k, v := range configs {
		values[k] = &v
	}
	_, err := r.admin.CreateTopic(r.t.Context(), partitions, 1, values, r.topic)
	r.must(err)
}

func (r *rig) submit(o rigOptions) {
	r.t.Helper()
	own := ""
	for _, k := range slices.Sorted(maps.Keys(o.own)) {
		own += fmt.Sprintf("%q: %q, ", k, o.own[k])
	}
	s, _, err := spec.Parse(fmt.Appendf(nil, `
type: kafka
spec:
  dataSchema: {dataSource: t, timestampSpec: {column: ts, format: millis},
    dimensionsSpec: {dimensions: [id, {name: n, type: long}]},
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}}
  ioConfig: {topic: %q, inputFormat: {type: json}, useEarliestOffset: true, consumerProperties: {%s}}
  tuningConfig: {type: kafka%s}
`, r.topic, own, o.tuning))
	r.must(err)
	r.sup = catalog.Supervisor{ID: s.ID, Datasource: "t", Version: 1, SchemaID: 1, Spec: s.Canonical}
	_, err = r.cat.PutSupervisor(r.t.Context(), catalog.SupervisorChange{
		Supervisor: r.sup,
		NewSchema: &segment.Schema{ID: 1, Dimensions: []string{"id", "n"}, SortBy: s.DataSchema.SortBy, Columns: []segment.Column{
			{ID: segment.FirstUserColumnID, Name: "id", Type: segment.TypeString},
			{ID: segment.FirstUserColumnID + 1, Name: "n", Type: segment.TypeLong},
		}},
		NewDatasource: &catalog.Datasource{Name: "t", SegmentGranularity: "hour", HashKey: "000102030405060708090a0b0c0d0e0f"},
	})
	r.must(err)
}

func (r *rig) key(partition int32) catalog.PartitionKey {
	return catalog.PartitionKey{Supervisor: r.sup.ID, Topic: r.topic, Partition: partition}
}

// start acquires a partition and begins to read it.
func (r *rig) start(partition int32) {
	r.t.Helper()
	owner, err := r.session.Acquire(r.t.Context(), r.key(partition))
	r.must(err)
	r.owners[partition] = owner
	r.must(r.manager.Start(r.t.Context(), consumer.Assignment{
		Owner: owner, Supervisor: r.sup, FromEarliest: true, Ended: func(_ catalog.PartitionKey, err error) { r.ended <- err },
	}))
}

// stop ends the reading without a handoff, as a crash would.
func (r *rig) stop(partition int32) {
	r.t.Helper()
	r.must(r.manager.Stop(r.t.Context(), r.key(partition), false))
	r.must(r.session.Release(r.t.Context(), r.owners[partition]))
}

func (r *rig) status(partition int32) consumer.PartitionStatus {
	s, _ := r.manager.Status(r.key(partition))
	return s
}

func (r *rig) waitFor(partition int32, what string, ok func(consumer.PartitionStatus) bool) consumer.PartitionStatus {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if s := r.status(partition); ok(s) {
			return s
		}
	}
	s := r.status(partition)
	r.t.Fatalf("waited for %s; status: %+v, halt: %+v", what, s, s.Halt)
	return consumer.PartitionStatus{}
}

func (r *rig) waitPosition(partition int32, n int64) {
	r.t.Helper()
	r.waitFor(partition, fmt.Sprintf("position %d", n), func(s consumer.PartitionStatus) bool { return s.Position >= n })
}

func (r *rig) waitHalt(partition int32) consumer.Halt {
	r.t.Helper()
	return *r.waitFor(partition, "a halt", func(s consumer.PartitionStatus) bool {
		return s.State == consumer.StateHalted && s.Committed == s.Position
	}).Halt
}

func (r *rig) handoff(partition int32, upTo int64) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	_, err := r.manager.Handoff(ctx, r.key(partition), upTo)
	r.must(err)
}

// record is the next one for a partition.
func (r *rig) record(partition int32) *kgo.Record {
	n := r.next
	r.next++
	return &kgo.Record{
		Topic: r.topic, Partition: partition, Timestamp: time.UnixMilli(baseMillis + n),
		Key: fmt.Appendf(nil, "key-%d", n), Value: fmt.Appendf(nil, `{"id":"id-%d","n":%d,"ts":%d}`, n, n, baseMillis+n),
	}
}

// produce writes records that must be read.
func (r *rig) produce(client *kgo.Client, partition int32, count int) {
	r.t.Helper()
	records := make([]*kgo.Record, count)
	for i := range records {
		records[i] = r.record(partition)
	}
	r.write(client, records...)
}

func (r *rig) write(client *kgo.Client, records ...*kgo.Record) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	for _, result := range client.ProduceSync(ctx, records...) {
		r.must(result.Err)
		r.expect(result.Record)
	}
}

// expect notes an acknowledged record that must become a row.
func (r *rig) expect(record *kgo.Record) {
	var n int64
	text := string(record.Value)
	_, err := fmt.Sscanf(text[strings.Index(text, `"n":`):], `"n":%d`, &n)
	r.must(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.acked[record.Partition] == nil {
		r.acked[record.Partition] = map[int64]int64{}
	}
	r.acked[record.Partition][record.Offset] = n
}

// end is the partition's high watermark.
func (r *rig) end(partition int32) int64 {
	r.t.Helper()
	listed, err := r.admin.ListEndOffsets(r.t.Context(), r.topic)
	r.must(err)
	o, ok := listed.Lookup(r.topic, partition)
	if !ok || o.Err != nil {
		r.t.Fatalf("no end offset of partition %d: %v", partition, o.Err)
	}
	return o.Offset
}

// drain hands a partition off up to its end and checks that every row is there once, and no other.
func (r *rig) drain(partition int32) segment.Counters {
	r.t.Helper()
	end := r.end(partition)
	r.handoff(partition, end)
	return r.check(partition, end)
}

// check compares what is committed below end with what was acknowledged.
func (r *rig) check(partition int32, end int64) segment.Counters {
	r.t.Helper()
	view, err := r.cat.Refresh(r.t.Context())
	r.must(err)
	p := view.Supervisors[r.sup.ID].Partitions[r.key(partition)]
	if p == nil || p.Offset.Next < end {
		r.t.Fatalf("partition %d is not committed up to %d: %+v", partition, end, p)
	}
	got := map[int64]int64{}
	for _, b := range view.Datasources["t"].Buckets {
		for _, c := range b.Commits {
			if c.Commit.Range.Partition != partition {
				continue
			}
			for _, s := range c.Commit.Segments {
				if s.Bucket == b.Bucket && s.Kind == segment.KindData {
					r.readSegment(s, got)
				}
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for offset, n := range r.acked[partition] {
		if there, ok := got[offset]; offset < end && (!ok || there != n) {
			r.t.Errorf("partition %d offset %d: acknowledged n=%d, committed %d (%t)", partition, offset, n, there, ok)
		}
	}
	for offset, n := range got {
		if _, ok := r.acked[partition][offset]; !ok {
			r.t.Errorf("partition %d offset %d: committed n=%d, which nobody acknowledged", partition, offset, n)
		}
	}
	return p.Offset.Counters
}

func (r *rig) readSegment(m segment.Meta, into map[int64]int64) {
	r.t.Helper()
	body, err := r.store.Get(r.t.Context(), m.Object, 0, -1)
	r.must(err)
	data, err := io.ReadAll(body)
	r.must(err)
	r.must(body.Close())
	reader, err := segment.OpenReader(m.Object, bytes.NewReader(data), int64(len(data)))
	r.must(err)
	offsets, values := reader.Schema().FieldIndices(segment.OffsetColumn)[0], reader.Schema().FieldIndices("n")[0]
	for g := range reader.RowGroups() {
		batch, err := reader.ReadRowGroup(r.t.Context(), g, nil)
		r.must(err)
		for i := range int(batch.NumRows()) {
			offset := batch.Column(offsets).(*array.Int64).Value(i)
			if _, twice := into[offset]; twice {
				r.t.Errorf("offset %d is committed twice", offset)
			}
			into[offset] = batch.Column(values).(*array.Int64).Value(i)
		}
		batch.Release()
	}
}
