package compaction

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"drumlin/catalog"
	"drumlin/internal/testkit"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

func execGranularity(t testing.TB, name string) spec.Granularity {
	t.Helper()
	g, err := spec.ParseGranularity(name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func execSortBy(rng *rand.Rand) []string {
	return [][]string{
		{segment.TimeColumn}, {segment.TimeColumn, "event"}, {"event", segment.TimeColumn}, {"user", "event"}, {"event", "user", segment.TimeColumn},
	}[rng.IntN(5)]
}

// TestFullCompactionOfRawRows holds random jobs against the oracle, and against themselves with next to no memory.
func TestFullCompactionOfRawRows(t *testing.T) {
	for seed := range uint64(testkit.Rounds(20, 4)) {
		rng := rand.New(rand.NewPCG(seed, 1))
		dedup, sortBy := rng.IntN(4) > 0, execSortBy(rng)
		log := execLog(rng, 1+rng.IntN(12), 1+rng.IntN(800), true)
		schemas := execSchemas(t, dedup, false, sortBy...)
		plan, filter := execRawPlan(t, rng, sortBy)
		var limits Job
		if rng.IntN(2) == 0 {
			limits.Chunk = execGranularity(t, []string{"hour", "thirty_minute", "day"}[rng.IntN(3)])
		}
		limits.MaxRowsPerSegment = int64(rng.IntN(3) * (1 + rng.IntN(500)))
		limits.TargetSegmentBytes = int64(rng.IntN(3) * (1 + rng.IntN(20_000)))

		var sums [2][]string
		var ids [2][][2]int64
		for i, maxMemoryBytes := range []int64{0, 16 << 10} {
			l := newExecLake(t, schemas, plan, maxMemoryBytes)
			l.job = limits
			for _, rows := range log {
				l.handoff(rows)
			}
			out := l.run(ModeFull, l.tail)
			checkRaw(t, fmt.Sprintf("seed %d, %d bytes", seed, maxMemoryBytes), l, out, log, filter)
			if i == 1 && execCount(log) > 500 && out.Stats.SpillFiles == 0 {
				t.Errorf("seed %d: nothing is spilled", seed)
			}
			sums[i], ids[i] = l.sums(out.Settled), l.ids()
		}
		if !slices.Equal(sums[0], sums[1]) || !slices.Equal(ids[0], ids[1]) {
			t.Errorf("seed %d: spilling changes what is written", seed)
		}
	}
}

// execRawPlan is a random plan of a raw datasource, and its filter as a function.
func execRawPlan(t testing.TB, rng *rand.Rand, sortBy []string) (*rollup.Definition, func(r *execRow) bool) {
	t.Helper()
	all := func(*execRow) bool { return true }
	if rng.IntN(2) == 0 {
		return nil, all
	}
	d := &rollup.Definition{SortBy: sortBy}
	if rng.IntN(2) == 0 {
		d.QueryGranularity = execGranularity(t, "minute")
	}
	if rng.IntN(2) == 0 {
		d.Dimensions = []string{"event", "user"}
	}
	if rng.IntN(2) == 0 {
		return d, all
	}
	var err error
	if d.Filter, err = rollup.ParseFilter([]byte(`{"type":"selector","dimension":"event","value":"view"}`)); err != nil {
		t.Fatal(err)
	}
	return d, func(r *execRow) bool { return r.event != nil && *r.event == "view" }
}

// checkRaw compares what one full compaction of a whole log has written with the oracle.
func checkRaw(t *testing.T, name string, l *execLake, out *Output, log [][]execRow, filter func(r *execRow) bool) {
	t.Helper()
	var winners, kept []execRow
	if winners = slices.Concat(log...); l.schema.Dedup {
		winners = execWinners(log)
	}
	var ids [][2]int64
	var keyless int64
	for _, r := range slices.Concat(log...) {
		if !r.keyed {
			keyless++
		}
	}
	for _, r := range winners {
		if filter(&r) {
			if l.plan != nil && !l.plan.QueryGranularity.IsZero() {
				r.millis, _ = l.plan.QueryGranularity.Chunk(r.millis)
			}
			kept = append(kept, r)
		} else if r.keyed && l.schema.Dedup {
			ids = append(ids, [2]int64{r.hi, r.lo})
		}
	}
	sortIDs(ids)
	if got := l.ids(); !slices.Equal(got, ids) {
		t.Errorf("%s: sidecars of %d identities, want %d", name, len(got), len(ids))
	}
	s := out.Stats
	if s.InputRows != execCount(log) || s.Duplicates != execCount(log)-int64(len(winners)) || s.OutputRows != int64(len(kept)) ||
		s.Filtered != int64(len(winners)-len(kept)) || l.schema.Dedup && s.Keyless != keyless {
		t.Errorf("%s: stats %+v of %d rows, %d winners, %d kept, %d keyless", name, s, execCount(log), len(winners), len(kept), keyless)
	}
	layout := segment.KeptArrowSchema(l.schema, l.schema.AllColumns())
	if l.plan != nil && l.plan.Dimensions != nil {
		x := execution{job: &Job{Schema: l.schema, Mode: ModeFull}}
		var err error
		if x.plan, err = l.plan.Compile(l.schema); err != nil {
			t.Fatal(err)
		}
		layout = x.newRawLayout().schema
		if layout.HasField("n") || !layout.HasField("user") {
			t.Fatalf("%s: layout %v", name, layout)
		}
	}
	chunkOf := func(millis int64) segment.Bucket {
		if l.job.Chunk.IsZero() {
			return l.group()
		}
		start, end := l.job.Chunk.Chunk(millis)
		return segment.Bucket{StartMillis: max(start, l.group().StartMillis), EndMillis: min(end, l.group().EndMillis)}
	}
	order := execOrder(l.schema.SortBy)
	slices.SortFunc(kept, func(a, b execRow) int {
		if c := chunkOf(a.millis).StartMillis - chunkOf(b.millis).StartMillis; c != 0 {
			return int(c / 1000)
		}
		return order(a, b)
	})
	if got, want := slices.Concat(l.rows(out.Settled)...), execShow(t, layout, kept); !slices.Equal(got, want) {
		t.Errorf("%s: %d rows differ from the oracle's %d\n%v\n%v", name, len(got), len(want), firstDifference(got, want), out.Stats)
	}
	checkCut(t, name, l, out, chunkOf)
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("row %d:\n%s\n%s", i, a[i], b[i])
		}
	}
	return "one is the beginning of the other"
}

func sortIDs(ids [][2]int64) {
	slices.SortFunc(ids, func(a, b [2]int64) int { return compareIDs(idEntry{hi: a[0], lo: a[1]}, idEntry{hi: b[0], lo: b[1]}) })
}

// checkCut: segments lie in their time chunk and are as full as the limits allow.
func checkCut(t *testing.T, name string, l *execLake, out *Output, chunkOf func(int64) segment.Bucket) {
	t.Helper()
	for i, m := range out.Settled {
		if m.Bucket != chunkOf(m.MinMillis) || m.Bucket != chunkOf(m.MaxMillis) {
			t.Errorf("%s: a segment from %d to %d lies in %v", name, m.MinMillis, m.MaxMillis, m.Bucket)
		}
		if l.job.MaxRowsPerSegment > 0 && m.Rows > l.job.MaxRowsPerSegment {
			t.Errorf("%s: a segment of %d rows", name, m.Rows)
		}
		last := i == len(out.Settled)-1 || out.Settled[i+1].Bucket != m.Bucket
		if l.job.TargetSegmentBytes == 0 && l.job.MaxRowsPerSegment > 0 && !last && m.Rows != l.job.MaxRowsPerSegment {
			t.Errorf("%s: a segment of %d rows before another one", name, m.Rows)
		}
		if l.job.TargetSegmentBytes == 0 && l.job.MaxRowsPerSegment == 0 && !last {
			t.Errorf("%s: a segment ends without reason", name)
		}
		if m.SchemaID != 2 || m.Kind != segment.KindData || m.Datasource != "clicks" || m.Folded || len(m.Sources) == 0 {
			t.Errorf("%s: description %+v", name, m)
		}
	}
}

// TestRawTreesGiveEqualBytes: whatever was merged with what before, in tails or wholly, the same files come out.
func TestRawTreesGiveEqualBytes(t *testing.T) {
	for seed := range uint64(testkit.Rounds(6, 2)) {
		rng := rand.New(rand.NewPCG(seed, 2))
		sortBy := execSortBy(rng)
		schemas := execSchemas(t, true, false, sortBy...)
		// What a filter sees of copies that differ depends on when it has run.
		plan, _ := execRawPlan(t, rng, sortBy)
		log := execLog(rng, 2+rng.IntN(10), 300, plan == nil || plan.Filter == nil)
		limits := Job{MaxRowsPerSegment: 400, Chunk: execGranularity(t, "hour")}
		var want, wantIDs []string
		for tree := range 4 {
			l := newExecLake(t, schemas, plan, []int64{0, 12 << 10}[rng.IntN(2)])
			if rng.IntN(2) == 0 {
				l.exec.minDirectRows = 20 // what is sorted is not sorted again
			}
			l.job = limits
			growTree(rng, l, log)
			got, gotIDs := l.sums(l.settled), []string{fmt.Sprint(l.ids())}
			if tree == 0 {
				want, wantIDs = got, gotIDs
			}
			if !slices.Equal(got, want) || !slices.Equal(gotIDs, wantIDs) {
				t.Errorf("seed %d, tree %d: %d segments differ from the first tree's %d (identities equal: %t)", seed, tree, len(got), len(want),
					slices.Equal(gotIDs, wantIDs))
			}
		}
	}
}

// growTree hands the log off in its order with random jobs between, and ends with a full one.
func growTree(rng *rand.Rand, l *execLake, log [][]execRow) {
	for _, rows := range log {
		l.handoff(rows)
		switch rng.IntN(4) {
		case 0:
			l.run(ModeFull, l.tail)
		case 1:
			l.run(ModeTail, someTail(rng, l.tail))
		}
	}
	l.run(ModeFull, l.tail)
}

func someTail(rng *rand.Rand, tail []catalog.TailSegment) []catalog.TailSegment {
	out := execFilter(tail, func(catalog.TailSegment) bool { return rng.IntN(3) > 0 })
	if len(out) == 0 {
		return tail[:1]
	}
	return out
}

// TestTailIsMergedByItself: copies inside it are removed, and nothing else of the bucket is touched.
func TestTailIsMergedByItself(t *testing.T) {
	for seed := range uint64(testkit.Rounds(10, 3)) {
		rng := rand.New(rand.NewPCG(seed, 3))
		sortBy := execSortBy(rng)
		plan, _ := execRawPlan(t, rng, sortBy)
		log := execLog(rng, 6, 200, true)
		l := newExecLake(t, execSchemas(t, true, false, sortBy...), plan, 0)
		for _, rows := range log[:2] {
			l.handoff(rows)
		}
		l.run(ModeFull, l.tail)
		settled, sidecars := slices.Clone(l.settled), slices.Clone(l.sidecars)
		for _, rows := range log[2:] {
			l.handoff(rows)
		}
		chosen := log[3:]
		out := l.run(ModeTail, l.tail[1:])
		winners := execWinners(chosen)
		slices.SortFunc(winners, execOrder(sortBy))
		got, want := slices.Concat(l.rows(execMetas(out.Adopted))...), execShow(t, segment.KeptArrowSchema(l.schema, l.schema.AllColumns()), winners)
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: %d rows differ from the oracle's %d", seed, len(got), len(want))
		}
		for _, a := range out.Adopted {
			if a.Unit == "" || a.Unit != out.Adopted[0].Unit {
				t.Errorf("seed %d: units %q and %q", seed, out.Adopted[0].Unit, a.Unit)
			}
		}
		if len(out.Settled)+len(out.Sidecars) > 0 || len(out.Consumed) != 3 || len(l.tail) != 1+len(out.Adopted) ||
			len(settled) != len(l.settled) || len(sidecars) != len(l.sidecars) {
			t.Errorf("seed %d: %+v", seed, out)
		}
	}
}

// TestSortedInputsAreMergedAsTheyAre: nothing of them is spilled, and the same rows come out. Not every file is believed.
func TestSortedInputsAreMergedAsTheyAre(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 12))
	filter, err := rollup.ParseFilter([]byte(`{"type":"not","field":{"type":"selector","dimension":"event","value":"view"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, plan := range []*rollup.Definition{nil, {Dimensions: []string{"event", "user"}, Filter: filter}} {
		schemas := execSchemas(t, true, false, "event", segment.TimeColumn)
		log := execLog(rng, 8, 400, true)
		var sums, ids [2]string
		var spilled [2]int64
		for i, minDirectRows := range []int64{1 << 40, 50} {
			l := newExecLake(t, schemas, plan, 256<<10)
			l.job.Chunk = execGranularity(t, "hour")
			l.exec.minDirectRows = minDirectRows
			for _, rows := range log[:6] {
				l.handoff(rows)
			}
			l.run(ModeFull, l.tail)
			for _, rows := range log[6:] {
				l.handoff(rows)
			}
			out := l.run(ModeFull, l.tail)
			sums[i], ids[i] = fmt.Sprint(l.sums(l.settled)), fmt.Sprint(l.ids())
			spilled[i] = out.Stats.SpilledBytes
		}
		if sums[0] != sums[1] || ids[0] != ids[1] {
			t.Errorf("merging sorted inputs as they are changes what is written")
		}
		if spilled[1] == 0 || spilled[1] > spilled[0]/2 {
			t.Errorf("%d bytes are spilled where inputs are sorted again, %d where not", spilled[0], spilled[1])
		}
	}
	l := newExecLake(t, execSchemas(t, true, false, segment.TimeColumn), nil, 0)
	l.exec.minDirectRows = 1
	l.claim = []string{segment.TimeColumn}
	l.handoff(execLog(rand.New(rand.NewPCG(3, 12)), 1, 400, true)[0])
	if _, err := l.try(t.Context(), l.exec, ModeFull, l.tail); !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("a file that only says that it is sorted: %v", err)
	}
}
