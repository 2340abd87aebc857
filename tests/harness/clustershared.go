package harness

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared are the parts that the tests of a package have in common.
var shared struct {
	sync.Mutex
	tb    *packageTB
	parts *Parts
}

// SharedParts returns the parts that all tests of the package use, each with topics, a prefix in etcd and a prefix in the
// bucket of its own. They are started by the first test that asks and end with the package's tests, so its TestMain must
// go through Main.
func SharedParts(t testing.TB) *Parts {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.parts != nil {
		return shared.parts
	}
	if shared.tb == nil {
		t.Fatal("shared parts need a TestMain that goes through harness.Main")
	}
	starting := &stepTB{TB: shared.tb}
	starting.run(func(t testing.TB) { shared.parts = StartParts(t, PartsOptions{}) })
	starting.pass(t)
	return shared.parts
}

// withSharedParts runs the tests of a package and ends what they shared.
func withSharedParts(run func() int) int {
	dir, err := os.MkdirTemp("", "drumlin-parts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tb := &packageTB{dir: dir}
	shared.Lock()
	shared.tb = tb
	shared.Unlock()
	code := run()
	if err := errors.Join(tb.end(), os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}
