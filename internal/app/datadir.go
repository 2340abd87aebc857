package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
)

// dataDir is a locked data directory. Close gives the lock back.
type dataDir struct {
	lock   *flock.Flock
	nodeID string
}

// errLocked says that another process uses the data directory.
var errLocked = errors.New("the directory's lock is held by another process")

func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	lock := flock.New(filepath.Join(path, "lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory %s: %w", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("data directory %s: %w; stop that process, or give another --data-dir", path, errLocked)
	}
	nodeID, err := readNodeID(filepath.Join(path, "node-id"))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &dataDir{lock: lock, nodeID: nodeID}, nil
}

// Close gives the lock back. The lock also goes with the process, however it ends.
func (d *dataDir) Close() error { return d.lock.Close() }

// readNodeID reads the node id, or makes one and writes it down before it is used.
func readNodeID(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(data)) != "" {
		return strings.TrimSpace(string(data)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the node id: %w", err)
	}
	id := uuid.NewString()
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the node id: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return "", fmt.Errorf("write the node id: %w", err)
	}
	return id, nil
}
