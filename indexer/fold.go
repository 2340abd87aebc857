package indexer

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/rollup"
	"drumlin/rollup/fold"
	"drumlin/segment"
)

// foldPlan is the plan by which a handoff folds its rows; nil where they stay as ingested. Rows that have identities stay:
// they could not be compared once folded. A filter of the plan is compaction's to apply, never a handoff's.
func foldPlan(r Request) (*rollup.BucketPlan, error) {
	if r.Schema.Dedup || r.Datasource.Plan == nil {
		return nil, nil
	}
	definition, err := rollup.ParseDefinition(r.Datasource.Plan)
	if err != nil {
		return nil, fmt.Errorf("the plan of datasource %s: %w", r.Datasource.Name, err)
	}
	if !definition.Rollup {
		return nil, nil
	}
	definition.Filter = nil
	plan, err := definition.Compile(r.Schema)
	if err != nil {
		return nil, fmt.Errorf("the plan of datasource %s: %w", r.Datasource.Name, err)
	}
	return plan, nil
}

// foldRows is how many rows that do not stand together are copied side by side at a time.
const foldRows = 8192

// foldBucket folds the rows of one bucket and cuts what comes out into segments.
func (ix *Indexer) foldBucket(ctx context.Context, in *input, r Request, plan *rollup.BucketPlan, g bucketRows) (jobs []job, err error) {
	folder, err := fold.New(plan, ix.mem)
	if err != nil {
		return nil, err
	}
	defer folder.Release()
	if err := ix.addRows(ctx, in, r, folder, g.rows); err != nil {
		return nil, err
	}
	if folder.Events() != int64(len(g.rows)) || folder.Filtered() != 0 {
		return nil, fmt.Errorf("%w: %d rows came, %d were folded", errMiscounted, len(g.rows), folder.Events())
	}
	ix.reportLeftOut(r, plan, folder)
	cut := cutter{bucket: g.bucket, plan: plan, limit: r.MaxRowsPerSegment}
	maxRows := int64(segment.RowGroupRows)
	if cut.limit > 0 {
		maxRows = min(maxRows, cut.limit)
	}
	if err := folder.Flush(ctx, int(maxRows), cut.add); err != nil {
		releaseFolded(cut.jobs)
		return nil, err
	}
	return cut.jobs, nil
}

// errMiscounted: rows got lost or came up while they were folded. It must never happen.
var errMiscounted = errors.New("law 1 does not hold")

// addRows hands the rows, which come in offset order, to the folder: batches that belong to it as a whole as they are, and
// others row by row, copied together.
func (ix *Indexer) addRows(ctx context.Context, in *input, r Request, folder *fold.Folder, refs []rowRef) error {
	position := &segment.Position{Topic: r.Range.Topic, Generation: r.Range.Generation, Partition: r.Range.Partition}
	gather := newGatherer(&in.data, in.schema, in.schema, r.Range, ix.mem)
	var loose []rowRef
	flush := func() error {
		if len(loose) == 0 {
			return nil
		}
		rec, err := gather.gather(loose)
		if err != nil {
			return err
		}
		defer rec.Release()
		loose = loose[:0]
		return folder.AddRows(rollup.Rows{Record: rec, Position: position}, nil)
	}
	for len(refs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, _ := refs[0].split()
		n := 1
		for n < len(refs) && int(refs[n]>>32) == batch {
			n++
		}
		record := in.data.batches[batch].Record
		if n == int(record.NumRows()) {
			if err := folder.AddRows(rollup.Rows{Record: record, Position: position}, nil); err != nil {
				return err
			}
		} else if loose = append(loose, refs[:n]...); len(loose) >= foldRows {
			if err := flush(); err != nil {
				return err
			}
		}
		refs = refs[n:]
	}
	return flush()
}

// reportLeftOut tells of values that aggregators could not use: they are in no metric.
func (ix *Indexer) reportLeftOut(r Request, plan *rollup.BucketPlan, folder *fold.Folder) {
	metrics := plan.Metrics().Metrics()
	for i, n := range folder.LeftOut() {
		if n > 0 {
			ix.log.Warn("values were left out of a metric: they are no numbers, or out of its range", "datasource", r.Datasource.Name,
				"metric", metrics[i].Name, "values", n, "topic", r.Range.Topic, "partition", r.Range.Partition,
				"from", r.Range.From, "to", r.Range.To)
		}
	}
}

// cutter puts folded batches into segments of at most limit rows; 0: no limit.
type cutter struct {
	bucket segment.Bucket
	plan   *rollup.BucketPlan
	limit  int64
	jobs   []job
	room   int64 // rows that the last segment still takes
}

// add takes the next batch, in order.
func (c *cutter) add(rec arrow.RecordBatch) error {
	for from, rows := int64(0), rec.NumRows(); from < rows; {
		if c.room == 0 {
			c.jobs = append(c.jobs, job{kind: segment.KindData, bucket: c.bucket, plan: c.plan})
			if c.room = c.limit; c.limit == 0 {
				c.room = -1
			}
		}
		n := rows - from
		if c.limit > 0 {
			n = min(n, c.room)
			c.room -= n
		}
		j := &c.jobs[len(c.jobs)-1]
		j.folded = append(j.folded, rec.NewSlice(from, from+n))
		from += n
	}
	return nil
}

// events is how many records the segment's groups stand for.
func (j *job) events() (sum int64) {
	for _, rec := range j.folded {
		at := rec.Schema().FieldIndices(segment.EventsColumn)[0]
		for _, n := range rec.Column(at).(*array.Int64).Values() {
			sum += n
		}
	}
	return sum
}

func releaseFolded(jobs []job) {
	for i := range jobs {
		for _, rec := range jobs[i].folded {
			rec.Release()
		}
		jobs[i].folded = nil
	}
}
