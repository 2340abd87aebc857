package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/indexer"
	"drumlin/internal/failpoint"
	"drumlin/segment"
)

// Offsets is what a partition's worker needs of the catalog to move its partition on; *catalog.Catalog has it.
type Offsets interface {
	ReadOffset(ctx context.Context, key catalog.PartitionKey) (off catalog.Offset, modRevision int64, found bool, err error)
	Begin(ctx context.Context, owner catalog.Owner, start catalog.Offset) (modRevision int64, err error)
	Acknowledge(ctx context.Context, owner catalog.Owner, prevRevision int64, prev catalog.Offset, facts segment.Facts) (modRevision int64, err error)
	Append(ctx context.Context, r catalog.AppendRequest) (revision int64, err error)
}

// Versions is where specs, schemas and floors are found; *catalog.Catalog has it.
type Versions interface {
	// Refresh returns a view that is at least as new as now.
	Refresh(ctx context.Context) (*catalog.View, error)
	// SupervisorVersion returns one numbered version of a supervisor's spec, whatever the newest is.
	SupervisorVersion(ctx context.Context, id string, version int64) (catalog.Supervisor, error)
}

// Builder makes the segments of a commit; *indexer.Indexer is it.
type Builder interface {
	Build(ctx context.Context, r indexer.Request) (*indexer.Result, error)
}

// Options are what a Manager stands on. Zero limits mean the defaults.
type Options struct {
	Offsets     Offsets
	Versions    Versions
	Builder     Builder
	Broker      Broker
	Incarnation string // of the catalog; stands in object names

	// MaxHotBytes is the budget of the process for hot rows: from 70 % on partitions hand off early, from 85 % on
	// nothing is fetched. Default 512 MiB.
	MaxHotBytes int64
	// PublishEvery bounds how long a row waits before readers see it. Default 100 ms.
	PublishEvery time.Duration
	// Grace is how long committed rows stay for readers with an older view. Default 30 s; negative: not at all.
	Grace time.Duration
	// ProbeEvery is the period of asking for a topic's id and bounds. Default 10 s.
	ProbeEvery time.Duration
	// Backoff bounds the pause after a failure that may pass. Default 5 s.
	Backoff time.Duration

	// Allocator holds hot rows; nil means memory outside Go's heap, which readers in C need.
	Allocator  memory.Allocator
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Failpoints *failpoint.Set
}

func (o *Options) setDefaults() {
	if o.MaxHotBytes == 0 {
		o.MaxHotBytes = 512 << 20
	}
	if o.PublishEvery == 0 {
		o.PublishEvery = 100 * time.Millisecond
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	if o.ProbeEvery == 0 {
		o.ProbeEvery = 10 * time.Second
	}
	if o.Backoff == 0 {
		o.Backoff = 5 * time.Second
	}
	if o.Allocator == nil {
		o.Allocator = offHeap{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Assignment is a partition that this process owns, and the spec by which it shall be read.
type Assignment struct {
	Owner      catalog.Owner
	Supervisor catalog.Supervisor // the newest version; older offsets are read by the version that they record
	// FromEarliest says that the partition appeared after its supervisor had begun: it is read from its first record
	// whatever useEarliestOffset says, since nobody has seen it before. It matters only where no offset is recorded.
	FromEarliest bool
	// Ended is called once, when the partition is no longer read, from a goroutine of its own: with nil after Stop,
	// else with the reason why the worker stepped down (errors.Is: catalog.ErrFenced, ErrConflict, ErrUnknown, …). The
	// partition may be acquired and started again from then on. May be nil.
	Ended func(key catalog.PartitionKey, err error)
}

// deps is what the workers of one manager share.
type deps struct {
	Options
	memory  *meter
	metrics *metrics
	budget  *budget
	advisor *advisor
}
