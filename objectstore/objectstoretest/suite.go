// Package objectstoretest is the contract of object stores, as tests that every backend runs.
package objectstoretest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"drumlin/objectstore"
)

// Run checks the contract on stores that the factory makes: each call gives an empty one. except names parts of it that a
// store cannot keep; its package says why.
func Run(t *testing.T, factory func(t *testing.T) objectstore.Store, except ...string) {
	left := slices.Clone(except)
	for _, test := range []struct {
		name string
		fn   func(*testing.T, objectstore.Store)
	}{
		{"PutGetHead", putGetHead},
		{"PutIsIdempotent", putIsIdempotent},
		{"PutVerifies", putVerifies},
		{"Ranges", ranges},
		{"List", list},
		{"ListStops", listStops},
		{"Delete", deletes},
		{"KeysAreChecked", keysAreChecked},
		{"MissingObjects", missingObjects},
		{"CancelledContext", cancelledContext},
		{"ConcurrentPutsOfOneKey", concurrentPuts},
		{"ReadersSeeWholeObjects", wholeObjects},
		{"PutsBesideDeletes", putsBesideDeletes},
		{"OddKeys", oddKeys},
		{"LargeObjects", largeObjects},
		{"SamePutsAtOnce", samePuts},
		{"DeletesBesideReaders", deletesBesideReaders},
		{"ReadersAreClosedEarly", closedEarly},
		{"CancelledInTheMiddle", cancelledInTheMiddle},
		{"ListsBesideChanges", listsBesideChanges},
	} {
		if i := slices.Index(left, test.name); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		t.Run(test.name, func(t *testing.T) { test.fn(t, factory(t)) })
	}
	if len(left) > 0 {
		t.Errorf("the contract has no parts %q", left)
	}
}

// Sum is the checksum that Put asks for.
func Sum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func put(t *testing.T, s objectstore.Store, key, content string) {
	t.Helper()
	if err := tryPut(t.Context(), s, key, content); err != nil {
		t.Fatal(err)
	}
}

func tryPut(ctx context.Context, s objectstore.Store, key, content string) error {
	return s.Put(ctx, key, strings.NewReader(content), int64(len(content)), Sum([]byte(content)))
}

func get(s objectstore.Store, key string, offset, length int64) (string, error) {
	r, err := s.Get(context.Background(), key, offset, length)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(r)
	return string(content), errors.Join(err, r.Close())
}

func wantContent(t *testing.T, s objectstore.Store, key, want string) {
	t.Helper()
	if got, err := get(s, key, 0, -1); err != nil || got != want {
		t.Errorf("get %q: %d bytes, %v; want %d bytes", key, len(got), err, len(want))
	}
}

func listed(t *testing.T, s objectstore.Store, prefix string) []string {
	t.Helper()
	var keys []string
	if err := s.List(t.Context(), prefix, func(i objectstore.Info) bool { keys = append(keys, i.Key); return true }); err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return keys
}

func putGetHead(t *testing.T, s objectstore.Store) {
	contents := map[string]string{
		"a": "one", "data/table=events/y=2026/m=01/x y.parquet": strings.Repeat("z", 700_000), "empty": "", "p/q/r/s": "\x00\xff",
	}
	for key, content := range contents {
		put(t, s, key, content)
	}
	for key, content := range contents {
		wantContent(t, s, key, content)
		if info, err := s.Head(t.Context(), key); err != nil || info != (objectstore.Info{Key: key, Bytes: int64(len(content))}) {
			t.Errorf("head %q: %+v, %v", key, info, err)
		}
	}
}

func putIsIdempotent(t *testing.T, s objectstore.Store) {
	put(t, s, "k", "content")
	put(t, s, "k", "content")
	for _, other := range []string{"CONTENT", "longer content", ""} {
		if err := tryPut(t.Context(), s, "k", other); !errors.Is(err, objectstore.ErrExists) {
			t.Errorf("put of other content under a taken key: %v", err)
		}
	}
	wantContent(t, s, "k", "content")
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "CONTENT")
	wantContent(t, s, "k", "CONTENT")
}

func putVerifies(t *testing.T, s objectstore.Store) {
	content := "content"
	for _, test := range []struct {
		name, body, sha256 string
		size               int64
	}{
		{"other checksum", content, Sum([]byte("other")), 7},
		{"no checksum", content, "", 7},
		{"upper-case checksum", content, strings.ToUpper(Sum([]byte(content))), 7},
		{"body too short", content, Sum([]byte(content)), 8},
		{"negative size", content, Sum([]byte(content)), -1},
		{"checksum of more than size", content, Sum([]byte(content)), 3},
	} {
		if err := s.Put(t.Context(), "k", strings.NewReader(test.body), test.size, test.sha256); err == nil {
			t.Errorf("%s: accepted", test.name)
		}
	}
	if err := s.Put(t.Context(), "k", failingBody{}, 10, Sum(nil)); !errors.Is(err, errBody) {
		t.Errorf("a body that fails: %v", err)
	}
	if _, err := s.Head(t.Context(), "k"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("a refused Put left an object: %v", err)
	}
	if keys := listed(t, s, ""); len(keys) > 0 {
		t.Errorf("a refused Put left %v", keys)
	}
	// Only the size that was named counts: the body may be part of a larger file.
	if err := s.Put(t.Context(), "k", strings.NewReader(content), 3, Sum([]byte("con"))); err != nil {
		t.Errorf("the first bytes of a longer body: %v", err)
	}
	wantContent(t, s, "k", "con")
}

var errBody = errors.New("body failed")

type failingBody struct{}

func (failingBody) ReadAt([]byte, int64) (int, error) { return 0, errBody }

func ranges(t *testing.T, s objectstore.Store) {
	put(t, s, "k", "0123456789")
	put(t, s, "empty", "")
	for _, test := range []struct {
		key            string
		offset, length int64
		want           string
		fails          bool
	}{
		{"k", 0, -1, "0123456789", false},
		{"k", 3, -1, "3456789", false},
		{"k", 3, 4, "3456", false},
		{"k", 3, 0, "", false},
		{"k", 8, 100, "89", false},
		{"k", 10, -1, "", false},
		{"k", 10, 5, "", false},
		{"k", 11, -1, "", true},
		{"k", -1, 2, "", true},
		{"k", 0, -2, "", true},
		{"k", 1, 1<<63 - 1, "123456789", false},
		{"empty", 0, -1, "", false},
		{"empty", 0, 4, "", false},
		{"empty", 1, 1, "", true},
	} {
		got, err := get(s, test.key, test.offset, test.length)
		if got != test.want || (err != nil) != test.fails {
			t.Errorf("%d bytes of %q from %d: %q, %v", test.length, test.key, test.offset, got, err)
		}
	}
}

func list(t *testing.T, s objectstore.Store) {
	keys := []string{"a-b", "a/b-c", "a/b/c", "a/bc", "a0", "b/x/y/z", "b/x0"} // a key is never the path of another
	for i, key := range keys {
		put(t, s, key, strings.Repeat("x", i))
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b/", "a/b/c", "a/bc", "a-", "b/x", "b/x/", "b/x/y/z", "c", "c/d", "a/b/c/d"} {
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		if got := listed(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
	sizes := map[string]int64{}
	if err := s.List(t.Context(), "", func(i objectstore.Info) bool { sizes[i.Key] = i.Bytes; return true }); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if info, err := s.Head(t.Context(), key); err != nil || info.Bytes != sizes[key] {
			t.Errorf("list says that %q has %d bytes, head %d, %v", key, sizes[key], info.Bytes, err)
		}
	}
}

func listStops(t *testing.T, s objectstore.Store) {
	for i := range 10 {
		put(t, s, fmt.Sprintf("d%d/k", i), "x")
	}
	calls := 0
	if err := s.List(t.Context(), "", func(objectstore.Info) bool { calls++; return calls < 3 }); err != nil || calls != 3 {
		t.Errorf("%d calls, %v; want 3", calls, err)
	}
}

func deletes(t *testing.T, s objectstore.Store) {
	put(t, s, "a/b/c", "x")
	put(t, s, "a/b/d", "y")
	for _, key := range []string{"a/b/c", "a/b/c", "never/was", "a/b", "a/b/d/e"} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	if _, err := s.Head(t.Context(), "a/b/c"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("head of a deleted object: %v", err)
	}
	wantContent(t, s, "a/b/d", "y")
}

func keysAreChecked(t *testing.T, s objectstore.Store) {
	ctx := t.Context()
	for _, key := range []string{
		"", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.", ".hidden", "a/.b", "a\\b", "a\x00b", "a\nb", "é",
		strings.Repeat("k", 256), strings.Repeat("k/", 600) + "k",
	} {
		if err := tryPut(ctx, s, key, "x"); err == nil {
			t.Errorf("put %q is accepted", key)
		}
		if _, err := s.Get(ctx, key, 0, -1); err == nil || errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("get %q: %v", key, err)
		}
		if _, err := s.Head(ctx, key); err == nil || errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("head %q: %v", key, err)
		}
		if err := s.Delete(ctx, key); err == nil {
			t.Errorf("delete %q is accepted", key)
		}
	}
	for _, prefix := range []string{"/", "../", "a//", "a/../b"} {
		if err := s.List(ctx, prefix, func(objectstore.Info) bool { return true }); err == nil {
			t.Errorf("list %q is accepted", prefix)
		}
	}
}

func missingObjects(t *testing.T, s objectstore.Store) {
	put(t, s, "a/b", "x")
	for _, key := range []string{"missing", "a", "a/c", "a/b/c"} {
		if _, err := s.Get(t.Context(), key, 0, -1); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("get %q: %v", key, err)
		}
		if _, err := s.Head(t.Context(), key); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("head %q: %v", key, err)
		}
	}
}

func cancelledContext(t *testing.T, s objectstore.Store) {
	put(t, s, "there", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, headErr := s.Head(ctx, "there")
	_, getErr := s.Get(ctx, "there", 0, -1)
	for verb, err := range map[string]error{
		"put": tryPut(ctx, s, "new", "x"), "get": getErr, "head": headErr, "delete": s.Delete(ctx, "there"),
		"list": s.List(ctx, "", func(objectstore.Info) bool { return true }),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	wantContent(t, s, "there", "x")
}

func concurrentPuts(t *testing.T, s objectstore.Store) {
	const writers = 8
	for round := range 5 {
		key := fmt.Sprintf("dir%d/k", round)
		var wg sync.WaitGroup
		errs := make([]error, writers)
		for w := range writers {
			wg.Go(func() { errs[w] = tryPut(context.Background(), s, key, strings.Repeat(fmt.Sprint(w%2), 50_000)) })
		}
		wg.Wait()
		got, err := get(s, key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		for w, err := range errs {
			won := got == strings.Repeat(fmt.Sprint(w%2), 50_000)
			if won && err != nil || !won && !errors.Is(err, objectstore.ErrExists) {
				t.Errorf("round %d: writer %d, whose content is the object's: %v, got %v", round, w, won, err)
			}
		}
	}
}

func wholeObjects(t *testing.T, s objectstore.Store) {
	content := strings.Repeat("whole", 200_000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := get(s, "d/k", 0, -1)
				if err == nil && got != content {
					t.Errorf("a reader saw %d of %d bytes", len(got), len(content))
				} else if err != nil && !errors.Is(err, objectstore.ErrNotFound) {
					t.Errorf("a reader saw %v", err)
				}
			}
		})
	}
	for range 10 {
		put(t, s, "d/k", content)
		if err := s.Delete(t.Context(), "d/k"); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

// putsBesideDeletes: deleting the last object of a directory never makes a Put beside it fail.
func putsBesideDeletes(t *testing.T, s objectstore.Store) {
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("deep/er/dir/%d-%d", w, i)
				if err := tryPut(context.Background(), s, key, key); err != nil {
					t.Error(err)
				}
				if err := s.Delete(context.Background(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if keys := listed(t, s, ""); len(keys) > 0 {
		t.Errorf("left: %v", keys)
	}
}
