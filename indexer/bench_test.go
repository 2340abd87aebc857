package indexer

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/objectstore/mem"
	"drumlin/segment"
)

// eventSchema is a schema of clicks: eight columns, about 200 bytes a row in memory.
func eventSchema(sortBy ...string) *segment.Schema {
	s := &segment.Schema{ID: 1, Dedup: true, SortBy: sortBy}
	for i, name := range []string{"event", "user", "page", "country", "referrer"} {
		s.Columns = append(s.Columns, segment.Column{ID: int32(100 + i), Name: name, Type: segment.TypeString})
		s.Dimensions = append(s.Dimensions, name)
	}
	s.Columns = append(s.Columns, segment.Column{ID: 105, Name: "ms", Type: segment.TypeLong}, segment.Column{ID: 106, Name: "price", Type: segment.TypeDouble})
	s.Dimensions = append(s.Dimensions, "ms", "price")
	return s
}

// eventBatches holds rows of one hour, one in a hundred a copy, in batches of 2,048.
func eventBatches(s *segment.Schema, rows int) []segment.HotBatch {
	rng := rand.New(rand.NewPCG(1, 2))
	var out []segment.HotBatch
	b := array.NewRecordBuilder(memory.DefaultAllocator, segment.HotArrowSchema(s))
	defer b.Release()
	uuid := make([]byte, 16)
	text := func(name string, values int) {
		b.Field(fieldAt(b.Schema(), name)).(*array.StringBuilder).Append(fmt.Sprint(name, "/", rng.IntN(values)))
	}
	for i := range rows {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(int64(i)*3_600_000/int64(rows)*1000 + int64(rng.IntN(5000))*1000))
		id := rng.Uint64()
		if i%100 == 0 {
			id = uint64(i / 1000)
		}
		b.Field(1).(*array.Int64Builder).Append(int64(id * 0x9e3779b97f4a7c15))
		b.Field(2).(*array.Int64Builder).Append(int64(id * 0xbf58476d1ce4e5b9))
		for k := range uuid {
			uuid[k] = byte(rng.Uint32())
		}
		b.Field(3).(*array.FixedSizeBinaryBuilder).Append(uuid)
		b.Field(4).AppendNull()
		b.Field(5).(*array.Int64Builder).Append(int64(i))
		text("event", 20)
		text("user", 100_000)
		text("page", 3000)
		text("country", 150)
		text("referrer", 500)
		b.Field(11).(*array.Int64Builder).Append(int64(rng.IntN(10_000)))
		b.Field(12).(*array.Float64Builder).Append(float64(rng.IntN(100_000)) / 100)
		if (i+1)%2048 == 0 || i == rows-1 {
			out = append(out, segment.HotBatch{Record: b.NewRecordBatch()})
		}
	}
	return out
}

func fieldAt(s *arrow.Schema, name string) int { return s.FieldIndices(name)[0] }

// BenchmarkBuild measures a whole handoff beside its floor: the same rows written as they come, without copies removed,
// without a sort, without a gather. The distance between the two is what the indexer itself costs.
func BenchmarkBuild(b *testing.B) {
	const rows = 300_000
	byTime, byEvent := eventSchema("__time"), eventSchema("event", "__time")
	batches := eventBatches(byTime, rows)
	defer releaseBatches(batches)
	for name, schema := range map[string]*segment.Schema{"by time": byTime, "by event and time": byEvent} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				store := mem.New()
				ix := testIndexer(b, store, nil, nil)
				ix.parallel = 1
				result, err := ix.Build(b.Context(), testRequest(b, schema, batches, nil))
				if err != nil {
					b.Fatal(err)
				}
				var bytes int64
				for _, m := range result.Segments {
					bytes += m.Bytes
				}
				b.ReportMetric(float64(bytes)/float64(result.Stored), "B/row")
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1000, "krow/s")
		})
	}
	b.Run("sort only", func(b *testing.B) {
		in, err := newInput(testRequest(b, byEvent, batches, nil))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			kept := in.keep(testRequest(b, byEvent, batches, nil), &Result{})
			sorter, err := newSorter(&in.data, in.schema, byEvent.SortBy)
			if err == nil {
				err = sorter.Sort(b.Context(), kept)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1000, "krow/s")
	})
	b.Run("write only", func(b *testing.B) {
		in, err := newInput(testRequest(b, byTime, batches, nil))
		if err != nil {
			b.Fatal(err)
		}
		var refs []rowRef
		in.data.each(segment.OffsetRange{To: rows}, func(batch, row int) { refs = append(refs, makeRef(batch, row)) })
		g := newGatherer(&in.data, in.schema, segment.FileArrowSchema(byTime), segment.OffsetRange{Topic: "clicks"}, memory.DefaultAllocator)
		var groups []arrow.RecordBatch
		for len(refs) > 0 {
			n := g.rowGroup(refs)
			rec, err := g.gather(refs[:n])
			if err != nil {
				b.Fatal(err)
			}
			defer rec.Release()
			groups, refs = append(groups, rec), refs[n:]
		}
		b.ReportAllocs()
		for b.Loop() {
			w, err := segment.NewWriter(io.Discard, segment.WriterOptions{Schema: groups[0].Schema()})
			if err != nil {
				b.Fatal(err)
			}
			for _, rec := range groups {
				if err := w.Write(b.Context(), rec); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1000, "krow/s")
	})
}
