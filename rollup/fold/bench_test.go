package fold

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/rollup"
)

const benchRows = 100_000

// benchDefinition groups by two texts and a number, as event streams do.
func benchDefinition(b *testing.B) *rollup.Definition {
	return definition(b, "hour", `[{"type":"count","name":"rows"},{"type":"longSum","name":"n","fieldName":"n"},
		{"type":"doubleSum","name":"x","fieldName":"x"}]`, []string{"text", "json", "long"}, nil, "")
}

// benchRecord has benchRows rows of about that many groups, without nulls.
func benchRecord(b *testing.B, groups int) (*rollup.BucketPlan, arrow.RecordBatch) {
	d := benchDefinition(b)
	s := testSchema(b, d.Metrics)
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]testRow, benchRows)
	for i := range rows {
		g := rng.IntN(groups)
		rows[i] = testRow{
			millis: 1_600_000_000_000 + int64(g%24)*3_600_000 + int64(i), text: ref(fmt.Sprint("event name ", g/24%50)),
			json: ref(fmt.Sprint("country ", g/1200%100)), long: ref(int64(g / 120_000)), n: ref(int64(i % 1000)),
			x: ref(float64(rng.IntN(1_000_000)) / 100),
		}
		rows[i].position.Offset = int64(i)
	}
	return compile(b, d, s), rawRecord(memory.DefaultAllocator, s, rows)
}

func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
	b.ReportMetric(float64(b.N)*float64(rows)/b.Elapsed().Seconds()/1000, "krow/s")
}

// BenchmarkAddRows folds rows with three metrics, beside its floors in the same run: a map whose key is the row's values and
// whose value is three plain sums.
func BenchmarkAddRows(b *testing.B) {
	for _, groups := range []int{1_000, 50_000} {
		p, rec := benchRecord(b, groups)
		b.Run(fmt.Sprintf("groups=%d/fold", groups), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, err := New(p, memory.DefaultAllocator)
				if err != nil {
					b.Fatal(err)
				}
				if err := f.AddRows(rollup.Rows{Record: rec}, nil); err != nil {
					b.Fatal(err)
				}
				f.Release()
			}
			perRow(b, benchRows)
		})
		b.Run(fmt.Sprintf("groups=%d/floor: plain map", groups), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plainMap(rec)
			}
			perRow(b, benchRows)
		})
		rec.Release()
	}
}

type plainKey struct {
	time       int64
	text, json string
	long       int64
}

type plainSums struct {
	rows, n int64
	x       float64
}

// plainMap groups without filters, nulls, or exact sums.
func plainMap(rec arrow.RecordBatch) map[plainKey]*plainSums {
	column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
	times := column("__time").(*array.Timestamp).TimestampValues()
	text, json := column("text").(*array.String), column("json").(*array.String)
	long, n := column("long").(*array.Int64).Int64Values(), column("n").(*array.Int64).Int64Values()
	x := column("x").(*array.Float64).Float64Values()
	out := map[plainKey]*plainSums{}
	for i, t := range times {
		key := plainKey{int64(t) / 3_600_000_000 * 3_600_000_000, text.Value(i), json.Value(i), long[i]}
		sums := out[key]
		if sums == nil {
			sums = &plainSums{}
			out[key] = sums
		}
		sums.rows++
		sums.n += n[i]
		sums.x += x[i]
	}
	return out
}

// BenchmarkFlush orders 50,000 groups and makes columns of them, and folds what comes out again.
func BenchmarkFlush(b *testing.B) {
	p, rec := benchRecord(b, 50_000)
	defer rec.Release()
	f, err := New(p, memory.DefaultAllocator)
	if err != nil {
		b.Fatal(err)
	}
	if err := f.AddRows(rollup.Rows{Record: rec}, nil); err != nil {
		b.Fatal(err)
	}
	groups := f.Groups()
	for b.Loop() {
		for _, batch := range flushed(b, f, 122_880) {
			if err := f.AddFolded(batch); err != nil {
				b.Fatal(err)
			}
			batch.Release()
		}
	}
	perRow(b, groups)
}
