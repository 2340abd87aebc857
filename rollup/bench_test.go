package rollup

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

const benchRows = 2048

// benchRecord has ordinary values without nulls.
func benchRecord(rng *rand.Rand) arrow.RecordBatch {
	rows := make([]testRow, benchRows)
	for i := range rows {
		rows[i] = testRow{
			millis: int64(i), n: ref(int64(rng.IntN(1000))), price: ref(float64(rng.IntN(1_000_000)) / 100),
			user: ref(fmt.Sprint("user", rng.IntN(50_000))), event: ref(fmt.Sprint("event", rng.IntN(5))),
		}
		rows[i].position.Offset = int64(i)
	}
	return recordOf(memory.DefaultAllocator, rows)
}

var benchMetrics = []struct{ name, metric string }{
	{"count", `{"type":"count","name":"m"}`},
	{"longSum", `{"type":"longSum","name":"m","fieldName":"n"}`},
	{"doubleSum", `{"type":"doubleSum","name":"m","fieldName":"price"}`},
	{"doubleMax", `{"type":"doubleMax","name":"m","fieldName":"price"}`},
	{"longFirst", `{"type":"longFirst","name":"m","fieldName":"n"}`},
	{"stringLast", `{"type":"stringLast","name":"m","fieldName":"user"}`},
	{"filtered longSum", `{"type":"filtered","filter":{"type":"selector","dimension":"event","value":"event1"},
		"aggregator":{"type":"longSum","name":"m","fieldName":"n"}}`},
	{"distinct", `{"type":"hyperUnique","name":"m","fieldName":"user"}`},
	{"quantiles", `{"type":"quantilesDoublesSketch","name":"m","fieldName":"price"}`},
}

// BenchmarkAddRows measures each aggregator beside its floor: a plain loop that adds the column's values to a slice by
// group, in the same run. Rows of 2,048 go to 1,000 groups.
func BenchmarkAddRows(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	rec := benchRecord(rng)
	defer rec.Release()
	groups := make([]uint32, benchRows)
	for i := range groups {
		groups[i] = uint32(rng.IntN(1000))
	}
	b.Run("floor: plain sum", func(b *testing.B) {
		sums := make([]float64, 1000)
		price := rec.Column(rec.Schema().FieldIndices("price")[0]).(*array.Float64).Float64Values()
		for b.Loop() {
			for i, g := range groups {
				sums[g] += price[i]
			}
		}
		perRow(b)
	})
	b.Run("beside: compensated sum", func(b *testing.B) { // not exact, so that trees would tell
		sums := make([][2]float64, 1000)
		price := rec.Column(rec.Schema().FieldIndices("price")[0]).(*array.Float64).Float64Values()
		for b.Loop() {
			for i, g := range groups {
				sum, e := twoSum(sums[g][0], price[i])
				sums[g][0], sums[g][1] = sum, sums[g][1]+e
			}
		}
		perRow(b)
	})
	for _, bench := range benchMetrics {
		b.Run(bench.name, func(b *testing.B) {
			s := testPlan(b, "["+bench.metric+"]").NewStates()
			s.Grow(1000)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.AddRows(Rows{Record: rec}, 0, groups); err != nil {
					b.Fatal(err)
				}
			}
			perRow(b)
		})
	}
}

func perRow(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
}

// BenchmarkMerge measures storing and merging the states of 1,000 groups of two rows each.
func BenchmarkMerge(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	rec := benchRecord(rng)
	defer rec.Release()
	groups := make([]uint32, benchRows)
	for i := range groups {
		groups[i] = uint32(i % 1000)
	}
	for _, bench := range benchMetrics {
		b.Run(bench.name, func(b *testing.B) {
			plan := testPlan(b, "["+bench.metric+"]")
			s := plan.NewStates()
			s.Grow(1000)
			if err := s.AddRows(Rows{Record: rec}, 0, groups); err != nil {
				b.Fatal(err)
			}
			order := upTo(1000)
			for b.Loop() {
				into := plan.NewStates()
				into.Grow(1000)
				for range 2 {
					if err := into.Merge(memory.DefaultAllocator, s, order); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/state")
		})
	}
}
