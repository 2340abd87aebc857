package fold

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
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

// referenceGroup is a group as plain code makes it.
type referenceGroup struct {
	micros int64
	row    testRow // its dimensions
	count  int64
	n      *big.Int
	most   *float64
}

// referenceKey is a row's group: what SQL groups by.
func referenceKey(micros int64, r *testRow, dimensions []string) string {
	key := fmt.Sprint(micros)
	for _, name := range dimensions {
		key += "\x00|" + referenceValue(r, name)
	}
	return key
}

func referenceValue(r *testRow, name string) string {
	number := func(v *float64) string {
		switch {
		case v == nil:
			return "null"
		case math.IsNaN(*v):
			return "nan"
		case *v == 0:
			return "zero"
		}
		return fmt.Sprint(*v)
	}
	text := func(v *string) string {
		if v == nil {
			return "null"
		}
		return "=" + *v
	}
	switch name {
	case "text":
		return text(r.text)
	case "json":
		return text(r.json)
	case "long":
		if r.long == nil {
			return "null"
		}
		return fmt.Sprint(*r.long)
	case "double":
		return number(r.double)
	}
	if r.float == nil {
		return "null"
	}
	return number(ref(float64(*r.float)))
}

// compareReference orders groups by time, then by the dimensions in their order.
func compareReference(a, b *referenceGroup, dimensions []string) int {
	if c := cmp.Compare(a.micros, b.micros); c != 0 {
		return c
	}
	for _, name := range dimensions {
		var c int
		switch name {
		case "text":
			c = compareNullable(a.row.text, b.row.text, strings.Compare)
		case "json":
			c = compareNullable(a.row.json, b.row.json, strings.Compare)
		case "long":
			c = compareNullable(a.row.long, b.row.long, cmp.Compare)
		case "double":
			c = compareNullable(a.row.double, b.row.double, compareNumbers[float64])
		case "float":
			c = compareNullable(a.row.float, b.row.float, compareNumbers[float32])
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// compareNumbers has NaN last; cmp has it first.
func compareNumbers[T float32 | float64](a, b T) int {
	switch {
	case a != a && b != b:
		return 0
	case a != a:
		return 1
	case b != b:
		return -1
	}
	return cmp.Compare(a, b)
}

func compareNullable[T any](a, b *T, compare func(a, b T) int) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return compare(*a, *b)
}

func reference(p *rollup.BucketPlan, dimensions []string, rows []testRow) []*referenceGroup {
	groups := map[string]*referenceGroup{}
	for _, r := range rows {
		micros := p.Truncate(r.millis * 1000)
		key := referenceKey(micros, &r, dimensions)
		g := groups[key]
		if g == nil {
			g = &referenceGroup{micros: micros, row: r, n: new(big.Int)}
			groups[key] = g
		}
		g.count++
		if r.n != nil {
			g.n.Add(g.n, big.NewInt(*r.n))
		}
		if r.x != nil && !math.IsNaN(*r.x) && (g.most == nil || *r.x > *g.most) {
			g.most = r.x
		}
	}
	var out []*referenceGroup
	for _, g := range groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *referenceGroup) int { return compareReference(a, b, dimensions) })
	return out
}

// TestPlainCodeAgrees: keys, their order, counts, sums and extremes are those of maps and plain comparisons.
func TestPlainCodeAgrees(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		dimensions := dimensionSets[rng.IntN(len(dimensionSets))]
		d := definition(t, []string{"", "minute", "day", "month"}[rng.IntN(4)], `[{"type":"count","name":"rows"},
			{"type":"longSum","name":"sum","fieldName":"n"},{"type":"doubleMax","name":"most","fieldName":"x"}]`, dimensions, nil, "")
		s := testSchema(t, d.Metrics)
		p := compile(t, d, s)
		rows := randomRows(rng, rng.IntN(3000))
		want := reference(p, dimensions, rows)
		got := one(t, memory.DefaultAllocator, p.FoldedSchema(), folded(t, rng, memory.DefaultAllocator, p, s, rows))
		if int(got.NumRows()) != len(want) {
			t.Fatalf("seed %d: %d groups, want %d", seed, got.NumRows(), len(want))
		}
		order, err := NewOrder(p.FoldedSchema(), p.Order())
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range want {
			if text := checkGroup(got, i, g, dimensions); text != "" {
				t.Fatalf("seed %d: group %d: %s", seed, i, text)
			}
			if i > 0 && (order.Compare(got, i-1, got, i) >= 0 || order.Compare(got, i, got, i-1) <= 0) {
				t.Fatalf("seed %d: groups %d and %d are not in order", seed, i-1, i)
			}
		}
		got.Release()
	}
}

func checkGroup(rec arrow.RecordBatch, i int, g *referenceGroup, dimensions []string) string {
	column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
	if micros := int64(column(segment.TimeColumn).(*array.Timestamp).Value(i)); micros != g.micros {
		return fmt.Sprintf("time %d, want %d", micros, g.micros)
	}
	r := testRow{}
	if c := column("rows").(*array.Int64).Value(i); c != g.count || column(segment.EventsColumn).(*array.Int64).Value(i) != g.count {
		return fmt.Sprintf("%d rows of %s events, want %d", c, column(segment.EventsColumn).ValueStr(i), g.count)
	}
	for _, name := range dimensions {
		if c := column(name); c.IsValid(i) {
			switch c := c.(type) {
			case *array.String:
				*map[string]**string{"text": &r.text, "json": &r.json}[name] = ref(c.Value(i))
			case *array.Int64:
				r.long = ref(c.Value(i))
			case *array.Float64:
				r.double = ref(c.Value(i))
			case *array.Float32:
				r.float = ref(c.Value(i))
			}
		}
	}
	if a, b := referenceKey(g.micros, &r, dimensions), referenceKey(g.micros, &g.row, dimensions); a != b {
		return fmt.Sprintf("key %q, want %q", a, b)
	}
	if sum := column("sum"); sum.IsValid(i) && fmt.Sprint(sum.(*array.Int64).Value(i)) != g.n.String() {
		return fmt.Sprintf("sum %s, want %s", sum.ValueStr(i), g.n)
	}
	most := column("most")
	if most.IsValid(i) != (g.most != nil) || g.most != nil && most.(*array.Float64).Value(i) != *g.most {
		return fmt.Sprintf("greatest %s, want %v", most.ValueStr(i), g.most)
	}
	return ""
}

// TestNarrowerPlans: rows folded by a wider definition, folded again by a narrower one, are the rows folded by the narrower
// one at once, whatever their way.
func TestNarrowerPlans(t *testing.T) {
	mem := memory.DefaultAllocator
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		wide := definition(t, []string{"", "second", "minute"}[rng.IntN(3)], allMetrics, dimensionSets[0], nil, "")
		s := testSchema(t, wide.Metrics)
		narrow := wide
		for range 1 + rng.IntN(2) { // each is folded by, or not
			next, err := narrow.Narrow(randomNarrowing(t, rng, narrow), s)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			narrow = next
		}
		rows := randomRows(rng, rng.IntN(1200))
		p := compile(t, narrow, s)
		straight, err := New(p, mem)
		if err != nil {
			t.Fatal(err)
		}
		rec := rawRecord(mem, s, rows)
		if err := straight.AddRows(rollup.Rows{Record: rec}, nil); err != nil {
			t.Fatal(err)
		}
		rec.Release()
		wantFiltered, wantEvents := straight.Filtered(), straight.Events()
		want := one(t, mem, p.FoldedSchema(), flushed(t, straight, 1000))

		again, err := New(p, mem)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range folded(t, rng, mem, compile(t, wide, s), s, rows) {
			if err := again.AddFolded(b); err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
		if again.Filtered() != wantFiltered || again.Events() != wantEvents || again.Events()+again.Filtered() != int64(len(rows)) {
			t.Fatalf("seed %d: %d events and %d filtered, of rows %d and %d", seed, again.Events(), again.Filtered(), wantEvents, wantFiltered)
		}
		got := one(t, mem, p.FoldedSchema(), flushed(t, again, 1000))
		if diff := difference(want, got); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		want.Release()
		got.Release()
		straight.Release()
		again.Release()
	}
}

func randomNarrowing(t *testing.T, rng *rand.Rand, d *rollup.Definition) rollup.Change {
	t.Helper()
	var c rollup.Change
	if rng.IntN(2) == 0 {
		for _, name := range []string{"hour", "day", "month"}[rng.IntN(3):] {
			if g := definition(t, name, "[]", []string{}, nil, "").QueryGranularity; d.QueryGranularity.Divides(g) {
				c.QueryGranularity = &g
			}
		}
	}
	for _, name := range d.Dimensions[min(1, len(d.Dimensions)):] { // the filter reads text, the first
		if rng.IntN(3) == 0 {
			c.Exclusions = append(c.Exclusions, name)
		}
	}
	if rng.IntN(2) == 0 {
		c.Metrics = []rollup.Metric{}
		for _, m := range d.Metrics {
			if rng.IntN(2) == 0 {
				c.Metrics = append(c.Metrics, m)
			}
		}
	}
	if rng.IntN(2) == 0 {
		f, err := rollup.ParseFilter([]byte(textFilter))
		if err != nil {
			t.Fatal(err)
		}
		c.Filter = f
	}
	return c
}
