package compaction

import (
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"

	"drumlin/segment"
)

// peakResidentBytes is the most memory that this process has had, in all.
func peakResidentBytes(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		skipUnreadable(t, err.Error())
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		skipUnreadable(t, "no VmHWM")
	}
	kilobytes, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// skipUnreadable: other systems than Linux do not tell the peak; where changes are admitted it must be told.
func skipUnreadable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("the peak of memory cannot be read here: %s", why)
	}
	t.Skipf("the peak of memory cannot be read here: %s", why)
}

// TestManySegments compacts hundreds of small segments, 10 % copies among them, with a tenth of the usual memory.
func TestManySegments(t *testing.T) {
	if testing.Short() {
		t.Skip("half a million rows")
	}
	l := newBigLakeOf(t, false, "event", "country", "amount") // a row group of which is small beside the memory
	l.fill(250, 2000, 10)
	checkMany(t, l, 256<<20/10)
}

// TestManySegmentsInFull is the same ten times as large, with the whole process below a gigabyte.
func TestManySegmentsInFull(t *testing.T) {
	if os.Getenv("DRUMLIN_TEST_LONG") == "" {
		t.Skip("DRUMLIN_TEST_LONG is not set")
	}
	l := newBigLake(t, false)
	l.fill(2504, 2000, 10)
	checkMany(t, l, 256<<20)
}

func checkMany(t *testing.T, l *bigLake, maxMemoryBytes int64) {
	t.Helper()
	j := l.job()
	forgetPeak(t)
	out := l.run(maxMemoryBytes, j)
	s := out.Stats
	t.Logf("%+v", s)
	checkResident(t) // before the check itself takes memory
	distinct := map[[2]int64]bool{}
	for _, in := range l.tail {
		l.eachID(t, &in.Meta, func(hi, lo int64) { distinct[[2]int64{hi, lo}] = true })
	}
	if s.OutputRows != int64(len(distinct)) || s.Duplicates != s.InputRows-s.OutputRows || s.OutputSegments > s.InputSegments/50 {
		t.Errorf("%d rows stay in %d segments, want %d", s.OutputRows, s.OutputSegments, len(distinct))
	}
	for i := range out.Settled {
		l.eachID(t, &out.Settled[i], func(hi, lo int64) { delete(distinct, [2]int64{hi, lo}) })
	}
	if len(distinct) != 0 {
		t.Errorf("%d identities are lost", len(distinct))
	}
	if s.SpillFiles == 0 || s.PeakBytes > maxMemoryBytes {
		t.Errorf("%d files are spilled, and the peak is %d of %d bytes", s.SpillFiles, s.PeakBytes, maxMemoryBytes)
	}
}

// eachID reads the identities of a segment.
func (l *bigLake) eachID(t *testing.T, m *segment.Meta, fn func(hi, lo int64)) {
	t.Helper()
	j := l.job()
	j.Tail = nil
	e, err := NewExecutor(ExecutorOptions{Objects: l.store, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	j.Settled = []segment.Meta{*m}
	x, err := e.begin(j, Naming{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer x.end()
	if err := x.fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = x.eachBatch(t.Context(), x.inputs, []int32{
		segment.IDHighColumnID, segment.IDLowColumnID, segment.TopicColumnID, segment.GenerationColumnID, segment.PartitionColumnID,
		segment.OffsetColumnID,
	}, func(b inputBatch) error {
		defer x.release(b.heldBatch)
		c, err := identityColumnsOf(b.in.object, b.rec)
		if err != nil {
			return err
		}
		for i := range c.high.Len() {
			fn(c.high.Value(i), c.low.Value(i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFoldingBesideALargeSidecar: many rows, a part of them known, are folded beside a sidecar that is larger than the memory
// for it.
func TestFoldingBesideALargeSidecar(t *testing.T) {
	if testing.Short() {
		t.Skip("a sidecar of half a million identities")
	}
	l := newBigLake(t, true)
	l.checkFold(100, 2_000, 500_000, 256<<20/32)
}

// TestFoldingBesideALargeSidecarInFull is the same at its full size, with the whole process below a gigabyte.
func TestFoldingBesideALargeSidecarInFull(t *testing.T) {
	if os.Getenv("DRUMLIN_TEST_LONG") == "" {
		t.Skip("DRUMLIN_TEST_LONG is not set")
	}
	l := newBigLake(t, true)
	l.checkFold(500, 40_000, 50_000_000, 256<<20)
}

// checkFold folds rows of which every number is new, beside a sidecar of numbers of which the last tenth of the rows are.
func (l *bigLake) checkFold(segments, rows int, known uint64, maxMemoryBytes int64) {
	l.t.Helper()
	all := uint64(segments * rows)
	l.fill(segments, rows, 0)
	j := l.job()
	j.Sidecars = append(j.Sidecars, l.sidecar(all-all/10, all-all/10+known))
	forgetPeak(l.t)
	out := l.run(maxMemoryBytes, j)
	s := out.Stats
	l.t.Logf("%+v", s)
	checkResident(l.t)
	if s.Duplicates != int64(all/10) || s.OutputEvents != int64(all-all/10) || s.IDs != int64(all-all/10+known) {
		l.t.Errorf("%d copies, %d records folded, %d identities of %d rows beside %d known ones", s.Duplicates, s.OutputEvents, s.IDs, all, known)
	}
	if s.SpillFiles == 0 || s.PeakBytes > maxMemoryBytes {
		l.t.Errorf("%d files are spilled, and the peak is %d of %d bytes", s.SpillFiles, s.PeakBytes, maxMemoryBytes)
	}
}

// forgetPeak gives back what tests before have left, and begins the peak anew.
func forgetPeak(t testing.TB) {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Logf("the peak of memory cannot be begun anew: %v", err)
	}
}

// checkResident holds the process itself against a gigabyte, in the long profile.
func checkResident(t testing.TB) {
	t.Helper()
	if os.Getenv("DRUMLIN_TEST_LONG") == "" {
		return
	}
	peak := peakResidentBytes(t)
	t.Logf("the process has had %d MiB at most", peak>>20)
	if peak > 1<<30 {
		t.Errorf("the process has had %d bytes, more than a gigabyte", peak)
	}
}
