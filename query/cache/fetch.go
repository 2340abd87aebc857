package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"drumlin/segment"
)

// verify compares the file on disk with the segment's size and checksum.
func (c *Cache) verify(e *entry, m segment.Meta) (os.FileInfo, error) {
	f, err := os.Open(filepath.Join(c.dir, e.sha256+suffix))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("segment %s: its cached file is gone: %w", m.Object, segment.ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("verify segment %s: %w", m.Object, err)
	}
	defer f.Close()
	file, err := f.Stat() // before it is read: whoever writes to it meanwhile changes what this says
	if err != nil {
		return nil, fmt.Errorf("verify segment %s: %w", m.Object, err)
	}
	if _, err := io.Copy(io.Discard, segment.NewVerifyingReader("its cached file", f, m.Bytes, m.SHA256)); err != nil {
		return nil, fmt.Errorf("verify segment %s: %w", m.Object, err)
	}
	return file, nil
}

// fetch copies the object to disk. Damaged bytes are fetched once more, since they may have been damaged on the way.
func (c *Cache) fetch(ctx context.Context, m segment.Meta) (os.FileInfo, error) {
	file, err := c.fetchOnce(ctx, m)
	if errors.Is(err, segment.ErrCorrupt) {
		c.log.Warn("a fetched segment was damaged and is fetched again", "object", m.Object, "error", err)
		c.metrics.corrupt()
		file, err = c.fetchOnce(ctx, m)
	}
	return file, err
}

func (c *Cache) fetchOnce(ctx context.Context, m segment.Meta) (file os.FileInfo, err error) {
	ctx, patience := withPatience(ctx, c.budget)
	defer patience.stop()
	defer func() { err = silent(ctx, err) }()
	body, err := c.objects.Get(ctx, m.Object, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("fetch segment %s: %w", m.Object, err)
	}
	defer body.Close()
	if err := os.MkdirAll(c.dir, 0o755); err != nil { // it may have been removed, as a cache may be
		return nil, fmt.Errorf("fetch segment %s: %w", m.Object, err)
	}
	f, err := os.CreateTemp(c.dir, "fetch-*"+partialSuffix)
	if err != nil {
		return nil, fmt.Errorf("fetch segment %s: %w", m.Object, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(f.Name()))
		}
	}()
	n, err := copyChecked(f, patience.read(body), m)
	if err == nil {
		file, err = f.Stat()
	}
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("fetch segment %s: %w", m.Object, closeErr)
	}
	if err != nil {
		return nil, err
	}
	c.metrics.fetched(n)
	if err := os.Rename(f.Name(), filepath.Join(c.dir, m.SHA256+suffix)); err != nil {
		return nil, fmt.Errorf("fetch segment %s: %w", m.Object, err)
	}
	return file, nil
}

// copyChecked stores the object's bytes, and fails where they are not those that its metadata names.
func copyChecked(f *os.File, body io.Reader, m segment.Meta) (int64, error) {
	n, err := io.Copy(f, segment.NewVerifyingReader("its object", body, m.Bytes, m.SHA256))
	if err == nil {
		err = f.Chmod(0o444)
	}
	if err != nil {
		return 0, fmt.Errorf("fetch segment %s: %w", m.Object, err)
	}
	return n, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
