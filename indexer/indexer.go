package indexer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/internal/failpoint"
	"drumlin/segment"
	"drumlin/spec"
)

// Uploader takes finished objects; objectstore.Store is one.
type Uploader interface {
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error
}

// Options say where an Indexer works.
type Options struct {
	Objects Uploader
	// TempDir holds files while they are written and uploaded. They have no names there, so a crash leaves nothing.
	TempDir string
	// Parallel is how many segments are written at a time, each with one row group in memory; 0: two. Finished ones are
	// uploaded beside them.
	Parallel   int
	Allocator  memory.Allocator // of the columns being written; nil: Arrow's default
	Logger     *slog.Logger     // nil: silent
	Failpoints *failpoint.Set   // nil: never armed
}

const defaultParallel = 2

// Indexer builds segments. It is safe for concurrent use.
type Indexer struct {
	objects    Uploader
	tempDir    string
	parallel   int
	mem        memory.Allocator
	log        *slog.Logger
	failpoints *failpoint.Set
}

// New checks the options and makes TempDir where it is missing.
func New(o Options) (*Indexer, error) {
	if o.Objects == nil || o.TempDir == "" {
		return nil, errors.New("indexer: both an object store and a directory for temporary files are needed")
	}
	if err := os.MkdirAll(o.TempDir, 0o755); err != nil {
		return nil, fmt.Errorf("indexer: %w: check that the directory can be written", err)
	}
	ix := &Indexer{
		objects: o.Objects, tempDir: o.TempDir, parallel: o.Parallel,
		mem: o.Allocator, log: o.Logger, failpoints: o.Failpoints,
	}
	if ix.parallel <= 0 {
		ix.parallel = defaultParallel
	}
	if ix.mem == nil {
		ix.mem = memory.DefaultAllocator
	}
	if ix.log == nil {
		ix.log = slog.New(slog.DiscardHandler)
	}
	return ix, nil
}

// Request is one handoff: the rows of an offset range of one partition.
type Request struct {
	Datasource  catalog.Datasource
	Schema      *segment.Schema
	Incarnation string
	Epoch       int64 // of the partition's owner; stands in every object's name
	Range       segment.OffsetRange
	// Data and Rejects are batches in offset order, each row's offset above the one before. Rows outside Range are left out.
	// The caller keeps them, and keeps them unreleased until Build returns.
	Data, Rejects []segment.HotBatch
	// MaxRowsPerSegment cuts the sorted rows of a bucket, folded or not, exactly at every such number of rows; 0: no limit.
	MaxRowsPerSegment int64
	Granularity       spec.Granularity // of the buckets
	// RejectsFallback is the bucket of rejects whose Kafka timestamp lies outside the years 1970 to 9999; where it is
	// empty, they go to the bucket of 1970-01-01.
	RejectsFallback segment.Bucket
}

// Result is what Build made. Stored + Duplicates is the number of data rows in the range; Stored is the sum of the data
// segments' InputRows, whether they are folded or not.
type Result struct {
	Segments                              []segment.Meta // by kind (data first), bucket, then the order of their rows
	Stored, Duplicates, Rejected, Keyless int64
}

// Build writes and uploads the segments of one handoff. They are live only once the catalog has committed them. On an
// error nothing may be committed, and building again from the same batches is always right.
func (ix *Indexer) Build(ctx context.Context, r Request) (*Result, error) {
	in, err := newInput(r)
	if err != nil {
		return nil, fmt.Errorf("hand off %s: %w", place(r.Range), err)
	}
	result := &Result{}
	data, err := ix.planData(ctx, in, r, result)
	defer releaseFolded(data)
	if err != nil {
		return nil, fmt.Errorf("hand off %s: %w", place(r.Range), err)
	}
	rejects, err := ix.planRejects(ctx, in, r, result)
	if err != nil {
		return nil, fmt.Errorf("hand off %s: %w", place(r.Range), err)
	}
	if result.Segments, err = ix.writeAll(ctx, r, append(data, rejects...)); err != nil {
		return nil, fmt.Errorf("hand off %s: %w", place(r.Range), err)
	}
	if err := ix.failpoints.Hit("handoff.after_upload"); err != nil {
		return nil, fmt.Errorf("hand off %s: %w", place(r.Range), err)
	}
	ix.log.Debug("segments of a handoff are uploaded", "topic", r.Range.Topic, "partition", r.Range.Partition,
		"from", r.Range.From, "to", r.Range.To, "segments", len(result.Segments), "rows", result.Stored,
		"duplicates", result.Duplicates, "rejected", result.Rejected)
	return result, nil
}

func place(r segment.OffsetRange) string {
	return fmt.Sprintf("%s/%d offsets %d to %d", r.Topic, r.Partition, r.From, r.To)
}
