package compaction

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/objectstore/file"
	"drumlin/rollup"
	"drumlin/segment"
)

// bigLake makes many segments of event rows on disk.
type bigLake struct {
	t      testing.TB
	dir    string
	store  *file.Store
	schema *segment.Schema
	plan   *rollup.Definition
	tail   []catalog.TailSegment
}

func newBigLake(t testing.TB, folds bool) *bigLake {
	t.Helper()
	return newBigLakeOf(t, folds, "event", "page", "country", "user", "agent", "amount")
}

// newBigLakeOf has rows of the given columns.
func newBigLakeOf(t testing.TB, folds bool, dimensions ...string) *bigLake {
	t.Helper()
	l := &bigLake{t: t, dir: t.TempDir()}
	var err error
	if l.store, err = file.Open(filepath.Join(l.dir, "store")); err != nil {
		t.Fatal(err)
	}
	columns := []segment.Column{
		{ID: 100, Name: "event", Type: segment.TypeString},
		{ID: 101, Name: "page", Type: segment.TypeString},
		{ID: 102, Name: "country", Type: segment.TypeString},
		{ID: 103, Name: "user", Type: segment.TypeString},
		{ID: 104, Name: "agent", Type: segment.TypeString},
		{ID: 105, Name: "amount", Type: segment.TypeDouble},
	}
	columns = slices.DeleteFunc(columns, func(c segment.Column) bool { return !slices.Contains(dimensions, c.Name) })
	l.schema = &segment.Schema{
		ID: 1, Columns: columns, Dimensions: dimensions,
		SortBy: []string{"event", segment.TimeColumn}, Dedup: true,
	}
	if !folds {
		return l
	}
	metrics, _, err := rollup.ParseMetrics([]byte(`[{"type":"count","name":"count"},{"type":"doubleSum","name":"amount","fieldName":"amount"},
		{"type":"HLLSketchBuild","name":"users","fieldName":"user"}]`))
	if err != nil {
		t.Fatal(err)
	}
	l.schema.Dimensions, l.schema.Inputs = []string{"event", "page", "country"}, []string{"user", "agent", "amount"}
	l.plan = &rollup.Definition{
		Rollup: true, Dimensions: l.schema.Dimensions, Metrics: metrics, SortBy: l.schema.SortBy,
		QueryGranularity: execGranularity(t, "hour"),
	}
	plan, err := rollup.Compile(metrics, columns)
	if err != nil {
		t.Fatal(err)
	}
	if l.schema.States, err = rollup.StateColumns(plan); err != nil {
		t.Fatal(err)
	}
	for i := range l.schema.States {
		l.schema.States[i].ID = 200 + int32(i)
	}
	return l
}

// fill writes segments of so many rows each; one row in copyOneIn is a copy of an earlier one (0: none).
func (l *bigLake) fill(segments, rows, copyOneIn int) {
	l.t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	s := segment.FileArrowSchema(l.schema)
	made := uint64(0)
	for n := range segments {
		b := array.NewRecordBuilder(memory.DefaultAllocator, s)
		for i := range rows {
			id := made
			if copyOneIn > 0 && made > 0 && rng.IntN(copyOneIn) == 0 {
				id = rng.Uint64N(made)
			} else {
				made++
			}
			l.appendRow(b, id, int32(n%16), int64(n/16*rows+i))
		}
		rec := b.NewRecordBatch()
		b.Release()
		var out bytes.Buffer
		w, err := segment.NewWriter(&out, segment.WriterOptions{Schema: s, SortBy: []string{segment.OffsetColumn}})
		if err != nil {
			l.t.Fatal(err)
		}
		for from := int64(0); from < rec.NumRows(); from += segment.RowGroupRows {
			part := rec.NewSlice(from, min(from+segment.RowGroupRows, rec.NumRows()))
			if err := w.Write(context.Background(), part); err != nil {
				l.t.Fatal(err)
			}
			part.Release()
		}
		summary, err := w.Close()
		if err != nil {
			l.t.Fatal(err)
		}
		rec.Release()
		object := fmt.Sprintf("data/abc-e1-%d.parquet", n)
		if err := l.store.Put(context.Background(), object, bytes.NewReader(out.Bytes()), summary.Bytes, summary.SHA256); err != nil {
			l.t.Fatal(err)
		}
		l.tail = append(l.tail, catalog.TailSegment{Unit: object, Meta: segment.Meta{
			Object: object, Bytes: summary.Bytes, SHA256: summary.SHA256, Kind: segment.KindData, Datasource: "clicks",
			Bucket: bigGroup(), Rows: summary.Rows, SchemaID: 1, MinMillis: summary.MinMillis, MaxMillis: summary.MaxMillis,
			Columns: summary.Columns, Sources: []segment.OffsetRange{{
				Topic: "clicks", Partition: int32(n % 16), From: int64(n / 16 * rows), To: int64((n/16 + 1) * rows),
			}},
		}})
	}
}

func bigGroup() segment.Bucket {
	return segment.Bucket{StartMillis: execStart, EndMillis: execStart + 24*execHour}
}

// bigID spreads numbers over 128 bits.
func bigID(n uint64) (hi, lo int64) {
	var text [8]byte
	binary.LittleEndian.PutUint64(text[:], n)
	h, l := segment.Identity([16]byte{1}, execStart, text[:])
	return int64(h), int64(l)
}

// appendRow makes a row that is a function of its number and its position.
func (l *bigLake) appendRow(b *array.RecordBuilder, id uint64, partition int32, offset int64) {
	hi, lo := bigID(id)
	mixed := uint64(hi)
	for i, f := range b.Schema().Fields() {
		switch f.Name {
		case segment.TimeColumn:
			millis := execStart + int64(id%uint64(24*execHour/7))*7
			b.Field(i).(*array.TimestampBuilder).Append(arrow.Timestamp(millis * 1000))
		case segment.IDHighColumn:
			b.Field(i).(*array.Int64Builder).Append(hi)
		case segment.IDLowColumn:
			b.Field(i).(*array.Int64Builder).Append(lo)
		case segment.OffsetColumn:
			b.Field(i).(*array.Int64Builder).Append(offset)
		case segment.PartitionColumn:
			b.Field(i).(*array.Int32Builder).Append(partition)
		case segment.GenerationColumn:
			b.Field(i).(*array.Int32Builder).Append(0)
		case "amount":
			b.Field(i).(*array.Float64Builder).Append(float64(mixed % 1000))
		case segment.KeyUUIDColumn:
			var key [16]byte
			binary.LittleEndian.PutUint64(key[:], uint64(hi))
			binary.LittleEndian.PutUint64(key[8:], id)
			b.Field(i).(*array.FixedSizeBinaryBuilder).Append(key[:])
		case segment.KeyColumn:
			b.Field(i).AppendNull()
		default:
			b.Field(i).(*array.StringBuilder).Append(bigText(f.Name, mixed))
		}
	}
}

func bigText(name string, mixed uint64) string {
	switch name {
	case segment.TopicColumn:
		return "clicks"
	case "event":
		return []string{"view", "click", "search", "purchase", "login", "logout", "share", "refund"}[mixed%8]
	case "page":
		return "/shop/articles/" + strconv.FormatUint(mixed/8%500, 10)
	case "country":
		return []string{"DE", "US", "FR", "CA", "JP", "BR", "IN", "GB", "PL", "ES"}[mixed/64%10]
	case "user":
		return "user-" + strconv.FormatUint(mixed%200_000, 10)
	}
	return "Mozilla/5.0 (" + []string{"X11; Linux x86_64", "Windows NT 10.0; Win64", "Macintosh; Intel Mac OS X 10_15"}[mixed%3] + ") Gecko/" +
		strconv.FormatUint(mixed%97, 10)
}

func (l *bigLake) job() *Job {
	state := catalog.HeadRaw
	if l.plan != nil {
		state = catalog.HeadFolded
	}
	return &Job{
		Datasource: "clicks", Schema: l.schema, Mode: ModeFull, State: state,
		Buckets: []segment.Bucket{bigGroup()}, Definition: l.plan, Tail: l.tail, MaxRowsPerSegment: 5_000_000,
		TargetSegmentBytes: 300_000_000,
	}
}

func (l *bigLake) run(maxMemoryBytes int64, j *Job) *Output {
	l.t.Helper()
	e, err := NewExecutor(ExecutorOptions{Objects: l.store, TempDir: filepath.Join(l.dir, "temp"), MaxMemoryBytes: maxMemoryBytes})
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := e.Run(l.t.Context(), j, Naming{Incarnation: "abc", Epoch: 7}, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// sidecar writes the identities of the numbers [from, to).
func (l *bigLake) sidecar(from, to uint64) catalog.Sidecar {
	l.t.Helper()
	e, err := NewExecutor(ExecutorOptions{Objects: l.store, TempDir: filepath.Join(l.dir, "temp")})
	if err != nil {
		l.t.Fatal(err)
	}
	j := l.job()
	j.Tail = nil
	x, err := e.begin(j, Naming{Incarnation: "abc", Epoch: 6}, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer x.end()
	ctx := x.writers.start(l.t.Context())
	ids := newIDSorter(x, 64<<20)
	defer ids.close()
	for n := from; n < to; n++ {
		hi, lo := bigID(n)
		if err := ids.add(ctx, idEntry{hi: hi, lo: lo}); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := x.keepSidecars(ctx, ids); err != nil {
		l.t.Fatal(err)
	}
	if err := x.writers.wait(); err != nil {
		l.t.Fatal(err)
	}
	return x.ids.sidecars[0]
}

// BenchmarkCompaction merges 200 segments with 10 % copies, beside a floor that reads and writes the same rows and neither
// compares nor sorts. DRUMLIN_BENCH_ROWS scales it: 5500000 is the full size.
func BenchmarkCompaction(b *testing.B) {
	rows := 550_000
	if text := os.Getenv("DRUMLIN_BENCH_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	for _, folds := range []bool{false, true} {
		l := newBigLake(b, folds)
		l.fill(200, rows/200, 10)
		name := map[bool]string{false: "raw", true: "rollup"}[folds]
		if !folds {
			b.Run("floor", func(b *testing.B) {
				measured(b, rows, func() { l.copyOnly(b) })
			})
		}
		b.Run(name, func(b *testing.B) {
			var out *Output
			l.t = b
			measured(b, rows, func() { out = l.run(0, l.job()) })
			b.ReportMetric(float64(out.Stats.PeakBytes)/1e6, "peak-MB")
			b.ReportMetric(float64(out.Stats.SpilledBytes)/1e6, "spilled-MB")
			b.ReportMetric(float64(out.Stats.InputBytes)/float64(out.Stats.OutputBytes), "bytes-in/out")
			if out.Stats.Duplicates < int64(rows/12) {
				b.Errorf("%+v", out.Stats)
			}
		})
	}
}

// measured reports rows by wall time and by the processor's.
func measured(b *testing.B, rows int, once func()) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		once()
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		b.Fatal(err)
	}
	cpu := float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()) / 1e9
	all := float64(rows) * float64(b.N) / 1000
	b.ReportMetric(all/b.Elapsed().Seconds(), "krow/s")
	b.ReportMetric(all/cpu, "krow/cpu-s")
}

// copyOnly reads each segment and writes its rows into one, in row groups as large as a compaction's, checksums and all.
func (l *bigLake) copyOnly(b *testing.B) {
	sum := sha256.New()
	w, err := segment.NewWriter(sum, segment.WriterOptions{Schema: segment.FileArrowSchema(l.schema)})
	if err != nil {
		b.Fatal(err)
	}
	var batches []arrow.RecordBatch
	rows := int64(0)
	flush := func() {
		columns := make([]arrow.Array, len(batches[0].Columns()))
		for i := range columns {
			var parts []arrow.Array
			for _, rec := range batches {
				parts = append(parts, rec.Column(i))
			}
			if columns[i], err = array.Concatenate(parts, memory.DefaultAllocator); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Write(b.Context(), array.NewRecordBatch(batches[0].Schema(), columns, rows)); err != nil {
			b.Fatal(err)
		}
		batches, rows = nil, 0
	}
	for _, in := range l.tail {
		body, err := l.store.Get(b.Context(), in.Object, 0, -1)
		if err != nil {
			b.Fatal(err)
		}
		data, err := io.ReadAll(segment.NewVerifyingReader(in.Object, body, in.Bytes, in.SHA256))
		if err != nil {
			b.Fatal(err)
		}
		body.Close()
		r, err := segment.OpenReader(in.Object, bytes.NewReader(data), in.Bytes)
		if err != nil {
			b.Fatal(err)
		}
		for g := range r.RowGroups() {
			rec, err := r.ReadRowGroup(b.Context(), g, nil)
			if err != nil {
				b.Fatal(err)
			}
			if rows+rec.NumRows() > segment.RowGroupRows {
				flush()
			}
			batches, rows = append(batches, rec), rows+rec.NumRows()
		}
	}
	flush()
	if _, err := w.Close(); err != nil {
		b.Fatal(err)
	}
}
