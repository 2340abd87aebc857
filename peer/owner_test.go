package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/catalog"
	"drumlin/catalog/memkv"
	"drumlin/consumer"
	"drumlin/indexer"
	"drumlin/objectstore/mem"
	"drumlin/segment"
	"drumlin/spec"
)

const ownerSpec = `
type: kafka
spec:
  dataSchema: {dataSource: s, timestampSpec: {column: ts, format: millis}, dedupSpec: {key: id},
    dimensionsSpec: {dimensions: [id, {name: n, type: long}]},
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}}
  ioConfig: {topic: t, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {type: kafka}
`

// owner is a real process that reads a partition: broker, catalog, indexer and consumer, all in here.
type owner struct {
	t       *testing.T
	client  *kgo.Client
	catalog *catalog.Catalog
	manager *consumer.Manager
	key     catalog.PartitionKey
}

func (o *owner) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	o := &owner{t: t, key: catalog.PartitionKey{Supervisor: "s", Topic: "t"}}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	o.must(err)
	t.Cleanup(cluster.Close)
	o.must(cluster.CreateTopic("t", 1, nil))
	o.client, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	o.must(err)
	t.Cleanup(o.client.Close)
	kafka, err := consumer.NewKafka(map[string]string{"bootstrap.servers": strings.Join(cluster.ListenAddrs(), ",")})
	o.must(err)
	t.Cleanup(kafka.Close)
	store := mem.New()
	o.catalog, err = catalog.Open(t.Context(), catalog.Options{KV: memkv.New(nil), Objects: store})
	o.must(err)
	t.Cleanup(func() { o.must(o.catalog.Close()) })
	session, err := o.catalog.Register(t.Context(), catalog.Node{ID: "node-1"}, time.Minute)
	o.must(err)
	t.Cleanup(func() { o.must(session.Close(context.Background())) })
	ix, err := indexer.New(indexer.Options{Objects: store, TempDir: t.TempDir()})
	o.must(err)
	o.manager, err = consumer.NewManager(consumer.Options{
		Offsets: o.catalog, Versions: o.catalog, Builder: ix, Broker: kafka, Incarnation: o.catalog.Incarnation(),
		PublishEvery: 10 * time.Millisecond, Grace: -1,
	})
	o.must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		o.must(o.manager.StopAll(ctx))
		if n := o.manager.HotBytes(); n != 0 {
			t.Errorf("%d bytes of hot rows are still held", n)
		}
	})
	o.start(session)
	return o
}

func (o *owner) start(session *catalog.Session) {
	o.t.Helper()
	s, _, err := spec.Parse([]byte(ownerSpec))
	o.must(err)
	supervisor := catalog.Supervisor{ID: "s", Datasource: "s", Version: 1, SchemaID: 1, Spec: s.Canonical}
	_, err = o.catalog.PutSupervisor(o.t.Context(), catalog.SupervisorChange{
		Supervisor: supervisor,
		NewSchema: &segment.Schema{
			ID: 1, SortBy: s.DataSchema.SortBy, Dedup: true, KeyColumn: "id", Dimensions: []string{"id", "n"},
			Columns: []segment.Column{{ID: 100, Name: "id", Type: segment.TypeString}, {ID: 101, Name: "n", Type: segment.TypeLong}},
		},
		NewDatasource: &catalog.Datasource{Name: "s", SegmentGranularity: "hour", HashKey: "000102030405060708090a0b0c0d0e0f"},
	})
	o.must(err)
	owned, err := session.Acquire(o.t.Context(), o.key)
	o.must(err)
	o.must(o.manager.Start(o.t.Context(), consumer.Assignment{Owner: owned, Supervisor: supervisor}))
}

// produce writes events from number `from` on, one in ten of which is no JSON.
func (o *owner) produce(from, n int) {
	o.t.Helper()
	var records []*kgo.Record
	for i := from; i < from+n; i++ {
		value := fmt.Sprintf(`{"id": "id-%d", "n": %d, "ts": %d}`, i, i, baseMillis+int64(i)*60_000)
		if i%10 == 9 {
			value = "{"
		}
		records = append(records, &kgo.Record{Topic: "t", Value: []byte(value), Timestamp: time.UnixMilli(baseMillis + int64(i)*60_000)})
	}
	o.must(o.client.ProduceSync(o.t.Context(), records...).FirstErr())
	waitFor(o.t, "the rows to be read", func() bool { s, _ := o.manager.Status(o.key); return s.Position >= int64(from+n) })
}

// request is what a query would ask for at the newest view.
func (o *owner) request() segment.HotRequest {
	o.t.Helper()
	view, err := o.catalog.Refresh(o.t.Context())
	o.must(err)
	p := view.Supervisors["s"].Partitions[o.key]
	return segment.HotRequest{
		Supervisor: "s", Topic: "t", Generation: p.Offset.Generation, From: p.Offset.Next, Facts: p.Offset.Facts, Revision: view.Revision,
		WithRejects: true,
	}
}

func TestRealOwnerGivesTheSameRowsOverTheWire(t *testing.T) {
	o := newOwner(t)
	address := serve(t, ServerOptions{Local: o.manager})
	c := ask(t, ClientOptions{})
	rnd := seeded(t, uint64(time.Now().UnixNano()))
	same := func(r segment.HotRequest) {
		t.Helper()
		local, err := o.manager.Hot(t.Context(), r)
		o.must(err)
		defer local.Release()
		remote, err := c.Hot(t.Context(), address, r)
		o.must(err)
		defer remote.Release()
		sameRows(t, r, local, remote)
	}
	o.produce(0, 300)
	before := o.request()
	same(before)
	for range 20 {
		r := before
		r.WithRejects = rnd.IntN(2) == 0
		r.Columns = [][]string{nil, {}, {"n"}, {"id", "n"}}[rnd.IntN(4)]
		r.FromMillis = baseMillis + rnd.Int64N(5*hourMillis)
		r.ToMillis = r.FromMillis + rnd.Int64N(2*hourMillis)
		same(r)
	}

	revision, err := c.Handoff(t.Context(), address, o.key, 300)
	o.must(err)
	_, err = o.catalog.WaitRevision(t.Context(), revision)
	o.must(err)
	after := o.request()
	if after.From != 300 {
		t.Errorf("committed up to %d", after.From)
	}
	o.produce(300, 50)
	same(after)
	// Rows that are committed are gone at once here: whoever asks by the older view is told where to plan anew.
	var stale *segment.HotUnavailable
	if _, err := c.Hot(t.Context(), address, before); !errors.As(err, &stale) || stale.Status != segment.HotStaleView || stale.Revision < revision {
		t.Errorf("%v", err)
	}
	states, err := c.Status(t.Context(), address, []catalog.PartitionKey{o.key})
	o.must(err)
	if s := states[o.key]; s.Position != 350 || s.Committed != 300 || s.Counters.Rejected != 30 {
		t.Errorf("%+v", s)
	}
	if err := c.AcceptLoss(t.Context(), address, o.key, 1, 2); !errors.Is(err, consumer.ErrNotHalted) {
		t.Errorf("%v", err)
	}
	if _, err := c.Handoff(t.Context(), address, catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: 9}, 1); !errors.Is(err, consumer.ErrNotRunning) {
		t.Errorf("%v", err)
	}
}
