package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"drumlin/internal/testkit"
	"drumlin/objectstore"
	"drumlin/objectstore/s3"
	"drumlin/tests/harness"
)

// troubled is a store behind a proxy, and one that goes straight to the same objects.
type troubled struct {
	*s3.Store
	proxy    *harness.S3Proxy
	straight *s3.Store
	options  s3.Options
	dir      string // of the objects
}

func newTroubled(t *testing.T, change func(*s3.Options)) *troubled {
	t.Helper()
	g := startGateway(t)
	f := &troubled{proxy: harness.NewS3Proxy(t, g.endpoint)}
	f.options = g.options(f.proxy.URL())
	f.options.MaxAttempts = 4
	if change != nil {
		change(&f.options)
	}
	f.Store = openStore(t, f.options)
	straight := f.options
	straight.Endpoint = g.endpoint
	f.straight = openStore(t, straight)
	f.dir = filepath.Join(g.dir, testBucket)
	return f
}

var (
	testCredentials = aws.Credentials{AccessKeyID: testID, SecretAccessKey: testSecret}
	large           = strings.Repeat("0123456789abcdef", 700_000) // three parts
)

func method(name string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == name }
}

// query matches a request whose query has the name: the steps of a multipart upload.
func query(verb, name string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == verb && r.URL.Query().Has(name) }
}

// first matches only the first n of the requests.
func first(n int64, match func(*http.Request) bool) func(*http.Request) bool {
	var seen atomic.Int64
	return func(r *http.Request) bool { return match(r) && seen.Add(1) <= n }
}

// uploads is the number of multipart uploads that are under way.
func (f *troubled) uploads(t *testing.T) int {
	t.Helper()
	// Aborting everything that began before long ago counts nothing: ask the gateway's own directory.
	found, err := filepath.Glob(filepath.Join(f.dir, ".sgwtmp", "multipart", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// TestRepliesAreLost: what was applied is found again, by a retry that is told that the key is taken.
func TestRepliesAreLost(t *testing.T) {
	f := newTroubled(t, nil)
	for name, content := range map[string]string{"small": "content", "large": large} {
		for step, match := range map[string]func(*http.Request) bool{
			"put": method(http.MethodPut), "create": query(http.MethodPost, "uploads"), "complete": query(http.MethodPost, "uploadId"),
		} {
			key := name + "-" + step
			f.proxy.SetRules(harness.S3Rules{DropReplies: true, Match: first(1, match)})
			if err := put(t.Context(), f.Store, key, content); err != nil {
				t.Errorf("%s: put whose reply was lost: %v", key, err)
			}
			wantContent(t, f.straight, key, content)
			f.proxy.SetRules(harness.S3Rules{DropReplies: true, Match: first(1, match)})
			if err := put(t.Context(), f.Store, key, strings.ToUpper(content)+"!"); !errors.Is(err, objectstore.ErrExists) || errors.Is(err, objectstore.ErrUnknown) {
				t.Errorf("%s: put of other content whose reply was lost: %v", key, err)
			}
			wantContent(t, f.straight, key, content)
		}
	}
	f.proxy.SetRules(harness.S3Rules{DropReplies: true, Match: first(1, method(http.MethodDelete))})
	if err := f.Delete(t.Context(), "small-put"); err != nil {
		t.Errorf("delete whose reply was lost: %v", err)
	}
	wantMissing(t, f.straight, "small-put")
}

// TestNoReplyComesThrough: the outcome is unknown, and said to be.
func TestNoReplyComesThrough(t *testing.T) {
	f := newTroubled(t, func(o *s3.Options) { o.MaxAttempts = 3 })
	mustPut(t, f.straight, "old", "x")
	f.proxy.SetRules(harness.S3Rules{DropReplies: true})
	if err := put(t.Context(), f.Store, "found", "content"); err != nil {
		t.Errorf("put without any reply, of what can be read back: %v", err)
	}
	if err := f.Delete(t.Context(), "found"); !errors.Is(err, objectstore.ErrUnknown) {
		t.Errorf("delete without any reply: %v", err)
	}
	wantMissing(t, f.straight, "found")
	for _, rules := range []harness.S3Rules{{Down: true}, {Status: 500, Code: "InternalError"}, {Status: 503, Code: "SlowDown"}} {
		f.proxy.SetRules(rules)
		if err := put(t.Context(), f.Store, "new", "content"); !errors.Is(err, objectstore.ErrUnknown) {
			t.Errorf("%+v: put: %v", rules, err)
		}
		if err := f.Delete(t.Context(), "old"); !errors.Is(err, objectstore.ErrUnknown) {
			t.Errorf("%+v: delete: %v", rules, err)
		}
	}
	for _, rules := range []harness.S3Rules{{Down: true}, {Status: 500, Code: "InternalError"}} {
		f.proxy.SetRules(rules)
		_, headErr := f.Head(t.Context(), "old")
		_, getErr := get(t.Context(), f.Store, "old", 0, -1)
		listErr := f.List(t.Context(), "", func(objectstore.Info) bool { return true })
		for _, err := range []error{headErr, getErr, listErr} {
			if err == nil || errors.Is(err, objectstore.ErrUnknown) || errors.Is(err, objectstore.ErrNotFound) {
				t.Errorf("%+v: %v", rules, err)
			}
		}
	}
}

// TestNobodyListens: what was never sent has no unknown outcome.
func TestNobodyListens(t *testing.T) {
	f := newTroubled(t, func(o *s3.Options) { o.Endpoint, o.MaxAttempts = "http://"+testkit.FreeAddress(t), 2 })
	for _, err := range []error{put(t.Context(), f.Store, "k", "x"), put(t.Context(), f.Store, "k", large), f.Delete(t.Context(), "k")} {
		if err == nil || errors.Is(err, objectstore.ErrUnknown) {
			t.Errorf("%v", err)
		}
	}
}

func TestConflicts(t *testing.T) {
	f := newTroubled(t, nil)
	conflict := harness.S3Rules{Status: http.StatusConflict, Code: "ConditionalRequestConflict"}
	for name, match := range map[string]func(*http.Request) bool{
		"small": method(http.MethodPut), "large": query(http.MethodPost, "uploadId"),
	} {
		content := map[string]string{"small": "content", "large": large}[name]
		conflict.Match = first(2, match)
		f.proxy.SetRules(conflict)
		if err := put(t.Context(), f.Store, name, content); err != nil {
			t.Errorf("%s: put after two conflicts: %v", name, err)
		}
		wantContent(t, f.straight, name, content)
		conflict.Match = match
		f.proxy.SetRules(conflict)
		err := put(t.Context(), f.Store, name+"-never", content)
		if err == nil || errors.Is(err, objectstore.ErrExists) || errors.Is(err, objectstore.ErrUnknown) {
			t.Errorf("%s: put with conflicts only: %v", name, err)
		}
		wantMissing(t, f.straight, name+"-never")
	}
	if n := f.uploads(t); n > 0 {
		t.Errorf("%d unfinished uploads are left", n)
	}
}

func TestUploadsAreCut(t *testing.T) {
	f := newTroubled(t, nil)
	for name, content := range map[string]string{"small": "content", "large": large} {
		f.proxy.SetRules(harness.S3Rules{CutUploads: true, Match: first(2, method(http.MethodPut))})
		if err := put(t.Context(), f.Store, name, content); err != nil {
			t.Errorf("%s: put after two uploads that were cut: %v", name, err)
		}
		wantContent(t, f.straight, name, content)
		f.proxy.SetRules(harness.S3Rules{CutUploads: true, Match: method(http.MethodPut)})
		if err := put(t.Context(), f.Store, name+"-never", content); err == nil {
			t.Errorf("%s: a put that is always cut succeeds", name)
		}
		wantMissing(t, f.straight, name+"-never")
	}
	if n := f.uploads(t); n > 0 {
		t.Errorf("%d unfinished uploads are left", n)
	}
}

// TestUploadsAreTruncated: a service that keeps a part of what was sent and says that all is well is found out.
func TestUploadsAreTruncated(t *testing.T) {
	f := newTroubled(t, nil)
	for name, content := range map[string]string{"small": "content", "large": large} {
		rules := harness.S3Rules{TruncateUploads: true, Sign: testCredentials, Match: first(1, method(http.MethodPut))}
		f.proxy.SetRules(rules)
		err := put(t.Context(), f.Store, name, content)
		if name == "small" && err != nil {
			t.Errorf("%s: put after an upload that was truncated: %v", name, err)
		}
		if err == nil {
			wantContent(t, f.straight, name, content)
		} else {
			wantMissing(t, f.straight, name)
		}
		rules.Match = method(http.MethodPut)
		f.proxy.SetRules(rules)
		if err := put(t.Context(), f.Store, name+"-never", content); err == nil || errors.Is(err, objectstore.ErrUnknown) {
			t.Errorf("%s: put that is always truncated: %v", name, err)
		}
		wantMissing(t, f.straight, name+"-never")
	}
}

func TestTheServiceStalls(t *testing.T) {
	t.Parallel()
	// What is to succeed has time on a busy machine too; what is to be given up need not be waited for as long.
	f := newTroubled(t, func(o *s3.Options) { o.RequestTimeout = 2 * time.Second })
	hasty := f.options
	hasty.RequestTimeout, hasty.MaxAttempts = 500*time.Millisecond, 2
	impatient := openStore(t, hasty)
	f.proxy.SetRules(harness.S3Rules{Stall: true, Match: first(1, method(http.MethodPut))})
	if err := put(t.Context(), f.Store, "k", "content"); err != nil {
		t.Errorf("put after one that stalled: %v", err)
	}
	f.proxy.SetRules(harness.S3Rules{Stall: true})
	if err := put(t.Context(), impatient, "never", "content"); !errors.Is(err, objectstore.ErrUnknown) || errors.Is(err, context.Canceled) {
		t.Errorf("put that stalls: %v", err)
	}
	if _, err := get(t.Context(), impatient, "k", 0, -1); err == nil || errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get that stalls: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // long enough for the request to be sent
	defer cancel()
	if err := put(ctx, f.Store, "never", "content"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, objectstore.ErrUnknown) {
		t.Errorf("put whose caller gives up: %v", err)
	}
	f.proxy.SetRules(harness.S3Rules{StallDownloads: true, Match: first(1, method(http.MethodGet))})
	wantContent(t, f.Store, "k", "content")
}

// TestABadDay keeps thirty percent failing for long: the budget of retries lasts.
func TestABadDay(t *testing.T) {
	if os.Getenv("DRUMLIN_TEST_LONG") == "" {
		t.Skip("set DRUMLIN_TEST_LONG: ten minutes")
	}
	f := newTroubled(t, func(o *s3.Options) { o.MaxAttempts = 0 })
	f.proxy.SetRules(harness.S3Rules{FailShare: 0.3})
	var wg sync.WaitGroup
	end := time.Now().Add(badDay)
	for w := range 8 {
		wg.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				key := fmt.Sprintf("d/%d-%d", w, i)
				// What a caller does with an unknown outcome: the same again.
				err := put(t.Context(), f.Store, key, key)
				for attempt := 1; errors.Is(err, objectstore.ErrUnknown) && attempt < 4; attempt++ {
					err = put(t.Context(), f.Store, key, key)
				}
				if err != nil {
					t.Error(err)
				}
				wantContent(t, f.straight, key, key)
			}
		})
	}
	wg.Wait()
	t.Logf("%d of %d requests failed", f.proxy.Troubled(), f.proxy.Requests())
}

// TestThirtyPercentFail is S3's bad day, in short.
func TestThirtyPercentFail(t *testing.T) {
	t.Parallel()
	// Eight failures in a row, at which the default gives up, would come by chance once in a hundred runs of this test.
	f := newTroubled(t, func(o *s3.Options) { o.MaxAttempts = 20 })
	f.proxy.SetRules(harness.S3Rules{FailShare: 0.3})
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			for i := range 4 {
				key := fmt.Sprintf("d/%d-%d", w, i)
				if err := put(t.Context(), f.Store, key, key); err != nil {
					t.Error(err)
				}
				wantContent(t, f.Store, key, key)
			}
		})
	}
	wg.Go(func() {
		if err := put(t.Context(), f.Store, "d/large", large); err != nil {
			t.Error(err)
		}
		wantContent(t, f.Store, "d/large", large)
	})
	wg.Wait()
	n := 0
	if err := f.List(t.Context(), "d/", func(objectstore.Info) bool { n++; return true }); err != nil || n != 49 {
		t.Errorf("%d objects, %v", n, err)
	}
	if f.proxy.Troubled() < 10 { // about 45 are expected
		t.Errorf("only %d of %d requests failed", f.proxy.Troubled(), f.proxy.Requests())
	}
}

// TestLargeSingleRequests: a service may answer a large request before it has read it, and close the connection.
func TestLargeSingleRequests(t *testing.T) {
	f := newTroubled(t, func(o *s3.Options) { o.PartBytes = 64 << 20 })
	for name, s := range map[string]*s3.Store{"straight": f.straight, "behind the proxy": f.Store} {
		mustPut(t, s, name, large)
		mustPut(t, s, name, large)
		if err := put(t.Context(), s, name, strings.ToUpper(large)); !errors.Is(err, objectstore.ErrExists) || errors.Is(err, objectstore.ErrUnknown) {
			t.Errorf("%s: put of other content: %v", name, err)
		}
		wantContent(t, f.straight, name, large)
	}
}

// TestRefusalsAreFinal: what will not change is not asked again.
func TestRefusalsAreFinal(t *testing.T) {
	f := newTroubled(t, nil)
	f.proxy.SetRules(harness.S3Rules{Status: http.StatusForbidden, Code: "AccessDenied"})
	before := f.proxy.Requests()
	if err := put(t.Context(), f.Store, "k", "x"); err == nil || !strings.Contains(err.Error(), "AccessDenied") || errors.Is(err, objectstore.ErrUnknown) {
		t.Errorf("put: %v", err)
	}
	if n := f.proxy.Requests() - before; n != 1 {
		t.Errorf("a refused put was sent %d times", n)
	}
	f.proxy.SetRules(harness.S3Rules{Status: http.StatusNotFound, Code: "NoSuchBucket"})
	if _, err := f.Get(t.Context(), "k", 0, -1); err == nil || errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get from a bucket that is not there: %v", err)
	}
}

// TestUploadsOfTheDead: an upload whose completion has an unknown outcome is left alone, and swept later.
func TestUploadsOfTheDead(t *testing.T) {
	f := newTroubled(t, func(o *s3.Options) { o.MaxAttempts = 2 })
	f.proxy.SetRules(harness.S3Rules{Status: 500, Code: "InternalError", Match: query(http.MethodPost, "uploadId")})
	if err := put(t.Context(), f.Store, "dir/k", large); !errors.Is(err, objectstore.ErrUnknown) {
		t.Errorf("put: %v", err)
	}
	f.proxy.SetRules(harness.S3Rules{})
	if n, err := f.AbortUploads(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("aborted %d young uploads, %v", n, err)
	}
	elsewhere := f.options
	elsewhere.Prefix = "elsewhere"
	if n, err := openStore(t, elsewhere).AbortUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("aborted %d uploads of another prefix, %v", n, err)
	}
	for _, want := range []int{1, 0} {
		if n, err := f.AbortUploads(t.Context(), time.Now().Add(time.Hour)); n != want || err != nil {
			t.Errorf("aborted %d old uploads, %v; want %d", n, err, want)
		}
	}
	mustPut(t, f.Store, "dir/k", large)
}

// TestCancelledUploadsAreAborted: a caller that gives up leaves no parts behind.
func TestCancelledUploadsAreAborted(t *testing.T) {
	f := newTroubled(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.proxy.SetRules(harness.S3Rules{Stall: true, Match: func(r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		cancel()
		return true
	}})
	if err := put(ctx, f.Store, "k", large); !errors.Is(err, context.Canceled) || errors.Is(err, objectstore.ErrUnknown) {
		t.Errorf("put: %v", err)
	}
	if n := f.uploads(t); n > 0 {
		t.Errorf("%d unfinished uploads are left", n)
	}
	wantMissing(t, f.straight, "k")
	if entries, err := os.ReadDir(filepath.Join(f.dir, f.options.Prefix)); err == nil && len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
}
