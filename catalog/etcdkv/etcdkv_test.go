package etcdkv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/catalog/etcdkv"
	"drumlin/internal/devetcd"
)

// endpoint is the one etcd that all tests of the package share; each test has its own prefix.
var (
	endpoint string
	prefixes atomic.Int64
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "drumlin-etcd-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		server, err := devetcd.Start(ctx, dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		endpoint = server.Endpoint()
		code := m.Run()
		server.Close()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

func open(t testing.TB) *etcdkv.Store {
	t.Helper()
	s, err := etcdkv.Open(etcdkv.Options{
		Endpoints: []string{endpoint}, Prefix: fmt.Sprintf("/test/%d", prefixes.Add(1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func compact(t testing.TB, revision int64) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := client.Compact(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	catalogtest.Run(t, func(t testing.TB) catalogtest.Fixture {
		return catalogtest.Fixture{KV: open(t), Compact: compact}
	})
}

func TestOpenRefuses(t *testing.T) {
	for _, o := range []etcdkv.Options{{}, {Endpoints: []string{endpoint}}, {Prefix: "p"}, {Endpoints: []string{endpoint}, Prefix: "/"}} {
		if _, err := etcdkv.Open(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// TestUnreachable: what was never answered is unknown for a transaction, and unavailable for a read.
func TestUnreachable(t *testing.T) {
	s, err := etcdkv.Open(etcdkv.Options{Endpoints: []string{"127.0.0.1:1"}, Prefix: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	op := catalog.Op{Kind: catalog.OpPut, Key: "k"}
	if _, err := s.Txn(ctx, catalog.Txn{Then: []catalog.Op{op}}); !errors.Is(err, catalog.ErrKVUnknown) {
		t.Errorf("transaction: %v", err)
	}
	if _, err := s.Range(ctx, "", catalog.RangeOptions{}); !errors.Is(err, catalog.ErrKVUnavailable) {
		t.Errorf("range: %v", err)
	}
}
