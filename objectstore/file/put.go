package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"drumlin/objectstore"
)

// linkAttempts bounds how often Put makes an object's directory again that a Delete has just removed as empty.
const linkAttempts = 100

// Put is objectstore.Store's.
func (s *Store) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256Hex string) error {
	path, err := s.path(ctx, "put", key)
	if err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("put %q: size %d is negative", key, size)
	}
	temp, err := s.createTemp()
	if err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	err = s.put(ctx, temp, path, body, size, sha256Hex)
	// The temporary name goes in any case, and last: until then the lock keeps other processes from removing it.
	err = errors.Join(err, removeTemp(temp))
	if err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, temp *os.File, path string, body io.ReaderAt, size int64, sha256Hex string) error {
	if err := objectstore.CopyVerified(ctx, temp, body, size, sha256Hex); err != nil {
		return err
	}
	if err := errors.Join(temp.Chmod(0o444), temp.Sync()); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.link(temp.Name(), path)
	switch {
	case errors.Is(err, fs.ErrExist):
		if err := sameContent(path, size, sha256Hex); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%w: %w", objectstore.ErrUnknown, err)
	}
	return nil
}

// link gives the file its name unless that is taken. A Delete may remove the directory, once it is empty, at any moment
// before the link.
func (s *Store) link(from, to string) error {
	var err error
	for range linkAttempts {
		if err = s.makeDirs(filepath.Dir(to)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err = os.Link(from, to); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// makeDirs makes the directories between the root and dir, and syncs the parent of each that is new.
func (s *Store) makeDirs(dir string) error {
	if dir == s.root {
		return nil
	}
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err := s.makeDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// sameContent returns nil where the file holds exactly this content, and ErrExists where it holds other.
func sameContent(path string, size int64, sha256Hex string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n != size || hex.EncodeToString(hash.Sum(nil)) != sha256Hex {
		return objectstore.ErrExists
	}
	return nil
}

// createTemp makes a locked file in .put. A start that clears .put may remove it between the making and the locking:
// then it is made again.
func (s *Store) createTemp() (*os.File, error) {
	for {
		f, err := os.CreateTemp(s.putDir(), "put-*")
		if err != nil {
			return nil, err
		}
		if err := lock(f); err != nil {
			return nil, errors.Join(err, removeTemp(f))
		}
		if _, err := os.Stat(f.Name()); err == nil {
			return f, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, removeTemp(f))
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

func removeTemp(f *os.File) error { return errors.Join(os.Remove(f.Name()), f.Close()) }

// removeLeftovers removes the files in .put that no process holds locked.
func (s *Store) removeLeftovers() error {
	entries, err := os.ReadDir(s.putDir())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(s.putDir(), entry.Name())
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err = lock(f); err == nil {
			err = os.Remove(path)
		}
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
