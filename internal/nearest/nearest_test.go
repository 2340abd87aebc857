package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	names := []string{"segmentGranularity", "queryGranularity", "topic", "topicPattern", "type"}
	for in, want := range map[string]string{
		"segmentGranlarity": "segmentGranularity", "tpoic": "topic", "Topic": "topic", "typ": "type", "xyzzy": "",
		"granularity": "",
	} {
		if got := Name(in, names); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	if got := Within("typ", names, 0); got != "" {
		t.Errorf("no edit is allowed, and %q is near", got)
	}
}

func FuzzEdits(f *testing.F) {
	f.Add("segmentGranlarity", "segmentGranularity", 3)
	f.Add("", "ä", 1)
	f.Add("abab", "baba", 100)
	f.Fuzz(func(t *testing.T, a, b string, limit int) {
		if len(a)*len(b) > 1<<16 || limit < 0 {
			return
		}
		n := Edits(a, b, limit)
		if n < 0 || n > limit || n > max(len(a), len(b)) && n != limit {
			t.Errorf("%q, %q: %d edits of at most %d", a, b, n, limit)
		}
		if back := Edits(b, a, limit); back != n {
			t.Errorf("%q, %q: %d edits there, %d back", a, b, n, back)
		}
		if limit > 0 && (n == 0) != (a == b) {
			t.Errorf("%q, %q: %d edits", a, b, n)
		}
		_ = Within(a, strings.Fields(b), limit%64)
	})
}
