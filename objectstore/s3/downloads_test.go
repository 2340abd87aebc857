package s3_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"drumlin/objectstore"
	"drumlin/tests/harness"
)

func TestDownloadsAreCut(t *testing.T) {
	f := newTroubled(t, nil)
	mustPut(t, f.straight, "k", large)
	f.proxy.SetRules(harness.S3Rules{CutDownloads: true})
	before := f.proxy.Requests()
	wantContent(t, f.Store, "k", large)
	if n := f.proxy.Requests() - before; n < 10 {
		t.Errorf("the object came with %d requests: nothing was cut", n)
	}
	if got, err := get(t.Context(), f.Store, "k", 1000, 3000); err != nil || got != large[1000:4000] {
		t.Errorf("3,000 bytes from 1,000: %d bytes, %v", len(got), err)
	}
}

// TestTheObjectGoesWhileItIsRead: a download that breaks cannot go on when the object has been deleted or is another.
func TestTheObjectGoesWhileItIsRead(t *testing.T) {
	f := newTroubled(t, nil)
	for name, change := range map[string]func(){
		"deleted":  func() {},
		"replaced": func() { mustPut(t, f.straight, "k", strings.ToUpper(large)) },
		"shorter":  func() { mustPut(t, f.straight, "k", "short") },
	} {
		mustPut(t, f.straight, "k", large)
		f.proxy.SetRules(harness.S3Rules{CutDownloads: true, Match: first(1, method(http.MethodGet))})
		r, err := f.Get(t.Context(), "k", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.straight.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		change()
		got, err := io.ReadAll(r)
		if err == nil || errors.Is(err, objectstore.ErrNotFound) != (name == "deleted") || !strings.HasPrefix(large, string(got)) {
			t.Errorf("%s: read %d bytes, %v", name, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := f.straight.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
}

// badDay is how long S3 fails for in the long profile.
const badDay = 10 * time.Minute
