package seams

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/catalog"
	"drumlin/catalog/memkv"
	"drumlin/compaction"
	"drumlin/consumer"
	"drumlin/coordinator"
	"drumlin/duckdb"
	"drumlin/indexer"
	"drumlin/objectstore"
	"drumlin/objectstore/mem"
	"drumlin/peer"
	"drumlin/query"
)

const (
	topic    = "events" // and the raw table of it
	sums     = "sums"   // the rolled-up table of it
	leaseTTL = time.Second
	patience = 90 * time.Second
)

// world is what the nodes share.
type world struct {
	t       *testing.T
	random  *rand.Rand
	brokers []string
	store   *mem.Store
	kv      *memkv.Store
	ledger  *ledger
	nodes   map[string]*node
	made    int
	tasks   int

	collected atomic.Int64
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(t, err)
	t.Cleanup(cluster.Close)
	must(t, cluster.CreateTopic(topic, partitions, nil))
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	t.Cleanup(client.Close)
	return &world{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), brokers: cluster.ListenAddrs(), store: mem.New(), kv: memkv.New(nil),
		ledger: &ledger{client: client, random: rand.New(rand.NewPCG(seed, 2))}, nodes: map[string]*node{},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// base is what every node has.
type base struct {
	id      string
	weather *weather
	objects objectstore.Store
	catalog *catalog.Catalog
	client  *peer.Client
}

func (w *world) base(id string) *base {
	w.t.Helper()
	b := &base{id: id, weather: newWeather(w.kv, w.random.Uint64())}
	b.objects = &shelf{w.store, b.weather}
	var err error
	b.catalog, err = catalog.Open(w.t.Context(), catalog.Options{KV: b.weather, Objects: b.objects, RequestTimeout: 500 * time.Millisecond})
	must(w.t, err)
	b.client, err = peer.NewClient(peer.ClientOptions{SilentAfter: time.Second, Cluster: b.catalog.Incarnation()})
	must(w.t, err)
	return b
}

func (b *base) close(t *testing.T) {
	t.Helper()
	b.client.Close()
	must(t, b.catalog.Close())
	b.weather.late.Wait()
}

// node reads partitions.
type node struct {
	*base
	kafka   *consumer.Kafka
	manager *consumer.Manager
	server  *peer.Server
	served  chan error
	cluster *coordinator.Coordinator
	cancel  context.CancelFunc
	ran     chan error
}

// start adds a node.
func (w *world) start() *node {
	w.t.Helper()
	w.made++
	n := &node{base: w.base(fmt.Sprintf("n%d", w.made)), served: make(chan error, 1), ran: make(chan error, 1)}
	var err error
	n.kafka, err = consumer.NewKafka(map[string]string{"bootstrap.servers": strings.Join(w.brokers, ",")})
	must(w.t, err)
	ix, err := indexer.New(indexer.Options{Objects: n.objects, TempDir: w.t.TempDir()})
	must(w.t, err)
	n.manager, err = consumer.NewManager(consumer.Options{
		Offsets: n.catalog, Versions: n.catalog, Builder: ix, Broker: n.kafka, Incarnation: n.catalog.Incarnation(),
		PublishEvery: 10 * time.Millisecond, Grace: 200 * time.Millisecond, Backoff: 100 * time.Millisecond, ProbeEvery: 200 * time.Millisecond,
	})
	must(w.t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	executor, err := compaction.NewExecutor(compaction.ExecutorOptions{Objects: n.objects, TempDir: w.t.TempDir(), MaxMemoryBytes: 64 << 20})
	must(w.t, err)
	worker, err := compaction.NewWorker(compaction.WorkerOptions{Heads: n.catalog, Executor: executor})
	must(w.t, err)
	collector, err := compaction.NewCollector(compaction.CollectorOptions{Catalog: n.catalog, Objects: n.objects, Now: time.Now})
	must(w.t, err)
	router := peer.NewRouter(peer.RouterOptions{Views: n.catalog, Node: n.id, Local: n.manager, Client: n.client})
	n.server, err = peer.NewServer(peer.ServerOptions{Local: n.manager, AliveEvery: 50 * time.Millisecond, Cluster: n.catalog.Incarnation()})
	must(w.t, err)
	go func() { n.served <- n.server.Serve(l) }()
	n.cluster = coordinator.New(coordinator.Options{
		Catalog: n.catalog, Topics: n.kafka, Ingest: n.manager, Peers: router,
		Node:   catalog.Node{ID: n.id, Address: l.Addr().String(), FlightAddress: l.Addr().String(), Roles: []string{coordinator.RoleIngest, coordinator.RoleCompact, coordinator.RoleCoordinate}},
		Worker: worker, Objects: n.objects,
		Collect: func(ctx context.Context, graceMillis int64) (int64, int64, error) {
			report, err := collector.Collect(ctx, nil, graceMillis)
			w.collected.Add(report.Deleted)
			return report.Deleted, report.Bytes, err
		},
		// What may go is gone soon: whoever still wants it must notice.
		Compaction: coordinator.CompactionOptions{
			RetryPause: 50 * time.Millisecond, MaxRetryPause: 500 * time.Millisecond, MaxBusyPause: 200 * time.Millisecond,
			RecentEvery: 300 * time.Millisecond, HistoricalEvery: time.Second, CollectEvery: 200 * time.Millisecond, CollectGrace: time.Millisecond,
			FinishTimeout: time.Second,
		},
		LeaseTTL: leaseTTL, DiscoverEvery: 200 * time.Millisecond, StopTimeout: time.Second, Backoff: 200 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() { n.ran <- n.cluster.Run(ctx) }()
	w.nodes[n.id] = n
	return n
}

// end stops a node: with its last handoffs, or as a kill would, with nothing of it reaching anybody any more.
func (w *world) end(n *node, killed bool) {
	w.t.Helper()
	delete(w.nodes, n.id)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if killed {
		n.weather.set(true, 0)
		n.server.Close(now)
	}
	n.cancel()
	must(w.t, <-n.ran)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n.server.Close(now)
	must(w.t, <-n.served)
	if err := n.manager.StopAll(ctx); err != nil && !killed {
		w.t.Errorf("stop: %v", err)
	}
	n.kafka.Close()
	n.close(w.t)
}

// asker answers queries.
type asker struct {
	*base
	engine *query.Engine
}

func (w *world) asker(id string) *asker {
	w.t.Helper()
	a := &asker{base: w.base(id)}
	var err error
	a.engine, err = query.New(query.Options{
		Catalog: a.catalog, Hot: peer.NewRouter(peer.RouterOptions{Views: a.catalog, Node: id, Client: a.client}), Objects: w.store,
		CacheDir: w.t.TempDir(), HotBudget: 2 * time.Second, DuckDB: duckdb.Options{MemoryLimitBytes: 256 << 20, Threads: 1},
	})
	must(w.t, err)
	return a
}

func (a *asker) close(t *testing.T) {
	t.Helper()
	must(t, a.engine.Close())
	a.base.close(t)
}

// ask compares one answer with the log. A refusal is no answer.
func (a *asker) ask(t *testing.T, l *ledger, q question, context_ map[string]any) (cut [partitions]int64, answered bool) {
	t.Helper()
	answer, err := a.engine.Query(t.Context(), query.Request{SQL: q.sql, Context: context_})
	if err != nil {
		var e *query.Error
		if t.Context().Err() == nil && (!errors.As(err, &e) || e.Kind != query.Unavailable && e.Kind != query.Timeout && e.Kind != query.NotFound) {
			t.Errorf("%s asks %s: %v", a.id, q.sql, err)
		}
		return cut, false
	}
	got := lines(answer)
	must(t, answer.Close())
	cut = cutOf(answer.Cut, q.table)
	rows, rejects := l.expect(cut)
	if len(got) != len(q.want(rows, rejects)) || fmt.Sprint(got) != fmt.Sprint(sorted(q.want(rows, rejects))) {
		t.Errorf("%s asks %s at %+v:\ngot  %.2000v\nwant %.2000v", a.id, q.sql, answer.Cut, got, sorted(q.want(rows, rejects)))
	}
	return cut, true
}
