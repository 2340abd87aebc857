package segment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"
)

var rewrite = flag.Bool("rewrite-golden", false, "write the golden file of the newest format anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testRecord has n rows: row i differs in every column, every seventh value of a nullable column is null.
func testRecord(mem memory.Allocator, s *arrow.Schema, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, s)
	defer b.Release()
	for i := range n {
		for c, f := range s.Fields() {
			if f.Nullable && (i+c)%7 == 0 {
				b.Field(c).AppendNull()
				continue
			}
			switch fb := b.Field(c).(type) {
			case *array.TimestampBuilder:
				fb.Append(arrow.Timestamp(int64(i)*1_000_000 - 5000))
			case *array.Int64Builder:
				fb.Append(int64(i*c) - 3)
			case *array.Int32Builder:
				fb.Append(int32(c))
			case *array.Float64Builder:
				fb.Append([]float64{1.5, math.NaN(), -2, math.Inf(1)}[i%4])
			case *array.Float32Builder:
				fb.Append(float32(i) / 2)
			case *array.FixedSizeBinaryBuilder:
				fb.Append([]byte(fmt.Sprintf("%016d", i)))
			case *array.StringBuilder:
				fb.Append(strings.Repeat(fmt.Sprint("é", i%10), i%50))
			}
		}
	}
	return b.NewRecordBatch()
}

func writeFile(t testing.TB, mem memory.Allocator, records ...arrow.RecordBatch) ([]byte, *Summary) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, WriterOptions{Schema: records[0].Schema(), SortBy: []string{"event", "__time"}, Allocator: mem})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if err := w.Write(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	summary, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	w.Abort() // does nothing any more
	return out.Bytes(), summary
}

func TestFileRoundTrip(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	for _, s := range []*arrow.Schema{FileArrowSchema(testSchema()), FileRejectsArrowSchema()} {
		first, second := testRecord(checked, s, 3000), testRecord(checked, s, 11)
		part := second.NewSlice(3, 11) // bitmaps begin at odd bits
		content, summary := writeFile(t, checked, first, part)
		if int64(len(content)) != summary.Bytes || summary.Rows != 3008 || summary.MinMillis != -5 || summary.MaxMillis != 2_998_995 {
			t.Errorf("summary %+v of %d bytes", summary, len(content))
		}
		r, err := OpenReader("object", bytes.NewReader(content), summary.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Schema().Equal(s) || r.Rows() != 3008 || r.RowGroups() != 2 {
			t.Errorf("read %d rows in %d groups of\n%v, want\n%v", r.Rows(), r.RowGroups(), r.Schema(), s)
		}
		for group, want := range []arrow.RecordBatch{first, part} {
			got, err := r.ReadRowGroup(t.Context(), group, nil)
			if err != nil {
				t.Fatal(err)
			}
			equalBatches(t, want, got)
			got.Release()
		}
		some, err := r.ReadRowGroup(t.Context(), 1, []int{0, 2})
		if err != nil || some.NumCols() != 2 || some.ColumnName(1) != s.Field(2).Name {
			t.Fatalf("two columns: %v, %v", some, err)
		}
		some.Release()
		for _, rec := range []arrow.RecordBatch{first, second, part} {
			rec.Release()
		}
	}
}

func equalBatches(t *testing.T, want, got arrow.RecordBatch) {
	t.Helper()
	if want.NumRows() != got.NumRows() || want.NumCols() != got.NumCols() {
		t.Fatalf("%d rows of %d columns, want %d of %d", got.NumRows(), got.NumCols(), want.NumRows(), want.NumCols())
	}
	for c := range int(want.NumCols()) {
		if !array.ApproxEqual(want.Column(c), got.Column(c), array.WithNaNsEqual(true)) {
			t.Errorf("column %s differs", want.ColumnName(c))
		}
	}
}

func TestColumnStats(t *testing.T) {
	rec := testRecord(memory.DefaultAllocator, FileArrowSchema(testSchema()), 1000)
	defer rec.Release()
	_, summary := writeFile(t, nil, rec)
	byID := map[int32]string{}
	for _, c := range summary.Columns {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		byID[c.ID] = string(text)
	}
	for id, want := range map[int32]string{
		TimeColumnID:    `{"id":1,"min":{"l":-5000},"max":{"l":998995000}}`,
		IDHighColumnID:  `{"id":2,"nulls":142}`,
		KeyUUIDColumnID: `{"id":8,"nulls":143}`,
		KeyColumnID:     `{"id":9,"nulls":143}`,
		TopicColumnID:   `{"id":4,"min":{"s":""},"max":{"s":"` + strings.Repeat("é9", 20) + `é:"}}`,
		102:             `{"id":102,"nulls":143,"nan":true,"min":{"d":-2},"max":{"d":"Infinity"}}`,
	} {
		if byID[id] != want {
			t.Errorf("column %d: %s, want %s", id, byID[id], want)
		}
	}
}

func TestBoundsOfLongTexts(t *testing.T) {
	long := strings.Repeat("a", 100)
	for _, test := range []struct{ in, lower, upper string }{
		{"short", "short", "short"},
		{strings.Repeat("a", 64), strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{long, strings.Repeat("a", 64), strings.Repeat("a", 63) + "b"},
		{strings.Repeat("a", 63) + "éé", strings.Repeat("a", 63), strings.Repeat("a", 62) + "b"},
		{strings.Repeat("a", 60) + "\U0010FFFFzz", strings.Repeat("a", 60) + "\U0010FFFF", strings.Repeat("a", 59) + "b"},
		{strings.Repeat("a", 61) + "\uD7FFzz", strings.Repeat("a", 61) + "\uD7FF", strings.Repeat("a", 61) + "\uE000"},
		{strings.Repeat("\U0010FFFF", 20), strings.Repeat("\U0010FFFF", 16), strings.Repeat("\U0010FFFF", 20)},
	} {
		lower, upper := lowerBound(test.in), upperBound(test.in)
		if lower != test.lower || upper != test.upper || lower > test.in || upper < test.in {
			t.Errorf("%q: %q to %q, want %q to %q", test.in, lower, upper, test.lower, test.upper)
		}
	}
}

func TestEqualRowsGiveEqualBytes(t *testing.T) {
	rec := testRecord(memory.DefaultAllocator, FileArrowSchema(testSchema()), 5000)
	defer rec.Release()
	a, first := writeFile(t, nil, rec)
	b, second := writeFile(t, nil, rec)
	if !bytes.Equal(a, b) || first.SHA256 != second.SHA256 {
		t.Error("the same rows gave different bytes")
	}
}

// TestGoldenFiles: what an earlier version wrote stays readable, and what this one writes is what it wrote before.
func TestGoldenFiles(t *testing.T) {
	for name, rec := range map[string]arrow.RecordBatch{
		"format1": testRecord(memory.DefaultAllocator, FileArrowSchema(testSchema()), 100),
		"folded1": foldedRecord(memory.DefaultAllocator, foldedSchema(t), 100),
		"ids1":    testRecord(memory.DefaultAllocator, IDsArrowSchema(), 100),
	} {
		content, _ := writeFile(t, nil, rec)
		path := filepath.Join("testdata", name+".parquet")
		if *rewrite {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := OpenReader(path, bytes.NewReader(golden), int64(len(golden)))
		if err != nil {
			t.Fatal(err)
		}
		if !r.Schema().Equal(rec.Schema()) {
			t.Errorf("%s: columns\n%v, want\n%v", path, r.Schema(), rec.Schema())
		}
		got, err := r.ReadRowGroup(t.Context(), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		equalBatches(t, rec, got)
		if !bytes.Equal(golden, content) {
			t.Errorf("%s: equal rows give other bytes than before: if that is meant, say so in docs/format/segment.md and run with "+
				"-rewrite-golden", path)
		}
		got.Release()
		rec.Release()
	}
}

func TestWriterRefuses(t *testing.T) {
	s := FileRejectsArrowSchema()
	good := testRecord(memory.DefaultAllocator, s, 10)
	other := testRecord(memory.DefaultAllocator, HotRejectsArrowSchema(), 10)
	empty := good.NewSlice(0, 0)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	for i := range s.NumFields() {
		b.Field(i).AppendEmptyValue()
	}
	b.Field(5).(*array.StringBuilder).Append("\xff")
	for i := range s.NumFields() {
		if i != 5 {
			b.Field(i).AppendEmptyValue()
		}
	}
	invalid := b.NewRecordBatch()
	for i := range s.NumFields() {
		b.Field(i).AppendNull()
	}
	nulls := b.NewRecordBatch()
	for _, test := range []struct {
		rec  arrow.RecordBatch
		want string
	}{{other, "columns"}, {empty, "0 rows"}, {invalid, "UTF-8"}, {nulls, "null"}} {
		checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
		w, err := NewWriter(io.Discard, WriterOptions{Schema: s, Allocator: checked})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		err = w.Write(t.Context(), test.rec)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want %q, got %v", test.want, err)
		}
		if _, again := w.Close(); !errors.Is(again, err) {
			t.Errorf("close after a failed write: %v", again)
		}
		w.Abort()
		checked.AssertSize(t, 0)
	}
	field := arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int64}
	if _, err := NewWriter(io.Discard, WriterOptions{Schema: arrow.NewSchema([]arrow.Field{field}, nil)}); err == nil {
		t.Error("a column without a field id is accepted")
	}
}

func TestWriterPassesOnErrorsOfItsOutput(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	full := errors.New("disk full")
	rec := testRecord(checked, FileArrowSchema(testSchema()), 100_000)
	defer rec.Release()
	w, err := NewWriter(failingWriter{full}, WriterOptions{Schema: rec.Schema(), Allocator: checked})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Write(t.Context(), rec)
	if err == nil {
		_, err = w.Close()
	}
	if !errors.Is(err, full) {
		t.Errorf("want the output's error, got %v", err)
	}
	w.Abort()
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestWriterStopsWithItsContext(t *testing.T) {
	rec := testRecord(memory.DefaultAllocator, FileRejectsArrowSchema(), 10)
	defer rec.Release()
	w, err := NewWriter(io.Discard, WriterOptions{Schema: rec.Schema()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Write(ctx, rec); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestReaderTellsSourceFromBytes(t *testing.T) {
	rec := testRecord(memory.DefaultAllocator, FileRejectsArrowSchema(), 10)
	defer rec.Release()
	content, _ := writeFile(t, nil, rec)
	broken := errors.New("disk broken")
	if _, err := OpenReader("o", failingReaderAt{broken}, int64(len(content))); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("a source that fails: %v", err)
	}
	if _, err := OpenReader("o", bytes.NewReader(content[:len(content)-1]), int64(len(content))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("bytes that are cut: %v", err)
	}
	if _, err := OpenReader("o", bytes.NewReader(nil), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no bytes: %v", err)
	}
}

type failingReaderAt struct{ err error }

func (f failingReaderAt) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestVerifyingReader(t *testing.T) {
	rec := testRecord(memory.DefaultAllocator, FileRejectsArrowSchema(), 10)
	defer rec.Release()
	content, summary := writeFile(t, nil, rec)
	read := func(b []byte, bytesWanted int64, sum string) error {
		got, err := io.ReadAll(NewVerifyingReader("o", iotest.OneByteReader(bytes.NewReader(b)), bytesWanted, sum))
		if err == nil && !bytes.Equal(got, content) {
			t.Error("other bytes came through")
		}
		return err
	}
	if err := read(content, summary.Bytes, summary.SHA256); err != nil {
		t.Error(err)
	}
	flipped := bytes.Clone(content)
	flipped[100] ^= 1
	for name, err := range map[string]error{
		"flipped": read(flipped, summary.Bytes, summary.SHA256),
		"shorter": read(content[:len(content)-1], summary.Bytes, summary.SHA256),
		"longer":  read(append(bytes.Clone(content), 0), summary.Bytes, summary.SHA256),
		"other":   read(content, summary.Bytes, strings.Repeat("0", 64)),
	} {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
