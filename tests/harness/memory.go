package harness

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
)

var (
	residentLine = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)
	peakLine     = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
)

// Resident tells how much memory the process has, and the most that it has had since ForgetPeak, both in bytes.
func (p *Process) Resident(t testing.TB) (now, peak int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Skipf("the memory of a process cannot be read here: %v", err)
	}
	read := func(line *regexp.Regexp) int64 {
		m := line.FindSubmatch(status)
		if m == nil {
			t.Skip("the memory of a process cannot be read here")
		}
		kilobytes, err := strconv.ParseInt(string(m[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return kilobytes << 10
	}
	return read(residentLine), read(peakLine)
}

// ForgetPeak makes the peak of Resident begin anew.
func (p *Process) ForgetPeak(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0o200); err != nil {
		t.Skipf("the peak of memory cannot be forgotten here: %v", err)
	}
}
