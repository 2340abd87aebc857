package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"drumlin/objectstore"
)

// Store is an object store in a directory.
type Store struct {
	root string
}

var _ objectstore.Store = (*Store)(nil)

// Open makes the directory where it is missing and removes what Puts of crashed processes have left.
func Open(root string) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", root, err)
	}
	s := &Store{root: abs}
	if err := os.MkdirAll(s.putDir(), 0o755); err != nil {
		return nil, fmt.Errorf("open object store: %w: check that the directory can be written", err)
	}
	if err := s.removeLeftovers(); err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	return s, nil
}

// Get is objectstore.Store's.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	path, err := s.path(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	f, size, err := openObject("get", key, path)
	if err != nil {
		return nil, err
	}
	n, err := objectstore.ValidateRange(key, size, offset, length)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &objectReader{Reader: io.NewSectionReader(f, offset, n), file: f}, nil
}

// Head is objectstore.Store's.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	path, err := s.path(ctx, "head", key)
	if err != nil {
		return objectstore.Info{}, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return objectstore.Info{}, objectError("head", key, err)
	}
	if !info.Mode().IsRegular() {
		return objectstore.Info{}, fmt.Errorf("head %q: %w", key, objectstore.ErrNotFound)
	}
	return objectstore.Info{Key: key, Bytes: info.Size()}, nil
}

// Delete is objectstore.Store's. It also removes the directories that become empty, so that the buckets of years do not
// stay behind.
func (s *Store) Delete(ctx context.Context, key string) error {
	path, err := s.path(ctx, "delete", key)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if isMissing(err) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	if err := os.Remove(path); err != nil && !isMissing(err) {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	dir := filepath.Dir(path)
	if err := syncDir(dir); err != nil && !isMissing(err) {
		return fmt.Errorf("delete %q: %w: %w", key, objectstore.ErrUnknown, err)
	}
	for ; dir != s.root; dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			break // not empty, or somebody else was faster: both are well
		}
	}
	return nil
}

func (s *Store) putDir() string { return filepath.Join(s.root, ".put") }

// path checks key and context. A valid key cannot leave the root.
func (s *Store) path(ctx context.Context, verb, key string) (string, error) {
	if err := objectstore.ValidateKey(key); err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return filepath.Join(s.root, filepath.FromSlash(key)), nil
}

func openObject(verb, key, path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, objectError(verb, key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = objectstore.ErrNotFound // a directory: the key is the beginning of others
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s %q: %w", verb, key, err), f.Close())
	}
	return f, info.Size(), nil
}

func objectError(verb, key string, err error) error {
	if isMissing(err) {
		return fmt.Errorf("%s %q: %w", verb, key, objectstore.ErrNotFound)
	}
	return fmt.Errorf("%s %q: %w", verb, key, err)
}

// objectReader reads part of an object.
type objectReader struct {
	io.Reader
	file *os.File
}

func (r *objectReader) Close() error { return r.file.Close() }

// isMissing: nothing has this name, or a part of the path before its end is an object.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) || isNotDir(err) }
