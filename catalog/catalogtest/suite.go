package catalogtest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
)

// Fixture is a fresh, empty store of one backend.
type Fixture struct {
	KV      catalog.Backend
	Compact func(t testing.TB, revision int64) // forgets what lies below the revision
}

// Factory makes a fresh fixture that lives as long as the test.
type Factory func(t testing.TB) Fixture

// Run is the contract of a backend together with the protocol on top of it.
func Run(t *testing.T, factory Factory) {
	for _, group := range []struct {
		name string
		run  func(*testing.T, Factory)
	}{
		{"kv", runKV},
		{"open", runOpen},
		{"sessions", runSessions},
		{"append", runAppend},
		{"offsets", runOffsets},
		{"supervisors", runSupervisors},
		{"view", runView},
		{"swap", runSwap},
		{"collect", runCollect},
		{"tasks", runTasks},
		{"random", runRandom},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, factory) })
	}
}

// env is one catalog over one store.
type env struct {
	Fixture
	faulty  *Faulty
	objects *Objects
	c       *catalog.Catalog
}

func newEnv(t *testing.T, factory Factory, change ...func(*catalog.Options)) *env {
	t.Helper()
	e := &env{Fixture: factory(t), objects: NewObjects()}
	e.faulty = NewFaulty(e.KV)
	e.c = e.open(t, change...)
	return e
}

// open opens a further catalog, as another process would.
func (e *env) open(t *testing.T, change ...func(*catalog.Options)) *catalog.Catalog {
	t.Helper()
	o := catalog.Options{KV: e.faulty, Objects: e.objects, Logger: slog.New(slog.DiscardHandler), CheckEvery: -1}
	for _, fn := range change {
		fn(&o)
	}
	c, err := catalog.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// refresh returns a view as new as the store.
func (e *env) refresh(t testing.TB) *catalog.View {
	t.Helper()
	return refresh(t, e.c)
}

func refresh(t testing.TB, c *catalog.Catalog) *catalog.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := c.Refresh(ctx)
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	return v
}

// writer makes supervisor s of datasource ds and an owner of partition 0 of topic t.
func (e *env) writer(t *testing.T) (*catalog.Session, *Writer) {
	t.Helper()
	Supervise(t, e.c, "s", "ds")
	s := Register(t, e.c, "n1")
	return s, Write(t, e.c, s, partition(0))
}

func partition(n int32) catalog.PartitionKey {
	return catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: n}
}

// bucket finds the bucket view that begins at the bucket's start.
func bucket(t testing.TB, v *catalog.View, b segment.Bucket) *catalog.BucketView {
	t.Helper()
	for _, view := range v.Datasources["ds"].Buckets {
		if view.Bucket.StartMillis == b.StartMillis {
			return view
		}
	}
	t.Fatalf("bucket %+v is not in the view of revision %d", b, v.Revision)
	return nil
}

// rows counts the data rows that the view shows.
func rows(v *catalog.View) int64 {
	var n int64
	for _, b := range v.Datasources["ds"].Buckets {
		for i := range b.Settled {
			n += b.Settled[i].Rows
		}
		for i := range b.Tail {
			n += b.Tail[i].Rows
		}
	}
	return n
}

// waitFor waits until the condition holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
