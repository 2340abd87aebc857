package etcdkv_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

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
	t.Parallel()
	catalogtest.Run(t, func(t testing.TB) catalogtest.Fixture {
		return catalogtest.Fixture{KV: open(t), Compact: compact}
	})
}

func TestOpenRefuses(t *testing.T) {
	secret := "pass-pass-pass"
	for _, o := range []etcdkv.Options{
		{},
		{Endpoints: []string{endpoint}},
		{Prefix: "p"},
		{Endpoints: []string{endpoint}, Prefix: "/"},
		{Endpoints: []string{endpoint}, Prefix: "p", Username: "u"},
		{Endpoints: []string{endpoint}, Prefix: "p", Password: secret},
		{Endpoints: []string{"https://a:1", "http://b:1"}, Prefix: "p"},
		{Endpoints: []string{"https://a:1", "b:1"}, Prefix: "p"},
		{Endpoints: []string{"http://a:1"}, Prefix: "p", TLS: &tls.Config{MinVersion: tls.VersionTLS12}},
		{Endpoints: []string{"https://"}, Prefix: "p"},
		{Endpoints: []string{"ftp://a:1"}, Prefix: "p"},
		{Endpoints: []string{""}, Prefix: "p"},
	} {
		s, err := etcdkv.Open(o)
		if err == nil {
			t.Errorf("%v was accepted", o.Endpoints)
			closeStore(t, s)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the password is shown: %v", err)
		}
	}
}

func closeStore(t testing.TB, s *etcdkv.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close the store: %v", err)
	}
}
