package s3

import (
	"testing"

	"go.uber.org/goleak"

	"drumlin/objectstore"
	"drumlin/objectstore/objectstoretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	g := startGateway(t)
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return openStore(t, g.options(g.endpoint)) })
}

func TestProbeOfTheGateway(t *testing.T) {
	g := startGateway(t)
	s := openStore(t, g.options(g.endpoint))
	support, err := s.Probe(t.Context())
	if err != nil || support.String() != "everything is supported" {
		t.Errorf("%s, %v", support, err)
	}
}
