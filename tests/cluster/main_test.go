package cluster

import (
	"os"
	"testing"

	"drumlin/tests/harness"
)

// binary is the built drumlin; TestMain sets it once, before any test.
var binary string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &binary)) }

// long says whether the long profile runs.
func long() bool { return os.Getenv("DRUMLIN_TEST_LONG") != "" }
