package metamorphic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/consumer"
	"drumlin/coordinator"
	"drumlin/duckdb"
	"drumlin/indexer"
	"drumlin/internal/failpoint"
	"drumlin/objectstore/mem"
	"drumlin/query"
)

// patience is how long a test waits for something that ought to happen at once.
const patience = time.Minute

// world is one run: what outlives processes, and the processes of now.
type world struct {
	ctx     context.Context
	dir     string
	log     *frozenLog
	broker  *broker
	kv      *history
	objects *mem.Store
	mem     *memory.CheckedAllocator
	tables  []*table
	plans   map[string][]byte // plan 0 of each datasource
	open    int               // places of the log that have been found

	*ingestNode
	compactors []*compactNode
	engine     *query.Engine
	cacheDir   string

	steps    []string
	answers  int
	activity activity
	verified map[string]bool // objects whose checksum has been compared
}

// activity counts what has happened, so that a test can tell that it has tested something.
type activity struct {
	Folds, LateCopies, LostSwaps, Drops, Discards, Deleted, Restarts, Narrowed, Refused, Joined, TailMerges, Adoptions,
	Forgotten, Fenced, LostReplies, SpecChanges, Answers, Steals int
}

func (a *activity) add(o activity) {
	a.Folds, a.LateCopies, a.LostSwaps, a.Drops = a.Folds+o.Folds, a.LateCopies+o.LateCopies, a.LostSwaps+o.LostSwaps, a.Drops+o.Drops
	a.Discards, a.Deleted, a.Restarts, a.Narrowed = a.Discards+o.Discards, a.Deleted+o.Deleted, a.Restarts+o.Restarts, a.Narrowed+o.Narrowed
	a.Refused, a.Joined, a.TailMerges, a.Adoptions = a.Refused+o.Refused, a.Joined+o.Joined, a.TailMerges+o.TailMerges, a.Adoptions+o.Adoptions
	a.Forgotten, a.Fenced, a.LostReplies, a.SpecChanges = a.Forgotten+o.Forgotten, a.Fenced+o.Fenced, a.LostReplies+o.LostReplies, a.SpecChanges+o.SpecChanges
	a.Answers, a.Steals = a.Answers+o.Answers, a.Steals+o.Steals
}

// ingestNode is a process that reads the log, takes specs and collects.
type ingestNode struct {
	cat       *catalog.Catalog
	session   *catalog.Session
	manager   *consumer.Manager
	cluster   *coordinator.Coordinator // for specs only: it is never run
	collector *compaction.Collector
	fail      *failpoint.Set
	owned     map[catalog.PartitionKey]catalog.Owner
}

// compactNode is a process that compacts.
type compactNode struct {
	id       string
	cat      *catalog.Catalog
	session  *catalog.Session
	executor *compaction.Executor
	worker   *compaction.Worker
	fail     *failpoint.Set
}

func testLog() *slog.Logger {
	if os.Getenv("DRUMLIN_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}

func newWorld(t *testing.T, r *rand.Rand) (*world, error) {
	objects := mem.New()
	w := &world{
		ctx: t.Context(), dir: t.TempDir(), log: newLog(r), kv: newHistory(objects), objects: objects,
		mem: memory.NewCheckedAllocator(memory.NewGoAllocator()), tables: newTables(r), plans: map[string][]byte{}, open: 1,
		verified: map[string]bool{},
	}
	w.broker = newBroker(w.log)
	if err := w.start(r); err != nil {
		return w, err
	}
	for _, tab := range w.tables {
		if _, _, err := w.cluster.Submit(w.ctx, []byte(tab.text(tab.versions[0]))); err != nil {
			return w, err
		}
		w.plans[tab.name] = w.cat.View().Datasources[tab.name].Plan
	}
	return w, w.mend()
}

// start starts every process.
func (w *world) start(r *rand.Rand) error {
	if w.cacheDir == "" || r.IntN(2) == 0 {
		w.cacheDir = filepath.Join(w.dir, fmt.Sprintf("cache%d", len(w.steps)))
	}
	if err := w.startIngest(r); err != nil {
		return err
	}
	for _, id := range []string{"compact-a", "compact-b"} {
		n, err := w.startCompact(id, r)
		if err != nil {
			return err
		}
		w.compactors = append(w.compactors, n)
	}
	var err error
	w.engine, err = query.New(query.Options{
		Catalog: w.cat, Hot: w.manager, Objects: w.objects, CacheDir: w.cacheDir, Logger: testLog(), HotBudget: patience,
		DuckDB: duckdb.Options{Threads: 1, MemoryLimitBytes: 256 << 20}, Allocator: w.mem,
	})
	return err
}

func (w *world) openCatalog(node string, fail *failpoint.Set) (*catalog.Catalog, *catalog.Session, error) {
	c, err := catalog.Open(w.ctx, catalog.Options{KV: w.kv, Objects: w.objects, Failpoints: fail, Logger: testLog(), CheckEvery: -1})
	if err != nil {
		return nil, nil, err
	}
	s, err := c.Register(w.ctx, catalog.Node{ID: node}, time.Hour)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return c, s, nil
}

func (w *world) startIngest(r *rand.Rand) error {
	n := &ingestNode{fail: failpoint.New(), owned: map[catalog.PartitionKey]catalog.Owner{}}
	var err error
	if n.cat, n.session, err = w.openCatalog("ingest", n.fail); err != nil {
		return err
	}
	w.ingestNode = n
	ix, err := indexer.New(indexer.Options{Objects: w.objects, TempDir: w.dir, Allocator: w.mem, Failpoints: n.fail})
	if err != nil {
		return err
	}
	n.manager, err = consumer.NewManager(consumer.Options{
		Offsets: n.cat, Versions: n.cat, Builder: ix, Broker: w.broker, Incarnation: n.cat.Incarnation(), Logger: testLog(),
		PublishEvery: time.Millisecond, ProbeEvery: time.Hour, Backoff: 20 * time.Millisecond, Failpoints: n.fail,
		Grace: pick(r, -1, time.Hour),
	})
	if err != nil {
		return err
	}
	n.cluster = coordinator.New(coordinator.Options{Catalog: n.cat, Logger: testLog()})
	n.collector, err = compaction.NewCollector(compaction.CollectorOptions{Catalog: n.cat, Objects: w.objects, Logger: testLog()})
	return err
}

func (w *world) startCompact(id string, r *rand.Rand) (*compactNode, error) {
	n := &compactNode{id: id, fail: failpoint.New()}
	var err error
	if n.cat, n.session, err = w.openCatalog(id, n.fail); err != nil {
		return nil, err
	}
	n.executor, err = compaction.NewExecutor(compaction.ExecutorOptions{
		Objects: w.objects, TempDir: w.dir, Allocator: w.mem, Failpoints: n.fail, MaxMemoryBytes: pick[int64](r, 1<<20, 0),
	})
	if err != nil {
		return nil, err
	}
	n.worker, err = compaction.NewWorker(compaction.WorkerOptions{Heads: n.cat, Executor: n.executor, Logger: testLog()})
	return n, err
}

// crash ends every process; hot rows are lost.
func (w *world) crash() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	if w.engine != nil {
		errs = append(errs, w.engine.Close())
	}
	if n := w.ingestNode; n != nil && n.manager != nil {
		for key := range n.owned {
			if err := n.manager.Stop(ctx, key, false); !errors.Is(err, consumer.ErrNotRunning) {
				errs = append(errs, err)
			}
		}
		errs = append(errs, n.manager.StopAll(ctx), n.session.Close(ctx), n.cat.Close())
		if bytes := n.manager.HotBytes(); bytes != 0 {
			errs = append(errs, fmt.Errorf("%d bytes of hot memory are still counted", bytes))
		}
	}
	for _, n := range w.compactors {
		errs = append(errs, n.session.Close(ctx), n.cat.Close())
	}
	w.engine, w.ingestNode, w.compactors = nil, nil, nil
	return errors.Join(errs...)
}

// mend has every partition that has been found read again, up to what is revealed.
func (w *world) mend() error {
	view, err := w.cat.Refresh(w.ctx)
	if err != nil {
		return err
	}
	for _, t := range w.tables {
		for _, at := range w.log.places[:w.open] {
			key := catalog.PartitionKey{Supervisor: t.name, Topic: at.topic, Partition: at.partition}
			if _, running := w.manager.Status(key); running {
				continue
			}
			owner, err := w.session.Acquire(w.ctx, key)
			if err != nil {
				return err
			}
			w.owned[key] = owner
			err = w.manager.Start(w.ctx, consumer.Assignment{Owner: owner, Supervisor: view.Supervisors[t.name].Supervisor})
			if err != nil {
				return err
			}
		}
	}
	return w.settle(nil)
}

// settle waits until every partition has been read as far as it is revealed and, where more is asked, that too.
func (w *world) settle(more func(consumer.PartitionStatus) bool) error {
	for _, key := range w.keys() {
		end, _ := w.broker.end(place{key.Topic, key.Partition})
		err := w.wait(key, func(s consumer.PartitionStatus) bool {
			return s.Position >= end && s.Handoffs == 0 && (more == nil || more(s))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) wait(key catalog.PartitionKey, ok func(consumer.PartitionStatus) bool) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Microsecond) {
		s, running := w.manager.Status(key)
		switch {
		case !running:
			return fmt.Errorf("%v is not read any more", key)
		case s.Halt != nil:
			return fmt.Errorf("%v has halted: %s", key, s.Halt.Message)
		case ok(s):
			return nil
		}
	}
	s, _ := w.manager.Status(key)
	return fmt.Errorf("%v does not get where it ought to: %+v", key, s)
}

// keys are the partitions that have been found, in one order.
func (w *world) keys() []catalog.PartitionKey {
	var out []catalog.PartitionKey
	for _, t := range w.tables {
		for _, at := range w.log.places[:w.open] {
			out = append(out, catalog.PartitionKey{Supervisor: t.name, Topic: at.topic, Partition: at.partition})
		}
	}
	return out
}
