package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/consumer"
	"drumlin/coordinator"
	"drumlin/internal/config"
	"drumlin/internal/failpoint"
	"drumlin/objectstore"
	"drumlin/peer"
	"drumlin/query"
)

// World is what a process is given by whoever starts it.
type World struct {
	Logger     *slog.Logger
	Out        io.Writer // lines for the person who started it
	Version    string
	Failpoints *failpoint.Set // nil: none armed
}

// drainTimeout is how long running requests may go on when the process stops.
const drainTimeout = 5 * time.Second

// node is one process with its roles while it starts, runs and stops. What a role does not need stays nil.
type node struct {
	config   config.Server
	world    World
	running  stack
	failed   chan error // a part that ended by itself; one slot per part
	registry *prometheus.Registry
	gate     *gate

	id                         string
	sole                       bool // no other process of this id can live: a lock tells
	cacheDir, spillDir         string
	httpAddress, flightAddress string // where others reach it

	objects  objectstore.Store
	catalog  *catalog.Catalog
	kafka    *consumer.Kafka
	consumer *consumer.Manager
	engine   *query.Engine

	peerClient     *peer.Client
	peers          *peer.Router // nil in a process that is alone
	flightListener net.Listener // nil: others have nothing to ask here
	flightTLS      *tls.Config  // of flightListener; nil: plain text

	worker    *compaction.Worker
	collector *compaction.Collector
	cluster   *coordinator.Coordinator
}

// maxParts bounds how many parts can end by themselves.
const maxParts = 8

func newNode(c config.Server, world World) *node {
	n := &node{
		config: c, world: world, running: stack{logger: world.Logger},
		failed: make(chan error, maxParts), registry: prometheus.NewRegistry(), gate: newGate(),
	}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return n
}

func (n *node) has(role string) bool { return slices.Contains(n.config.Roles, role) }

// run starts the parts in their order, waits until ctx ends or a part does, and stops what was started in the reverse order.
// It returns nil after an end that was asked for; otherwise the error says which part could not start, or ended by itself.
func (n *node) run(ctx context.Context, steps ...func(context.Context) error) (err error) {
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout+n.config.StopTimeout)
		defer cancel()
		err = errors.Join(err, n.running.stop(stopping))
		n.world.Logger.Info("stopped")
	}()
	for _, start := range steps {
		if err := start(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // asked to stop while starting
			}
			return err
		}
	}
	select {
	case <-ctx.Done():
		n.world.Logger.Info("stopping: hot rows are handed off first")
		return nil
	case err := <-n.failed:
		return err
	}
}

// watch reports a part that ends by itself. The returned function waits for the part's end after it was asked to.
func (n *node) watch(what string, run func() error) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(); err != nil {
			n.failed <- fmt.Errorf("%s: %w", what, err)
		}
	}()
	return func() { <-done }
}
