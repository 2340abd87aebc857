package indexer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"drumlin/objectstore"
	"drumlin/segment"
)

// An upload whose outcome is unknown is tried again under the same key: putting the same content twice is putting it
// once.
const (
	uploadAttempts   = 4
	firstUploadPause = 100 * time.Millisecond
)

// uploadsAtOnce is how many finished segments are uploaded beside those that are being written. Uploads mostly wait, for
// disks or for a network, and hold no rows.
const uploadsAtOnce = 6

// writeAll writes and uploads the jobs, a few at a time, and describes them in their order.
func (ix *Indexer) writeAll(ctx context.Context, r Request, jobs []job) ([]segment.Meta, error) {
	metas := make([]segment.Meta, len(jobs))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(ix.parallel + uploadsAtOnce)
	writing := make(chan struct{}, ix.parallel)
	for i := range jobs {
		if groupCtx.Err() != nil {
			break // one has failed: Wait says why
		}
		group.Go(func() error {
			meta, err := ix.writeOne(groupCtx, r, jobs[i], writing)
			if err != nil {
				return fmt.Errorf("%s segment of the bucket at %s: %w", jobs[i].kind,
					time.UnixMilli(jobs[i].bucket.StartMillis).UTC().Format(time.RFC3339), err)
			}
			metas[i] = *meta
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return metas, ctx.Err()
}

// writeOne makes one segment, when writing has a place for it, and uploads it.
func (ix *Indexer) writeOne(ctx context.Context, r Request, j job, writing chan struct{}) (meta *segment.Meta, err error) {
	temp, err := segment.TempFile(ix.tempDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, temp.Close()) }()
	select {
	case writing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	summary, err := ix.writeFile(ctx, temp, r, j)
	<-writing
	if err != nil {
		return nil, err
	}
	random := make([]byte, 8)
	rand.Read(random) // never fails
	name := segment.ObjectName{
		Kind: j.kind, Datasource: r.Datasource.Name, Bucket: j.bucket, Incarnation: r.Incarnation,
		Epoch: r.Epoch, Source: r.Range, Random: hex.EncodeToString(random),
	}
	meta = &segment.Meta{
		Object: name.Key(), Bytes: summary.Bytes, SHA256: summary.SHA256, Kind: j.kind,
		Datasource: r.Datasource.Name, Bucket: j.bucket, Rows: summary.Rows, SchemaID: segment.RejectsSchemaID,
		MinMillis: summary.MinMillis, MaxMillis: summary.MaxMillis, Columns: summary.Columns,
		Sources: []segment.OffsetRange{r.Range},
	}
	if j.kind == segment.KindData {
		meta.SchemaID = r.Schema.ID
	}
	if j.plan != nil {
		meta.Folded, meta.Events = true, j.events()
	}
	if err := meta.Validate(); err != nil {
		return nil, err
	}
	if err := ix.failpoints.Hit("handoff.before_upload"); err != nil {
		return nil, err
	}
	return meta, ix.upload(ctx, meta, temp)
}

// writeFile writes the job's rows, one row group in memory at a time.
func (ix *Indexer) writeFile(ctx context.Context, temp *os.File, r Request, j job) (*segment.Summary, error) {
	hot, file, sortBy := segment.HotRejectsArrowSchema(), segment.FileRejectsArrowSchema(), []string{segment.OffsetColumn}
	switch {
	case j.plan != nil:
		file, sortBy = j.plan.FoldedSchema(), j.plan.Order()
	case j.kind == segment.KindData:
		hot, file, sortBy = segment.HotArrowSchema(r.Schema), segment.FileArrowSchema(r.Schema), r.Schema.SortBy
	}
	w, err := segment.NewWriter(temp, segment.WriterOptions{Schema: file, SortBy: sortBy, Allocator: ix.mem})
	if err != nil {
		return nil, err
	}
	if j.plan != nil {
		for _, rec := range j.folded {
			if err := w.Write(ctx, rec); err != nil {
				w.Abort()
				return nil, err
			}
		}
		return w.Close()
	}
	gather := newGatherer(j.source, hot, file, r.Range, ix.mem)
	for rows := j.rows; len(rows) > 0; {
		n := gather.rowGroup(rows)
		if err := writeRows(ctx, w, gather, rows[:n]); err != nil {
			w.Abort()
			return nil, err
		}
		rows = rows[n:]
	}
	return w.Close()
}

func writeRows(ctx context.Context, w *segment.Writer, gather *gatherer, rows []rowRef) error {
	rec, err := gather.gather(rows)
	if err != nil {
		return err
	}
	defer rec.Release()
	return w.Write(ctx, rec)
}

func (ix *Indexer) upload(ctx context.Context, meta *segment.Meta, temp *os.File) error {
	pause := firstUploadPause
	for attempt := 1; ; attempt++ {
		err := ix.objects.Put(ctx, meta.Object, temp, meta.Bytes, meta.SHA256)
		if err == nil || !errors.Is(err, objectstore.ErrUnknown) || attempt == uploadAttempts {
			return err
		}
		ix.log.Warn("the outcome of an upload is unknown: trying again", "object", meta.Object, "attempt", attempt, "error", err)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
		pause *= 2
	}
}
