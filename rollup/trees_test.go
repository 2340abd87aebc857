package rollup

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// mergeTree aggregates the rows along a random tree: split, aggregate or go on splitting, and merge what comes back, in
// memory or by way of stored columns.
func mergeTree(t *testing.T, rng *rand.Rand, mem memory.Allocator, plan *Plan, rows []testRow, groups int) *States {
	t.Helper()
	if len(rows) <= 1 || rng.IntN(6) == 0 {
		return aggregated(t, mem, plan, rows, groups)
	}
	at := rng.IntN(len(rows) + 1)
	left := mergeTree(t, rng, mem, plan, rows[:at], groups)
	right := mergeTree(t, rng, mem, plan, rows[at:], groups)
	if rng.IntN(2) == 0 {
		left, right = right, left
	}
	if rng.IntN(3) == 0 { // into states of no rows
		empty := plan.NewStates()
		empty.Grow(groups)
		if err := empty.Merge(mem, left, upTo(groups)); err != nil {
			t.Fatal(err)
		}
		left = empty
	}
	if err := left.Merge(mem, right, upTo(groups)); err != nil {
		t.Fatal(err)
	}
	return left
}

// TestAnyTreeGivesEqualBytes: for every aggregator, any tree of merges over any split of any order of the rows gives the
// same state, byte by byte.
func TestAnyTreeGivesEqualBytes(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	plan := testPlan(t, allMetrics)
	for seed := range uint64(40) {
		var mem memory.Allocator = memory.DefaultAllocator
		if seed < 3 { // it is slow
			mem = checked
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		groups := 1 + rng.IntN(4)
		rows := randomRows(rng, rng.IntN(600), groups)
		want := stateText(t, mem, aggregated(t, mem, plan, rows, groups))
		for range 3 {
			rng.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
			got := stateText(t, mem, mergeTree(t, rng, mem, plan, rows, groups))
			for name, text := range want {
				if got[name] != text {
					t.Fatalf("seed %d: state column %s\n%s, in one pass\n%s", seed, name, got[name], text)
				}
			}
		}
	}
}

// TestStatesSurviveARoundTrip: a state that is stored, read and stored again is the same, whatever the groups' order.
func TestStatesSurviveARoundTrip(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, allMetrics)
	rng := rand.New(rand.NewPCG(3, 1))
	const groups = 5
	s := aggregated(t, mem, plan, randomRows(rng, 500, groups), groups)
	want := stateText(t, mem, s)
	order := upTo(groups)
	slices.Reverse(order)
	columns, err := s.Columns(mem, order)
	if err != nil {
		t.Fatal(err)
	}
	rec := record(plan.StateFields(), columns, groups)
	defer rec.Release()
	again := plan.NewStates()
	again.Grow(groups)
	for i, g := range order { // one row at a time: from is honoured
		if err := again.AddStates(rec, i, []uint32{g}); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range stateText(t, mem, again) {
		if text != want[name] {
			t.Errorf("state column %s\n%s, before\n%s", name, text, want[name])
		}
	}
}

// TestRunsOfARecord: a record taken in runs, with rows skipped, is as if the skipped rows were not there.
func TestRunsOfARecord(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, allMetrics)
	rng := rand.New(rand.NewPCG(4, 1))
	rows := randomRows(rng, 400, 3)
	rec := recordOf(mem, rows)
	defer rec.Release()
	slice := rec.NewSlice(7, 400) // bitmaps begin at odd bits
	defer slice.Release()
	s := plan.NewStates()
	s.Grow(3)
	var kept []testRow
	groups := groupsOf(rows[7:])
	for i := range groups {
		if rng.IntN(3) == 0 {
			groups[i] = Skip
		} else {
			kept = append(kept, rows[7+i])
		}
	}
	for from := 0; from < len(groups); {
		n := min(1+rng.IntN(90), len(groups)-from)
		if err := s.AddRows(Rows{Record: slice}, from, groups[from:from+n]); err != nil {
			t.Fatal(err)
		}
		from += n
	}
	want := stateText(t, mem, aggregated(t, mem, plan, kept, 3))
	for name, text := range stateText(t, mem, s) {
		if text != want[name] {
			t.Errorf("state column %s\n%s, want\n%s", name, text, want[name])
		}
	}
}
