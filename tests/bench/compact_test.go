package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"drumlin/compaction"
	"drumlin/consumer"
	"drumlin/consumer/decode"
	"drumlin/internal/generate"
	"drumlin/objectstore/file"
	"drumlin/segment"
	"drumlin/spec"
)

// Copies lie in other partitions most of the time, so that no handoff sees them.
const compactPartitions = 10

// filesOf is how many files of so many rows are compacted together: one for each partition and handoff.
func filesOf(rows int) int { return min(200, rows/100) / compactPartitions * compactPartitions }

// compactYear is the chunk. Events begin some days into it, so that late ones stay in it.
var compactYear = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// rolledEvents counts events by hour.
const rolledEvents = `
type: kafka
spec:
  dataSchema:
    dataSource: events
    timestampSpec: {column: timestamp, format: iso}
    dimensionsSpec: {dimensions: [event, type]}
    metricsSpec: [{type: count, name: events}, {type: HLLSketchBuild, name: users, fieldName: userId}]
    dedupSpec: {key: messageId}
    granularitySpec: {segmentGranularity: hour, queryGranularity: hour, rollup: true}
  ioConfig: {topic: events, useEarliestOffset: true, inputFormat: {type: json}}
`

// compactScenes: many handoffs of events, a tenth of them copies, to one chunk without copies, raw and rolled up. Floors are
// copying the inputs' bytes to one file, and reading all rows and writing them to one file as they come.
func compactScenes() []scene {
	return []scene{
		{"raw events", func(tb testing.TB, rows int) []step {
			return []step{compactStep(tb, feed{spec: specFile(tb, "events.yaml")}, rows)}
		}},
		{"rolled-up events", func(tb testing.TB, rows int) []step {
			return []step{compactStep(tb, feed{spec: []byte(rolledEvents)}, rows)}
		}},
	}
}

func compactStep(tb testing.TB, f feed, rows int) step {
	tb.Helper()
	p, job := compactionJob(tb, f, rows)
	dir := tb.TempDir()
	executor, err := compaction.NewExecutor(compaction.ExecutorOptions{Objects: p.objects, TempDir: tb.TempDir()})
	must(tb, err)
	return step{
		name: "to one chunk", rows: rows,
		run: func(tb testing.TB) { compactOnce(tb, p.objects, executor, job, rows) },
		floors: []floor{
			{"copy", func(tb testing.TB) { copySynced(tb, filepath.Join(dir, "copy"), inputBytes(tb, p.objects, job)) }},
			{"rewrite", func(tb testing.TB) { rewrite(tb, filepath.Join(dir, "rewritten"), p.objects, job) }},
		},
	}
}

// compactionJob hands so many rows off, in many files of one chunk, and plans its compaction.
func compactionJob(tb testing.TB, f feed, rows int) (*pipeline, *compaction.Job) {
	tb.Helper()
	f.spec = bytes.Replace(f.spec, []byte("segmentGranularity: hour"), []byte("segmentGranularity: year"), 1)
	files := filesOf(rows)
	broker := newMemoryBroker(f.parse(tb).IO.Topic, compactPartitions)
	p := newPipeline(tb, f, broker, compactPartitions)
	p.start(tb)
	g := generate.New(generate.Options{Events: int64(rows), Duplicates: 0.1, Late: 0.01, Seed: 1, Start: compactYear.AddDate(0, 0, 14)})
	for range files / compactPartitions {
		n := 0
		var records []consumer.Record
		for ; n < rows/files*compactPartitions; n++ {
			value, key, millis, ok := g.Next(nil)
			if !ok {
				tb.Fatalf("the generator ended at %d of %d rows", n, rows)
			}
			records = append(records, consumer.Record{Record: decode.Record{Key: key, Value: value, TimestampMillis: millis}, LeaderEpoch: -1})
		}
		broker.add(records)
		p.awaitHot(tb, n)
		p.handoff(tb)
		broker.forget()
	}
	p.stop(tb)
	view, err := p.catalog.Refresh(tb.Context())
	must(tb, err)
	task, _, err := spec.ParseTask(fmt.Appendf(nil, `{"type":"compact","dataSource":"events","interval":"%d-01-01/P1Y"}`, compactYear.Year()))
	must(tb, err)
	plan, err := compaction.PlanTask(view, task)
	must(tb, err)
	if len(plan.Chunks) != 1 || plan.Chunks[0].Job == nil || len(plan.Chunks[0].Job.Tail) != files {
		tb.Fatalf("the plan has %d chunks: %+v", len(plan.Chunks), plan.Chunks)
	}
	return p, plan.Chunks[0].Job
}

// forget lets the contents of all records go.
func (b *memoryBroker) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, log := range b.logs {
		for i := len(log) - 1; i >= 0 && log[i].Value != nil; i-- {
			log[i].Key, log[i].Value = nil, nil
		}
	}
}

func compactOnce(tb testing.TB, store *file.Store, executor *compaction.Executor, job *compaction.Job, rows int) {
	tb.Helper()
	out, err := executor.Run(context.Background(), job, compaction.Naming{Incarnation: "bench", Epoch: 1}, nil)
	must(tb, err)
	s := out.Stats
	// Copies inside of one handoff have gone before.
	if s.InputEvents > int64(rows) || s.InputEvents < int64(rows*9/10) || s.OutputEvents+s.Duplicates != s.InputEvents || s.Duplicates < int64(rows/12) {
		tb.Fatalf("%+v", s)
	}
	for _, m := range out.Settled {
		must(tb, store.Delete(context.Background(), m.Object))
	}
	for _, sidecar := range out.Sidecars {
		must(tb, store.Delete(context.Background(), sidecar.Object))
	}
}

func inputBytes(tb testing.TB, store *file.Store, job *compaction.Job) []byte {
	tb.Helper()
	var out []byte
	for i := range job.Tail {
		out = append(out, objectBytes(tb, store, job.Tail[i].Object, job.Tail[i].Bytes)...)
	}
	return out
}

func objectBytes(tb testing.TB, store *file.Store, object string, size int64) []byte {
	tb.Helper()
	body, err := store.Get(context.Background(), object, 0, -1)
	must(tb, err)
	out := make([]byte, size)
	_, err = io.ReadFull(body, out)
	must(tb, err)
	must(tb, body.Close())
	return out
}

// rewrite decodes every input and writes all of its rows, in the order of the files.
func rewrite(tb testing.TB, path string, store *file.Store, job *compaction.Job) {
	tb.Helper()
	out, err := os.Create(path)
	must(tb, err)
	var w *pqarrow.FileWriter
	n, want := int64(0), int64(0)
	for i := range job.Tail {
		want += job.Tail[i].Rows
		n += appendRows(tb, out, &w, objectBytes(tb, store, job.Tail[i].Object, job.Tail[i].Bytes))
	}
	must(tb, w.Close()) // closes the file, too
	if n != want {
		tb.Fatalf("%d of %d rows were copied", n, want)
	}
}

// appendRows writes the rows of one Parquet file to w, which it makes at the first.
func appendRows(tb testing.TB, out *os.File, w **pqarrow.FileWriter, content []byte) int64 {
	tb.Helper()
	reader, err := pqfile.NewParquetReader(bytes.NewReader(content))
	must(tb, err)
	defer reader.Close()
	arrowReader, err := pqarrow.NewFileReader(reader, pqarrow.ArrowReadProperties{BatchSize: segment.RowGroupRows}, memory.DefaultAllocator)
	must(tb, err)
	batches, err := arrowReader.GetRecordReader(context.Background(), nil, nil)
	must(tb, err)
	defer batches.Release()
	n := int64(0)
	for batches.Next() {
		rec := batches.RecordBatch()
		if *w == nil {
			*w, err = pqarrow.NewFileWriter(rec.Schema(), out,
				parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1)), pqarrow.DefaultWriterProps())
			must(tb, err)
		}
		must(tb, (*w).WriteBuffered(rec))
		n += rec.NumRows()
	}
	must(tb, batches.Err())
	return n
}

// compactRows is how many rows the benchmark compacts; DRUMLIN_BENCH_ROWS says otherwise.
func compactRows(b *testing.B) int {
	b.Helper()
	const usual = 550_000
	text := os.Getenv("DRUMLIN_BENCH_ROWS")
	if text == "" {
		return usual
	}
	rows, err := strconv.Atoi(text)
	must(b, err)
	return rows / filesOf(rows) * filesOf(rows)
}

func BenchmarkCompact(b *testing.B) { benchmark(b, compactScenes(), compactRows(b)) }
