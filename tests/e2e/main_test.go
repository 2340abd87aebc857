package e2e

import (
	"os"
	"testing"

	"drumlin/tests/harness"
)

// binary is the built drumlin; TestMain sets it once, before any test.
var binary string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &binary)) }
