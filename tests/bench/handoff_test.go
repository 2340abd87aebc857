package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"drumlin/indexer"
	"drumlin/objectstore"
	"drumlin/objectstore/file"
	"drumlin/objectstore/mem"
	"drumlin/segment"
	"drumlin/spec"
)

// handoffScenes: hot rows to uploaded segments. Floors are writing the same rows as they lie to one plain Parquet file with
// the same compression, and copying the finished bytes to one file on the disk.
func handoffScenes() []scene {
	return []scene{
		{"events of many hours", func(tb testing.TB, rows int) []step { return handoffSteps(tb, events(tb, rows, 100), "hour") }},
		{"events of one month", func(tb testing.TB, rows int) []step { return handoffSteps(tb, events(tb, rows, 100), "month") }},
		{"edits", func(tb testing.TB, rows int) []step { return handoffSteps(tb, edits(tb, rows), "hour") }},
	}
}

// handoffSteps hands the feed off again and again, split by granularity: to a store in memory, and to files.
func handoffSteps(tb testing.TB, f feed, granularity string) []step {
	tb.Helper()
	f.spec = bytes.Replace(f.spec, []byte("segmentGranularity: hour"), []byte("segmentGranularity: "+granularity), 1)
	broker := newMemoryBroker(f.parse(tb).IO.Topic, 1)
	broker.add(f.records)
	p := newPipeline(tb, f, broker, 1)
	p.start(tb)
	p.awaitHot(tb, len(f.records))
	rows, view := p.hot(tb, 0)
	tb.Cleanup(rows.Release)
	ds := view.Datasources[p.spec.DataSchema.DataSource]
	every, err := spec.ParseGranularity(ds.SegmentGranularity)
	must(tb, err)
	dir, spill := tb.TempDir(), tb.TempDir()
	request := indexer.Request{
		Datasource: ds.Datasource, Schema: ds.Schema, Incarnation: view.Incarnation, Epoch: 1, Range: rows.OffsetRange,
		Data: rows.Data, Granularity: every,
	}
	build := func(tb testing.TB, store objectstore.Store) *indexer.Result {
		ix, err := indexer.New(indexer.Options{Objects: store, TempDir: spill})
		must(tb, err)
		built, err := ix.Build(context.Background(), request)
		must(tb, err)
		if n := built.Stored + built.Duplicates; n != int64(len(f.records)) {
			tb.Fatalf("%d of %d rows were handed off", n, len(f.records))
		}
		return built
	}
	content := contentOf(tb, build)
	floors := []floor{
		{"plain", func(tb testing.TB) { writePlain(tb, filepath.Join(dir, "plain.parquet"), rows.Data) }},
		{"copy", func(tb testing.TB) { copySynced(tb, filepath.Join(dir, "copy"), content) }},
	}
	return []step{
		{"to memory", len(f.records), func(tb testing.TB) { build(tb, mem.New()) }, floors},
		{"to files", len(f.records), func(tb testing.TB) {
			store, err := file.Open(filepath.Join(dir, "store"))
			must(tb, err)
			build(tb, store)
		}, floors},
	}
}

// contentOf is what a handoff uploads, all of it.
func contentOf(tb testing.TB, build func(testing.TB, objectstore.Store) *indexer.Result) []byte {
	tb.Helper()
	store := mem.New()
	built := build(tb, store)
	var out bytes.Buffer
	for _, m := range built.Segments {
		body, err := store.Get(tb.Context(), m.Object, 0, -1)
		must(tb, err)
		_, err = out.ReadFrom(body)
		must(tb, err)
		must(tb, body.Close())
	}
	tb.Logf("%d segments of %d bytes", len(built.Segments), out.Len())
	return out.Bytes()
}

// writePlain writes hot batches as they lie.
func writePlain(tb testing.TB, path string, batches []segment.HotBatch) {
	tb.Helper()
	f, err := os.Create(path)
	must(tb, err)
	w, err := pqarrow.NewFileWriter(batches[0].Record.Schema(), f,
		parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1)), pqarrow.DefaultWriterProps())
	must(tb, err)
	for _, b := range batches {
		must(tb, w.WriteBuffered(b.Record))
	}
	must(tb, w.Close()) // closes the file, too
}

// copySynced writes the bytes to a file with their checksum taken, as any upload does.
func copySynced(tb testing.TB, path string, content []byte) {
	tb.Helper()
	f, err := os.Create(path)
	must(tb, err)
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), bytes.NewReader(content))
	must(tb, err)
	must(tb, f.Sync())
	must(tb, f.Close())
	sum.Sum(nil)
}
