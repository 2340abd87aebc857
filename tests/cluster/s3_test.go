package cluster

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// compactAll rewrites all chunks, so that segments are read and written, and waits for it.
const compactAll = `{"type":"compact","dataSource":"events","interval":"2000-01-01/2100-01-01"}`

// TestObjectStoreFails lets the object store fail a third of all requests, be away, lose its replies and be slow, while events
// are handed off, compacted and queried: all is slower, and exact.
func TestObjectStoreFails(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Ingesters: 1, Coordinators: 1, Compactors: 1, Queriers: 1, Links: true})
	s := startSteady(t, c)
	during := func(what string, rules harness.S3Rules, least time.Duration, then func()) {
		t.Helper()
		begun, troubled := time.Now(), c.S3Proxy.Troubled()
		c.S3Proxy.SetRules(rules)
		then()
		time.Sleep(time.Until(begun.Add(least)))
		c.S3Proxy.SetRules(harness.S3Rules{})
		n := c.S3Proxy.Troubled() - troubled
		t.Logf("%s: %d requests troubled in %s", what, n, time.Since(begun).Round(time.Millisecond))
		if n == 0 {
			t.Errorf("%s: no request was troubled", what)
		}
		s.goesOn(t, "after "+what)
	}
	compact := func() {
		t.Helper()
		begun := time.Now()
		c.RunTask(t, compactAll)
		t.Logf("compacted in %s", time.Since(begun).Round(time.Millisecond))
	}
	cold := func() {
		t.Helper()
		// A process that queries and begins with nothing must read all segments.
		c.Nodes(harness.RoleQuery)[0].Restart(t)
		s.checker.WaitAnswers(t, steadyAnswers, settle)
	}
	during("failing a third", harness.S3Rules{FailShare: 0.3}, stated(0, 5*time.Minute), func() {
		s.goesOn(t, "while a third fails")
		compact()
		cold()
	})
	during("down", harness.S3Rules{Down: true}, stated(4*time.Second, 10*time.Second), func() {
		// Queries are answered from the cache, unless it lacks what was committed last.
		s.readsOn(t, "without an object store")
	})
	lost := func(r *http.Request) bool { return r.Method == http.MethodPut }
	during("losing the replies to uploads", harness.S3Rules{Match: everyOther(lost), DropReplies: true}, stated(0, time.Minute), func() {
		s.goesOn(t, "while replies to uploads get lost")
		compact()
	})
	for _, n := range c.Nodes() {
		n.ToObjects.Delay(500 * time.Millisecond) // each way
	}
	s.goesOn(t, "while each request takes a second")
	if long() {
		compact()
	}
	time.Sleep(stated(0, time.Minute))
	for _, n := range c.Nodes() {
		n.ToObjects.Heal()
	}
	s.goesOn(t, "with an object store that is well")
	checked := s.end(t)
	for what := range checked.Refusals {
		if !strings.Contains(what, `"starting"`) && !strings.Contains(what, "s3://") {
			t.Errorf("a refusal names no object: %s", what)
		}
	}
}

// everyOther matches every second request of those that match, the first one included.
func everyOther(match func(*http.Request) bool) func(*http.Request) bool {
	var n atomic.Int64
	return func(r *http.Request) bool { return match(r) && n.Add(1)%2 == 1 }
}
