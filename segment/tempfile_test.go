package segment

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestTempFilesOutliveTheirDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		f, err := TempFile(dir)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("the file has a name: %v %v", left, err)
		}
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("still there")); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := TempFile(filepath.Join(file, "dir")); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that cannot be made: %v", err)
	}
}
