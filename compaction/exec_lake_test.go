package compaction

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/objectstore/mem"
	"drumlin/rollup"
	"drumlin/segment"
)

const (
	execHour  = int64(3_600_000)
	execStart = 450_000 * execHour
)

// execLake is the objects of one group of buckets, with the work that has been done on them.
type execLake struct {
	t        testing.TB
	store    *mem.Store
	mem      *memory.CheckedAllocator
	exec     *Executor
	schemas  map[int32]*segment.Schema
	schema   *segment.Schema
	plan     *rollup.Definition
	job      Job // limits of every job
	settled  []segment.Meta
	tail     []catalog.TailSegment
	sidecars []catalog.Sidecar
	offsets  map[string]int64
	names    int
	claim    []string // order that handoffs' files say they have; nil: by offset, which they have
}

func execColumns() []segment.Column {
	return []segment.Column{
		{ID: 100, Name: "event", Type: segment.TypeString},
		{ID: 101, Name: "n", Type: segment.TypeLong},
		{ID: 102, Name: "user", Type: segment.TypeString},
		{ID: 103, Name: "x", Type: segment.TypeDouble},
		{ID: 104, Name: "gone", Type: segment.TypeString},
	}
}

const execMetrics = `[{"type":"count","name":"count"},{"type":"longSum","name":"n","fieldName":"n"},
	{"type":"doubleSum","name":"x","fieldName":"x"},{"type":"longMax","name":"most","fieldName":"n"},
	{"type":"stringFirst","name":"first","fieldName":"user","maxStringBytes":64},
	{"type":"HLLSketchBuild","name":"users","fieldName":"user"},
	{"type":"quantilesDoublesSketch","name":"q","fieldName":"x"}]`

// execSchemas are an older and the newest schema. A rollup datasource groups by event and user.
func execSchemas(t testing.TB, dedup, folds bool, sortBy ...string) map[int32]*segment.Schema {
	t.Helper()
	all := execColumns()
	first := &segment.Schema{ID: 1, Columns: []segment.Column{all[0], all[1], all[4]}, Dimensions: []string{"event", "gone", "n"}, SortBy: []string{segment.TimeColumn}, Dedup: dedup}
	second := &segment.Schema{ID: 2, Columns: all, Dimensions: []string{"event", "n", "user", "x"}, SortBy: sortBy, Dedup: dedup}
	if folds {
		first.Dimensions, first.Inputs = []string{"event"}, []string{"n"}
		second.Dimensions, second.Inputs = []string{"event", "user"}, []string{"n", "x"}
		plan, err := rollup.Compile(execMetricList(t), all)
		if err != nil {
			t.Fatal(err)
		}
		if second.States, err = rollup.StateColumns(plan); err != nil {
			t.Fatal(err)
		}
		for i := range second.States {
			second.States[i].ID = 200 + int32(i)
		}
	}
	return map[int32]*segment.Schema{1: first, 2: second}
}

func execMetricList(t testing.TB) []rollup.Metric {
	t.Helper()
	metrics, _, err := rollup.ParseMetrics([]byte(execMetrics))
	if err != nil {
		t.Fatal(err)
	}
	return metrics
}

func newExecLake(t testing.TB, schemas map[int32]*segment.Schema, plan *rollup.Definition, maxMemoryBytes int64) *execLake {
	t.Helper()
	l := &execLake{
		t: t, store: mem.New(), schemas: schemas, schema: schemas[2], plan: plan, offsets: map[string]int64{},
		mem: memory.NewCheckedAllocator(memory.NewGoAllocator()),
	}
	t.Cleanup(func() { l.mem.AssertSize(t, 0) })
	var err error
	l.exec, err = NewExecutor(ExecutorOptions{Objects: l.store, TempDir: t.TempDir(), Allocator: l.mem})
	if err != nil {
		t.Fatal(err)
	}
	if maxMemoryBytes > 0 {
		l.exec.o.MaxMemoryBytes = maxMemoryBytes // below what is allowed, so that few rows spill
	}
	return l
}

func (l *execLake) group() segment.Bucket {
	return segment.Bucket{StartMillis: execStart, EndMillis: execStart + 4*execHour}
}

func (l *execLake) buckets() []segment.Bucket {
	var out []segment.Bucket
	for h := range int64(4) {
		out = append(out, segment.Bucket{StartMillis: execStart + h*execHour, EndMillis: execStart + (h+1)*execHour})
	}
	return out
}

// handoff writes rows of one partition as a tail segment.
func (l *execLake) handoff(rows []execRow) catalog.TailSegment {
	l.t.Helper()
	s := l.schema
	if rows[0].old {
		s = l.schemas[1]
	}
	rec := execRecord(segment.FileArrowSchema(s), rows)
	defer rec.Release()
	var file bytes.Buffer
	sortBy := []string{segment.OffsetColumn}
	if l.claim != nil {
		sortBy = l.claim
	}
	w, err := segment.NewWriter(&file, segment.WriterOptions{Schema: rec.Schema(), SortBy: sortBy})
	if err != nil {
		l.t.Fatal(err)
	}
	for from := int64(0); from < rec.NumRows(); from += 1000 { // several row groups
		part := rec.NewSlice(from, min(from+1000, rec.NumRows()))
		err := w.Write(context.Background(), part)
		part.Release()
		if err != nil {
			l.t.Fatal(err)
		}
	}
	summary, err := w.Close()
	if err != nil {
		l.t.Fatal(err)
	}
	l.names++
	first, last := rows[0].Position, rows[len(rows)-1].Position
	out := catalog.TailSegment{Unit: fmt.Sprint("commit ", l.names), Meta: segment.Meta{
		Object: fmt.Sprintf("data/abc-e1-%d.parquet", l.names), Bytes: summary.Bytes, SHA256: summary.SHA256, Kind: segment.KindData,
		Datasource: "clicks", Bucket: l.group(), Rows: summary.Rows, SchemaID: s.ID, MinMillis: summary.MinMillis,
		MaxMillis: summary.MaxMillis, Columns: summary.Columns, Sources: []segment.OffsetRange{{
			Topic: first.Topic, Generation: first.Generation, Partition: first.Partition, From: first.Offset, To: last.Offset + 1,
		}},
	}}
	l.put(out.Object, file.Bytes())
	l.tail = append(l.tail, out)
	return out
}

func (l *execLake) put(object string, data []byte) {
	l.t.Helper()
	sum := sha256.Sum256(data)
	if err := l.store.Put(context.Background(), object, bytes.NewReader(data), int64(len(data)), hex.EncodeToString(sum[:])); err != nil {
		l.t.Fatal(err)
	}
}

// run carries out a job, keeps its books as the catalog would, and returns what it wrote.
func (l *execLake) run(mode Mode, tail []catalog.TailSegment) *Output {
	l.t.Helper()
	out, err := l.try(context.Background(), l.exec, mode, tail)
	if err != nil {
		l.t.Fatal(err)
	}
	l.apply(out)
	return out
}

func (l *execLake) try(ctx context.Context, e *Executor, mode Mode, tail []catalog.TailSegment) (*Output, error) {
	j := l.job
	j.Datasource, j.Schema, j.Mode, j.Buckets = "clicks", l.schema, mode, l.buckets()
	j.Definition, j.Settled, j.Tail, j.Sidecars = l.plan, l.settled, tail, l.sidecars
	return e.Run(ctx, &j, Naming{Incarnation: "abc", Epoch: 7}, nil)
}

func (l *execLake) apply(out *Output) {
	kept := func(object string) bool { return !slices.Contains(out.Consumed, object) }
	l.settled = append(execFilter(l.settled, func(m segment.Meta) bool { return kept(m.Object) }), out.Settled...)
	l.tail = append(execFilter(l.tail, func(m catalog.TailSegment) bool { return kept(m.Object) }), out.Adopted...)
	l.sidecars = append(execFilter(l.sidecars, func(s catalog.Sidecar) bool { return kept(s.Object) }), out.Sidecars...)
}

func execFilter[T any](in []T, keep func(T) bool) (out []T) {
	for _, v := range in {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

func (l *execLake) object(key string) []byte {
	l.t.Helper()
	body, err := l.store.Get(context.Background(), key, 0, -1)
	if err != nil {
		l.t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		l.t.Fatal(err)
	}
	return data
}

// rows reads segments back, one text per row, and checks what their descriptions say.
func (l *execLake) rows(metas []segment.Meta) [][]string {
	l.t.Helper()
	var out [][]string
	for i := range metas {
		m := &metas[i]
		if err := m.Validate(); err != nil {
			l.t.Fatal(err)
		}
		data := l.object(m.Object)
		if sum := sha256.Sum256(data); int64(len(data)) != m.Bytes || hex.EncodeToString(sum[:]) != m.SHA256 {
			l.t.Fatalf("%s is not what its description says", m.Object)
		}
		rows := execTexts(l.t, m.Object, data)
		if int64(len(rows)) != m.Rows {
			l.t.Fatalf("%s has %d rows, its description says %d", m.Object, len(rows), m.Rows)
		}
		out = append(out, rows)
	}
	return out
}

func execTexts(t testing.TB, name string, data []byte) []string {
	t.Helper()
	r, err := segment.OpenReader(name, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for g := range r.RowGroups() {
		rec, err := r.ReadRowGroup(context.Background(), g, nil)
		if err != nil {
			t.Fatal(err)
		}
		for row := range int(rec.NumRows()) {
			var parts []string
			for i, f := range rec.Schema().Fields() {
				if c := rec.Column(i); !c.IsNull(row) {
					parts = append(parts, f.Name+"="+c.ValueStr(row))
				}
			}
			out = append(out, strings.Join(parts, " "))
		}
		rec.Release()
	}
	return out
}

// ids reads the sidecars.
func (l *execLake) ids() [][2]int64 {
	l.t.Helper()
	var out [][2]int64
	for _, s := range l.sidecars {
		data := l.object(s.Object)
		sum := sha256.Sum256(data)
		r, err := segment.OpenReader(s.Object, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			l.t.Fatal(err)
		}
		if hex.EncodeToString(sum[:]) != s.SHA256 || int64(len(data)) != s.Bytes || r.Rows() != s.Rows || s.Bucket != l.group() {
			l.t.Fatalf("sidecar %+v is not what it says", s)
		}
		for g := range r.RowGroups() {
			rec, err := r.ReadRowGroup(context.Background(), g, nil)
			if err != nil {
				l.t.Fatal(err)
			}
			hi, lo := rec.Column(0).(*array.Int64), rec.Column(1).(*array.Int64)
			for i := range hi.Len() {
				out = append(out, [2]int64{hi.Value(i), lo.Value(i)})
			}
			rec.Release()
		}
	}
	return out
}

func (l *execLake) sums(metas []segment.Meta) []string {
	var out []string
	for _, m := range metas {
		out = append(out, m.SHA256)
	}
	return out
}

func execMetas(tail []catalog.TailSegment) (out []segment.Meta) {
	for _, s := range tail {
		out = append(out, s.Meta)
	}
	return out
}
