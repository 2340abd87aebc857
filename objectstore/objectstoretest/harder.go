package objectstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"drumlin/objectstore"
)

// oddKeys: every character that a key may hold comes back as it is, whatever the service's addresses make of it.
func oddKeys(t *testing.T, s objectstore.Store) {
	keys := []string{
		"a b", "a+b", "a%20b", "a%2Fb", "a%", "a&b=c;d", "a?b", "a#b", "a~b", "a@b:c", "a'b\"c", "a<b>", "a(b)[c]{d}", "a!b$c*d,e|f^g`h",
		" leading", "trailing ", "x/ /y", "UPPER", "upper", "table=events/y=2026/m=01",
	}
	for i, key := range keys {
		put(t, s, key, strings.Repeat("x", i+1))
	}
	for i, key := range keys {
		wantContent(t, s, key, strings.Repeat("x", i+1))
	}
	slices.Sort(keys)
	if got := listed(t, s, ""); !slices.Equal(got, keys) {
		t.Errorf("list: %q, want %q", got, keys)
	}
	for _, key := range keys {
		if got := listed(t, s, key); len(got) == 0 || got[0] != key {
			t.Errorf("list %q: %q", key, got)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	if got := listed(t, s, ""); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// largeBytes crosses the sizes at which services want parts: two whole ones of 5 MiB and some bytes.
const largeBytes = 10<<20 + 12_345

func largeContent(seed uint64) []byte {
	content := make([]byte, largeBytes)
	random := rand.NewChaCha8([32]byte{byte(seed)})
	random.Read(content) //nolint:errcheck // it never fails
	return content
}

// readAtOnly hides that a body could be read in other ways.
type readAtOnly struct{ io.ReaderAt }

func largeObjects(t *testing.T, s objectstore.Store) {
	content := largeContent(1)
	sum := Sum(content)
	for range 2 { // the second time it is there already
		if err := s.Put(t.Context(), "d/large", readAtOnly{bytes.NewReader(content)}, largeBytes, sum); err != nil {
			t.Fatal(err)
		}
	}
	wantContent(t, s, "d/large", string(content))
	for _, at := range []int64{0, 1, 5<<20 - 1, 5 << 20, 10 << 20, largeBytes - 1} {
		if got, err := get(s, "d/large", at, 100_000); err != nil || got != string(content[at:min(at+100_000, largeBytes)]) {
			t.Errorf("100,000 bytes from %d: %d bytes, %v", at, len(got), err)
		}
	}
	other := largeContent(2)
	if err := s.Put(t.Context(), "d/large", bytes.NewReader(other), largeBytes, Sum(other)); !errors.Is(err, objectstore.ErrExists) {
		t.Errorf("put of other content of the same length: %v", err)
	}
	if err := s.Put(t.Context(), "d/wrong", bytes.NewReader(other), largeBytes, sum); err == nil {
		t.Error("a large object with another checksum is accepted")
	}
	if keys := listed(t, s, ""); !slices.Equal(keys, []string{"d/large"}) {
		t.Errorf("there are %q", keys)
	}
	wantContent(t, s, "d/large", string(content))
}

// samePuts: writers that put the same content at the same time all succeed.
func samePuts(t *testing.T, s objectstore.Store) {
	large := string(largeContent(3))
	for _, content := range []string{"", "content", large} {
		key := fmt.Sprintf("d/of-%d", len(content))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := tryPut(context.Background(), s, key, content); err != nil {
					t.Errorf("put %q: %v", key, err)
				}
			})
		}
		wg.Wait()
		wantContent(t, s, key, content)
	}
}

// deletesBesideReaders: a reader whose object is deleted gives all of it, or an error; never less without one.
func deletesBesideReaders(t *testing.T, s objectstore.Store) {
	content := string(largeContent(4))
	put(t, s, "k", content)
	r, err := s.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	begin := make([]byte, 1000)
	if _, err := io.ReadFull(r, begin); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if got := string(begin) + string(rest); err == nil && got != content || !strings.HasPrefix(content, got) {
		t.Errorf("read %d of %d bytes, %v", len(got), len(content), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), "k", 0, -1); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get of a deleted object: %v", err)
	}
}

// closedEarly: a reader need not be read to its end, or at all.
func closedEarly(t *testing.T, s objectstore.Store) {
	content := string(largeContent(5))
	put(t, s, "k", content)
	for _, n := range []int{0, 1, 100_000} {
		r, err := s.Get(t.Context(), "k", 7, -1)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != content[7:7+n] {
			t.Errorf("the first %d bytes: %v", n, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close after %d bytes: %v", n, err)
		}
	}
	wantContent(t, s, "k", content)
}

// cancellingBody ends the context of the Put that reads it.
type cancellingBody struct {
	io.ReaderAt
	cancel context.CancelFunc
}

func (b cancellingBody) ReadAt(p []byte, at int64) (int, error) {
	if at > 0 {
		b.cancel()
	}
	return b.ReaderAt.ReadAt(p, at)
}

func cancelledInTheMiddle(t *testing.T, s objectstore.Store) {
	content := largeContent(6)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := cancellingBody{bytes.NewReader(content), cancel}
	if err := s.Put(ctx, "k", body, largeBytes, Sum(content)); !errors.Is(err, context.Canceled) {
		t.Errorf("a put that is cancelled: %v", err)
	}
	if _, err := s.Head(t.Context(), "k"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("head after it: %v", err)
	}
	put(t, s, "k", string(content))
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	r, err := s.Get(ctx, "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got, err := io.ReadAll(r); err == nil && !bytes.Equal(got, content) {
		t.Errorf("a reader whose context ended gave %d of %d bytes without an error", len(got), len(content))
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// listsBesideChanges: a list beside puts and deletes is in order, names nothing twice, and has all that was there before
// and after it.
func listsBesideChanges(t *testing.T, s objectstore.Store) {
	var lasting []string
	for i := range 20 {
		key := fmt.Sprintf("d%d/lasting", i)
		put(t, s, key, "x")
		lasting = append(lasting, key)
	}
	slices.Sort(lasting)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() { churn(t, s, w, stop) })
	}
	for range 10 {
		keys := listed(t, s, "")
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			t.Errorf("a list beside changes: %q", keys)
		}
		keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.HasSuffix(key, "/lasting") })
		if !slices.Equal(keys, lasting) {
			t.Errorf("a list beside changes has %q of what lasts", keys)
		}
	}
	close(stop)
	wg.Wait()
}

// churn puts and deletes objects until it is stopped.
func churn(t *testing.T, s objectstore.Store, writer int, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		key := fmt.Sprintf("d%d/passing-%d", i%20, writer)
		if err := tryPut(context.Background(), s, key, "y"); err != nil {
			t.Error(err)
		}
		if err := s.Delete(context.Background(), key); err != nil {
			t.Error(err)
		}
	}
}
