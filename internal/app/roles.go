package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drumlin/api"
	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/coordinator"
	"drumlin/duckdb"
	"drumlin/indexer"
	"drumlin/internal/config"
	"drumlin/query"
)

// openCatalog opens the catalog over the key-value store. The object store must be there.
func (n *node) openCatalog(ctx context.Context, kv catalog.Backend) error {
	var err error
	n.catalog, err = catalog.Open(ctx, catalog.Options{
		KV: kv, Objects: n.objects, Logger: n.world.Logger, Now: time.Now, Failpoints: n.world.Failpoints,
	})
	if err != nil {
		return err
	}
	n.running.started("catalog", func(context.Context) error { return n.catalog.Close() })
	return nil
}

// startKafka makes the client of the brokers for roles that ask them.
func (n *node) startKafka(context.Context) error {
	if !n.has(config.RoleIngest) && !n.has(config.RoleCoordinate) {
		return nil
	}
	var err error
	if n.kafka, err = consumer.NewKafka(n.config.Kafka.ClientProperties()); err != nil {
		return err
	}
	n.running.started("kafka client", func(context.Context) error { n.kafka.Close(); return nil })
	return nil
}

func (n *node) startConsumer(context.Context) error {
	if !n.has(config.RoleIngest) {
		return nil
	}
	builder, err := indexer.New(indexer.Options{
		Objects: n.objects, TempDir: n.spillDir, Logger: n.world.Logger, Failpoints: n.world.Failpoints,
	})
	if err != nil {
		return err
	}
	n.consumer, err = consumer.NewManager(consumer.Options{
		Offsets: n.catalog, Versions: n.catalog, Builder: builder, Broker: n.kafka, Incarnation: n.catalog.Incarnation(),
		MaxHotBytes: int64(n.config.Ingest.MaxHotBytes), Logger: n.world.Logger, Registerer: n.registry, Failpoints: n.world.Failpoints,
	})
	if err != nil {
		return err
	}
	n.running.started("consumer", n.consumer.StopAll)
	return nil
}

func (n *node) startQuery(context.Context) error {
	if !n.has(config.RoleQuery) {
		return nil
	}
	c := n.config.Query
	engine, err := query.New(query.Options{
		Catalog: n.catalog, Hot: n.hot(), Objects: n.objects, Supervisors: states{n},
		CacheDir: n.cacheDir, MaxCacheBytes: int64(n.config.Cache.MaxBytes),
		DuckDB: duckdb.Options{
			MemoryLimitBytes: int64(c.MaxBytes), Threads: c.Threads, TempDir: n.spillDir, MaxTempBytes: int64(n.config.Spill.MaxBytes),
		},
		MaxConcurrent: c.MaxConcurrent, QueueTimeout: c.QueueTimeout, DefaultTimeout: c.DefaultTimeout, MaxTimeout: c.MaxTimeout,
		HotBudget: c.HotBudget, ObjectBudget: c.ObjectBudget, Logger: n.world.Logger, Registerer: n.registry,
	})
	if err != nil {
		return err
	}
	n.engine = engine
	n.running.started("query", func(context.Context) error { return engine.Close() })
	return nil
}

// makeCoordinator makes the coordinator, which does nothing before runCoordinator.
func (n *node) makeCoordinator(context.Context) error {
	o := coordinator.Options{
		Catalog: n.catalog, Logger: n.world.Logger, Objects: n.objects, Registerer: n.registry, Compaction: n.compactionOptions(),
		Node: catalog.Node{
			ID: n.id, Address: n.httpAddress, FlightAddress: n.flightAddress, Version: n.world.Version, Roles: n.config.Roles,
		},
		Sole: n.sole, LeaseTTL: n.config.LeaseTTL, DiscoverEvery: n.config.Ingest.DiscoverInterval, StopTimeout: n.config.StopTimeout, Now: time.Now,
	}
	// An interface that holds a nil pointer is not nil: what a role lacks is left out here.
	if n.kafka != nil {
		o.Topics = n.kafka
	}
	if n.consumer != nil {
		o.Ingest = n.consumer
	}
	if n.peers != nil {
		o.Peers = n.peers
	}
	if n.worker != nil {
		o.Worker = n.worker
	}
	if n.has(config.RoleCoordinate) {
		o.Collect = n.collectAll
	}
	n.cluster = coordinator.New(o)
	return nil
}

func (n *node) runCoordinator(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	wait := n.watch("coordinate", func() error { return n.cluster.Run(running) })
	n.running.started("coordinator", func(context.Context) error {
		stop()
		wait()
		return nil
	})
	return nil
}

func (n *node) startHTTP(context.Context) error {
	o := api.Options{
		Supervisors: supervisors{n.cluster}, Controls: controls{n.cluster}, Gaps: gaps{n.cluster}, Health: n.cluster,
		Tasks: tasks{n.cluster}, TaskOutputs: tasks{n.cluster}, Rules: rules{n.cluster},
		AutoCompaction: autoCompaction{n.cluster}, CompactionProgress: autoCompaction{n.cluster},
		Logger: n.world.Logger, Version: n.world.Version, Gatherer: n.registry, Registerer: n.registry, Loopback: n.gate.loopback, OpenMetrics: n.config.HTTP.OpenMetrics,
	}
	if n.engine != nil {
		o.Queries = queries{n.engine}
	}
	var err error
	if o.Access, err = n.config.Access.HTTPAccess(); err != nil {
		return err
	}
	handler, err := api.New(o)
	if err != nil {
		return err
	}
	n.gate.open(handler)
	n.running.started("http", n.gate.drain)
	return nil
}

// until tries again, with a growing pause, until the step succeeds or ctx ends: at the start of a cluster the parts come up
// in any order.
func (n *node) until(ctx context.Context, what string, step func(context.Context) error, final func(error) bool) error {
	const longest = 5 * time.Second
	n.gate.waitFor("waiting for " + what)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, longest) {
		err := step(ctx)
		if err == nil || final(err) {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		n.world.Logger.Warn("waiting for "+what, "error", err, "again", pause)
		n.gate.waitFor(fmt.Sprintf("waiting for %s: %v", what, err))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}
