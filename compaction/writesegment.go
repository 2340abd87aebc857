package compaction

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sync/errgroup"

	"drumlin/objectstore"
	"drumlin/segment"
)

// segmentWriters turn row groups into segments beside the goroutine that makes them, and upload what is finished. start and
// wait enclose all use of them.
type segmentWriters struct {
	x        *execution
	schema   *arrow.Schema // of the segments; set before the first row group
	sortBy   []string
	cancel   context.CancelFunc
	group    *errgroup.Group
	commands chan writeCommand
	places   chan struct{}  // of uploads
	busy     chan struct{}  // holds something while a row group is handed over or written
	done     []segment.Meta // the writing goroutine's until wait returns
}

// writeCommand is a row group, or the end of a segment.
type writeCommand struct {
	rec    arrow.RecordBatch
	bucket segment.Bucket
	end    bool
}

func newSegmentWriters(x *execution) *segmentWriters {
	return &segmentWriters{x: x, commands: make(chan writeCommand), places: make(chan struct{}, x.e.o.Parallel), busy: make(chan struct{}, 1)}
}

// start begins writing. The context that it returns ends with the first failure, with fail, and with wait.
func (w *segmentWriters) start(ctx context.Context) context.Context {
	ctx, w.cancel = context.WithCancel(ctx)
	w.group, ctx = errgroup.WithContext(ctx)
	w.group.Go(func() error { return w.writeAll(ctx) })
	return ctx
}

// wait ends the writing, after all of it is done.
func (w *segmentWriters) wait() error {
	close(w.commands)
	defer w.cancel()
	return w.group.Wait()
}

// fail gives up what is under way.
func (w *segmentWriters) fail() { w.cancel() }

// layout says what the segments hold; it comes before the first row group.
func (w *segmentWriters) layout(s *arrow.Schema, sortBy []string) { w.schema, w.sortBy = s, sortBy }

// write hands a command over, with the row group's reference, once the one before is done.
func (w *segmentWriters) write(ctx context.Context, c writeCommand) error {
	var err error
	select {
	case w.busy <- struct{}{}:
		select {
		case w.commands <- c:
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	if c.rec != nil {
		c.rec.Release()
	}
	return err
}

// idle waits until what was handed over before has been written.
func (w *segmentWriters) idle(ctx context.Context) error {
	select {
	case w.busy <- struct{}{}:
		<-w.busy
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openSegment is the segment that is being written.
type openSegment struct {
	file   *os.File
	writer *segment.Writer
	bucket segment.Bucket
	events int64
}

func (w *segmentWriters) writeAll(ctx context.Context) error {
	var open *openSegment
	defer func() {
		if open != nil {
			open.abort()
		}
	}()
	for c := range w.commands {
		var err error
		if !c.end {
			open, err = w.writeGroup(ctx, open, c)
		} else if open != nil {
			finished := open
			open = nil
			err = w.endSegment(ctx, finished)
		}
		if err != nil {
			return err
		}
		<-w.busy
	}
	return nil
}

// writeGroup writes a row group to the open segment, or to a new one.
func (w *segmentWriters) writeGroup(ctx context.Context, open *openSegment, c writeCommand) (*openSegment, error) {
	defer c.rec.Release()
	if open == nil {
		file, err := segment.TempFile(w.x.e.o.TempDir)
		if err != nil {
			return nil, err
		}
		writer, err := segment.NewWriter(file, segment.WriterOptions{Schema: w.schema, SortBy: w.sortBy, Allocator: w.x.mem})
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		open = &openSegment{file: file, writer: writer, bucket: c.bucket}
	}
	if at := w.schema.FieldIndices(segment.EventsColumn); len(at) == 1 {
		for _, n := range c.rec.Column(at[0]).(*array.Int64).Int64Values() {
			open.events += n
		}
	}
	return open, open.writer.Write(ctx, c.rec)
}

func (o *openSegment) abort() {
	o.writer.Abort()
	_ = o.file.Close() // thrown away
}

// endSegment describes the segment and has it uploaded.
func (w *segmentWriters) endSegment(ctx context.Context, o *openSegment) error {
	summary, err := o.writer.Close()
	if err != nil {
		return errors.Join(err, o.file.Close())
	}
	x := w.x
	m := segment.Meta{
		Object: x.objectName(segment.KindData, o.bucket), Bytes: summary.Bytes, SHA256: summary.SHA256, Kind: segment.KindData,
		Datasource: x.job.Datasource, Bucket: o.bucket, Rows: summary.Rows, SchemaID: x.job.Schema.ID, MinMillis: summary.MinMillis,
		MaxMillis: summary.MaxMillis, Columns: summary.Columns, Sources: x.sources, Folded: x.folds, Events: o.events,
	}
	if err := m.Validate(); err != nil {
		return errors.Join(fmt.Errorf("what was written is wrong: %w", err), o.file.Close())
	}
	w.done = append(w.done, m)
	return w.upload(ctx, m.Object, o.file, m.Bytes, m.SHA256)
}

// upload takes the file over and uploads it beside other work, once there is a place.
func (w *segmentWriters) upload(ctx context.Context, object string, file *os.File, bytes int64, sha256 string) error {
	select {
	case w.places <- struct{}{}:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), file.Close())
	}
	w.group.Go(func() error {
		defer func() { <-w.places }()
		err := w.x.e.o.Failpoints.Hit("compact.before_upload")
		if err == nil {
			err = w.x.e.put(ctx, object, file, bytes, sha256)
		}
		return errors.Join(err, file.Close())
	})
	return nil
}

// An upload whose outcome is unknown is tried again under the same key: putting the same content twice is putting it
// once.
const (
	putAttempts   = 4
	firstPutPause = 100 * time.Millisecond
)

func (e *Executor) put(ctx context.Context, object string, file *os.File, bytes int64, sha256 string) error {
	pause := firstPutPause
	for attempt := 1; ; attempt++ {
		err := e.o.Objects.Put(ctx, object, file, bytes, sha256)
		if err == nil || !errors.Is(err, objectstore.ErrUnknown) || attempt == putAttempts {
			return err
		}
		e.o.Logger.Warn("the outcome of an upload is unknown: trying again", "object", object, "attempt", attempt, "error", err)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// objectName makes a name that is never used again.
func (x *execution) objectName(kind segment.Kind, b segment.Bucket) string {
	random := make([]byte, 8)
	rand.Read(random) // never fails
	return segment.ObjectName{
		Kind: kind, Datasource: x.job.Datasource, Bucket: b, Incarnation: x.naming.Incarnation, Epoch: x.naming.Epoch,
		Compacted: true, Random: hex.EncodeToString(random),
	}.Key()
}
