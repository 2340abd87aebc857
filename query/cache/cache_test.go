package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"drumlin/objectstore"
	"drumlin/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store counts reads and can damage them.
type store struct {
	mu      sync.Mutex
	objects map[string][]byte
	gets    atomic.Int64
	damage  int // so many of the next reads give a wrong byte
	gate    chan struct{}
}

func (s *store) Get(ctx context.Context, key string, _, _ int64) (io.ReadCloser, error) {
	s.gets.Add(1)
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.objects[key]
	if !ok {
		return nil, objectstore.ErrNotFound
	}
	if s.damage > 0 {
		s.damage--
		b = append([]byte(nil), b...)
		b[0] ^= 1
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *store) put(key string, size int, fill byte) segment.Meta {
	b := bytes.Repeat([]byte{fill}, size)
	sum := sha256.Sum256(b)
	s.objects[key] = b
	return segment.Meta{Object: key, Bytes: int64(size), SHA256: hex.EncodeToString(sum[:])}
}

func newStore() *store { return &store{objects: map[string][]byte{}} }

func open(t *testing.T, s *store, dir string, maxBytes int64) *Cache {
	t.Helper()
	c, err := Open(Options{Dir: dir, MaxBytes: maxBytes, Objects: s})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pin(t *testing.T, c *Cache, segments ...segment.Meta) *Pins {
	t.Helper()
	p, err := c.Pin(context.Background(), segments)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range segments {
		info, err := os.Stat(p.Path(m.Object))
		if err != nil || info.Size() != m.Bytes || info.Mode().Perm() != 0o444 {
			t.Fatalf("%s: %v, %v", m.Object, info, err)
		}
	}
	return p
}

func TestOneFetchServesAll(t *testing.T) {
	s := newStore()
	m := s.put("a", 100, 'a')
	c := open(t, s, t.TempDir(), 0)
	s.gate = make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := c.Pin(context.Background(), []segment.Meta{m, m})
			if err != nil {
				t.Error(err)
				return
			}
			p.Release()
		})
	}
	close(s.gate)
	wg.Wait()
	if n := s.gets.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestAnImpatientCallerDoesNotFailTheOthers(t *testing.T) {
	s := newStore()
	m := s.put("a", 100, 'a')
	c := open(t, s, t.TempDir(), 0)
	s.gate = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() {
		_, err := c.Pin(ctx, []segment.Meta{m})
		first <- err
	}()
	second := make(chan error, 1)
	go func() {
		p, err := c.Pin(context.Background(), []segment.Meta{m})
		if err == nil {
			p.Release()
		}
		second <- err
	}()
	cancel()
	if err := <-first; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	close(s.gate)
	if err := <-second; err != nil {
		t.Errorf("the one who stayed: %v", err)
	}
}

func TestDamage(t *testing.T) {
	s := newStore()
	m := s.put("a", 100, 'a')
	s.damage = 1
	pin(t, open(t, s, t.TempDir(), 0), m).Release()
	if n := s.gets.Load(); n != 2 {
		t.Errorf("%d fetches, want one and one more", n)
	}
	s.damage = 2
	if _, err := open(t, s, t.TempDir(), 0).Pin(context.Background(), []segment.Meta{m}); !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("damaged twice: %v", err)
	}
	long := m
	long.Bytes--
	if _, err := open(t, s, t.TempDir(), 0).Pin(context.Background(), []segment.Meta{long}); !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("longer than its metadata says: %v", err)
	}
	if _, err := open(t, s, t.TempDir(), 0).Pin(context.Background(), []segment.Meta{{Object: "x", SHA256: "../../etc/passwd"}}); !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("a checksum that is a path: %v", err)
	}
	if _, err := open(t, s, t.TempDir(), 0).Pin(context.Background(), []segment.Meta{{Object: "x", SHA256: m.SHA256}}); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("a missing object: %v", err)
	}
}

func TestRestart(t *testing.T) {
	s, dir := newStore(), t.TempDir()
	a, b := s.put("a", 100, 'a'), s.put("b", 100, 'b')
	pin(t, open(t, s, dir, 0), a, b).Release()
	path := filepath.Join(dir, b.SHA256+suffix)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, junk := range []string{"fetch-1.partial", "x.parquet", "note"} {
		if err := os.WriteFile(filepath.Join(dir, junk), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, s, dir, 0)
	before := s.gets.Load()
	pin(t, c, a, b).Release()
	if n := s.gets.Load() - before; n != 1 {
		t.Errorf("%d fetches after the restart, want only the damaged one", n)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("files: %v, %v", files, err)
	}
}

func TestBudget(t *testing.T) {
	s, dir := newStore(), t.TempDir()
	c := open(t, s, dir, 250)
	var metas []segment.Meta
	for i := range 4 {
		metas = append(metas, s.put(fmt.Sprint(i), 100, byte('0'+i)))
	}
	held := pin(t, c, metas[0])
	for _, m := range metas[1:] {
		pin(t, c, m).Release()
	}
	if _, err := os.Stat(held.Path("0")); err != nil {
		t.Errorf("a pinned file is gone: %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("%d files of 100 bytes in 250: %v", len(files), err)
	}
	if _, err := c.Pin(context.Background(), metas[:3]); !errors.Is(err, ErrTooBig) {
		t.Errorf("more than fits: %v", err)
	}
	held.Release()
	pin(t, c, metas[3]).Release()
	pin(t, c, metas[1]).Release()
	if _, err := os.Stat(filepath.Join(dir, metas[0].SHA256+suffix)); !os.IsNotExist(err) {
		t.Errorf("the least recently used file is still there: %v", err)
	}
}

func TestFilesThatSomebodyElseTouches(t *testing.T) {
	s := newStore()
	m := s.put("a", 1000, 'a')
	c := open(t, s, filepath.Join(t.TempDir(), "cache"), 0)
	pin(t, c, m).Release()
	file := filepath.Join(c.Dir(), m.SHA256+suffix)
	for what, harm := range map[string]func() error{
		"removed":           func() error { return os.Remove(file) },
		"directory removed": func() error { return os.RemoveAll(c.Dir()) },
		"truncated":         func() error { return errors.Join(os.Chmod(file, 0o644), os.Truncate(file, 10)) },
		"written to": func() error {
			return errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, bytes.Repeat([]byte{'b'}, 1000), 0o644))
		},
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		before := s.gets.Load()
		p := pin(t, c, m)
		if b, err := os.ReadFile(p.Path("a")); err != nil || !bytes.Equal(b, s.objects["a"]) || s.gets.Load() != before+1 {
			t.Errorf("%s: the file is not as the store has it, or was fetched %d times: %v", what, s.gets.Load()-before, err)
		}
		p.Release()
	}
}
