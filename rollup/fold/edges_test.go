package fold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/rollup"
	"drumlin/segment"
)

const countAndFirst = `[{"type":"count","name":"rows"},{"type":"stringFirst","name":"who","fieldName":"user"}]`

func newFolder(t testing.TB, p *rollup.BucketPlan) *Folder {
	t.Helper()
	f, err := New(p, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Release)
	return f
}

// TestFileOfFoldedRows: folded rows that were written to a segment and read back fold on; the file itself tells states of
// another definition.
func TestFileOfFoldedRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	d := definition(t, "hour", allMetrics, dimensionSets[0], nil, "")
	s := testSchema(t, d.Metrics)
	p := compile(t, d, s)
	batch := one(t, memory.DefaultAllocator, p.FoldedSchema(), folded(t, rng, memory.DefaultAllocator, p, s, randomRows(rng, 500)))
	defer batch.Release()
	var out bytes.Buffer
	w, err := segment.NewWriter(&out, segment.WriterOptions{Schema: p.FoldedSchema(), SortBy: p.Order()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	summary, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	r, err := segment.OpenReader("object", bytes.NewReader(out.Bytes()), summary.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Metrics().CheckStates(r.Schema()); err != nil {
		t.Errorf("the plan's own file: %v", err)
	}
	read, err := r.ReadRowGroup(t.Context(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Release()
	f := newFolder(t, p)
	if err := f.AddFolded(read); err != nil {
		t.Fatal(err)
	}
	again := one(t, memory.DefaultAllocator, p.FoldedSchema(), flushed(t, f, 1000))
	defer again.Release()
	if diff := difference(batch, again); diff != "" {
		t.Error(diff)
	}

	other := definition(t, "hour", strings.Replace(allMetrics, `"longSum","name":"n","fieldName":"n"`,
		`"longSum","name":"n","fieldName":"at"`, 1), dimensionSets[0], nil, "")
	stranger := newFolder(t, compile(t, other, testSchema(t, other.Metrics)))
	if err := stranger.AddFolded(read); err == nil || !strings.Contains(err.Error(), "cannot combine") {
		t.Errorf("states of another definition: %v", err)
	}
}

// TestHotRows: rows without columns for their position have it from the caller, and rows older than a dimension have none.
func TestHotRows(t *testing.T) {
	d := definition(t, "day", countAndFirst, []string{"text", "long"}, nil, "")
	s := testSchema(t, d.Metrics)
	p := compile(t, d, s)
	older := *s
	older.Dimensions = []string{"text"}
	b := array.NewRecordBuilder(memory.DefaultAllocator, segment.HotArrowSchema(&older))
	defer b.Release()
	for i, user := range []string{"late", "early"} {
		r := testRow{millis: int64(1000 - i), text: ref("x"), user: &user}
		for k, field := range b.Schema().Fields() {
			appendField(b.Field(k), field.Name, &r)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	f := newFolder(t, p)
	position := segment.Position{Topic: "t", Partition: 1}
	if err := f.AddRows(rollup.Rows{Record: rec, Position: &position}, nil); err != nil {
		t.Fatal(err)
	}
	out := one(t, memory.DefaultAllocator, p.FoldedSchema(), flushed(t, f, 10))
	defer out.Release()
	var got []string
	for _, c := range out.Columns()[:6] {
		got = append(got, c.ValueStr(0))
	}
	if want := []string{"1970-01-01T00:00:00", "2", "x", array.NullValueStr, "2", "early"}; out.NumRows() != 1 || !slices.Equal(got, want) {
		t.Errorf("%d rows, the first %q, want %q", out.NumRows(), got, want)
	}
}

// TestManyGroups: more groups than a block or a batch has, with few and with heavy states, cut by rows and by bytes.
func TestManyGroups(t *testing.T) {
	for _, test := range []struct {
		name, metrics string
		groups        int
		textBytes     int
		maxRows       int
		wantRows      []int64
	}{
		{"blocks are joined", `[{"type":"count","name":"rows"}]`, 20_000, 1, 1 << 20, []int64{20_000}},
		{"cut by rows", `[{"type":"count","name":"rows"}]`, 20_000, 1, 9_000, []int64{9_000, 9_000, 2_000}},
		{"heavy states", countAndFirst, 1_200, 1, 1_000, []int64{1_000, 200}},
		{"cut by bytes", `[{"type":"count","name":"rows"}]`, 20, 4 << 10, 1 << 20, []int64{15, 5}},
		{"one is more than a batch", `[{"type":"count","name":"rows"}]`, 2, 64 << 10, 1 << 20, []int64{1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := definition(t, "", test.metrics, []string{"text", "long"}, nil, "")
			s := testSchema(t, d.Metrics)
			p := compile(t, d, s)
			f := newFolder(t, p)
			if test.textBytes > 1 {
				f.batchBytes = 64 << 10
			}
			empty := f.Bytes()
			rng := rand.New(rand.NewPCG(1, 5))
			var all []testRow
			for _, i := range rng.Perm(test.groups) {
				text := fmt.Sprint(strings.Repeat("x", test.textBytes), i)
				all = append(all, testRow{text: &text, long: ref(int64(-i)), millis: int64(i / 7)})
			}
			rec := rawRecord(memory.DefaultAllocator, s, all)
			defer rec.Release()
			if err := f.AddRows(rollup.Rows{Record: rec}, nil); err != nil {
				t.Fatal(err)
			}
			if f.Groups() != test.groups || f.Bytes() < empty+int64(test.groups*(16+test.textBytes)) {
				t.Errorf("%d groups of %d in %d bytes", f.Groups(), test.groups, f.Bytes())
			}
			order, err := NewOrder(p.FoldedSchema(), p.Order())
			if err != nil {
				t.Fatal(err)
			}
			var rows []int64
			batches := flushed(t, f, test.maxRows)
			defer release(batches)
			for i, b := range batches {
				rows = append(rows, b.NumRows())
				if i > 0 {
					last := batches[i-1]
					if order.Compare(last, int(last.NumRows())-1, b, 0) >= 0 {
						t.Errorf("batch %d is not in order", i)
					}
				}
				for row := 1; row < int(b.NumRows()); row++ {
					if order.Compare(b, row-1, b, row) >= 0 {
						t.Fatalf("batch %d, row %d is not in order", i, row)
					}
				}
			}
			if !slices.Equal(rows, test.wantRows) {
				t.Errorf("batches of %d rows, want %d", rows, test.wantRows)
			}
			if f.Bytes() > empty {
				t.Errorf("%d bytes after a flush, %d when new", f.Bytes(), empty)
			}
		})
	}
}

// TestCounts: what is dropped is not counted, what the filter removes is, and what aggregators cannot use is told.
func TestCounts(t *testing.T) {
	d := definition(t, "hour", `[{"type":"doubleSum","name":"sum","fieldName":"x"}]`, []string{"text"}, nil,
		`{"type":"selector","dimension":"text","value":"a"}`)
	s := testSchema(t, d.Metrics)
	f := newFolder(t, compile(t, d, s))
	rec := rawRecord(memory.DefaultAllocator, s, []testRow{
		{text: ref("a"), x: ref(math.NaN())}, {text: ref("b"), x: ref(1.0)}, {text: ref("a"), x: ref(2.0)}, {text: ref("b")}, {text: ref("a"), x: ref(4.0)},
	})
	defer rec.Release()
	if err := f.AddRows(rollup.Rows{Record: rec}, []bool{false, false, true, true, false}); err != nil {
		t.Fatal(err)
	}
	if f.Groups() != 1 || f.Events() != 2 || f.Filtered() != 1 || !slices.Equal(f.LeftOut(), []int64{1}) {
		t.Errorf("%d groups of %d events, %d filtered, %v left out", f.Groups(), f.Events(), f.Filtered(), f.LeftOut())
	}
	release(flushed(t, f, 10))
	if err := f.AddRows(rollup.Rows{Record: rec}, nil); err != nil {
		t.Fatal(err)
	}
	if f.Events() != 3 || f.Filtered() != 3 || !slices.Equal(f.LeftOut(), []int64{2}) {
		t.Errorf("after a flush: %d events, %d filtered, %v left out", f.Events(), f.Filtered(), f.LeftOut())
	}
	f.Release()
	if !slices.Equal(f.LeftOut(), []int64{2}) || f.Bytes() != 0 || f.Groups() != 0 {
		t.Errorf("after release: %v left out, %d bytes, %d groups", f.LeftOut(), f.Bytes(), f.Groups())
	}
	f.Release()
	if err := f.AddRows(rollup.Rows{Record: rec}, nil); err == nil {
		t.Error("a released folder takes rows")
	}
}

// without gives a record without a column, or with another in its place.
func without(rec arrow.RecordBatch, name string, instead arrow.Array) arrow.RecordBatch {
	var fields []arrow.Field
	var columns []arrow.Array
	for i, f := range rec.Schema().Fields() {
		column := rec.Column(i)
		if f.Name == name {
			if instead == nil {
				continue
			}
			f.Type, column = instead.DataType(), instead
		}
		fields, columns = append(fields, f), append(columns, column)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
}

func longs(values ...int64) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	for _, v := range values {
		if v == math.MinInt64 {
			b.AppendNull()
		} else {
			b.Append(v)
		}
	}
	return b.NewArray()
}

// TestRefusals: what cannot be folded is refused, damaged rows as such, and the folder is of no use afterwards.
func TestRefusals(t *testing.T) {
	d := definition(t, "hour", `[{"type":"count","name":"rows"}]`, []string{"text", "long"}, nil, "")
	s := testSchema(t, d.Metrics)
	p := compile(t, d, s)
	raw := rawRecord(memory.DefaultAllocator, s, []testRow{{}, {millis: 3_600_000}})
	defer raw.Release()
	f := newFolder(t, p)
	if err := f.AddRows(rollup.Rows{Record: raw}, nil); err != nil {
		t.Fatal(err)
	}
	good := one(t, memory.DefaultAllocator, p.FoldedSchema(), flushed(t, f, 10))
	defer good.Release()
	for _, test := range []struct {
		name    string
		folded  bool
		rec     arrow.RecordBatch
		drop    []bool
		corrupt bool
		want    string
	}{
		{name: "marks", rec: raw, drop: []bool{true}, want: "1 marks for 2 rows"},
		{name: "no time", rec: without(raw, "__time", nil), want: "no __time"},
		{name: "time of another type", rec: without(raw, "__time", longs(1, 2)), corrupt: true, want: "int64"},
		{name: "dimension of another type", rec: without(raw, "text", longs(1, 2)), want: `dimension "text" has Arrow type int64`},
		{name: "raw rows as folded", folded: true, rec: raw, want: "not folded"},
		{name: "narrower rows", folded: true, rec: without(good, "long", nil), want: `no dimension "long"`},
		{name: "no events", folded: true, rec: without(good, "__events", longs(1, 0)), corrupt: true, want: "0 records"},
		{name: "null events", folded: true, rec: without(good, "__events", longs(1, math.MinInt64)), corrupt: true, want: "1 nulls"},
		{name: "too many events", folded: true, rec: without(good, "__events", longs(math.MaxInt64, 1)), corrupt: true, want: "64 bits"},
		{name: "no states", folded: true, rec: without(good, "rows", nil), want: `0 columns "rows"`},
		{name: "states of another type", folded: true, rec: without(good, "rows", good.Column(0)), want: "timestamp"},
	} {
		f := newFolder(t, p)
		add := func() error {
			if test.folded {
				return f.AddFolded(test.rec)
			}
			return f.AddRows(rollup.Rows{Record: test.rec}, test.drop)
		}
		err := add()
		if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, segment.ErrCorrupt) != test.corrupt {
			t.Errorf("%s: %v, want %q, corrupt: %t", test.name, err, test.want, test.corrupt)
			continue
		}
		if again := f.AddRows(rollup.Rows{Record: raw}, nil); again != err {
			t.Errorf("%s: the next rows are taken: %v", test.name, again)
		}
		if again := f.Flush(t.Context(), 10, nil); again != err {
			t.Errorf("%s: what is there is flushed: %v", test.name, again)
		}
	}
	plain, err := (*rollup.Definition)(nil).Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(plain, nil); err == nil {
		t.Error("a plan without rollup has a folder")
	}
}

// TestFlushStops: an error of the receiver, or the context's, ends a flush.
func TestFlushStops(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	d := definition(t, "", allMetrics, dimensionSets[0], nil, "")
	s := testSchema(t, d.Metrics)
	rec := rawRecord(memory.DefaultAllocator, s, randomRows(rand.New(rand.NewPCG(1, 6)), 50))
	defer rec.Release()
	full := errors.New("disk full")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		rows int
		emit error
		want error
	}{{t.Context(), 10, full, full}, {cancelled, 10, nil, context.Canceled}} {
		f, err := New(compile(t, d, s), checked)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.AddRows(rollup.Rows{Record: rec}, nil); err != nil {
			t.Fatal(err)
		}
		if err := f.Flush(t.Context(), 0, nil); err == nil {
			t.Error("batches of no rows")
		}
		calls := 0
		err = f.Flush(test.ctx, test.rows, func(arrow.RecordBatch) error {
			calls++
			return test.emit
		})
		if !errors.Is(err, test.want) || calls > 1 {
			t.Errorf("%d batches and %v, want %v", calls, err, test.want)
		}
		f.Release()
	}
}
