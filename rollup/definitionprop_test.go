package rollup

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
	"drumlin/spec"
)

func granularity(t testing.TB, name string) spec.Granularity {
	t.Helper()
	g, err := spec.ParseQueryGranularity(name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// someOf picks each of a list with the chance of part in parts, keeping their order.
func someOf[T any](rng *rand.Rand, list []T, part, parts int) []T {
	out := []T{}
	for _, v := range list {
		if rng.IntN(parts) < part {
			out = append(out, v)
		}
	}
	return out
}

// randomChange is one that may or may not be allowed.
func randomChange(t testing.TB, rng *rand.Rand, stored []Metric, rollup bool) Change {
	t.Helper()
	var c Change
	if rng.IntN(3) == 0 {
		g := granularity(t, append([]string{"none"}, granularities...)[rng.IntN(len(granularities)+1)])
		c.QueryGranularity = &g
	}
	dimensions := []string{"country", "city", "age", "old"}
	if rollup {
		dimensions = dimensions[:3]
	}
	switch rng.IntN(4) {
	case 0:
		c.Dimensions = someOf(rng, dimensions, 3, 4)
	case 1:
		c.Exclusions = someOf(rng, dimensions, 1, 3)
	}
	if rollup && rng.IntN(3) == 0 {
		c.Metrics = someOf(rng, stored, 2, 3)
		rng.Shuffle(len(c.Metrics), func(i, k int) { c.Metrics[i], c.Metrics[k] = c.Metrics[k], c.Metrics[i] })
	}
	if rng.IntN(3) == 0 {
		c.Filter = randomFilter(rng)
	}
	return c
}

func randomFilter(rng *rand.Rand) *Filter {
	const year = 1420070400000 // 2015-01-01
	times := []int64{year, year + 3_600_000, year + 86_400_000, year + 61_000}
	switch rng.IntN(4) {
	case 0:
		return &Filter{Type: "bound", Column: segment.TimeColumn, Numeric: true, Ordering: orderNumeric, Lower: ref(fmt.Sprint(times[rng.IntN(4)]))}
	case 1:
		return &Filter{
			Type: "bound", Column: segment.TimeColumn, Numeric: true, Ordering: orderNumeric,
			Upper: ref(fmt.Sprint(times[rng.IntN(4)])), UpperStrict: true,
		}
	case 2:
		return &Filter{Type: "not", Field: &Filter{Type: "selector", Column: "city", Values: []*string{ref("a")}}}
	}
	return &Filter{Type: "and", Fields: []*Filter{
		{Type: "selector", Column: "country", Values: []*string{nil}},
		{Type: "in", Column: "city", Values: []*string{ref("a"), ref("b")}},
	}}
}

// text is the canonical form without the order of rows, which follows other rules.
func text(t testing.TB, d *Definition) string {
	t.Helper()
	plain := d.clone()
	plain.SortBy = nil
	out, err := plain.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// changeTo asks for all that a definition is.
func changeTo(s *segment.Schema, d *Definition) Change {
	c := Change{QueryGranularity: &d.QueryGranularity, Metrics: d.Metrics, Filter: d.Filter}
	if d.Rollup && c.Metrics == nil {
		c.Metrics = []Metric{}
	}
	if c.Dimensions = d.dimensionsOf(s); len(c.Dimensions) == 0 {
		c.Exclusions = tableColumns(s)
	}
	return c
}

// narrowed applies changes one after the other, leaving out those that are refused.
func narrowed(t testing.TB, rng *rand.Rand, d *Definition, s *segment.Schema) *Definition {
	t.Helper()
	for range rng.IntN(4) {
		if out, err := d.Narrow(randomChange(t, rng, d.clone().Metrics, d.clone().Rollup), s); err == nil {
			d = out
		}
	}
	return d
}

// TestNarrowing: asking again changes nothing; two changes that are allowed in both orders do the same in both; what was
// narrowed meets what it came from in itself; and two definitions meet in one that both narrow to, and that whatever both
// narrow to is narrower than.
func TestNarrowing(t *testing.T) {
	commuted, met := 0, 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 7))
		rollup := seed%2 == 0
		s := definitionSchema(t, rollup)
		var start *Definition
		if rollup {
			start, _ = storedDefinition(t, s, "STORED")
		}
		d := narrowed(t, rng, start, s)
		a := randomChange(t, rng, d.clone().Metrics, rollup)
		b := randomChange(t, rng, d.clone().Metrics, rollup)
		first, err := d.Narrow(a, s)
		if err != nil {
			continue
		}
		again, err := first.Narrow(a, s)
		if err != nil || text(t, again) != text(t, first) {
			t.Fatalf("seed %d: again, %s becomes %v, %v", seed, text(t, first), again, err)
		}
		if both, err := Meet(s, d, first); err != nil || text(t, both) != text(t, first) {
			t.Fatalf("seed %d: %s and its narrower %s meet in %v, %v", seed, text(t, d), text(t, first), both, err)
		}
		second, err := d.Narrow(b, s)
		if err != nil {
			continue
		}
		ab, errAB := first.Narrow(b, s)
		ba, errBA := second.Narrow(a, s)
		if errAB == nil && errBA == nil {
			commuted++
			if text(t, ab) != text(t, ba) {
				t.Fatalf("seed %d: %s in one order, %s in the other", seed, text(t, ab), text(t, ba))
			}
		}
		if checkMeet(t, seed, s, first, second) {
			met++
		}
	}
	if commuted < 100 || met < 100 {
		t.Errorf("%d pairs commuted and %d met: the test shows little", commuted, met)
	}
}

func checkMeet(t *testing.T, seed uint64, s *segment.Schema, a, b *Definition) bool {
	t.Helper()
	m, err := Meet(s, a, b)
	other, errOther := Meet(s, b, a)
	if (err == nil) != (errOther == nil) {
		t.Fatalf("seed %d: met %v, %v; the other way round %v, %v", seed, m, err, other, errOther)
	}
	if err != nil {
		return false
	}
	if text(t, m) != text(t, other) {
		t.Fatalf("seed %d: met in %s; the other way round in %s", seed, text(t, m), text(t, other))
	}
	for _, d := range []*Definition{a, b} {
		if got, err := d.Narrow(changeTo(s, m), s); err != nil || text(t, got) != text(t, m) {
			t.Fatalf("seed %d: %s does not narrow to %s, where it meets another: %v, %v", seed, text(t, d), text(t, m), got, err)
		}
	}
	// Whatever both narrow to.
	x, err := a.Narrow(changeTo(s, b), s)
	if err != nil {
		return true
	}
	if got, err := m.Narrow(changeTo(s, x), s); err != nil || text(t, got) != text(t, x) {
		t.Fatalf("seed %d: %s is not the widest, since %s is not narrower: %v, %v", seed, text(t, m), text(t, x), got, err)
	}
	return true
}

// TestTruncationOfTruncation: where one granularity divides another, truncating by both is truncating by the coarser.
func TestTruncationOfTruncation(t *testing.T) {
	s := definitionSchema(t, false)
	rng := rand.New(rand.NewPCG(1, 7))
	plan := func(name string) *BucketPlan {
		out, err := (&Definition{QueryGranularity: granularity(t, name)}).Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := append([]string{"none"}, granularities...)
	for _, a := range all {
		for _, b := range all {
			fine, coarse, differ := plan(a), plan(b), false
			for range 300 {
				micros := (rng.Int64N(4_000_000_000_000) - 1_000_000_000_000) * 1000
				if start, end := coarse.Chunk(micros); start > micros || end <= micros {
					t.Fatalf("%s: the chunk of %d is %d to %d", b, micros, start, end)
				}
				differ = differ || coarse.Truncate(fine.Truncate(micros)) != coarse.Truncate(micros)
			}
			if divides := granularity(t, a).Divides(granularity(t, b)); divides && differ {
				t.Errorf("truncating by %s and then by %s is not truncating by %s", a, b, b)
			}
		}
	}
}

// TestFilterDoesNotSeeTruncation: what the filter says of a row, it says of the row truncated.
func TestFilterDoesNotSeeTruncation(t *testing.T) {
	s := definitionSchema(t, false)
	filtered := 0
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 8))
		d := narrowed(t, rng, &Definition{Filter: randomFilter(rng)}, s)
		plan, err := d.Compile(s)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		times := make([]int64, 200)
		for i := range times {
			times[i] = (1420070400000 + rng.Int64N(300_000_000) - 100_000_000) * 1000
		}
		rows := timesRecord(times)
		for i := range times {
			times[i] = plan.Truncate(times[i])
		}
		truncated := timesRecord(times)
		before, err := plan.Keep(rows)
		if err != nil {
			t.Fatal(err)
		}
		after, err := plan.Keep(truncated)
		if err != nil {
			t.Fatal(err)
		}
		for i := range before {
			if !before[i] {
				filtered++
			}
			if before[i] != after[i] {
				t.Fatalf("seed %d: %s keeps %v of a row and %v of the folded one", seed, text(t, d), before[i], after[i])
			}
		}
		rows.Release()
		truncated.Release()
	}
	if filtered < 1000 {
		t.Errorf("only %d rows were filtered: the test shows little", filtered)
	}
}

func timesRecord(micros []int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: segment.TimeColumn, Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
		{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil))
	defer b.Release()
	for i, v := range micros {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(v))
		appendIf(b.Field(1).(*array.StringBuilder), []string{"a", "b"}[i%2], i%3 > 0)
	}
	return b.NewRecordBatch()
}

// FuzzDefinition: a definition is refused, or has one canonical form.
func FuzzDefinition(f *testing.F) {
	f.Add([]byte(`{"rollup":true,"queryGranularity":"hour","dimensions":["a"],"metricsSpec":[{"type":"count","name":"n"}],
		"filter":{"type":"selector","dimension":"a","value":"x"},"sortBy":["a","__time"]}`))
	f.Add([]byte(`{"rollup":false,"filter":{"type":"and","fields":[{"type":"bound","dimension":"__time","lower":"0","ordering":"numeric"}]}}`))
	f.Add([]byte(`{"rollup":true,"dimensions":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDefinition(data)
		if err != nil {
			return
		}
		canonical, err := d.Canonical()
		if err != nil {
			t.Fatalf("read and not written: %v", err)
		}
		again, err := ParseDefinition(canonical)
		if err != nil {
			t.Fatalf("%s is not read again: %v", canonical, err)
		}
		if twice, err := again.Canonical(); err != nil || string(twice) != string(canonical) {
			t.Errorf("%s becomes %s, %v", canonical, twice, err)
		}
		if d.Identity() != again.Identity() {
			t.Errorf("%s: rows as ingested: %t, then %t", canonical, d.Identity(), again.Identity())
		}
	})
}
