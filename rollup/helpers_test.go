package rollup

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"drumlin/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testColumns are the columns of testRow.
var testColumns = []segment.Column{
	{ID: 100, Name: "event", Type: segment.TypeString},
	{ID: 101, Name: "user", Type: segment.TypeString},
	{ID: 102, Name: "n", Type: segment.TypeLong},
	{ID: 103, Name: "price", Type: segment.TypeDouble},
	{ID: 104, Name: "ratio", Type: segment.TypeFloat},
	{ID: 105, Name: "at", Type: segment.TypeLong},
}

// testRow is one row; a nil value is null.
type testRow struct {
	millis      int64
	position    segment.Position
	event, user *string
	n           *int64
	price       *float64
	ratio       *float32
	at          *int64
	group       uint32
}

func ref[T any](v T) *T { return &v }

// allMetrics has every aggregator at least once.
const allMetrics = `[
	{"type":"count","name":"rows"},
	{"type":"longSum","name":"n_sum","fieldName":"n"},
	{"type":"longMin","name":"n_min","fieldName":"n"},
	{"type":"longMax","name":"n_max","fieldName":"n"},
	{"type":"longSum","name":"price_cut","fieldName":"price"},
	{"type":"doubleSum","name":"price_sum","fieldName":"price"},
	{"type":"doubleMin","name":"price_min","fieldName":"price"},
	{"type":"doubleMax","name":"price_max","fieldName":"price"},
	{"type":"floatSum","name":"ratio_sum","fieldName":"ratio"},
	{"type":"floatMin","name":"ratio_min","fieldName":"ratio"},
	{"type":"floatMax","name":"ratio_max","fieldName":"price"},
	{"type":"longFirst","name":"n_first","fieldName":"n"},
	{"type":"longLast","name":"n_last","fieldName":"n","timeColumn":"at"},
	{"type":"doubleFirst","name":"price_first","fieldName":"price"},
	{"type":"doubleLast","name":"price_last","fieldName":"price"},
	{"type":"floatFirst","name":"ratio_first","fieldName":"ratio"},
	{"type":"floatLast","name":"ratio_last","fieldName":"ratio"},
	{"type":"stringFirst","name":"user_first","fieldName":"user","maxStringBytes":5},
	{"type":"stringLast","name":"user_last","fieldName":"user"},
	{"type":"hyperUnique","name":"users","fieldName":"user"},
	{"type":"cardinality","name":"pairs","fields":["event","user","n","price"],"byRow":true},
	{"type":"cardinality","name":"either","fields":["event","user"]},
	{"type":"HLLSketchBuild","name":"prices","fieldName":"price"},
	{"type":"quantilesDoublesSketch","name":"price_q","fieldName":"price"},
	{"type":"filtered","name":"big","filter":{"type":"bound","dimension":"n","lower":"10","ordering":"numeric"},
		"aggregator":{"type":"count"}},
	{"type":"filtered","filter":{"type":"not","field":{"type":"or","fields":[
		{"type":"selector","dimension":"event","value":"a"},{"type":"in","dimension":"user","values":["u1","u2",null]}]}},
		"aggregator":{"type":"doubleSum","name":"some","fieldName":"price"}}
]`

func testPlan(t testing.TB, metrics string) *Plan {
	t.Helper()
	list, _, err := ParseMetrics([]byte(metrics))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Compile(list, testColumns)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// randomRows gives rows with every oddity: nulls, NaN, infinite values, zeroes of both signs, cancellation, huge and tiny
// values, texts of several bytes a character, equal times.
func randomRows(rng *rand.Rand, rows, groups int) []testRow {
	maybe := func(part int) bool { return rng.IntN(part) == 0 }
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1e300, -1e300, 5e-324, math.MaxFloat64, -math.MaxFloat64, 0.1}
	out := make([]testRow, rows)
	for i := range out {
		r := testRow{millis: 1_600_000_000_000 + int64(rng.IntN(20))*1000, group: uint32(rng.IntN(groups))}
		r.position = segment.Position{
			Topic: []string{"t", "t2", "a"}[rng.IntN(3)], Generation: int32(rng.IntN(2)), Partition: int32(rng.IntN(3)), Offset: int64(i),
		}
		if !maybe(8) {
			r.event = ref(string(rune('a' + rng.IntN(3))))
		}
		if !maybe(8) {
			r.user = ref(fmt.Sprint("u", rng.IntN(400), []string{"", "é世界"}[rng.IntN(2)]))
		}
		if !maybe(8) {
			r.n = ref(int64(rng.IntN(40)) - 10)
			if maybe(20) {
				r.n = ref([]int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - 1}[rng.IntN(3)])
			}
		}
		if !maybe(8) {
			r.price = ref(math.Trunc(rng.Float64()*100_000) / 100)
			if maybe(6) {
				r.price = ref(odd[rng.IntN(len(odd))])
			}
			if maybe(6) {
				r.price = ref(rng.NormFloat64() * math.Exp(rng.NormFloat64()*10))
			}
		}
		if !maybe(8) {
			r.ratio = ref(float32(rng.NormFloat64()))
		}
		if !maybe(4) {
			r.at = ref(int64(rng.IntN(5)))
		}
		out[i] = r
	}
	return out
}

// recordOf makes a record as a file's.
func recordOf(mem memory.Allocator, rows []testRow) arrow.RecordBatch {
	s := &segment.Schema{ID: 1, Columns: testColumns, SortBy: []string{"__time"}}
	for _, c := range testColumns {
		s.Dimensions = append(s.Dimensions, c.Name)
	}
	b := array.NewRecordBuilder(mem, segment.FileArrowSchema(s))
	defer b.Release()
	for _, r := range rows {
		for i, f := range b.Schema().Fields() {
			switch fb := b.Field(i).(type) {
			case *array.TimestampBuilder:
				fb.Append(arrow.Timestamp(r.millis * 1000))
			case *array.StringBuilder:
				appendRef(fb, map[string]*string{"__topic": &r.position.Topic, "event": r.event, "user": r.user}[f.Name])
			case *array.Int32Builder:
				appendRef(fb, map[string]*int32{"__generation": &r.position.Generation, "__partition": &r.position.Partition}[f.Name])
			case *array.Int64Builder:
				appendRef(fb, map[string]*int64{"__offset": &r.position.Offset, "n": r.n, "at": r.at}[f.Name])
			case *array.Float64Builder:
				appendRef(fb, r.price)
			case *array.Float32Builder:
				appendRef(fb, r.ratio)
			}
		}
	}
	return b.NewRecordBatch()
}

func appendRef[T any](b builder[T], v *T) {
	if v == nil {
		b.AppendNull()
		return
	}
	b.Append(*v)
}

func groupsOf(rows []testRow) []uint32 {
	out := make([]uint32, len(rows))
	for i, r := range rows {
		out[i] = r.group
	}
	return out
}

func upTo(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}

// aggregated gives states of the rows.
func aggregated(t testing.TB, mem memory.Allocator, plan *Plan, rows []testRow, groups int) *States {
	t.Helper()
	s := plan.NewStates()
	s.Grow(groups)
	rec := recordOf(mem, rows)
	defer rec.Release()
	if err := s.AddRows(Rows{Record: rec}, 0, groupsOf(rows)); err != nil {
		t.Fatal(err)
	}
	return s
}

// stateText gives every state column as text, one per column.
func stateText(t testing.TB, mem memory.Allocator, s *States) map[string]string {
	t.Helper()
	columns, err := s.Columns(mem, upTo(s.Len()))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for i, f := range s.plan.StateFields() {
		out[f.Name] = columns[i].String()
		columns[i].Release()
	}
	return out
}

// finals gives the final columns; the test releases them.
func finals(t testing.TB, mem memory.Allocator, s *States) map[string]arrow.Array {
	t.Helper()
	columns, err := s.Final(mem, upTo(s.Len()))
	if err != nil {
		t.Fatal(err)
	}
	fields, err := s.plan.FinalFields()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]arrow.Array{}
	for i, f := range fields {
		if !arrow.TypeEqual(f.Type, columns[i].DataType()) {
			t.Errorf("column %s has type %s, announced as %s", f.Name, columns[i].DataType(), f.Type)
		}
		out[f.Name] = columns[i]
		t.Cleanup(columns[i].Release)
	}
	return out
}
