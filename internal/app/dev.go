package app

import (
	"context"
	"fmt"
	"os"

	"drumlin/catalog/etcdkv"
	"drumlin/internal/devbroker"
	"drumlin/internal/devetcd"
	"drumlin/objectstore/file"
)

// etcdPrefix names the cluster of a dev process in its own etcd.
const etcdPrefix = "/drumlin"

// dev is a node with every role and with the servers that it stands on, in one process.
type dev struct {
	*node
	config DevConfig
	dir    *dataDir
	broker *devbroker.Broker
	etcd   *devetcd.Server
}

// RunDev runs every role in this process until ctx ends, then stops in order: it hands off what is hot and returns nil. An
// error says which part could not start, or ended by itself.
func RunDev(ctx context.Context, c DevConfig, world World) error {
	if err := c.Validate(); err != nil {
		return err
	}
	d := &dev{node: newNode(c.server(), world), config: c}
	d.cacheDir, d.spillDir = c.cacheDir(), c.spillDir()
	return d.run(ctx,
		d.startDirectory, d.startListener, d.startBroker, d.startEtcd, d.startCatalog, d.startKafka, d.startConsumer, d.startQuery,
		d.startCompaction, d.makeCoordinator, d.runCoordinator, d.startHTTP, d.submitSpecs, d.announce)
}

func (d *dev) startDirectory(context.Context) error {
	dir, err := openDataDir(d.config.DataDir)
	if err != nil {
		return err
	}
	d.dir, d.id, d.sole = dir, dir.nodeID, true
	d.running.started("directory", func(context.Context) error { return dir.Close() })
	for _, path := range []string{d.config.brokerDir(), d.config.etcdDir(), d.config.spillDir()} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("make a part of the data directory: %w", err)
		}
	}
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
	return d.openCatalog(ctx, store)
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
