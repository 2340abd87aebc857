package memkv_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/catalog/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	catalogtest.Run(t, func(testing.TB) catalogtest.Fixture {
		s := memkv.New(nil)
		return catalogtest.Fixture{KV: s, Compact: func(_ testing.TB, revision int64) { s.Compact(revision) }}
	})
}

// TestLeaseClock: a lease ends by the injected clock, and a renewal begins its time anew.
func TestLeaseClock(t *testing.T) {
	now := time.Unix(0, 0)
	s := memkv.New(func() time.Time { return now })
	lease, err := s.Grant(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	put := catalog.Op{Kind: catalog.OpPut, Key: "k", Lease: lease}
	if _, err := s.Txn(t.Context(), catalog.Txn{Then: []catalog.Op{put}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(59 * time.Second)
		if err := s.KeepAlive(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Minute)
	res, err := s.Range(t.Context(), "k", catalog.RangeOptions{})
	if err != nil || len(res.KVs) != 0 {
		t.Errorf("after its time: %+v, %v", res, err)
	}
	if err := s.KeepAlive(t.Context(), lease); !errors.Is(err, catalog.ErrKVLeaseNotFound) {
		t.Errorf("keep alive after its time: %v", err)
	}
}

func TestSessionOutlivesOutage(t *testing.T) {
	catalogtest.TestSessionOutlivesOutage(t, func() catalog.Backend { return memkv.New(nil) })
}
