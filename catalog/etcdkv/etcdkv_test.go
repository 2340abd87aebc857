package etcdkv_test

import (
	"crypto/tls"
	"strings"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"drumlin/catalog/catalogtest"
	"drumlin/catalog/etcdkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prefixes counts the prefixes that tests have taken, so that each has its own.
var prefixes atomic.Int64

func TestContract(t *testing.T) {
	t.Parallel()
	endpoints := endpointsOf(startMembers(t, 1, nil))
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	catalogtest.Run(t, func(t testing.TB) catalogtest.Fixture {
		return catalogtest.Fixture{KV: openAt(t, etcdkv.Options{Endpoints: endpoints}), Compact: func(t testing.TB, revision int64) {
			if _, err := client.Compact(t.Context(), revision); err != nil {
				t.Fatal(err)
			}
		}}
	})
}

func TestOpenRefuses(t *testing.T) {
	secret := "pass-pass-pass"
	for _, o := range []etcdkv.Options{
		{},
		{Endpoints: []string{"127.0.0.1:1"}},
		{Prefix: "p"},
		{Endpoints: []string{"127.0.0.1:1"}, Prefix: "/"},
		{Endpoints: []string{"127.0.0.1:1"}, Prefix: "p", Username: "u"},
		{Endpoints: []string{"127.0.0.1:1"}, Prefix: "p", Password: secret},
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
