package catalogtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"

	"drumlin/catalog"
)

// Errors of Objects.
var (
	ErrNotFound = errors.New("object not found")
	ErrExists   = errors.New("object exists with other content")
)

// Objects is an object store in memory.
type Objects struct {
	mu       sync.Mutex
	objects  map[string][]byte
	failGets int // the next gets fail
	failPuts int
}

var _ catalog.Objects = (*Objects)(nil)

// NewObjects returns an empty store.
func NewObjects() *Objects { return &Objects{objects: map[string][]byte{}} }

// Put implements catalog.Objects.
func (o *Objects) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sum string) error {
	data := make([]byte, size)
	if _, err := body.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if digest := sha256.Sum256(data); hex.EncodeToString(digest[:]) != sum {
		return fmt.Errorf("put %s: the checksum does not fit", key)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if o.failPuts > 0 {
		o.failPuts--
		return fmt.Errorf("put %s: injected failure", key)
	}
	if old, ok := o.objects[key]; ok && !bytes.Equal(old, data) {
		return fmt.Errorf("put %s: %w", key, ErrExists)
	}
	o.objects[key] = data
	return nil
}

// Get implements catalog.Objects.
func (o *Objects) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if o.failGets > 0 {
		o.failGets--
		return nil, fmt.Errorf("get %s: injected failure", key)
	}
	data, ok := o.objects[key]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	end := int64(len(data))
	if length >= 0 {
		end = min(end, offset+length)
	}
	return io.NopCloser(bytes.NewReader(data[min(offset, end):end])), nil
}

// Keys lists all keys in order.
func (o *Objects) Keys() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.objects))
}

// Delete removes an object.
func (o *Objects) Delete(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.objects, key)
}

// Corrupt flips one bit of an object.
func (o *Objects) Corrupt(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	data := slices.Clone(o.objects[key])
	data[len(data)/2] ^= 1
	o.objects[key] = data
}

// FailGets makes the next n gets fail.
func (o *Objects) FailGets(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failGets = n
}

// FailPuts makes the next n puts fail.
func (o *Objects) FailPuts(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failPuts = n
}

// read returns an object's content.
func (o *Objects) read(t testing.TB, key string) []byte {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	data, ok := o.objects[key]
	if !ok {
		t.Fatalf("object %s is not there", key)
	}
	return data
}
