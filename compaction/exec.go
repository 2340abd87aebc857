package compaction

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/internal/failpoint"
)

// ExecutorObjects is the object store as the executor uses it; objectstore.Store is one.
type ExecutorObjects interface {
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
}

// ExecutorOptions say where an Executor works, and with how much.
type ExecutorOptions struct {
	Objects ExecutorObjects
	// TempDir holds the fetched inputs of running jobs, what they spill, and segments that are being written: about twice the
	// inputs' bytes, and for what is sorted outside memory its Arrow bytes. The files have no names, so a crash leaves nothing.
	TempDir string
	// MaxMemoryBytes bounds what one job holds: rows, identities, states; 0: 256 MiB. A row group of an input or of an
	// output is held whole, whatever the limit says.
	MaxMemoryBytes int64
	// Parallel is how many finished objects of a job are uploaded, and inputs fetched, at a time; 0: four.
	Parallel   int
	Logger     *slog.Logger     // nil: silent
	Allocator  memory.Allocator // nil: Arrow's default
	Failpoints *failpoint.Set   // nil: never armed
}

const (
	defaultMaxMemoryBytes = 256 << 20
	minMaxMemoryBytes     = 1 << 20
	defaultParallel       = 4
)

// Executor carries out jobs. It is safe for concurrent use; each job has a budget of its own.
type Executor struct {
	o              ExecutorOptions
	maxSidecarRows int64 // cuts sidecars
	minDirectRows  int64 // of sorted inputs that are merged as they are
}

// NewExecutor checks the options and makes TempDir where it is missing.
func NewExecutor(o ExecutorOptions) (*Executor, error) {
	if o.Objects == nil || o.TempDir == "" {
		return nil, errors.New("compaction: both an object store and a directory for temporary files are needed")
	}
	if o.MaxMemoryBytes == 0 {
		o.MaxMemoryBytes = defaultMaxMemoryBytes
	}
	if o.MaxMemoryBytes < minMaxMemoryBytes {
		return nil, fmt.Errorf("compaction: %d bytes of memory for a job: at least %d are needed", o.MaxMemoryBytes, minMaxMemoryBytes)
	}
	if err := os.MkdirAll(o.TempDir, 0o755); err != nil {
		return nil, fmt.Errorf("compaction: %w: check that the directory can be written", err)
	}
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	if o.Allocator == nil {
		o.Allocator = memory.DefaultAllocator
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Executor{o: o, maxSidecarRows: defaultMaxSidecarRows, minDirectRows: defaultMinDirectRows}, nil
}

// Run carries out one job and uploads what it makes; nothing of it is live until the catalog has swapped it in. The modes are
// ModeFull, ModeTail and ModeDiscard. progress may be nil; it is called by one goroutine at a time, and ends at rowsTotal
// where the job succeeds. After an error, what was uploaded is left for collection; errors.Is tells a missing input
// (objectstore.ErrNotFound: plan again) and a damaged one (segment.ErrCorrupt).
func (e *Executor) Run(ctx context.Context, job *Job, n Naming, progress func(rowsDone, rowsTotal int64)) (*Output, error) {
	x, err := e.begin(job, n, progress)
	if err != nil {
		return nil, fmt.Errorf("compact %s: %w", job.place(), err)
	}
	out, err := x.run(ctx)
	if err = errors.Join(err, x.end()); err != nil {
		return nil, fmt.Errorf("compact %s: %w", job.place(), err)
	}
	e.o.Logger.Debug("a job's objects are uploaded", "datasource", job.Datasource, "mode", job.Mode, "stats", out.Stats)
	return out, nil
}

// run does the work in the order that the laws ask for: first who wins, then what the plan makes of the winners.
func (x *execution) run(ctx context.Context) (*Output, error) {
	if err := x.fetch(ctx); err != nil {
		return nil, err
	}
	inner := x.writers.start(ctx)
	err := x.work(inner)
	if err != nil {
		x.writers.fail()
	}
	if written := x.writers.wait(); written != nil && (err == nil || ctx.Err() == nil && errors.Is(err, context.Canceled)) {
		err = written // the work has only been told to stop
	}
	if err != nil {
		return nil, err
	}
	out, err := x.output()
	if err != nil {
		return nil, err
	}
	return out, x.e.o.Failpoints.Hit("compact.after_upload")
}

func (x *execution) work(ctx context.Context) error {
	if err := x.findLosers(ctx); err != nil {
		return fmt.Errorf("find copies: %w", err)
	}
	switch {
	case x.job.Mode == ModeDiscard:
		return nil
	case x.folds:
		return x.fold(ctx)
	}
	return x.merge(ctx)
}
