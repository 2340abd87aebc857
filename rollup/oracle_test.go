package rollup

import (
	"cmp"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// oracle computes one group's values the plain way, from the definitions in docs/format/rollup.md.
type oracle struct{ rows []testRow }

func (o oracle) longs(value func(testRow) *int64) (sum *big.Int, least, most *int64) {
	for _, r := range o.rows {
		v := value(r)
		if v == nil {
			continue
		}
		if sum == nil {
			sum, least, most = new(big.Int), v, v
		}
		sum.Add(sum, big.NewInt(*v))
		least, most = ref(min(*least, *v)), ref(max(*most, *v))
	}
	return sum, least, most
}

func (o oracle) doubles(value func(testRow) *float64) (sum *big.Float, least, most *float64) {
	for _, r := range o.rows {
		v := value(r)
		if v == nil || math.IsNaN(*v) {
			continue
		}
		if least == nil {
			least, most = v, v
		}
		least, most = ref(min(*least, *v)), ref(max(*most, *v))
		if !math.IsInf(*v, 0) {
			if sum == nil {
				sum = new(big.Float).SetPrec(3000)
			}
			sum.Add(sum, big.NewFloat(*v))
		}
	}
	return sum, least, most
}

func byPosition(a, b testRow) int {
	return cmp.Or(cmp.Compare(a.position.Topic, b.position.Topic), cmp.Compare(a.position.Generation, b.position.Generation),
		cmp.Compare(a.position.Partition, b.position.Partition), cmp.Compare(a.position.Offset, b.position.Offset))
}

// pick gives the first or last row by (time, position); rows without a time do not count.
func (o oracle) pick(time func(testRow) *int64, last bool) *testRow {
	rows := slices.DeleteFunc(slices.Clone(o.rows), func(r testRow) bool { return time(r) == nil })
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b testRow) int { return cmp.Or(cmp.Compare(*time(a), *time(b)), byPosition(a, b)) })
	if last {
		return &rows[len(rows)-1]
	}
	return &rows[0]
}

func wantValue[T comparable](t *testing.T, what string, column arrow.Array, g int, want *T) {
	t.Helper()
	var got any
	if column.IsValid(g) {
		got = column.GetOneForMarshal(g)
		switch col := column.(type) { // JSON would spell them
		case *array.Float64:
			got = col.Value(g)
		case *array.Float32:
			got = col.Value(g)
		}
	}
	if want == nil && got != nil || want != nil && got != any(*want) {
		if d, ok := any(want).(*float64); ok && d != nil && math.IsNaN(*d) && got != nil && math.IsNaN(got.(float64)) {
			return
		}
		t.Errorf("%s of group %d: %v, want %v", what, g, got, deref(want))
	}
}

func deref[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}

// TestAgainstOracle compares final values with plain computations.
func TestAgainstOracle(t *testing.T) {
	mem := memory.DefaultAllocator
	// n alone may overflow: it is measured elsewhere.
	plan := testPlan(t, allMetrics)
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		const groups = 4
		rows := randomRows(rng, rng.IntN(300), groups-1) // the last group stays empty
		for i := range rows {
			if n := rows[i].n; n != nil && (*n > 100 || *n < -100) {
				rows[i].n = nil
			}
		}
		states := aggregated(t, mem, plan, rows, groups)
		values := finals(t, mem, states)
		for g := range groups {
			checkGroup(t, values, g, slices.DeleteFunc(slices.Clone(rows), func(r testRow) bool { return int(r.group) != g }))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func checkGroup(t *testing.T, values map[string]arrow.Array, g int, rows []testRow) {
	t.Helper()
	o := oracle{rows}
	wantValue(t, "rows", values["rows"], g, ref(int64(len(rows))))
	sum, least, most := o.longs(func(r testRow) *int64 { return r.n })
	if sum != nil {
		wantValue(t, "n_sum", values["n_sum"], g, ref(sum.Int64()))
	} else {
		wantValue[int64](t, "n_sum", values["n_sum"], g, nil)
	}
	wantValue(t, "n_min", values["n_min"], g, least)
	wantValue(t, "n_max", values["n_max"], g, most)
	price := func(r testRow) *float64 { return r.price }
	total, low, high := o.doubles(price)
	var rounded *float64
	if total != nil {
		v, _ := total.Float64()
		rounded = &v
	}
	wantValue(t, "price_sum", values["price_sum"], g, rounded)
	wantValue(t, "price_min", values["price_min"], g, low)
	wantValue(t, "price_max", values["price_max"], g, high)
	big := int64(0)
	for _, r := range rows {
		if r.n != nil && *r.n >= 10 {
			big++
		}
	}
	wantValue(t, "big", values["big"], g, &big)
	checkPicks(t, values, g, o)
	checkSketches(t, values, g, rows)

	// not (event = a or user in (u1, u2, null)): unknown where an event is null and the user is none of them.
	some := oracle{slices.DeleteFunc(slices.Clone(rows), func(r testRow) bool {
		return r.event == nil || *r.event == "a" || r.user == nil || *r.user == "u1" || *r.user == "u2"
	})}
	total, _, _ = some.doubles(price)
	if rounded = nil; total != nil {
		v, _ := total.Float64()
		rounded = &v
	}
	wantValue(t, "some", values["some"], g, rounded)
}

func checkPicks(t *testing.T, values map[string]arrow.Array, g int, o oracle) {
	t.Helper()
	millis := func(r testRow) *int64 { return &r.millis }
	first, last := o.pick(millis, false), o.pick(millis, true)
	lastAt := o.pick(func(r testRow) *int64 { return r.at }, true)
	none := testRow{}
	if first == nil {
		first, last = &none, &none
	}
	if lastAt == nil {
		lastAt = &none
	}
	wantValue(t, "n_first", values["n_first"], g, first.n)
	wantValue(t, "n_last", values["n_last"], g, lastAt.n)
	wantValue(t, "price_first", values["price_first"], g, first.price)
	wantValue(t, "price_last", values["price_last"], g, last.price)
	wantValue(t, "ratio_first", values["ratio_first"], g, first.ratio)
	wantValue(t, "ratio_last", values["ratio_last"], g, last.ratio)
	wantValue(t, "user_last", values["user_last"], g, last.user)
	cut := first.user
	if cut != nil {
		runes := []rune(*cut)
		for len(string(runes)) > 5 {
			runes = runes[:len(runes)-1]
		}
		cut = ref(string(runes))
	}
	wantValue(t, "user_first", values["user_first"], g, cut)
}

// checkSketches: few values are estimated nearly exactly.
func checkSketches(t *testing.T, values map[string]arrow.Array, g int, rows []testRow) {
	t.Helper()
	users, either, prices, pairs := map[string]bool{}, map[string]bool{}, map[uint64]bool{}, map[any]bool{}
	finite := int64(0)
	for _, r := range rows {
		if r.user != nil {
			users[*r.user], either[*r.user] = true, true
		}
		if r.event != nil {
			either[*r.event] = true
		}
		if r.price != nil {
			prices[math.Float64bits(*r.price+0)] = true
			if !math.IsNaN(*r.price) && !math.IsInf(*r.price, 0) {
				finite++
			}
		}
		bits := any(nil)
		if r.price != nil {
			bits = math.Float64bits(*r.price + 0)
		}
		pairs[[4]any{deref(r.event), deref(r.user), deref(r.n), bits}] = true
	}
	for name, want := range map[string]int{"users": len(users), "either": len(either), "prices": len(prices), "pairs": len(pairs)} {
		if got := values[name].(*array.Int64).Value(g); math.Abs(float64(got)-float64(want)) > 1+0.01*float64(want) {
			t.Errorf("%s of group %d: %d, want %d", name, g, got, want)
		}
	}
	if got := values["price_q"].(*array.Int64).Value(g); got != finite {
		t.Errorf("price_q of group %d: %d values, want %d", g, got, finite)
	}
}

// TestLeftOut: what cannot be used is counted, and changes nothing.
func TestLeftOut(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, `[{"type":"doubleSum","name":"s","fieldName":"price"},{"type":"doubleMax","name":"m","fieldName":"price"},
		{"type":"longSum","name":"l","fieldName":"price"},{"type":"quantilesDoublesSketch","name":"q","fieldName":"price"},
		{"type":"floatSum","name":"f","fieldName":"price"}]`)
	var rows []testRow
	for _, v := range []float64{1.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e30, -2.75} {
		rows = append(rows, testRow{price: &v})
	}
	rows = append(rows, testRow{}, testRow{price: ref(1e300), group: 1}) // null; and what no float holds
	s := aggregated(t, mem, plan, rows, 2)
	values := finals(t, mem, s)
	if got := s.LeftOut(); !slices.Equal(got, []int64{3, 1, 5, 3, 4}) {
		t.Errorf("left out %v", got)
	}
	wantValue(t, "s", values["s"], 0, ref(1e30))
	wantValue(t, "m", values["m"], 0, ref(math.Inf(1)))
	wantValue(t, "l", values["l"], 0, ref(int64(-1)))
	wantValue(t, "q", values["q"], 0, ref(int64(3)))
	wantValue[float32](t, "f", values["f"], 1, nil)
}
