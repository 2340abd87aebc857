// Package mem keeps objects in memory, for tests and for trying things out: nothing outlives the Store.
package mem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"drumlin/objectstore"
)

// Store is an object store in memory.
type Store struct {
	mu      sync.RWMutex
	objects map[string][]byte // contents are never changed
}

var _ objectstore.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{objects: map[string][]byte{}} }

// Put is objectstore.Store's.
func (s *Store) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256Hex string) error {
	if err := objectstore.ValidateKey(key); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if size < 0 {
		return fmt.Errorf("put %q: size %d is negative", key, size)
	}
	var content bytes.Buffer
	if err := objectstore.CopyVerified(ctx, &content, body, size, sha256Hex); err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.objects[key]; ok {
		if sum := sha256.Sum256(old); hex.EncodeToString(sum[:]) != sha256Hex {
			return fmt.Errorf("put %q: %w", key, objectstore.ErrExists)
		}
		return nil
	}
	s.objects[key] = content.Bytes()
	return nil
}

// Get is objectstore.Store's.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	content, err := s.content(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	n, err := objectstore.ValidateRange(key, int64(len(content)), offset, length)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(content[offset : offset+n])), nil
}

// Head is objectstore.Store's.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	content, err := s.content(ctx, "head", key)
	if err != nil {
		return objectstore.Info{}, err
	}
	return objectstore.Info{Key: key, Bytes: int64(len(content))}, nil
}

// List is objectstore.Store's.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) bool) error {
	if err := objectstore.ValidatePrefix(prefix); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	var found []objectstore.Info
	s.mu.RLock()
	for key, content := range s.objects {
		if strings.HasPrefix(key, prefix) {
			found = append(found, objectstore.Info{Key: key, Bytes: int64(len(content))})
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(found, func(a, b objectstore.Info) int { return strings.Compare(a.Key, b.Key) })
	for _, info := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !fn(info) {
			return nil
		}
	}
	return ctx.Err()
}

// Delete is objectstore.Store's.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := objectstore.ValidateKey(key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

func (s *Store) content(ctx context.Context, verb, key string) ([]byte, error) {
	if err := objectstore.ValidateKey(key); err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	content, ok := s.objects[key]
	if !ok {
		return nil, fmt.Errorf("%s %q: %w", verb, key, objectstore.ErrNotFound)
	}
	return content, nil
}
