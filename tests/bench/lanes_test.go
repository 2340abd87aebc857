package bench

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// scene is where steps take place. begin makes it ready with so many rows.
type scene struct {
	name  string
	begin func(tb testing.TB, rows int) []step
}

// step is one thing that is measured, and its floors.
type step struct {
	name   string
	rows   int
	run    func(tb testing.TB)
	floors []floor
}

type floor struct {
	name string
	run  func(tb testing.TB)
}

// benchmark runs the steps of the scenes, a sub-benchmark each.
func benchmark(b *testing.B, scenes []scene, rows int) {
	for _, s := range scenes {
		b.Run(s.name, func(b *testing.B) {
			for _, step := range s.begin(b, rows) {
				b.Run(step.name, step.measure)
			}
		})
	}
}

func (s step) measure(b *testing.B) {
	s.once(b) // caches are filled, pages are mapped
	var ours []time.Duration
	var ourCPU time.Duration
	floors, floorCPU := make([][]time.Duration, len(s.floors)), make([]time.Duration, len(s.floors))
	for b.Loop() {
		wall, cpu := timed(b, s.run)
		ours, ourCPU = append(ours, wall), ourCPU+cpu
		for i, f := range s.floors {
			wall, cpu := timed(b, f.run)
			floors[i], floorCPU[i] = append(floors[i], wall), floorCPU[i]+cpu
		}
	}
	b.ReportMetric(float64(s.rows)/middle(ours).Seconds()/1000, "krow/s")
	for i, f := range s.floors {
		ratios := make([]float64, len(ours))
		for k := range ours {
			ratios[k] = float64(ours[k]) / float64(max(floors[i][k], 1))
		}
		slices.Sort(ratios)
		b.ReportMetric(ratios[len(ratios)/2], "x-"+f.name)
		b.ReportMetric(ratios[len(ratios)/4], "x-"+f.name+"-low")
		b.ReportMetric(ratios[len(ratios)*3/4], "x-"+f.name+"-high")
		b.ReportMetric(float64(ourCPU)/float64(max(floorCPU[i], 1)), "cpu-"+f.name)
	}
}

// timed runs f and returns its time on the wall, and the processor time that the whole process took meanwhile.
func timed(b *testing.B, f func(testing.TB)) (wall, cpu time.Duration) {
	b.Helper()
	cpuBefore, begin := processorTime(b), time.Now()
	f(b)
	return time.Since(begin), processorTime(b) - cpuBefore
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func middle(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return max(sorted[len(sorted)/2], 1)
}

func BenchmarkDecode(b *testing.B)  { benchmark(b, decodeScenes(), 50_000) }
func BenchmarkIngest(b *testing.B)  { benchmark(b, ingestScenes(), 200_000) }
func BenchmarkHandoff(b *testing.B) { benchmark(b, handoffScenes(), 200_000) }
func BenchmarkQuery(b *testing.B)   { benchmark(b, queryScenes(), 200_000) }

// once runs the step and every floor.
func (s step) once(tb testing.TB) {
	tb.Helper()
	s.run(tb)
	for _, f := range s.floors {
		f.run(tb)
	}
}

// TestEveryStepRuns runs every step and floor once, and what they check of each other's results with it.
func TestEveryStepRuns(t *testing.T) {
	for _, s := range slices.Concat(decodeScenes(), ingestScenes(), handoffScenes(), queryScenes(), compactScenes()) {
		t.Run(s.name, func(t *testing.T) {
			for _, step := range s.begin(t, 2000) {
				step.once(t)
			}
		})
	}
}
