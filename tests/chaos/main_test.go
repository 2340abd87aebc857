package chaos

import (
	"fmt"
	"os"
	"testing"

	"drumlin/tests/harness"
)

// binary is the built drumlin; TestMain sets it once, before any test.
var binary string

func TestMain(m *testing.M) {
	path, remove, err := harness.Binary()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = path
	code := m.Run()
	remove()
	os.Exit(code)
}
