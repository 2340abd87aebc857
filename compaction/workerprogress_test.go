package compaction

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLongJobsTellHowFarTheyAre(t *testing.T) {
	var out bytes.Buffer
	r := &taskRun{o: RunOptions{Log: slog.New(slog.NewTextHandler(&out, nil))}}
	short := r.rowProgress("2026-01-01/2026-01-02")
	short(10, 10)
	if out.Len() > 0 {
		t.Errorf("a short job logs %q", out.String())
	}
	long := r.rowProgress("2026-01-01/2026-01-02")
	for done := int64(0); done <= 1_000_000; done += 1000 {
		long(done, 1_000_000)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 10 || !strings.Contains(lines[2], "percent=30") || !strings.Contains(lines[9], "percent=100") {
		t.Errorf("logged %q", lines)
	}
}
