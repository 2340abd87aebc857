package etcdkv_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/catalog/etcdkv"
	"drumlin/segment"
	"drumlin/tests/harness"
)

// openCatalog opens a catalog of its own connection, closed at the test's end.
func openCatalog(t testing.TB, kv catalog.Backend, objects *catalogtest.Objects) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Options{
		KV: kv, Objects: objects, Logger: slog.New(slog.DiscardHandler), CheckEvery: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatalf("open the catalog: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the catalog: %v", err)
		}
	})
	return c
}

// appender commits one row after the other, as an owner does, and counts what it knows.
type appender struct {
	w                     *catalogtest.Writer
	known, unknown, other atomic.Int64 // commits that were acknowledged, that may be there, attempts that came to nothing
}

// run appends until ctx ends. After a failure it reads where the partition stands.
func (a *appender) run(ctx context.Context, t *testing.T) {
	hour := catalogtest.Hour(5)
	for ctx.Err() == nil {
		_, err := a.w.Append(ctx, a.w.Request(hour, 0, rowsOf(1)))
		switch {
		case err == nil:
			a.known.Add(1)
			continue
		case errors.Is(err, catalog.ErrUnknown), errors.Is(err, catalog.ErrConflict), ctx.Err() != nil:
			a.unknown.Add(1)
		case errors.Is(err, catalog.ErrKVUnavailable):
			a.other.Add(1)
		default:
			t.Errorf("append: %v", err)
			return
		}
		for ctx.Err() == nil {
			off, revision, found, err := a.w.C.ReadOffset(ctx, a.w.Owner.PartitionKey)
			if err == nil && found {
				a.w.Offset, a.w.Revision = off, revision
				break
			}
		}
	}
}

// TestMembersDie: with one of three members away from the start, the leader killed again and again, one stopped, and all
// gone for a moment, while a compaction forgets what watches may still want: writes go on after each election, no commit
// that was acknowledged is missing, none is there twice, and a view that was followed is the one that is loaded.
func TestMembersDie(t *testing.T) {
	t.Parallel()
	cluster := harness.StartEtcd(t, harness.EtcdOptions{ElectionTimeout: 200 * time.Millisecond})
	cluster.KillMember(t, 0)
	cluster.WaitLeader(t)
	objects := catalogtest.NewObjects()
	options := etcdkv.Options{Endpoints: cluster.Endpoints(), Prefix: "test/cluster", RequestTimeout: time.Second}
	owner := openCatalog(t, openAt(t, options), objects)
	follower := openCatalog(t, openAt(t, options), objects)
	catalogtest.Supervise(t, owner, "s", "d")
	session := catalogtest.Register(t, owner, "n1")
	a := &appender{w: catalogtest.Write(t, owner, session, catalog.PartitionKey{Supervisor: "s", Topic: "t"})}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.run(ctx, t)
	}()
	defer func() { stop(); <-done }()
	a.wait(t, 10)
	cluster.RestartMember(t, 0)
	nemesis(t, cluster, a)
	stop()
	<-done
	checkAppended(t, a, follower)
	fresh := refreshed(t, openCatalog(t, openAt(t, options), objects))
	if followed := refreshed(t, follower); !reflect.DeepEqual(followed.Datasources, fresh.Datasources) ||
		!reflect.DeepEqual(followed.Supervisors, fresh.Supervisors) {
		t.Error("the view that was followed is not the one that is loaded")
	}
	select {
	case <-session.Lost():
		t.Error("the session was lost")
	default:
	}
	t.Logf("%d commits known, %d in doubt, %d refused; the follower loaded its view again %d times",
		a.known.Load(), a.unknown.Load(), a.other.Load(), follower.Resyncs())
}

// nemesis breaks the cluster in one way after the other, and waits each time until writes go on.
func nemesis(t *testing.T, cluster *harness.EtcdCluster, a *appender) {
	t.Helper()
	for range 2 {
		victim := cluster.WaitLeader(t)
		began := time.Now()
		cluster.KillMember(t, victim)
		a.wait(t, 3)
		t.Logf("writes go on %s after the leader's death", time.Since(began).Round(time.Millisecond))
		forget(t, cluster)
		cluster.RestartMember(t, victim)
		a.wait(t, 20)
	}
	victim := cluster.WaitLeader(t)
	began := time.Now()
	cluster.StopMember(t, victim)
	a.wait(t, 3)
	t.Logf("writes go on %s after the leader has fallen silent", time.Since(began).Round(time.Millisecond))
	forget(t, cluster)
	a.wait(t, 20)
	cluster.ContinueMember(t, victim)
	for i := range cluster.Endpoints() {
		cluster.KillMember(t, i)
	}
	failures := a.unknown.Load() + a.other.Load()
	for deadline := time.Now().Add(time.Minute); a.unknown.Load()+a.other.Load() == failures; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no attempt ends while all members are gone")
		}
	}
	for i := range cluster.Endpoints() {
		cluster.RestartMember(t, i)
	}
	began = time.Now()
	a.wait(t, 20)
	t.Logf("writes go on %s after a majority is back", time.Since(began).Round(time.Millisecond))
}

func rowsOf(n int64) map[segment.Bucket]int64 {
	return map[segment.Bucket]int64{catalogtest.Hour(5): n}
}

// wait waits until so many more commits are acknowledged.
func (a *appender) wait(t *testing.T, more int64) {
	t.Helper()
	want := a.known.Load() + more
	for deadline := time.Now().Add(time.Minute); a.known.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no commits any more: %d known, %d in doubt, %d refused", a.known.Load(), a.unknown.Load(), a.other.Load())
		}
	}
}

// forget compacts everything that is not the newest.
func forget(t *testing.T, cluster *harness.EtcdCluster) {
	t.Helper()
	client := cluster.Root(t)
	var err error
	for range 60 { // a silent member may be asked first
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		var res *clientv3.GetResponse
		if res, err = client.Get(ctx, "x"); err == nil {
			_, err = client.Compact(ctx, res.Header.Revision)
		}
		cancel()
		if err == nil || errors.Is(err, rpctypes.ErrCompacted) {
			return
		}
	}
	t.Fatalf("compact: %v", err)
}

func refreshed(t *testing.T, c *catalog.Catalog) *catalog.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := c.Refresh(ctx)
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	return v
}

// checkAppended holds what the view has against what the appender knows.
func checkAppended(t *testing.T, a *appender, c *catalog.Catalog) {
	t.Helper()
	v := refreshed(t, c)
	p := v.Supervisors["s"].Partitions[a.w.Owner.PartitionKey]
	stored, known := p.Offset.Counters.Stored, a.known.Load()
	if stored < known || stored > known+a.unknown.Load() {
		t.Errorf("%d rows are there, %d were acknowledged, and %d are in doubt", stored, known, a.unknown.Load())
	}
	var rows int64
	for _, b := range v.Datasources["d"].Buckets {
		for _, s := range b.Tail {
			rows += s.Rows
		}
	}
	if rows != stored {
		t.Errorf("the tail has %d rows, the offset counts %d", rows, stored)
	}
}
