package app

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestADirectoryKeepsItsNodeIDAndItsLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	first, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path); !errors.Is(err, errLocked) {
		t.Errorf("a second process: %v, want errLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if again.nodeID == "" || again.nodeID != first.nodeID {
		t.Errorf("node id %q, then %q", first.nodeID, again.nodeID)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
