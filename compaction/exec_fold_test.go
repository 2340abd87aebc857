package compaction

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"drumlin/catalog"
	"drumlin/internal/testkit"
	"drumlin/rollup"
	"drumlin/segment"
)

// TestFolding compacts a rollup datasource step by step, with late rows and copies of folded ones, and holds each step against
// the oracle, with much memory and with next to none.
func TestFolding(t *testing.T) {
	for seed := range uint64(testkit.Rounds(12, 3)) {
		rng := rand.New(rand.NewPCG(seed, 4))
		log := execLog(rng, 2+rng.IntN(8), 1+rng.IntN(500), rng.IntN(2) == 0)
		dedup := rng.IntN(4) > 0
		schemas := execSchemas(t, dedup, true, segment.TimeColumn)
		plan := execRollup(t, rng, "event", "user")
		limits := Job{MaxRowsPerSegment: int64(rng.IntN(2) * 100)}
		if plan.SortBy[0] == segment.TimeColumn && rng.IntN(2) == 0 {
			limits.Chunk = execGranularity(t, "hour") // their order is then still the model's
		}
		var sums [2]string
		var spilled [2]int64
		manySidecars := seed%2 == 1
		for i, maxMemoryBytes := range []int64{0, 8 << 10} {
			steps := rand.New(rand.NewPCG(seed, 5))
			l, m := newExecLake(t, schemas, plan, maxMemoryBytes), newExecModel(plan)
			l.job = limits
			if manySidecars {
				l.exec.maxSidecarRows = 50 // more of them than are open at a time
			}
			var fresh []execRow
			for n, rows := range log {
				l.handoff(rows)
				if fresh = append(fresh, rows...); steps.IntN(3) > 0 && n < len(log)-1 {
					continue
				}
				was := m.copies
				out := l.run(ModeFull, l.tail)
				spilled[i] += out.Stats.SpillFiles
				m.fold(fresh, dedup)
				fresh = nil
				name := fmt.Sprintf("seed %d, %d bytes, step %d", seed, maxMemoryBytes, n)
				m.check(t, name, l)
				if out.Stats.Duplicates != m.copies-was {
					t.Errorf("%s: %d copies are removed, want %d", name, out.Stats.Duplicates, m.copies-was)
				}
			}
			sums[i] = fmt.Sprint(l.sums(l.settled), l.ids())
		}
		if sums[0] != sums[1] {
			t.Errorf("seed %d: spilling changes what is written", seed)
		}
		if !manySidecars && spilled[0] > 0 || spilled[1] == 0 && execCount(log) > 500 {
			t.Errorf("seed %d: %v files are spilled", seed, spilled)
		}
	}
}

// TestFoldedTreesGiveEqualBytes: with copies that do not differ, folding early or late, once or often, gives the same files.
func TestFoldedTreesGiveEqualBytes(t *testing.T) {
	for seed := range uint64(testkit.Rounds(10, 2)) {
		rng := rand.New(rand.NewPCG(seed, 6))
		dedup := rng.IntN(3) > 0
		schemas := execSchemas(t, dedup, true, segment.TimeColumn)
		plan := execRollup(t, rng, "event", "user")
		if dedup {
			// The moment of a first value holds its position, and that of a copy that was folded early stays.
			plan.Metrics = slices.DeleteFunc(plan.Metrics, func(m rollup.Metric) bool { return m.Kind == rollup.KindFirst })
		}
		log := execLog(rng, 2+rng.IntN(8), 300, false)
		limits := Job{MaxRowsPerSegment: 200, Chunk: execGranularity(t, "hour")}
		var want string
		for tree := range 4 {
			l := newExecLake(t, schemas, plan, []int64{0, 8 << 10}[rng.IntN(2)])
			l.job = limits
			growTree(rng, l, log)
			got := fmt.Sprint(l.sums(l.settled), l.ids())
			if tree == 0 {
				want = got
			}
			if got != want {
				t.Errorf("seed %d, tree %d (dedup %t): the segments differ from the first tree's", seed, tree, dedup)
			}
		}
	}
}

// TestPlansThatNarrow: folded rows follow a plan that has fewer dimensions, coarser time and a filter; identities of rows that
// the filter removes are remembered.
func TestPlansThatNarrow(t *testing.T) {
	for seed := range uint64(testkit.Rounds(10, 2)) {
		rng := rand.New(rand.NewPCG(seed, 7))
		wide := execRollup(t, rng, "event", "user")
		schemas := execSchemas(t, true, true, segment.TimeColumn)
		l, m := newExecLake(t, schemas, wide, 0), newExecModel(wide)
		log := execLog(rng, 6, 200, true)
		for _, rows := range log[:3] {
			l.handoff(rows)
		}
		l.run(ModeFull, l.tail)
		m.fold(slices.Concat(log[:3]...), true)
		m.check(t, fmt.Sprintf("seed %d, wide", seed), l)

		filter, err := rollup.ParseFilter([]byte(`{"type":"selector","dimension":"event","value":"view"}`))
		if err != nil {
			t.Fatal(err)
		}
		narrow := &rollup.Definition{
			Rollup: true, Dimensions: []string{"event"}, Metrics: wide.Metrics, SortBy: []string{"event"}, Filter: filter,
			QueryGranularity: execGranularity(t, "hour"),
		}
		l.plan = narrow
		n := newExecModel(narrow)
		n.known, n.filter = m.known, func(r *execRow) bool { return r.event != nil && *r.event == "view" }
		for _, g := range m.groups {
			row := execRow{event: g.event, millis: g.millis}
			if !n.filter(&row) {
				n.filtered += g.events
				continue
			}
			n.group(&row)
			key := fmt.Sprint(n.start(g.millis), show(g.event))
			to := n.groups[key]
			to.events += g.events - 1
			if g.numbers > 0 && (to.numbers == 0 || g.most > to.most) {
				to.most = g.most
			}
			to.n, to.numbers, to.x, to.xs = to.n+g.n, to.numbers+g.numbers, to.x+g.x, to.xs+g.xs
		}
		for _, rows := range log[3:] {
			l.handoff(rows)
		}
		out := l.run(ModeFull, l.tail)
		n.fold(slices.Concat(log[3:]...), true)
		n.check(t, fmt.Sprintf("seed %d, narrow", seed), l)
		if out.Stats.Filtered != n.filtered {
			t.Errorf("seed %d: %d records are filtered, want %d", seed, out.Stats.Filtered, n.filtered)
		}
	}
}

func (m *execModel) start(millis int64) int64 {
	start, _ := m.plan.QueryGranularity.Chunk(millis)
	return start
}

// TestFoldedTailsMerge: without dedup a handoff's rows are folded already, and tails of them merge by their states.
func TestFoldedTailsMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 8))
	plan := execRollup(t, rng, "event", "user")
	log := execLog(rng, 6, 200, true)
	l, m := newExecLake(t, execSchemas(t, false, true, segment.TimeColumn), plan, 0), newExecModel(plan)
	for _, rows := range log {
		l.handoff(rows)
		m.fold(rows, false)
		out := l.run(ModeTail, l.tail[len(l.tail)-1:]) // what the handoff would have written
		if !out.Adopted[0].Folded {
			t.Fatalf("%+v", out.Adopted[0])
		}
	}
	units := map[string]bool{}
	for _, s := range l.tail {
		units[s.Unit] = true
	}
	if len(units) != len(log) {
		t.Fatalf("%d units of %d handoffs", len(units), len(log))
	}
	out := l.run(ModeTail, l.tail)
	merged := execMetas(out.Adopted)
	if got, want := foldedTexts(slices.Concat(l.rows(merged)...)), m.rows(); !slices.Equal(got, want) {
		t.Errorf("the tail's groups differ: %s", firstDifference(got, want))
	}
	l.run(ModeFull, l.tail)
	if fmt.Sprint(l.sums(merged)) != fmt.Sprint(l.sums(l.settled)) || len(l.tail) != 0 {
		t.Errorf("a full compaction changes what one merged tail holds")
	}
	m.check(t, "in the end", l)
}

// TestDiscard: no row stays, every identity does, and a copy that comes later is one.
func TestDiscard(t *testing.T) {
	for _, folds := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(1, 9))
		var plan *rollup.Definition
		if folds {
			plan = execRollup(t, rng, "event", "user")
		}
		log := execLog(rng, 6, 200, true)
		l, m := newExecLake(t, execSchemas(t, true, folds, segment.TimeColumn), plan, 0), newExecModel(plan)
		m.filter = func(*execRow) bool { return false }
		for _, rows := range log[:4] {
			l.handoff(rows)
		}
		if folds {
			l.run(ModeFull, l.tail[:2])
		}
		out := l.run(ModeDiscard, l.tail)
		m.fold(slices.Concat(log[:4]...), true)
		if folds {
			m.check(t, "discarded", l)
		} else if ids := l.ids(); len(ids) != len(m.known) {
			t.Errorf("%d identities are remembered, want %d", len(ids), len(m.known))
		}
		if len(l.settled)+len(l.tail) > 0 || out.Stats.OutputRows != 0 || !folds && (out.Stats.Filtered != m.filtered || out.Stats.Duplicates != m.copies) {
			t.Errorf("folds %t: %+v of %+v", folds, out, m)
		}
		copies := m.copies
		for _, rows := range log[4:] {
			l.handoff(rows)
		}
		out = l.run(ModeFull, l.tail)
		m.known = map[[2]int64]bool{}
		for _, r := range slices.Concat(log[:4]...) {
			if r.keyed {
				m.known[[2]int64{r.hi, r.lo}] = true
			}
		}
		m.fold(slices.Concat(log[4:]...), true)
		if out.Stats.Duplicates != m.copies-copies {
			t.Errorf("folds %t: %d copies, want %d", folds, out.Stats.Duplicates, m.copies-copies)
		}
	}
}

// TestForgetting drops the sidecar, but only after the tail has been compared with it.
func TestForgetting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 10))
	plan := execRollup(t, rng, "event", "user")
	l, m := newExecLake(t, execSchemas(t, true, true, segment.TimeColumn), plan, 0), newExecModel(plan)
	log := execLog(rng, 4, 200, true)
	l.handoff(log[0])
	l.run(ModeFull, l.tail)
	for _, rows := range log[1:] {
		l.handoff(rows)
	}
	l.job.ForgetIDs = true
	out := l.run(ModeFull, l.tail)
	m.fold(log[0], true)
	m.fold(slices.Concat(log[1:]...), true)
	m.known = nil
	m.check(t, "forgotten", l)
	if len(l.sidecars) != 0 || len(out.Sidecars) != 0 {
		t.Errorf("%d sidecars are left", len(l.sidecars))
	}
}

// TestSidecarsThatSayNothingNewStay: a compaction that learns of no identity writes none again.
func TestSidecarsThatSayNothingNewStay(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 11))
	l := newExecLake(t, execSchemas(t, true, true, segment.TimeColumn), execRollup(t, rng, "event", "user"), 0)
	log := execLog(rng, 1, 200, true)
	l.handoff(log[0])
	l.run(ModeFull, l.tail)
	was := slices.Clone(l.sidecars)
	l.handoff(log[0]) // copies only
	out := l.run(ModeFull, l.tail)
	if len(out.Sidecars) != 0 || !slices.Equal(was, l.sidecars) {
		t.Errorf("sidecars %v become %v", was, l.sidecars)
	}
	// Several become one.
	ids := l.ids()
	l.sidecars = slices.Concat(was, was)
	l.settled = nil
	l.tail = []catalog.TailSegment{}
	out = l.run(ModeFull, nil)
	if len(out.Sidecars) != 1 || !slices.Equal(ids, l.ids()) {
		t.Errorf("%d sidecars of %d identities, want one of %d", len(out.Sidecars), len(l.ids()), len(ids))
	}
}
