package harness

import (
	"fmt"
	"strings"
	"testing"
)

// TestLastWords holds what a failed test shows of a process to its troubles and its end, in few and short lines.
func TestLastWords(t *testing.T) {
	for name, c := range map[string]struct{ log, want string }{
		"nothing said": {"", ""},
		"one line":     {"level=INFO msg=started\n", "level=INFO msg=started"},
		"drumlin": {
			"level=WARN msg=a\nlevel=INFO msg=b\nlevel=ERROR msg=c\nlevel=INFO msg=d\nlevel=INFO msg=e\n",
			"level=WARN msg=a\nlevel=ERROR msg=c\nlevel=INFO msg=d\nlevel=INFO msg=e",
		},
		"etcd and Kafka": {
			`{"level":"info","msg":"a"}` + "\n" + `{"level":"warn","msg":"b"}` + "\n12 WARN c (d)\n12 INFO e (f)\nlast\nvery last",
			`{"level":"warn","msg":"b"}` + "\n12 WARN c (d)\nlast\nvery last",
		},
		"a panic":       {"panic: no\n\ngoroutine 1 [running]:\nmain.main()", "panic: no\ngoroutine 1 [running]:\nmain.main()"},
		"many troubles": {strings.Repeat("level=WARN msg=a\n", 100), strings.TrimSuffix(strings.Repeat("level=WARN msg=a\n", mostTroubles+mostLines), "\n")},
		"a long line":   {strings.Repeat("x", 1000), strings.Repeat("x", mostLineBytes) + "…"},
	} {
		w := &tail{}
		fmt.Fprint(w, c.log)
		if got := w.lastWords(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
