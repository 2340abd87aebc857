package fold

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const allMetrics = `[
	{"type":"count","name":"rows"},
	{"type":"longSum","name":"n","fieldName":"n"},
	{"type":"longMin","name":"n_min","fieldName":"n"},
	{"type":"longMax","name":"long_max","fieldName":"long"},
	{"type":"doubleSum","name":"x_sum","fieldName":"x"},
	{"type":"doubleMin","name":"x_min","fieldName":"x"},
	{"type":"doubleMax","name":"x_max","fieldName":"x"},
	{"type":"floatSum","name":"x_float","fieldName":"x"},
	{"type":"floatMin","name":"x_fmin","fieldName":"x"},
	{"type":"longFirst","name":"n_first","fieldName":"n"},
	{"type":"longLast","name":"n_last","fieldName":"n","timeColumn":"at"},
	{"type":"doubleFirst","name":"x_first","fieldName":"x"},
	{"type":"doubleLast","name":"x_last","fieldName":"x"},
	{"type":"floatFirst","name":"f_first","fieldName":"x"},
	{"type":"stringFirst","name":"user_first","fieldName":"user","maxStringBytes":3},
	{"type":"stringLast","name":"user_last","fieldName":"user"},
	{"type":"hyperUnique","name":"users","fieldName":"user"},
	{"type":"cardinality","name":"pairs","fields":["text","user","n"],"byRow":true},
	{"type":"quantilesDoublesSketch","name":"x_q","fieldName":"x"},
	{"type":"filtered","filter":{"type":"bound","dimension":"n","lower":"3","ordering":"numeric"},
		"aggregator":{"type":"count","name":"big"}}
]`

// testDimensions are the dimensions of testRow: every type that there is.
var testDimensions = []segment.Column{
	{ID: 100, Name: "text", Type: segment.TypeString},
	{ID: 101, Name: "long", Type: segment.TypeLong},
	{ID: 102, Name: "double", Type: segment.TypeDouble},
	{ID: 103, Name: "float", Type: segment.TypeFloat},
	{ID: 104, Name: "json", Type: segment.TypeJSON},
}

type testRow struct {
	millis     int64
	position   segment.Position
	text, json *string
	long       *int64
	double     *float64
	float      *float32
	user       *string
	n, at      *int64
	x          *float64
}

func ref[T any](v T) *T { return &v }

// definition makes a rollup definition.
func definition(t testing.TB, granularity, metrics string, dimensions, sortBy []string, filter string) *rollup.Definition {
	t.Helper()
	d := &rollup.Definition{Rollup: true, Dimensions: dimensions, SortBy: sortBy}
	var err error
	if granularity != "" {
		if d.QueryGranularity, err = spec.ParseGranularity(granularity); err != nil {
			t.Fatal(err)
		}
	}
	if d.Metrics, _, err = rollup.ParseMetrics([]byte(metrics)); err != nil {
		t.Fatal(err)
	}
	if filter != "" {
		if d.Filter, err = rollup.ParseFilter([]byte(filter)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// testSchema has the dimensions, the inputs and the states of a list of metrics.
func testSchema(t testing.TB, metrics []rollup.Metric) *segment.Schema {
	t.Helper()
	s := &segment.Schema{ID: 1, Columns: slices.Clone(testDimensions), SortBy: []string{segment.TimeColumn}}
	for _, c := range testDimensions {
		s.Dimensions = append(s.Dimensions, c.Name)
	}
	inputs, err := rollup.Inputs(metrics, testDimensions)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range inputs {
		c.ID = int32(100 + len(s.Columns))
		s.Columns = append(s.Columns, c)
		s.Inputs = append(s.Inputs, c.Name)
	}
	plan, err := rollup.Compile(metrics, s.Columns)
	if err != nil {
		t.Fatal(err)
	}
	if s.States, err = rollup.StateColumns(plan); err != nil {
		t.Fatal(err)
	}
	for i := range s.States {
		s.States[i].ID = int32(1000 + i)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

func compile(t testing.TB, d *rollup.Definition, s *segment.Schema) *rollup.BucketPlan {
	t.Helper()
	p, err := d.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// randomRows gives rows with few values in each dimension and every oddity among them.
func randomRows(rng *rand.Rand, rows int) []testRow {
	maybe := func(part int) bool { return rng.IntN(part) == 0 }
	odd := []float64{math.NaN(), math.Float64frombits(0x7ff8000000000123), 0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), -1.5, 1e300}
	out := make([]testRow, rows)
	for i := range out {
		r := &out[i]
		r.millis = 1_600_000_000_000 + int64(rng.IntN(10_000_000))
		if maybe(10) {
			r.millis = -int64(rng.IntN(10_000_000))
		}
		r.position = segment.Position{
			Topic: []string{"t", "t2"}[rng.IntN(2)], Generation: int32(rng.IntN(2)), Partition: int32(rng.IntN(3)), Offset: int64(i),
		}
		if !maybe(5) {
			r.text = ref([]string{"", "a", "ab", "é", "z\x00"}[rng.IntN(5)])
		}
		if !maybe(5) {
			r.json = ref([]string{"{}", `{"a":1}`}[rng.IntN(2)])
		}
		if !maybe(5) {
			r.long = ref([]int64{0, -1, 7, math.MaxInt64, math.MinInt64}[rng.IntN(5)])
		}
		if !maybe(5) {
			r.double = ref(odd[rng.IntN(len(odd))])
		}
		if !maybe(5) {
			r.float = ref(float32(odd[rng.IntN(len(odd))]))
		}
		if !maybe(5) {
			r.user = ref(fmt.Sprint("u", rng.IntN(300)))
		}
		if !maybe(5) {
			r.n = ref(int64(rng.IntN(10)))
		}
		if !maybe(5) {
			r.at = ref(int64(rng.IntN(3)))
		}
		if !maybe(5) {
			r.x = ref(rng.NormFloat64() * math.Exp(rng.NormFloat64()*10))
			if maybe(6) {
				r.x = ref(odd[rng.IntN(len(odd))])
			}
		}
	}
	return out
}

// rawRecord gives rows as a file holds them.
func rawRecord(mem memory.Allocator, s *segment.Schema, rows []testRow) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, segment.FileArrowSchema(s))
	defer b.Release()
	for i := range rows {
		r := &rows[i]
		for k, f := range b.Schema().Fields() {
			appendField(b.Field(k), f.Name, r)
		}
	}
	return b.NewRecordBatch()
}

func appendField(b array.Builder, name string, r *testRow) {
	switch name {
	case "__time":
		b.(*array.TimestampBuilder).Append(arrow.Timestamp(r.millis * 1000))
	case "__topic":
		b.(*array.StringBuilder).Append(r.position.Topic)
	case "__generation":
		b.(*array.Int32Builder).Append(r.position.Generation)
	case "__partition":
		b.(*array.Int32Builder).Append(r.position.Partition)
	case "__offset":
		b.(*array.Int64Builder).Append(r.position.Offset)
	case "text", "json", "user":
		appendRef(b.(*array.StringBuilder), map[string]*string{"text": r.text, "json": r.json, "user": r.user}[name])
	case "long", "n", "at":
		appendRef(b.(*array.Int64Builder), map[string]*int64{"long": r.long, "n": r.n, "at": r.at}[name])
	case "double", "x":
		appendRef(b.(*array.Float64Builder), map[string]*float64{"double": r.double, "x": r.x}[name])
	case "float":
		appendRef(b.(*array.Float32Builder), r.float)
	default:
		panic("no column " + name)
	}
}

type appender[T any] interface {
	Append(T)
	AppendNull()
}

func appendRef[T any](b appender[T], v *T) {
	if v == nil {
		b.AppendNull()
		return
	}
	b.Append(*v)
}

// flushed gives the folder's groups in one list of batches, which the caller releases.
func flushed(t testing.TB, f *Folder, maxRows int) []arrow.RecordBatch {
	t.Helper()
	var out []arrow.RecordBatch
	err := f.Flush(t.Context(), maxRows, func(rec arrow.RecordBatch) error {
		if rec.NumRows() < 1 || rec.NumRows() > int64(maxRows) {
			t.Errorf("a batch of %d rows, of at most %d", rec.NumRows(), maxRows)
		}
		rec.Retain()
		out = append(out, rec)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.Groups() != 0 || f.Events() != 0 {
		t.Errorf("%d groups of %d events after a flush", f.Groups(), f.Events())
	}
	return out
}

func release(records []arrow.RecordBatch) {
	for _, r := range records {
		r.Release()
	}
}

// one joins batches into one record, which the caller releases; the batches are released.
func one(t testing.TB, mem memory.Allocator, s *arrow.Schema, batches []arrow.RecordBatch) arrow.RecordBatch {
	t.Helper()
	defer release(batches)
	columns := make([]arrow.Array, s.NumFields())
	var rows int64
	for _, b := range batches {
		if !b.Schema().Equal(s) {
			t.Fatalf("a batch of %v, not %v", b.Schema(), s)
		}
		rows += b.NumRows()
	}
	for i := range columns {
		var parts []arrow.Array
		for _, b := range batches {
			parts = append(parts, b.Column(i))
		}
		if len(parts) == 0 {
			columns[i] = array.MakeArrayOfNull(mem, s.Field(i).Type, 0)
		} else {
			var err error
			if columns[i], err = array.Concatenate(parts, mem); err != nil {
				t.Fatal(err)
			}
		}
		defer columns[i].Release()
	}
	return array.NewRecordBatch(s, columns, rows)
}

// difference says where two records differ in their bytes; "" where they do not.
func difference(a, b arrow.RecordBatch) string {
	if a.NumRows() != b.NumRows() || !a.Schema().Equal(b.Schema()) {
		return fmt.Sprintf("%d rows of %d columns, not %d of %d", b.NumRows(), b.NumCols(), a.NumRows(), a.NumCols())
	}
	for row := range int(a.NumRows()) {
		for i := range int(a.NumCols()) {
			if x, y := valueBytes(a.Column(i), row), valueBytes(b.Column(i), row); x != y {
				return fmt.Sprintf("row %d, column %s: %q, not %q", row, a.ColumnName(i), y, x)
			}
		}
	}
	return ""
}

// valueBytes gives a value exactly, bits of doubles included.
func valueBytes(column arrow.Array, row int) string {
	if column.IsNull(row) {
		return "null"
	}
	switch c := column.(type) {
	case *array.Float64:
		return fmt.Sprintf("%x", math.Float64bits(c.Value(row)))
	case *array.Float32:
		return fmt.Sprintf("%x", math.Float32bits(c.Value(row)))
	}
	return "=" + column.ValueStr(row)
}
