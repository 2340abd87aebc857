package etcdkv_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"drumlin/catalog"
	"drumlin/catalog/etcdkv"
)

// TestUnreachable: what was never sent has not happened, whether the timeout is the store's or the caller's.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := openAt(t, etcdkv.Options{Endpoints: []string{"127.0.0.1:1"}, RequestTimeout: 100 * time.Millisecond})
	for _, timeout := range []time.Duration{time.Minute, 50 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		began := time.Now()
		if err := putIn(ctx, s); !errors.Is(err, catalog.ErrKVUnavailable) || errors.Is(err, catalog.ErrKVUnknown) {
			t.Errorf("transaction: %v", err)
		}
		if _, err := s.Range(ctx, "", catalog.RangeOptions{}); !errors.Is(err, catalog.ErrKVUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("range: %v", err)
		}
		if err := s.KeepAlive(ctx, 1); !errors.Is(err, catalog.ErrKVUnavailable) {
			t.Errorf("keepalive: %v", err)
		}
		if err := s.Revoke(ctx, 1); !errors.Is(err, catalog.ErrKVUnavailable) || errors.Is(err, catalog.ErrKVUnknown) {
			t.Errorf("revoke: %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		cancel()
	}
}

// silentServer takes requests and never answers. It tells of each.
func silentServer(t *testing.T) (address string, asked <-chan struct{}) {
	t.Helper()
	arrived := make(chan struct{}, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		arrived <- struct{}{}
		<-stream.Context().Done()
		return stream.Context().Err()
	}))
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("the silent server: %v", err)
		}
	})
	return l.Addr().String(), arrived
}

// TestSilence: what was sent and never answered is unknown, and waited for no longer than the timeout.
func TestSilence(t *testing.T) {
	t.Parallel()
	address, asked := silentServer(t)
	s := openAt(t, etcdkv.Options{Endpoints: []string{address}, RequestTimeout: time.Second})
	for connected := false; !connected; { // what cannot be sent in time is not what this is about
		_, _ = s.Range(t.Context(), "", catalog.RangeOptions{})
		select {
		case <-asked:
			connected = true
		default:
		}
	}
	began := time.Now()
	if err := putIn(t.Context(), s); !errors.Is(err, catalog.ErrKVUnknown) {
		t.Errorf("transaction: %v", err)
	}
	if err := s.Revoke(t.Context(), 1); !errors.Is(err, catalog.ErrKVUnknown) {
		t.Errorf("revoke: %v", err)
	}
	if _, err := s.Range(t.Context(), "", catalog.RangeOptions{}); !errors.Is(err, catalog.ErrKVUnavailable) {
		t.Errorf("range: %v", err)
	}
	if err := s.KeepAlive(t.Context(), 1); !errors.Is(err, catalog.ErrKVUnavailable) {
		t.Errorf("keepalive: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestFullDatabase: writes say what to do, and that nothing has happened; reads and leases that there are go on; once
// there is room again, everything does.
func TestFullDatabase(t *testing.T) {
	t.Parallel()
	members := startMembers(t, 1, func(c *embed.Config) { c.QuotaBackendBytes = 16 << 20 })
	s := openAt(t, etcdkv.Options{Endpoints: endpointsOf(members)})
	ctx := t.Context()
	lease, err := s.Grant(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 1<<20)
	put := func() error {
		_, err := s.Txn(ctx, catalog.Txn{Then: []catalog.Op{{Kind: catalog.OpPut, Key: "big", Value: value}}})
		return err
	}
	for i := 0; err == nil; i++ {
		if i > 40 {
			t.Fatal("the quota is not kept")
		}
		err = put()
	}
	if !errors.Is(err, catalog.ErrKVUnavailable) || errors.Is(err, catalog.ErrKVUnknown) {
		t.Errorf("a write: %v", err)
	}
	for _, step := range []string{"NOSPACE", "compact", "defrag", "disarm"} {
		if !strings.Contains(err.Error(), step) {
			t.Errorf("the error does not name %s: %v", step, err)
		}
	}
	if _, err := s.Grant(ctx, time.Minute); !errors.Is(err, catalog.ErrKVUnavailable) || !strings.Contains(err.Error(), "disarm") {
		t.Errorf("a lease: %v", err)
	}
	res, err := s.Range(ctx, "", catalog.RangeOptions{})
	if err != nil || len(res.KVs) != 1 {
		t.Errorf("a read: %v", err)
	}
	if err := s.KeepAlive(ctx, lease); err != nil {
		t.Errorf("a renewal: %v", err)
	}
	makeRoom(t, members[0].client)
	if err := put(); err != nil {
		t.Errorf("a write after there is room again: %v", err)
	}
}

// makeRoom does what the error tells.
func makeRoom(t *testing.T, endpoint string) {
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
	res, err := client.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), res.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Defragment(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
	alarms, err := client.AlarmList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, alarm := range alarms.Alarms {
		if _, err := client.AlarmDisarm(t.Context(), (*clientv3.AlarmMember)(alarm)); err != nil {
			t.Fatal(err)
		}
	}
}
