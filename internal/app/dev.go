package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"drumlin/api"
	"drumlin/catalog"
	"drumlin/catalog/etcdkv"
	"drumlin/compaction"
	"drumlin/consumer"
	"drumlin/coordinator"
	"drumlin/duckdb"
	"drumlin/indexer"
	"drumlin/internal/devbroker"
	"drumlin/internal/devetcd"
	"drumlin/internal/failpoint"
	"drumlin/objectstore/file"
	"drumlin/query"
)

// World is what a process is given by whoever starts it.
type World struct {
	Logger     *slog.Logger
	Out        io.Writer // lines for the person who started it
	Version    string
	Failpoints *failpoint.Set // nil: none armed
}

// etcdPrefix names the cluster of a dev process in its own etcd.
const etcdPrefix = "/drumlin"

// drainTimeout is how long running requests may go on when the process stops.
const drainTimeout = 5 * time.Second

// dev is a one-process server while it starts, runs and stops.
type dev struct {
	config   DevConfig
	world    World
	running  stack
	failed   chan error // a part that ended by itself; one slot per part
	registry *prometheus.Registry
	gate     *gate
	// httpAddress is where HTTP listens: what was asked for, with the port that was taken where that was 0.
	httpAddress string

	dir      *dataDir
	broker   *devbroker.Broker
	etcd     *devetcd.Server
	objects  *file.Store
	catalog  *catalog.Catalog
	kafka    *consumer.Kafka
	consumer *consumer.Manager
	engine   *query.Engine

	worker    *compaction.Worker
	collector *compaction.Collector
	cluster   *coordinator.Coordinator
}

// RunDev runs every role in this process until ctx ends, then stops in order: it hands off what is hot and returns nil. An
// error says which part could not start, or ended by itself.
func RunDev(ctx context.Context, config DevConfig, world World) (err error) {
	if err := config.Validate(); err != nil {
		return err
	}
	d := &dev{
		config: config, world: world, running: stack{logger: world.Logger},
		failed: make(chan error, 3), registry: prometheus.NewRegistry(), gate: newGate(),
	}
	d.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout+config.StopTimeout)
		defer cancel()
		err = errors.Join(err, d.running.stop(stopping))
		world.Logger.Info("stopped")
	}()
	for _, start := range []func(context.Context) error{
		d.startDirectory, d.startListener, d.startBroker, d.startEtcd, d.startCatalog, d.startConsumer, d.startQuery,
		d.startCompaction, d.startCoordinator, d.startHTTP, d.submitSpecs, d.announce,
	} {
		if err := start(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // asked to stop while starting
			}
			return err
		}
	}
	select {
	case <-ctx.Done():
		world.Logger.Info("stopping: hot rows are handed off first")
		return nil
	case err := <-d.failed:
		return err
	}
}

func (d *dev) startDirectory(context.Context) error {
	dir, err := openDataDir(d.config.DataDir)
	if err != nil {
		return err
	}
	d.dir = dir
	d.running.started("directory", func(context.Context) error { return dir.Close() })
	for _, path := range []string{d.config.brokerDir(), d.config.etcdDir(), d.config.spillDir()} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("make a part of the data directory: %w", err)
		}
	}
	return nil
}

// startListener takes the port first: a port that is in use is told before anything else begins. Until startHTTP every
// request is answered with 503.
func (d *dev) startListener(context.Context) error {
	listener, err := net.Listen("tcp", d.config.HTTPAddress)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w; give another --http HOST:PORT", err)
	}
	server := api.NewServer(d.gate, d.world.Logger)
	server.BaseContext = func(net.Listener) context.Context { return d.gate.requests }
	d.httpAddress = listener.Addr().String()
	d.gate.loopback = api.LoopbackOnly(listener.Addr())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.failed <- fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
		}
	}()
	d.gate.server = server
	d.running.started("listener", func(context.Context) error {
		err := server.Close()
		<-done
		return err
	})
	return nil
}

func (d *dev) startBroker(context.Context) error {
	broker, err := devbroker.Start(devbroker.Options{
		Address: d.config.KafkaAddress, DataDir: d.config.brokerDir(), DefaultPartitions: d.config.TopicPartitions,
		MaxMessageBytes: d.config.MaxMessageBytes, Logger: d.world.Logger,
	})
	if err != nil {
		return fmt.Errorf("%w; is the port free? give another --kafka HOST:PORT", err)
	}
	d.broker = broker
	d.running.started("broker", func(context.Context) error { broker.Close(); return nil })
	return nil
}

func (d *dev) startEtcd(ctx context.Context) error {
	server, err := devetcd.Start(ctx, d.config.etcdDir())
	if err != nil {
		return err
	}
	d.etcd = server
	ended := make(chan struct{})
	stopWatching := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case err := <-server.Err():
			d.failed <- fmt.Errorf("the embedded etcd ended: %w", err)
		case <-stopWatching:
		}
	}()
	d.running.started("etcd", func(context.Context) error {
		close(stopWatching)
		<-ended
		server.Close()
		return nil
	})
	return nil
}

func (d *dev) startCatalog(ctx context.Context) error {
	objects, err := file.Open(d.config.objectsDir())
	if err != nil {
		return err
	}
	d.objects = objects
	store, err := etcdkv.Open(etcdkv.Options{Endpoints: []string{d.etcd.Endpoint()}, Prefix: etcdPrefix})
	if err != nil {
		return err
	}
	d.running.started("etcd client", func(context.Context) error { return store.Close() })
	d.catalog, err = catalog.Open(ctx, catalog.Options{
		KV: store, Objects: objects, Logger: d.world.Logger, Now: time.Now, Failpoints: d.world.Failpoints,
	})
	if err != nil {
		return err
	}
	d.running.started("catalog", func(context.Context) error { return d.catalog.Close() })
	return nil
}

func (d *dev) startConsumer(context.Context) error {
	builder, err := indexer.New(indexer.Options{
		Objects: d.objects, TempDir: d.config.spillDir(), Logger: d.world.Logger, Failpoints: d.world.Failpoints,
	})
	if err != nil {
		return err
	}
	d.kafka = consumer.NewKafka([]string{d.broker.Address()})
	d.running.started("kafka client", func(context.Context) error { d.kafka.Close(); return nil })
	d.consumer, err = consumer.NewManager(consumer.Options{
		Offsets: d.catalog, Versions: d.catalog, Builder: builder, Broker: d.kafka, Incarnation: d.catalog.Incarnation(),
		MaxHotBytes: d.config.MaxHotBytes, Logger: d.world.Logger, Registerer: d.registry, Failpoints: d.world.Failpoints,
	})
	if err != nil {
		return err
	}
	d.running.started("consumer", d.consumer.StopAll)
	return nil
}

func (d *dev) startQuery(context.Context) error {
	engine, err := query.New(query.Options{
		Catalog: d.catalog, Hot: d.consumer, Objects: d.objects, Supervisors: states{d},
		CacheDir: d.config.cacheDir(), MaxCacheBytes: d.config.MaxCacheBytes,
		DuckDB: duckdb.Options{
			MemoryLimitBytes: d.config.MaxQueryBytes, Threads: d.config.QueryThreads,
			TempDir: d.config.spillDir(), MaxTempBytes: d.config.MaxSpillBytes,
		},
		MaxConcurrent: d.config.MaxConcurrentQueries, Logger: d.world.Logger, Registerer: d.registry,
	})
	if err != nil {
		return err
	}
	d.engine = engine
	d.running.started("query", func(context.Context) error { return engine.Close() })
	return nil
}

func (d *dev) startCoordinator(ctx context.Context) error {
	d.cluster = coordinator.New(coordinator.Options{
		Catalog: d.catalog, Topics: d.kafka, Ingest: d.consumer, Logger: d.world.Logger,
		Worker: d.worker, Collect: d.collectAll, Objects: d.objects, Registerer: d.registry, Compaction: d.compactionOptions(),
		Node: catalog.Node{
			ID: d.dir.nodeID, Address: d.httpAddress, Version: d.world.Version,
			Roles: []string{coordinator.RoleIngest, "coordinate", coordinator.RoleCompact, "query"},
		},
		LeaseTTL: d.config.LeaseTTL, DiscoverEvery: d.config.DiscoverInterval, StopTimeout: d.config.StopTimeout, Now: time.Now,
	})
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.cluster.Run(running); err != nil {
			d.failed <- fmt.Errorf("coordinate: %w", err)
		}
	}()
	d.running.started("coordinator", func(context.Context) error {
		stop()
		<-done
		return nil
	})
	return nil
}

func (d *dev) startHTTP(context.Context) error {
	handler, err := api.New(api.Options{
		Queries: queries{d.engine}, Supervisors: supervisors{d.cluster}, Controls: controls{d.cluster}, Health: d.cluster,
		Tasks: tasks{d.cluster}, TaskOutputs: tasks{d.cluster}, Rules: rules{d.cluster},
		AutoCompaction: autoCompaction{d.cluster}, CompactionProgress: autoCompaction{d.cluster},
		Logger: d.world.Logger, Version: d.world.Version, Gatherer: d.registry, Registerer: d.registry, Loopback: d.gate.loopback,
	})
	if err != nil {
		return err
	}
	d.gate.open(handler)
	d.running.started("http", d.gate.drain)
	return nil
}

func (d *dev) submitSpecs(ctx context.Context) error {
	for _, path := range d.config.SpecFiles {
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("--spec: %w", err)
		}
		id, warnings, err := d.cluster.Submit(ctx, data)
		if err != nil {
			return fmt.Errorf("--spec %s: %w", path, err)
		}
		for _, w := range warnings {
			d.world.Logger.Warn("a field of the spec has no effect", "supervisor", id, "field", w)
		}
	}
	return nil
}

func (d *dev) announce(context.Context) error {
	_, err := fmt.Fprintf(d.world.Out, `drumlin %s runs every role in this process
  HTTP    http://%s   SQL, supervisors, status, metrics
  Kafka   %s          produce here with any client
  data    %s
Stop with Ctrl-C: what is hot is handed off first.
`, d.world.Version, d.httpAddress, d.broker.Address(), d.config.DataDir)
	return err
}
