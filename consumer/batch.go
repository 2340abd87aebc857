package consumer

import (
	"fmt"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

const (
	maxBatchRows  = 2048    // what the query engine takes in one step
	maxBatchBytes = 4 << 20 // of one batch still being filled; one record may exceed it
)

// hotBatch is a published batch with what its owner counts by. Whoever holds it owns one reference to its record.
type hotBatch struct {
	segment.HotBatch
	bytes   int64 // what it holds in hot memory
	keyless int64
}

func (b *hotBatch) rows() int64 { return b.Record.NumRows() }

// batchBuilder gathers rows until they are published as one batch.
type batchBuilder struct {
	schema   *arrow.Schema
	schemaID int32
	columns  []*column

	rows       int64
	keyless    int64
	bytes      int
	from, to   int64
	minMillis  int64
	maxMillis  int64
	buckets    map[segment.Bucket]*segment.BucketRows
	lastBucket *segment.BucketRows // of the row before: most rows of a batch share their bucket
}

func newBatchBuilder(schema *arrow.Schema, schemaID int32) (*batchBuilder, error) {
	b := &batchBuilder{schema: schema, schemaID: schemaID, buckets: map[segment.Bucket]*segment.BucketRows{}}
	for _, f := range schema.Fields() {
		c, err := newColumn(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		b.columns = append(b.columns, c)
	}
	return b, nil
}

// rowAppended notes the row whose values the columns have just taken.
func (b *batchBuilder) rowAppended(offset, millis int64, bucket segment.Bucket, keyless bool) {
	if b.rows == 0 {
		b.from, b.minMillis, b.maxMillis = offset, millis, millis
	}
	b.rows++
	b.to = offset + 1
	b.minMillis, b.maxMillis = min(b.minMillis, millis), max(b.maxMillis, millis)
	if keyless {
		b.keyless++
	}
	before := b.bytes
	b.bytes = 0
	for _, c := range b.columns {
		b.bytes += c.bytes()
	}
	r := b.lastBucket
	if r == nil || r.Bucket != bucket {
		if r = b.buckets[bucket]; r == nil {
			r = &segment.BucketRows{Bucket: bucket}
			b.buckets[bucket] = r
		}
		b.lastBucket = r
	}
	r.Rows++
	r.Bytes += int64(b.bytes - before)
}

func (b *batchBuilder) full() bool { return b.rows >= maxBatchRows || b.bytes >= maxBatchBytes }

// finish returns what was gathered, and begins anew; nil where there is nothing.
func (b *batchBuilder) finish(mem memory.Allocator) *hotBatch {
	if b.rows == 0 {
		return nil
	}
	arrays := make([]arrow.Array, len(b.columns))
	for i, c := range b.columns {
		arrays[i] = c.finish(mem)
	}
	record := array.NewRecordBatch(b.schema, arrays, b.rows)
	for _, a := range arrays {
		a.Release() // the record holds its own references
	}
	out := &hotBatch{
		HotBatch: segment.HotBatch{
			Record: record, SchemaID: b.schemaID, FromOffset: b.from, ToOffset: b.to,
			MinMillis: b.minMillis, MaxMillis: b.maxMillis, Buckets: sortedBuckets(b.buckets),
		},
		bytes: recordBytes(record), keyless: b.keyless,
	}
	b.rows, b.keyless, b.bytes, b.lastBucket = 0, 0, 0, nil
	clear(b.buckets)
	return out
}

func sortedBuckets(from map[segment.Bucket]*segment.BucketRows) []segment.BucketRows {
	out := make([]segment.BucketRows, 0, len(from))
	for _, r := range from {
		out = append(out, *r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Bucket.StartMillis < out[j].Bucket.StartMillis })
	return out
}

func recordBytes(r arrow.RecordBatch) int64 {
	var n int64
	for _, c := range r.Columns() {
		for _, b := range c.Data().Buffers() {
			if b != nil {
				n += int64(roundUp(b.Cap()))
			}
		}
	}
	return n
}

// joinBatches returns one batch with the rows of both, a's first. The caller still owns both, and the result.
func joinBatches(mem memory.Allocator, a, b *hotBatch) (*hotBatch, error) {
	arrays := make([]arrow.Array, 0, a.Record.NumCols())
	defer func() {
		for _, c := range arrays {
			c.Release()
		}
	}()
	for i := range a.Record.Columns() {
		c, err := array.Concatenate([]arrow.Array{a.Record.Column(i), b.Record.Column(i)}, mem)
		if err != nil {
			return nil, fmt.Errorf("join hot batches at offset %d: %w", a.FromOffset, err)
		}
		arrays = append(arrays, c)
	}
	buckets := map[segment.Bucket]*segment.BucketRows{}
	for _, r := range append(append([]segment.BucketRows{}, a.Buckets...), b.Buckets...) {
		if sum := buckets[r.Bucket]; sum != nil {
			sum.Rows, sum.Bytes = sum.Rows+r.Rows, sum.Bytes+r.Bytes
			continue
		}
		buckets[r.Bucket] = &segment.BucketRows{Bucket: r.Bucket, Rows: r.Rows, Bytes: r.Bytes}
	}
	record := array.NewRecordBatch(a.Record.Schema(), arrays, a.rows()+b.rows())
	return &hotBatch{
		HotBatch: segment.HotBatch{
			Record: record, SchemaID: a.SchemaID, FromOffset: a.FromOffset, ToOffset: b.ToOffset,
			MinMillis: min(a.MinMillis, b.MinMillis), MaxMillis: max(a.MaxMillis, b.MaxMillis), Buckets: sortedBuckets(buckets),
		},
		bytes: recordBytes(record), keyless: a.keyless + b.keyless,
	}, nil
}
