package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"drumlin/objectstore"
	"drumlin/objectstore/objectstoretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Store, key, content string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), objectstoretest.Sum([]byte(content))); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return open(t, t.TempDir()) })
}

func TestObjectsOutliveTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	put(t, open(t, dir), "data/a", "content")
	put(t, open(t, dir), "data/a", "content")
	info, err := os.Stat(filepath.Join(dir, "data", "a"))
	if err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
}

func TestOpenRemovesLeftoversOfCrashesOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	crashed := filepath.Join(dir, ".put", "put-crashed")
	if err := os.WriteFile(crashed, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	inFlight, err := s.createTemp()
	if err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(crashed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	if _, err := os.Stat(inFlight.Name()); err != nil {
		t.Errorf("a Put in flight lost its file: %v", err)
	}
	if err := removeTemp(inFlight); err != nil {
		t.Error(err)
	}
}

func TestPutLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a/b", "x")
	if err := s.Put(t.Context(), "a/b", strings.NewReader("y"), 1, objectstoretest.Sum([]byte("y"))); !errors.Is(err, objectstore.ErrExists) {
		t.Error(err)
	}
	if err := s.Put(t.Context(), "a/c", strings.NewReader("y"), 2, objectstoretest.Sum([]byte("y"))); err == nil {
		t.Error("a short body is accepted")
	}
	entries, err := os.ReadDir(filepath.Join(dir, ".put"))
	if err != nil || len(entries) > 0 {
		t.Errorf("left in .put: %v, %v", entries, err)
	}
}

func TestDeleteRemovesEmptyDirectories(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a/b/c", "x")
	put(t, s, "a/d", "x")
	if err := s.Delete(t.Context(), "a/b/c"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a", "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty directory is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a", "d")); err != nil {
		t.Error(err)
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("open of a file: %v", err)
	}
}
