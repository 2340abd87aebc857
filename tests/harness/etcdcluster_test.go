package harness_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"drumlin/tests/harness"
)

// TestEtcdCluster breaks a cluster with everything on in every way that the harness offers.
func TestEtcdCluster(t *testing.T) {
	c := harness.StartEtcd(t, harness.EtcdOptions{TLS: true, Auth: true, ElectionTimeout: 200 * time.Millisecond})
	config, err := c.TLS().Config()
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.Endpoints(), TLS: config, Username: harness.EtcdUser, Password: harness.EtcdPassword, DialTimeout: 10 * time.Second,
		Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	put := func(key string) error {
		var err error
		for range 20 { // one member may be silent; the next attempt asks another
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err = client.Put(ctx, key, "v")
			cancel()
			if err == nil || errors.Is(err, rpctypes.ErrPermissionDenied) {
				return err
			}
		}
		return err
	}
	mustPut := func(when string) {
		t.Helper()
		if err := put(harness.EtcdPrefix + "/k"); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	mustPut("at the start")
	if err := put("/elsewhere"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("a key outside of the prefix: %v", err)
	}
	killed := c.WaitLeader(t)
	c.KillMember(t, killed)
	if leader := c.WaitLeader(t); leader == killed {
		t.Errorf("member %d leads, and is dead", leader)
	}
	mustPut("with the leader killed")
	c.RestartMember(t, killed)
	stopped := c.WaitLeader(t)
	c.StopMember(t, stopped)
	mustPut("with the leader stopped")
	c.ContinueMember(t, stopped)
	c.WaitLeader(t)
	mustPut("at the end")
	if _, err := c.Root(t).Put(t.Context(), "/elsewhere", "v"); err != nil {
		t.Errorf("root: %v", err)
	}
}
