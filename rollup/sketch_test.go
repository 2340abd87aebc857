package rollup

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/axiomhq/hyperloglog"
)

// distinctTree sketches the values along a random tree.
func distinctTree(t *testing.T, rng *rand.Rand, values []int64) *Distinct {
	t.Helper()
	var d Distinct
	if len(values) < 3 || rng.IntN(5) == 0 {
		for _, v := range values {
			d.Add(HashLong(v))
		}
		if rng.IntN(2) == 0 {
			d.Estimate() // compacts inside
		}
		return &d
	}
	at := rng.IntN(len(values))
	for _, part := range []*Distinct{distinctTree(t, rng, values[:at]), distinctTree(t, rng, values[at:])} {
		if rng.IntN(2) == 0 || part.Empty() {
			if err := d.MergeFrom(part); err != nil {
				t.Fatal(err)
			}
			continue
		}
		state, err := part.AppendState(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Merge(state); err != nil {
			t.Fatal(err)
		}
	}
	return &d
}

// TestDistinctHasOneForm: equal sets give equal bytes for any tree of merges, at every size around the ways that the
// sketch changes its form: plain hashes, sorted list, registers.
func TestDistinctHasOneForm(t *testing.T) {
	sparse, dense := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 4))
		n := []int{60, 64, 65, 127, 128, 129, 164, 300, 5000, 8100, 8150, 8200, 8250, 8300, 8400, 9000, 12_000, 30_000}[seed%18]
		values := make([]int64, 0, n+n/3)
		for i := range n {
			values = append(values, int64(i)<<20+int64(seed))
		}
		for range n / 3 { // repeats
			values = append(values, values[rng.IntN(n)])
		}
		var want []byte
		for range 3 {
			rng.Shuffle(len(values), func(i, k int) { values[i], values[k] = values[k], values[i] })
			state, err := distinctTree(t, rng, values).AppendState(nil)
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = state
			}
			if !bytes.Equal(state, want) {
				t.Fatalf("seed %d: %d values give %d bytes and %d bytes, or others", seed, n, len(want), len(state))
			}
		}
		if want[3] == 1 {
			sparse++
		} else {
			dense++
		}
	}
	if sparse < 10 || dense < 10 {
		t.Errorf("%d sparse and %d dense sketches: the change between them is not covered", sparse, dense)
	}
}

// TestLibraryAloneHasNoOneForm tells why appendSketch is there: the library's bytes depend on history.
func TestLibraryAloneHasNoOneForm(t *testing.T) {
	a, b := hyperloglog.New14(), hyperloglog.New14()
	for i := range 10 {
		a.InsertHash(HashLong(int64(i)))
		b.InsertHash(HashLong(int64(i)))
	}
	b.Estimate()
	x, errX := a.AppendBinary(nil)
	y, errY := b.AppendBinary(nil)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	if bytes.Equal(x, y) {
		t.Error("the library has one form now: appendSketch need not bring it about")
	}
}

// TestDistinctAccuracy: five standard errors of 0.81 %, over sizes and seeds; small sets are nearly exact.
func TestDistinctAccuracy(t *testing.T) {
	var squares float64
	n := 0
	for _, size := range []int{1, 10, 100, 1000, 5000, 20_000, 100_000} {
		for seed := range 4 {
			var d Distinct
			for i := range size {
				d.Add(HashLong(int64(seed)<<40 + int64(i)))
			}
			off := (float64(d.Estimate()) - float64(size)) / float64(size)
			limit := 5 * 0.0081
			if size <= 1000 {
				limit = 0.002
			}
			if math.Abs(off) > limit {
				t.Errorf("%d values, seed %d: off by %.2f %%", size, seed, off*100)
			}
			if size >= 20_000 {
				squares += off * off
				n++
			}
		}
	}
	if rms := math.Sqrt(squares / float64(n)); rms > 0.0081*1.8 {
		t.Errorf("root mean square error %.2f %%", rms*100)
	}
}

func distributions(rng *rand.Rand) map[string]func() float64 {
	return map[string]func() float64{
		"latencies":   func() float64 { return math.Exp(rng.NormFloat64()*1.5 + 3) },
		"both signs":  func() float64 { return rng.NormFloat64() * 1000 },
		"whole":       func() float64 { return float64(rng.IntN(50)) },
		"any doubles": func() float64 { return math.Ldexp(rng.Float64()+0.5, rng.IntN(2000)-1000) },
		"constant":    func() float64 { return 42 },
	}
}

// TestQuantilesWithinBound: every quantile within 1 % of the exact one, and equal to the library's own sketch.
func TestQuantilesWithinBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for name, draw := range distributions(rng) {
		for _, n := range []int{1, 2, 10, 127, 128, 129, 5000} {
			var q Quantiles
			library, err := ddsketch.LogUnboundedDenseDDSketch(QuantileError)
			if err != nil {
				t.Fatal(err)
			}
			values := make([]float64, n)
			for i := range values {
				values[i] = draw()
				q.Add(values[i])
				if err := library.Add(values[i]); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(values)
			for _, p := range []float64{0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1} {
				got, ok, err := q.Quantile(p)
				want := values[int(p*float64(n-1))]
				if err != nil || !ok || math.Abs(got-want) > math.Abs(want)*QuantileError*(1+1e-9) {
					t.Errorf("%s, %d values: quantile %v is %v, want %v within 1 %% (%v)", name, n, p, got, want, err)
				}
				theirs, err := library.GetValueAtQuantile(math.Floor(p*float64(n-1)) / float64(max(n-1, 1)))
				if err != nil || theirs != got && math.Abs(theirs-got) > math.Abs(want)*2*QuantileError {
					t.Errorf("%s, %d values: quantile %v is %v, the library's %v (%v)", name, n, p, got, theirs, err)
				}
			}
		}
	}
}

// TestQuantilesEdges: the ends of the doubles' range have bins; what has none is said.
func TestQuantilesEdges(t *testing.T) {
	var q Quantiles
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if q.Add(v) {
			t.Errorf("%v is taken", v)
		}
	}
	if _, ok, err := q.Quantile(0.5); ok || err != nil || !q.Empty() {
		t.Errorf("an empty sketch has a median: %v, %v", ok, err)
	}
	for _, v := range []float64{math.MaxFloat64, -math.MaxFloat64, 5e-324, -5e-324, 0, 1e-307} {
		if !q.Add(v) {
			t.Errorf("%v is not taken", v)
		}
	}
	for _, test := range []struct{ p, want float64 }{{0, -math.MaxFloat64}, {0.5, 0}, {1, math.MaxFloat64}, {0.85, 1e-307}} {
		if got, _, err := q.Quantile(test.p); err != nil || math.Abs(got-test.want) > math.Abs(test.want)*2*QuantileError {
			t.Errorf("quantile %v is %v, want %v (%v)", test.p, got, test.want, err)
		}
	}
	for _, p := range []float64{-0.1, 1.1, math.NaN()} {
		if _, _, err := q.Quantile(p); err == nil {
			t.Errorf("quantile %v is accepted", p)
		}
	}
	if q.Count() != 6 {
		t.Errorf("%d values", q.Count())
	}
}

// TestSketchStatesOfNothing: nil is the empty sketch.
func TestSketchStatesOfNothing(t *testing.T) {
	if n, err := EstimateDistinct(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	if s, err := MergeDistinct(nil, nil); s != nil || err != nil {
		t.Error(s, err)
	}
	if s, err := MergeQuantiles(nil); s != nil || err != nil {
		t.Error(s, err)
	}
	if _, ok, err := QuantileOf(nil, 0.5); ok || err != nil {
		t.Error(ok, err)
	}
}

// TestHashesOfValues: what is equal hashes equally, what is not does not.
func TestHashesOfValues(t *testing.T) {
	if HashText([]byte("abc")) != HashString("abc") || HashDouble(0) != HashDouble(math.Copysign(0, -1)) ||
		HashDouble(math.NaN()) != HashDouble(math.Float64frombits(0x7ff8000000000123)) {
		t.Error("equal values have two hashes")
	}
	if HashLong(1) == HashDouble(1) || HashLong(1) == HashString("1") {
		t.Error("values of two types have one hash")
	}
}
