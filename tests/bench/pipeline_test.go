package bench

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/memkv"
	"drumlin/consumer"
	"drumlin/coordinator"
	"drumlin/duckdb"
	"drumlin/indexer"
	"drumlin/objectstore/file"
	"drumlin/query"
	"drumlin/segment"
	"drumlin/spec"
)

// patience ends what ought to be over long before.
const patience = 5 * time.Minute

// pipeline is one process's pipeline without HTTP: a catalog in memory, objects in files, and the rest as it is.
type pipeline struct {
	spec    *spec.Supervisor
	objects *file.Store
	catalog *catalog.Catalog
	session *catalog.Session
	indexer *indexer.Indexer
	manager *consumer.Manager
	owners  []catalog.Owner
}

func newPipeline(tb testing.TB, f feed, broker consumer.Broker, partitions int) *pipeline {
	tb.Helper()
	p := &pipeline{spec: f.parse(tb)}
	var err error
	p.objects, err = file.Open(tb.TempDir())
	must(tb, err)
	p.catalog, err = catalog.Open(tb.Context(), catalog.Options{KV: memkv.New(nil), Objects: p.objects})
	must(tb, err)
	tb.Cleanup(func() { must(tb, p.catalog.Close()) })
	p.session, err = p.catalog.Register(tb.Context(), catalog.Node{ID: "bench"}, time.Hour)
	must(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(tb, p.session.Close(ctx))
	})
	p.indexer, err = indexer.New(indexer.Options{Objects: p.objects, TempDir: tb.TempDir()})
	must(tb, err)
	p.manager, err = consumer.NewManager(consumer.Options{
		Offsets: p.catalog, Versions: p.catalog, Builder: p.indexer, Broker: broker, Incarnation: p.catalog.Incarnation(),
		MaxHotBytes: 8 << 30, Logger: slog.New(slog.DiscardHandler),
	})
	must(tb, err)
	tb.Cleanup(func() {
		p.stop(tb)
		must(tb, p.manager.StopAll(context.Background()))
	})
	_, _, err = coordinator.New(coordinator.Options{Catalog: p.catalog}).Submit(tb.Context(), f.spec)
	must(tb, err)
	for i := range partitions {
		owner, err := p.session.Acquire(tb.Context(), catalog.PartitionKey{Supervisor: p.spec.ID, Topic: p.spec.IO.Topic, Partition: int32(i)})
		must(tb, err)
		p.owners = append(p.owners, owner)
	}
	return p
}

// start begins to read every partition from its committed offset.
func (p *pipeline) start(tb testing.TB) {
	tb.Helper()
	view, err := p.catalog.Refresh(tb.Context())
	must(tb, err)
	for _, owner := range p.owners {
		must(tb, p.manager.Start(context.Background(), consumer.Assignment{Owner: owner, Supervisor: view.Supervisors[p.spec.ID].Supervisor}))
	}
}

// stop ends the reading; what is hot is forgotten.
func (p *pipeline) stop(tb testing.TB) {
	tb.Helper()
	for _, owner := range p.owners {
		if _, running := p.manager.Status(owner.PartitionKey); running {
			must(tb, p.manager.Stop(context.Background(), owner.PartitionKey, false))
		}
	}
}

// awaitHot waits until so many rows are readable and not committed.
func (p *pipeline) awaitHot(tb testing.TB, rows int) {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		sum := int64(0)
		for _, owner := range p.owners {
			s, _ := p.manager.Status(owner.PartitionKey)
			sum += s.HotRows
			if s.Halt != nil {
				tb.Fatal(s.Halt.Message)
			}
		}
		if sum == int64(rows) {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%d of %d rows are readable after %s", sum, rows, patience)
		}
	}
}

// handoff commits everything that is hot.
func (p *pipeline) handoff(tb testing.TB) {
	tb.Helper()
	var wg sync.WaitGroup
	for _, owner := range p.owners {
		wg.Go(func() {
			s, _ := p.manager.Status(owner.PartitionKey)
			if _, err := p.manager.Handoff(context.Background(), owner.PartitionKey, s.Position); err != nil {
				tb.Error(err)
			}
		})
	}
	wg.Wait()
	_, err := p.catalog.Refresh(tb.Context())
	must(tb, err)
}

// hot returns the hot rows of a partition, which the caller releases, and the view that they belong to.
func (p *pipeline) hot(tb testing.TB, partition int) (*segment.HotRows, *catalog.View) {
	tb.Helper()
	view, err := p.catalog.Refresh(tb.Context())
	must(tb, err)
	key := p.owners[partition].PartitionKey
	offset := view.Supervisors[p.spec.ID].Partitions[key].Offset
	rows, err := p.manager.Hot(tb.Context(), segment.HotRequest{
		Supervisor: key.Supervisor, Topic: key.Topic, Generation: offset.Generation, Partition: key.Partition,
		From: offset.Next, Facts: offset.Facts, Revision: view.Revision,
	})
	must(tb, err)
	return rows, view
}

func (p *pipeline) engine(tb testing.TB) *query.Engine {
	tb.Helper()
	e, err := query.New(query.Options{
		Catalog: p.catalog, Hot: p.manager, Objects: p.objects, CacheDir: tb.TempDir(),
		DuckDB: duckdb.Options{MemoryLimitBytes: 4 << 30},
	})
	must(tb, err)
	tb.Cleanup(func() { must(tb, e.Close()) })
	return e
}

// memoryBroker serves a feed from memory, dealt out to partitions in turn. More can be added while it is read.
type memoryBroker struct {
	mu    sync.Mutex
	logs  [][]consumer.Record
	more  chan struct{} // closed and replaced when a log grows
	topic string
}

const memoryTopicID = "00000000000000000000000000000001"

func newMemoryBroker(topic string, partitions int) *memoryBroker {
	return &memoryBroker{logs: make([][]consumer.Record, partitions), more: make(chan struct{}), topic: topic}
}

func (b *memoryBroker) add(records []consumer.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range records {
		at := i % len(b.logs)
		r.Topic, r.Partition, r.Offset = b.topic, int32(at), int64(len(b.logs[at]))
		b.logs[at] = append(b.logs[at], r)
	}
	close(b.more)
	b.more = make(chan struct{})
}

func (b *memoryBroker) log(partition int32) ([]consumer.Record, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logs[partition], b.more
}

func (b *memoryBroker) Open(_ context.Context, r consumer.OpenRequest) (consumer.Source, error) {
	return &memorySource{broker: b, partition: r.Partition, next: int(r.Offset)}, nil
}

func (b *memoryBroker) Bounds(_ context.Context, _ *spec.Supervisor, _ string, partition int32) (consumer.Bounds, error) {
	log, _ := b.log(partition)
	return consumer.Bounds{TopicID: memoryTopicID, StableEnd: int64(len(log)), End: int64(len(log))}, nil
}

func (*memoryBroker) Advise(context.Context, []consumer.Advice) error { return nil }

type memorySource struct {
	broker    *memoryBroker
	partition int32
	next      int
}

// recordsPerPoll is about what one fetch brings.
const recordsPerPoll = 10_000

func (s *memorySource) Poll(ctx context.Context) (consumer.Fetch, error) {
	for {
		log, more := s.broker.log(s.partition)
		if n := min(len(log)-s.next, recordsPerPoll); n > 0 {
			out := consumer.Fetch{TopicID: memoryTopicID, StableEnd: int64(len(log)), Records: log[s.next : s.next+n]}
			s.next += n
			return out, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return consumer.Fetch{}, ctx.Err()
		}
	}
}

func (*memorySource) Close() {}
