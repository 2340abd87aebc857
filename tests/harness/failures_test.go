package harness

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"drumlin/internal/testkit"
)

// TestFailuresAreToldInShort holds scripts/failures to what it picks out of long outputs.
func TestFailuresAreToldInShort(t *testing.T) {
	long := strings.Repeat("        x_test.go:3: a line of many\n", 100)
	for name, c := range map[string]struct {
		output     string
		has, hasNo []string
	}{
		"all is well": {"=== make test (3s)\nok  \tdrumlin/a\t1s\n", nil, []string{"ok", "==="}},
		"a failed test": {
			"ok  \tdrumlin/a\t1s\n--- FAIL: TestX (1.00s)\n    x_test.go:1: seed 7\n    x_test.go:2: wrong\nFAIL\nFAIL\tdrumlin/x\t1s\nok  \tdrumlin/y\t1s\n",
			[]string{"--- FAIL: TestX", "seed 7", "wrong", "FAIL\tdrumlin/x"},
			[]string{"ok"},
		},
		"a part of a test": {
			"--- FAIL: TestX (1.00s)\n    --- PASS: TestX/a (0.1s)\n        x_test.go:1: well\n    --- FAIL: TestX/b (0.1s)\n        x_test.go:2: wrong\nFAIL\n",
			[]string{"--- FAIL: TestX (", "--- FAIL: TestX/b", "wrong"},
			[]string{"well"},
		},
		"much said": {
			"--- FAIL: TestX (1.00s)\n    x_test.go:1: first\n" + long + "    x_test.go:4: last\nFAIL\n",
			[]string{"first", "… 79 lines …", "last"},
			nil,
		},
		"no time left":  {"panic: test timed out after 1s\n\trunning tests:\n\t\tTestZ (1s)\nFAIL\tdrumlin/z\t1s\n", []string{"TestZ", "FAIL\tdrumlin/z"}, nil},
		"not formatted": {"a/b.go:3:4: unused\nmake: *** [Makefile:3: check] Error 1\n", []string{"unused", "make: ***"}, nil},
	} {
		cmd := exec.Command(filepath.Join(testkit.RepoRoot(t), "scripts", "failures"))
		cmd.Stdin = strings.NewReader(c.output)
		told, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, told)
		}
		for _, want := range c.has {
			if !strings.Contains(string(told), want) {
				t.Errorf("%s: %q is not told:\n%s", name, want, told)
			}
		}
		for _, not := range c.hasNo {
			if strings.Contains(string(told), not) {
				t.Errorf("%s: %q is told:\n%s", name, not, told)
			}
		}
	}
}
