package testkit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestPartsAreFoundWhereTheyAre(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DRUMLIN_PARTS", dir)
	for _, name := range []string{"versitygw", "etcd", "kafka"} {
		if path, err := findPart(t, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s in an empty directory: %q, %v", name, path, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "kafka", "libs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"versitygw", "etcd"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"versitygw": "versitygw", "etcd": "etcd", "kafka": "kafka/libs"} {
		if path := Part(t, name); path != filepath.Join(dir, want) {
			t.Errorf("%s is %q", name, path)
		}
	}
}
