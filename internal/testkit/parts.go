package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Part returns the path of a part that scripts/parts installs or asks for: the programs versitygw, etcd, java and kcat,
// and kafka, the directory of Apache Kafka's jars. DRUMLIN_PARTS names another directory than bin/parts. Where the part is
// missing the test is skipped, but in CI (CI=true) it fails.
func Part(t testing.TB, name string) string {
	t.Helper()
	path, err := findPart(t, name)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing: %v; in CI it must be there: make parts installs it", name, err)
	default:
		t.Skipf("%s is missing: %v; make parts installs it", name, err)
	}
	return ""
}

func findPart(t testing.TB, name string) (string, error) {
	t.Helper()
	dir := os.Getenv("DRUMLIN_PARTS")
	if dir == "" {
		dir = filepath.Join(RepoRoot(t), "bin", "parts")
	}
	// Tests run in their packages' directories: a relative path would be one below those.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	switch name {
	case "versitygw", "etcd":
		return exec.LookPath(filepath.Join(dir, name))
	case "kafka":
		path := filepath.Join(dir, "kafka", "libs")
		_, err := os.Stat(path)
		return path, err
	case "java", "kcat":
		return exec.LookPath(name)
	}
	t.Fatalf("there is no part %q: versitygw, etcd, kafka, java, kcat", name)
	return "", nil
}
