package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drumlin/tests/harness"
)

// TestEtcdMembersFail kills the member that leads, stops one that follows, and goes on with one member down: commits and
// answers go on by themselves each time.
func TestEtcdMembersFail(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, binary, harness.ClusterOptions{
		Ingesters: 2, Coordinators: 1, Compactors: 1, Queriers: 1, Parts: withEtcd(t, harness.EtcdOptions{}),
	})
	s := startSteady(t, c)
	leader := c.Etcd.WaitLeader(t)
	c.Etcd.KillMember(t, leader)
	s.goesOn(t, "without the member that led")
	c.Etcd.RestartMember(t, leader)
	s.goesOn(t, "with that member again")

	stopped := (c.Etcd.WaitLeader(t) + 1) % 3
	c.Etcd.StopMember(t, stopped)
	time.Sleep(stated(time.Second, 30*time.Second))
	s.goesOn(t, "with a member that stands still")
	c.Etcd.ContinueMember(t, stopped)

	down := (c.Etcd.WaitLeader(t) + 1) % 3
	c.Etcd.KillMember(t, down)
	c.RunTask(t, `{"type":"compact","dataSource":"events","interval":"2000-01-01/2100-01-01"}`)
	took := c.Ingesters()[0].Restart(t)
	t.Logf("with a member down a process starts within %s", took.Round(time.Millisecond))
	c.WaitShared(t, "events", steadyPartitions, settle, c.Ingesters()...)
	time.Sleep(stated(0, time.Minute))
	s.goesOn(t, "with a member down")
	if checked := s.end(t); checked.Refused > 0 {
		t.Errorf("queries were refused though etcd had a quorum: %s", checked)
	}
	c.Etcd.RestartMember(t, down)
}

// TestEtcdIsAway kills all members for longer than leases live. Reading goes on in memory, up to the limit of a process that
// has little of it; the status says what is wrong; and when etcd is back everything goes on by itself.
func TestEtcdIsAway(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, binary, harness.ClusterOptions{
		Ingesters: 1, Coordinators: 1, Queriers: 1, LeaseTTL: leaseLife, Parts: withEtcd(t, harness.EtcdOptions{}),
	})
	roomy, small := c.Ingesters()[0], c.New(t, harness.RoleIngest)
	small.Set = []string{"ingest.maxHotBytes=64MiB"}
	small.Start(t)
	s := startSteady(t, c)
	begun := time.Now()
	for i := range 3 {
		c.Etcd.KillMember(t, i)
	}
	s.readsOn(t, "without etcd")
	s.checker.WaitAnswers(t, steadyAnswers, settle)
	s.writeBulk(t, 2*(64<<20)/noteBytes)
	waitSample(t, small, "drumlin_ingest_paused", "every partition paused", func(v float64) bool { return v == steadyPartitions/2 })
	hot, _ := sample(t, small, "drumlin_ingest_hot_memory_bytes")
	t.Logf("the small process pauses at %.0f MiB of hot rows", hot/(1<<20))
	if hot > 64<<20 {
		t.Errorf("hot rows took %.0f bytes of 64 MiB", hot)
	}
	if v, _ := sample(t, roomy, "drumlin_ingest_paused"); v != 0 {
		t.Errorf("%v partitions of a process with memory to spare are paused", v)
	}
	waitSample(t, roomy, "drumlin_ingest_freshness_seconds", "fresh rows", func(v float64) bool { return v < 2*2 })
	s.says(t, "catalog's store has not answered since")
	if long() { // which takes as long as a commit is tried again before it counts as failed
		s.says(t, "topic "+s.topic, "commit a handoff")
	}
	s.checker.WaitAnswers(t, steadyAnswers, settle)
	time.Sleep(time.Until(begun.Add(stated(8*time.Second, 30*time.Second))))
	harness.Together(
		t,
		func(t testing.TB) { c.Etcd.RestartMember(t, 0) },
		func(t testing.TB) { c.Etcd.RestartMember(t, 1) },
		func(t testing.TB) { c.Etcd.RestartMember(t, 2) },
	)
	c.Etcd.WaitLeader(t)
	t.Logf("etcd was away for %s", time.Since(begun).Round(time.Millisecond))
	s.goesOn(t, "with etcd again")
	c.WaitShared(t, "events", steadyPartitions, settle, roomy, small)
	waitSample(t, small, "drumlin_ingest_paused", "no partition paused", func(v float64) bool { return v == 0 })
	checked := s.end(t)
	for what := range checked.Refusals {
		if !strings.Contains(what, "events/"+s.topic+"/") {
			t.Errorf("a refusal does not name partitions: %s", what)
		}
	}
}

// TestEtcdForgetsAndFillsUp compacts etcd's history under watches that lag behind, and then fills its quota: commits wait
// while reading goes on, and go on when somebody has made room.
func TestEtcdForgetsAndFillsUp(t *testing.T) {
	t.Parallel()
	const quotaBytes = 16 << 20
	c := harness.StartCluster(t, binary, harness.ClusterOptions{
		Ingesters: 2, Coordinators: 1, Queriers: 1, Links: true, Parts: withEtcd(t, harness.EtcdOptions{Members: 1, QuotaBytes: quotaBytes}),
	})
	s := startSteady(t, c)
	root := c.Etcd.Root(t)
	stop := compactEvery(t, root, 200*time.Millisecond)
	for _, n := range []*harness.Node{c.Ingesters()[0], c.Nodes(harness.RoleQuery)[0]} {
		n.ToEtcd[0].Stall(harness.Replies)
		waitRevision(t, root, currentRevision(t, root)+8)
		n.ToEtcd[0].Reset() // what was held back is lost: the watch must begin anew, at a revision that is gone
		n.ToEtcd[0].Heal()
		s.goesOn(t, "with history compacted under the watch of "+n.ID)
		if !strings.Contains(n.Log(), "has been compacted") {
			t.Errorf("the watch of %s met no history that is gone", n.ID)
		}
	}
	time.Sleep(stated(0, time.Minute))
	stop()

	fill(t, root, quotaBytes)
	s.readsOn(t, "without space in etcd")
	s.says(t, "topic "+s.topic, "commit a handoff", "space exceeded")
	s.checker.WaitAnswers(t, steadyAnswers, settle)
	time.Sleep(stated(0, 30*time.Second))
	makeRoom(t, root, c.Etcd.Endpoints()[0])
	s.goesOn(t, "with space again")
	s.end(t)
}

// compactEvery compacts etcd's history up to the present, again and again, until stop is called.
func compactEvery(t *testing.T, root *clientv3.Client, every time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-ticker.C:
			}
			now, err := root.Get(ctx, "now")
			if err == nil {
				_, err = root.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
			}
			if err != nil && ctx.Err() == nil && !errors.Is(err, rpctypes.ErrCompacted) {
				done <- err
				return
			}
		}
	}()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("compact etcd: %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return stop
}

func currentRevision(t *testing.T, root *clientv3.Client) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	now, err := root.Get(ctx, "now")
	if err != nil {
		t.Fatalf("read etcd's revision: %v", err)
	}
	return now.Header.Revision
}

// waitRevision waits until what drumlin writes has brought etcd to the revision, and that is history.
func waitRevision(t *testing.T, root *clientv3.Client, revision int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	for {
		_, err := root.Get(ctx, "now", clientv3.WithRev(revision))
		switch {
		case errors.Is(err, rpctypes.ErrCompacted):
			return
		case ctx.Err() != nil:
			t.Fatalf("revision %d of etcd is not compacted after %s: %v", revision, settle, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// fill puts revisions of one key until etcd has no space left.
func fill(t *testing.T, root *clientv3.Client, quotaBytes int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	value := strings.Repeat("x", 1<<20)
	for i := range 2 * quotaBytes / len(value) {
		_, err := root.Put(ctx, "filler", fmt.Sprint(i)+value)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return
		}
		if err != nil {
			t.Fatalf("fill etcd: %v", err)
		}
	}
	t.Fatal("etcd has space beyond its quota")
}

// makeRoom does what the runbook says: compact, defragment, disarm.
func makeRoom(t *testing.T, root *clientv3.Client, endpoint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	if _, err := root.Compact(ctx, currentRevision(t, root), clientv3.WithCompactPhysical()); err != nil {
		t.Fatalf("compact etcd: %v", err)
	}
	if _, err := root.Defragment(ctx, endpoint); err != nil {
		t.Fatalf("defragment etcd: %v", err)
	}
	if _, err := root.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		t.Fatalf("disarm etcd's alarm: %v", err)
	}
}
