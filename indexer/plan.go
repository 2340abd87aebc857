package indexer

import (
	"cmp"
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/rollup"
	"drumlin/segment"
)

// job is one segment to write: rows of one bucket, in order.
type job struct {
	kind   segment.Kind
	source *source
	bucket segment.Bucket
	rows   []rowRef
	// plan is what folded rows were folded by, nil: the rows are as ingested. folded are they, a row group each; whoever made
	// the job releases them.
	plan   *rollup.BucketPlan
	folded []arrow.RecordBatch
}

// maxMillis is the end of the year 9999: later times of rejects are not believed.
const maxMillis = 253_402_300_800_000

// planData removes copies, folds or sorts, and cuts the rows into segments. The caller releases what is folded, also beside an
// error.
func (ix *Indexer) planData(ctx context.Context, in *input, r Request, result *Result) ([]job, error) {
	plan, err := foldPlan(r)
	if err != nil {
		return nil, err
	}
	kept := in.keep(r, result)
	groups := group(kept, func(ref rowRef) segment.Bucket {
		start, end := r.Granularity.Chunk(in.data.millis(ref.split()))
		return segment.Bucket{StartMillis: start, EndMillis: end}
	}, func(ref rowRef) int64 { return in.data.millis(ref.split()) })
	var jobs []job
	if plan != nil {
		for _, g := range groups {
			folded, err := ix.foldBucket(ctx, in, r, plan, g)
			if err != nil {
				return jobs, err
			}
			jobs = append(jobs, folded...)
		}
		return jobs, nil
	}
	sorter, err := newSorter(&in.data, in.schema, r.Schema.SortBy)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := sorter.Sort(ctx, g.rows); err != nil {
			return nil, err
		}
		limit := int64(len(g.rows))
		if r.MaxRowsPerSegment > 0 {
			limit = r.MaxRowsPerSegment
		}
		for rows := range slices.Chunk(g.rows, int(limit)) {
			jobs = append(jobs, job{kind: segment.KindData, source: &in.data, bucket: g.bucket, rows: rows})
		}
	}
	return jobs, nil
}

// planRejects groups rejects by the bucket of their Kafka timestamp; within it they stay in offset order.
func (ix *Indexer) planRejects(ctx context.Context, in *input, r Request, result *Result) ([]job, error) {
	var rows []rowRef
	in.rejects.each(r.Range, func(batch, row int) { rows = append(rows, makeRef(batch, row)) })
	result.Rejected = int64(len(rows))
	groups := group(rows, func(ref rowRef) segment.Bucket {
		millis := in.rejects.millis(ref.split())
		if millis < 0 || millis >= maxMillis {
			if r.RejectsFallback.StartMillis < r.RejectsFallback.EndMillis {
				return r.RejectsFallback
			}
			millis = 0
		}
		start, end := r.Granularity.Chunk(millis)
		return segment.Bucket{StartMillis: start, EndMillis: end}
	}, func(ref rowRef) int64 { return in.rejects.millis(ref.split()) })
	jobs := make([]job, len(groups))
	for i, g := range groups {
		jobs[i] = job{kind: segment.KindRejects, source: &in.rejects, bucket: g.bucket, rows: g.rows}
	}
	return jobs, ctx.Err()
}

// keep returns the rows of the range without copies, in offset order, and counts.
func (in *input) keep(r Request, result *Result) []rowRef {
	total := 0
	in.data.each(r.Range, func(int, int) { total++ })
	kept := make([]rowRef, 0, total)
	if !r.Schema.Dedup {
		in.data.each(r.Range, func(batch, row int) { kept = append(kept, makeRef(batch, row)) })
		result.Stored = int64(total)
		return kept
	}
	hi, lo := in.schema.FieldIndices(segment.IDHighColumn)[0], in.schema.FieldIndices(segment.IDLowColumn)[0]
	seen := newIDSet(total)
	at := -1
	var highs, lows *array.Int64
	in.data.each(r.Range, func(batch, row int) {
		if batch != at {
			at = batch
			record := in.data.batches[batch].Record
			highs, lows = record.Column(hi).(*array.Int64), record.Column(lo).(*array.Int64)
		}
		switch {
		case highs.IsNull(row) || lows.IsNull(row):
			result.Keyless++
		case !seen.add(identity{uint64(highs.Value(row)), uint64(lows.Value(row))}):
			result.Duplicates++
			return
		}
		kept = append(kept, makeRef(batch, row))
	})
	result.Stored = int64(len(kept))
	return kept
}

type bucketRows struct {
	bucket segment.Bucket
	rows   []rowRef // a part of one array that all groups share
}

// group splits rows by bucket, ascending; within one they stay in order. Rows of one bucket tend to stand together.
func group(rows []rowRef, bucketOf func(rowRef) segment.Bucket, millisOf func(rowRef) int64) []bucketRows {
	type counted struct {
		bucket segment.Bucket
		rows   int
		next   int
	}
	numbers := map[segment.Bucket]int32{}
	var buckets []counted
	bucketNumbers := make([]int32, len(rows))
	var last segment.Bucket
	number := int32(-1)
	for i, row := range rows {
		if t := millisOf(row); number < 0 || t < last.StartMillis || t >= last.EndMillis {
			last = bucketOf(row)
			known := false
			if number, known = numbers[last]; !known {
				number = int32(len(buckets))
				numbers[last] = number
				buckets = append(buckets, counted{bucket: last})
			}
		}
		bucketNumbers[i] = number
		buckets[number].rows++
	}
	order := make([]int, len(buckets))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := buckets[a].bucket, buckets[b].bucket
		return cmp.Or(cmp.Compare(x.StartMillis, y.StartMillis), cmp.Compare(x.EndMillis, y.EndMillis))
	})
	grouped := make([]rowRef, len(rows))
	out := make([]bucketRows, len(order))
	from := 0
	for i, n := range order {
		to := from + buckets[n].rows
		out[i] = bucketRows{bucket: buckets[n].bucket, rows: grouped[from:to:to]}
		buckets[n].next, from = from, to
	}
	for i, row := range rows {
		b := &buckets[bucketNumbers[i]]
		grouped[b.next] = row
		b.next++
	}
	return out
}
