package progress

import (
	"strings"
	"testing"
	"time"
)

func TestPlainLinesAreRareAndTheLastOneStays(t *testing.T) {
	now := time.Unix(0, 0)
	var out strings.Builder
	m := New(&out, "records", 200, func() time.Time { return now })
	for i := range int64(101) {
		now = now.Add(100 * time.Millisecond)
		m.Set(i)
	}
	m.Finish()
	want := "records: 49 of 200 (24 %), 10/s\nrecords: 99 of 200 (50 %), 10/s\ndone: records: 100 in 10.1s, 10/s\n"
	if out.String() != want {
		t.Fatalf("got\n%swant\n%s", out.String(), want)
	}
}

func TestStoppedWorkIsNotDone(t *testing.T) {
	var out strings.Builder
	m := New(&out, "records", 200, func() time.Time { return time.Unix(0, 0) })
	m.Set(7)
	m.Stop()
	if out.String() != "" {
		t.Fatalf("got %q", out.String())
	}
}
