package mem_test

import (
	"testing"

	"go.uber.org/goleak"

	"drumlin/objectstore"
	"drumlin/objectstore/mem"
	"drumlin/objectstore/objectstoretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	objectstoretest.Run(t, func(*testing.T) objectstore.Store { return mem.New() })
}
