package rollup

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// TestDoubleSumsAreExact: the stored parts add up to the exact sum, and the first is its rounding.
func TestDoubleSumsAreExact(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		spread := []int{1, 20, 60, 300, 1000}[seed%5]
		a := &doubleSum{}
		a.grow(1)
		exact := new(big.Float).SetPrec(4000)
		for range rng.IntN(200) {
			v := math.Ldexp(rng.NormFloat64(), rng.IntN(2*spread)-spread)
			if rng.IntN(4) == 0 {
				v = -math.Ldexp(1, rng.IntN(2*spread)-spread)
			}
			if math.IsInf(v, 0) {
				continue
			}
			a.add(0, v)
			exact.Add(exact, new(big.Float).SetFloat64(v))
		}
		value, rest := a.parts(&a.sums[0])
		want, _ := exact.Float64()
		if value != want {
			t.Fatalf("seed %d: %v, want %v", seed, value, want)
		}
		sum := new(big.Float).SetPrec(4000).SetFloat64(value)
		for _, part := range rest {
			sum.Add(sum, new(big.Float).SetFloat64(part))
		}
		if sum.Cmp(exact) != 0 {
			t.Fatalf("seed %d: the parts %v and %v do not add up", seed, value, rest)
		}
		if spread <= 20 && a.sums[0].wide != 0 {
			t.Errorf("seed %d: a sum of ordinary values needs a wide accumulator", seed)
		}
	}
}

func TestDoubleSumsBeyondRange(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, `[{"type":"doubleSum","name":"s","fieldName":"price"}]`)
	rows := []testRow{{price: ref(math.MaxFloat64)}, {price: ref(math.MaxFloat64)}, {price: ref(5e-324)}}
	over := aggregated(t, mem, plan, rows, 1)
	wantValue(t, "the sum", finals(t, mem, over)["s"], 0, ref(math.Inf(1)))
	// A partial sum beyond the range does not decide: what is taken back is back.
	back := aggregated(t, mem, plan, []testRow{{price: ref(-math.MaxFloat64)}, {price: ref(-math.MaxFloat64)}}, 1)
	if err := back.Merge(mem, over, []uint32{0}); err != nil {
		t.Fatal(err)
	}
	wantValue(t, "the sum", finals(t, mem, back)["s"], 0, ref(5e-324))
}

// TestWideSumsSettle: carries reach the last chunk in time.
func TestWideSumsSettle(t *testing.T) {
	var w wideSum
	w.adds = 1<<30 - 3
	for range 10 {
		w.add(-math.MaxFloat64)
		w.add(1)
	}
	want := new(big.Int).Mul(exactUnits(-math.MaxFloat64, 0), big.NewInt(10))
	want.Add(want, new(big.Int).Mul(exactUnits(1, 0), big.NewInt(10)))
	if got := w.units(); got.Cmp(want) != 0 {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestLongSumsNeverWrap: a sum that does not fit is an error that names metric and value, and is exact within larger ones.
func TestLongSumsNeverWrap(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, `[{"type":"count","name":"c"},{"type":"longSum","name":"s","fieldName":"n"}]`)
	for _, sign := range []int64{1, -1} {
		edge := int64(math.MaxInt64)
		if sign < 0 {
			edge = math.MinInt64
		}
		rows := []testRow{{n: &edge}, {n: &edge}, {n: ref(sign)}}
		over := aggregated(t, mem, plan, rows, 1)
		_, err := over.Final(mem, upTo(1))
		var overflow *OverflowError
		want := new(big.Int).Add(new(big.Int).Mul(big.NewInt(edge), big.NewInt(2)), big.NewInt(sign)).String()
		if !errors.As(err, &overflow) || overflow.Metric != "s" || overflow.Value != want {
			t.Errorf("%v, want an overflow of %s", err, want)
		}
		again := plan.NewStates()
		again.Grow(1)
		for range 3 {
			if err := again.Merge(mem, over, []uint32{0}); err != nil {
				t.Fatal(err)
			}
		}
		back := -edge
		if sign < 0 {
			back = math.MaxInt64
		}
		var others []testRow
		for range 6 {
			others = append(others, testRow{n: &back})
			if sign < 0 {
				others = append(others, testRow{n: ref(int64(1))})
			}
		}
		if err := again.Merge(mem, aggregated(t, mem, plan, others, 1), []uint32{0}); err != nil {
			t.Fatal(err)
		}
		wantValue(t, "the sum", finals(t, mem, again)["s"], 0, ref(3*sign))
	}
}

// TestDamagedSums: what is not in the one form is refused.
func TestDamagedSums(t *testing.T) {
	a := &doubleSum{}
	a.grow(1)
	for _, test := range []struct {
		value float64
		rest  []float64
	}{
		{math.NaN(), nil},
		{math.Inf(1), nil},
		{1, []float64{0}},
		{1, []float64{1}},
		{1, []float64{math.NaN()}},
		{1, []float64{0x1p-60, 0x1p-60}},
		{1, []float64{0x1p-53, 0x1p-110}}, // the tie is broken upward
		{math.Inf(1), []float64{0.5}},
		{math.Inf(-1), []float64{4}},
		{math.Inf(1), []float64{0x1p64}},
		{1, slices.Repeat([]float64{1}, 100)},
	} {
		if err := a.addState(0, test.value, restBytes(test.rest)); err == nil {
			t.Errorf("%v is accepted", test)
		}
	}
	if err := a.addState(0, 1, []byte{1, 2, 3}); err == nil {
		t.Error("a rest of 3 bytes is accepted")
	}
	if value, rest := a.parts(&a.sums[0]); value != 0 || len(rest) != 0 {
		t.Errorf("damaged sums have left %v and %v", value, rest)
	}
}
