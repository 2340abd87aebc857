package cluster

import (
	"flag"
	"os"
	"testing"

	"drumlin/tests/harness"
)

// binary is the built drumlin; TestMain sets it once, before any test.
var binary string

// atATime is how many parallel tests run at a time unless -parallel says otherwise. They mostly wait, for leases to end and
// for faults to last, so that it is more than there are processors. Those that hold the product to seconds run before, one by one.
const atATime = "3"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atATime); err != nil {
		panic(err)
	}
	os.Exit(harness.Main(m, &binary))
}

// long says whether the long profile runs.
func long() bool { return os.Getenv("DRUMLIN_TEST_LONG") != "" }
