package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"drumlin/objectstore"
)

// List is objectstore.Store's.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) bool) error {
	if err := objectstore.ValidatePrefix(prefix); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	dir := prefix[:strings.LastIndexByte(prefix, '/')+1] // the deepest directory that holds every match
	l := &listing{root: s.root, prefix: prefix, fn: fn}
	if err := l.walk(ctx, dir); err != nil {
		return fmt.Errorf("list %q: %w", prefix, err)
	}
	return nil
}

type listing struct {
	root, prefix string
	fn           func(objectstore.Info) bool
	stopped      bool
}

// walk visits the objects below dir, which is empty or ends with a slash, in key order: a directory sorts by its name with
// the slash, since "a-b" comes before "a/b".
func (l *listing) walk(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(l.root, filepath.FromSlash(dir)))
	if isMissing(err) {
		return nil // a Delete was faster
	}
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(entries))
	for _, entry := range entries {
		key := dir + entry.Name()
		if entry.IsDir() {
			key += "/"
		}
		if strings.HasPrefix(entry.Name(), ".") || !strings.HasPrefix(key, l.prefix) && !strings.HasPrefix(l.prefix, key) {
			continue
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := l.visit(ctx, key); err != nil || l.stopped {
			return err
		}
	}
	return nil
}

func (l *listing) visit(ctx context.Context, key string) error {
	if strings.HasSuffix(key, "/") {
		return l.walk(ctx, key)
	}
	if !strings.HasPrefix(key, l.prefix) {
		return nil
	}
	info, err := os.Lstat(filepath.Join(l.root, filepath.FromSlash(key)))
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		l.stopped = !l.fn(objectstore.Info{Key: key, Bytes: info.Size()})
	}
	return nil
}
