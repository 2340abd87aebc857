package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/spec"
)

// Topics is what is asked of the brokers; *consumer.Kafka has it.
type Topics interface {
	// Discover lists the existing topics that the spec reads.
	Discover(ctx context.Context, s *spec.Supervisor) ([]consumer.TopicPartitions, error)
	// HighWatermarks returns, per topic and partition, the end of what a read_committed reader can see.
	HighWatermarks(ctx context.Context, s *spec.Supervisor, topics []string) (map[string]map[int32]int64, error)
}

// Ingest reads the partitions that this process owns; *consumer.Manager has it.
type Ingest interface {
	Reading
	Answers
}

// Reading begins and ends what this process reads.
type Reading interface {
	// Start begins to read a partition; Assignment.Ended is called when it is no longer read.
	Start(ctx context.Context, a consumer.Assignment) error
	// Update gives a running partition the newest version of its spec, and floors that have risen.
	Update(ctx context.Context, s catalog.Supervisor, key catalog.PartitionKey) error
	// Stop ends a worker, after a last handoff where asked. When it returns, the partition is no longer read, also after
	// an error.
	Stop(ctx context.Context, key catalog.PartitionKey, handoff bool) error
}

// Answers are what a partition's reader is asked for.
type Answers interface {
	// Handoff reads up to the offset and commits everything hot.
	Handoff(ctx context.Context, key catalog.PartitionKey, upTo int64) (revision int64, err error)
	// AcceptLoss lets a partition that is halted for exactly this lost range go on behind it.
	AcceptLoss(ctx context.Context, key catalog.PartitionKey, from, to int64) error
	Status(key catalog.PartitionKey) (consumer.PartitionStatus, bool)
}

// Peers asks the processes that read partitions and run tasks, this one included; *peer.Router has it.
type Peers interface {
	// Status asks each owner once for all its partitions. The errors name the nodes that did not answer.
	Status(ctx context.Context, keys []catalog.PartitionKey) (map[catalog.PartitionKey]consumer.PartitionStatus, []error)
	Handoff(ctx context.Context, node string, key catalog.PartitionKey, upTo int64) (revision int64, err error)
	AcceptLoss(ctx context.Context, node string, key catalog.PartitionKey, from, to int64) error
	// TaskLog is the live log of a task that runs on the node.
	TaskLog(ctx context.Context, node, id string) ([]byte, error)
}

// Options are what a coordinator stands on. Zero values of the times mean the defaults.
type Options struct {
	Catalog *catalog.Catalog
	Topics  Topics // nil: this process does not ask the brokers; only one without Ingest may do without
	Ingest  Ingest // nil: this process reads nothing; Node.Roles then lacks RoleIngest
	Peers   Peers  // nil: this process is alone
	Node    catalog.Node
	Logger  *slog.Logger

	// Sole says that no other process of this node's id can live, as a lock on its data tells: see catalog.Sole.
	Sole bool

	Worker  Worker          // nil: this process runs no tasks and drops nothing; Node.Roles then lacks RoleCompact
	Collect CollectFunc     // nil: this process collects nothing
	Objects catalog.Objects // reports and logs of tasks; needed where there is a Worker
	// Registerer gets the metrics of tasks and duties; nil: none.
	Registerer prometheus.Registerer
	Compaction CompactionOptions

	LeaseTTL      time.Duration // of the node's registration. Default 10 s
	DiscoverEvery time.Duration // how soon new topics and partitions are read. Default 5 s
	// StopTimeout is for the last handoffs when the process ends, and for a partition's that somebody waits for. Default 20 s.
	StopTimeout time.Duration
	Backoff     time.Duration // longest pause after a partition's failure. Default 10 s
	Now         func() time.Time
	// HashKey makes the 32 random hex digits of a new datasource. Default: from the system's source.
	HashKey func() (string, error)
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field     *time.Duration
		otherwise time.Duration
	}{
		{&o.LeaseTTL, 10 * time.Second},
		{&o.DiscoverEvery, 5 * time.Second},
		{&o.StopTimeout, 20 * time.Second},
		{&o.Backoff, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.otherwise
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Compaction.setDefaults()
	if o.HashKey == nil {
		o.HashKey = randomHashKey
	}
}

// Coordinator keeps supervisors and shares their partitions. It is safe for concurrent use.
type Coordinator struct {
	o       Options
	kick    chan struct{} // asks the loop to look again
	look    chan struct{} // asks for topics now
	stepsWG sync.WaitGroup
	// lateWork are tasks and duties of sessions that were lost, until they have ended.
	lateWork sync.WaitGroup
	queue    *queue
	duties   *duties
	metrics  *taskMetrics
	cluster  *clusterMetrics
	err      error // of New: Run returns it

	mu         sync.Mutex
	moved      chan struct{} // closed and replaced when something below changes
	session    *catalog.Session
	partitions map[catalog.PartitionKey]*partition
	found      map[string]*discovery          // by supervisor
	ready      bool                           // has been ready once
	released   map[catalog.PartitionKey]int64 // epochs that were given up, until the view shows it
	ability    ability
}

// Errors that callers decide by; match them with errors.Is.
var (
	// ErrNoSupervisor: no supervisor has this id.
	ErrNoSupervisor = errors.New("no such supervisor")
	// ErrSuspended: the supervisor reads nothing now.
	ErrSuspended = errors.New("the supervisor is suspended")
	// ErrElsewhere: other processes read the partitions.
	ErrElsewhere = errors.New("partitions are read by other processes")
	// ErrNoTopics: this process does not ask the brokers; the text names those that do.
	ErrNoTopics = errors.New("this process has no connection to Kafka")
	// ErrNoPartition: the supervisor reads no partition of this number.
	ErrNoPartition = errors.New("no such partition")
)

// New returns a coordinator that does nothing until Run, apart from submissions and status.
func New(o Options) *Coordinator {
	o.setDefaults()
	c := &Coordinator{
		o: o, kick: make(chan struct{}, 1), look: make(chan struct{}, 1), moved: make(chan struct{}),
		partitions: map[catalog.PartitionKey]*partition{}, found: map[string]*discovery{},
		released: map[catalog.PartitionKey]int64{},
	}
	c.metrics, c.err = newTaskMetrics(o.Registerer)
	if c.err != nil {
		c.err = fmt.Errorf("register the metrics of tasks: %w", c.err)
	}
	var err error
	if c.cluster, err = newClusterMetrics(o.Registerer, c.owned, c.unable); err != nil {
		c.err = errors.Join(c.err, fmt.Errorf("register the metrics of the cluster: %w", err))
	}
	if o.Registerer != nil && slices.Contains(o.Node.Roles, RoleCoordinate) {
		if err := o.Registerer.Register(newLayoutMetrics(o.Catalog)); err != nil {
			c.err = errors.Join(c.err, fmt.Errorf("register the metrics of datasources: %w", err))
		}
	}
	if o.Topics == nil && (o.Ingest != nil || slices.Contains(o.Node.Roles, RoleCoordinate)) {
		c.err = errors.Join(c.err, fmt.Errorf("a coordinator with the role %s or %s needs Topics, to know what there is to read",
			RoleIngest, RoleCoordinate))
	}
	if o.Worker != nil && o.Objects == nil {
		c.err = errors.Join(c.err, errors.New("a coordinator with a Worker needs Objects, for the reports and logs of tasks"))
	}
	c.queue, c.duties = newQueue(&c.o, c.metrics), newDuties(c)
	return c
}

// owned counts the partitions that this process owns.
func (c *Coordinator) owned() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, p := range c.partitions {
		if p.held {
			n++
		}
	}
	return float64(n)
}

// unable counts the supervisors that this process cannot read.
func (c *Coordinator) unable() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(len(c.ability.unable))
}

// changedLocked wakes those who wait for a change of the state under mu.
func (c *Coordinator) changedLocked() {
	close(c.moved)
	c.moved = make(chan struct{})
	signal(c.kick)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// supervisor finds a supervisor in the newest view.
func (c *Coordinator) supervisor(id string) (*catalog.SupervisorView, error) {
	v := c.o.Catalog.View().Supervisors[id]
	if v == nil {
		return nil, fmt.Errorf("%w: %q; list the supervisors to see their ids", ErrNoSupervisor, id)
	}
	return v, nil
}
