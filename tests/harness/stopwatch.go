package harness

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// Stopwatch holds what the product promises in seconds to the clock, but for the time in which programs of this machine had to
// wait for a processor: how busy a machine is besides says nothing of the product.
type Stopwatch struct {
	begun  time.Time
	waited time.Duration // since the machine's start
}

// StartWatch begins before what is timed.
func StartWatch() Stopwatch { return Stopwatch{begun: time.Now(), waited: waitedForCPU()} }

// Within requires that the product has taken no longer than a bound for what took so long, which happened since the start.
func (w Stopwatch) Within(t testing.TB, what string, took, most time.Duration) {
	t.Helper()
	waited := min(waitedForCPU()-w.waited, time.Since(w.begun))
	if took-waited > most {
		t.Errorf("%s took %s, of which programs waited %s for a processor at most; it must not take more than %s",
			what, took.Round(time.Millisecond), waited.Round(time.Millisecond), most)
	}
}

var pressureTotal = regexp.MustCompile(`(?m)^some .*total=(\d+)$`)

// waitedForCPU is for how long some program has waited for a processor, by the kernel's account of pressure; 0 where it keeps none.
func waitedForCPU() time.Duration {
	text, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return 0
	}
	m := pressureTotal.FindSubmatch(text)
	if m == nil {
		return 0
	}
	micros, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(micros) * time.Microsecond
}
