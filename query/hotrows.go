package query

import (
	"fmt"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/segment"
)

// cutBelow removes the rows below the offset, which are cold at this cut.
func cutBelow(rows *segment.HotRows, from int64) error {
	var err error
	if rows.Data, err = cutBatches(rows.Data, from); err != nil {
		return err
	}
	rows.Rejects, err = cutBatches(rows.Rejects, from)
	return err
}

// cutBatches owns the references of the batches that it takes out.
func cutBatches(batches []segment.HotBatch, from int64) ([]segment.HotBatch, error) {
	kept := make([]segment.HotBatch, 0, len(batches))
	for i, b := range batches {
		switch {
		case b.FromOffset >= from:
			kept = append(kept, b)
			continue
		case b.ToOffset <= from:
			b.Record.Release()
			continue
		}
		offsets, err := int64Column(b.Record, segment.OffsetColumn)
		if err != nil {
			return append(kept, batches[i:]...), err
		}
		n := sort.Search(offsets.Len(), func(row int) bool { return offsets.Value(row) >= from })
		cut := b
		cut.Record = b.Record.NewSlice(int64(n), b.Record.NumRows())
		cut.FromOffset, cut.Buckets = from, nil // counts of buckets hold for whole batches only
		b.Record.Release()
		kept = append(kept, cut)
	}
	return kept, nil
}

func int64Column(r arrow.RecordBatch, name string) (*array.Int64, error) {
	for _, at := range r.Schema().FieldIndices(name) {
		if c, ok := r.Column(at).(*array.Int64); ok {
			return c, nil
		}
	}
	return nil, fmt.Errorf("hot batch: column %s is missing or not of 64-bit integers", name)
}

// hotBuckets counts the hot rows of one partition by bucket. chunk gives the bucket of a time in milliseconds.
func hotBuckets(rows *segment.HotRows, chunk func(millis int64) segment.Bucket) (map[segment.Bucket]*segment.BucketRows, error) {
	out := map[segment.Bucket]*segment.BucketRows{}
	add := func(b segment.Bucket, rows, bytes int64) {
		c := out[b]
		if c == nil {
			c = &segment.BucketRows{Bucket: b}
			out[b] = c
		}
		c.Rows += rows
		c.Bytes += bytes
	}
	for _, batch := range rows.Data {
		if batch.Buckets != nil {
			for _, b := range batch.Buckets {
				add(b.Bucket, b.Rows, b.Bytes)
			}
			continue
		}
		times, err := timeColumn(batch.Record)
		if err != nil {
			return nil, err
		}
		for row := range times.Len() {
			add(chunk(segment.FloorMillis(int64(times.Value(row)))), 1, estimatedCellBytes*batch.Record.NumCols())
		}
	}
	return out, nil
}

// estimatedCellBytes stands for the size of a value where the batch's own estimate no longer holds.
const estimatedCellBytes = 12

func timeColumn(r arrow.RecordBatch) (*array.Timestamp, error) {
	for _, at := range r.Schema().FieldIndices(segment.TimeColumn) {
		if c, ok := r.Column(at).(*array.Timestamp); ok {
			return c, nil
		}
	}
	return nil, fmt.Errorf("hot batch: column %s is missing or not of timestamps", segment.TimeColumn)
}
