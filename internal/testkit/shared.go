package testkit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// SharedData returns the path of a file of the real input data, which stands beside the repository in
// ../shared/data. Where it is absent the test is skipped, but in CI (CI=true) it fails.
func SharedData(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(RepoRoot(t), "..", "shared", "data", name)
	_, err := os.Stat(path)
	switch {
	case err == nil:
		return path
	case !errors.Is(err, fs.ErrNotExist):
		t.Fatalf("look for the real input data: %v", err)
	case os.Getenv("CI") == "true":
		t.Fatalf("the real input data is missing: %s; in CI it must be there", path)
	default:
		t.Skipf("the real input data is not there: %s", path)
	}
	return ""
}

// RepoRoot returns the directory of go.mod.
func RepoRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("find the repository: no go.mod in any parent directory")
		}
		dir = parent
	}
}
