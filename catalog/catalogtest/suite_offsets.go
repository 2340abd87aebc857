package catalogtest

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"drumlin/catalog"
	"drumlin/segment"
)

func runOffsets(t *testing.T, factory Factory) {
	t.Run("begin", func(t *testing.T) { testBegin(t, factory) })
	t.Run("acknowledge", func(t *testing.T) { testAcknowledge(t, factory) })
	t.Run("reset", func(t *testing.T) { testReset(t, factory) })
}

// testReset: the ends of former generations stand in every offset from then on.
func testReset(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	_, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	closed := catalog.ClosedGeneration{TopicID: w.Offset.TopicID, End: w.Offset.Next, Stored: 5}
	next := w.Offset
	next.Generation, next.Next, next.TopicID = 1, 3, "another"
	if _, err := e.c.Reset(t.Context(), w.Owner, w.Revision, w.Offset, next); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("reset that carries counters over: %v", err)
	}
	next.Counters, next.ClockMillis = segment.Counters{}, 0
	rev, err := e.c.Reset(t.Context(), w.Owner, w.Revision, w.Offset, next)
	if err != nil {
		t.Fatal(err)
	}
	w.Offset, w.Revision = next, rev
	blind := w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 3})
	if _, err := w.C.Append(t.Context(), blind); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("append that would forget the closed generation: %v", err)
	}
	if _, err := e.c.Acknowledge(t.Context(), w.Owner, rev, next, next.Facts); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("acknowledgement that would forget the closed generation: %v", err)
	}
	if w.Offset, w.Revision, _, err = e.c.ReadOffset(t.Context(), w.Owner.PartitionKey); err != nil {
		t.Fatal(err)
	}
	forgetful := w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 3})
	forgetful.Next.Closed = nil
	if _, err := w.C.Append(t.Context(), forgetful); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("append whose next offset forgets the closed generation: %v", err)
	}
	w.MustAppend(t, Hour(1), 3)
	v := e.refresh(t)
	if rows(v) != 8 || catalog.Verify(v) != nil {
		t.Errorf("%d rows, %v", rows(v), catalog.Verify(v))
	}
	off := v.Supervisors["s"].Partitions[partition(0)].Offset
	if !reflect.DeepEqual(off.Closed, []catalog.ClosedGeneration{closed}) {
		t.Errorf("closed generations %+v", off.Closed)
	}
	record, err := catalog.DecodeRecord(off.Record, e.objects.read(t, off.Record))
	if err != nil || !reflect.DeepEqual(record.Offset.Closed, off.Closed) {
		t.Errorf("the newest record has %+v, %v", record, err)
	}
	again := off
	again.Generation, again.Next, again.Counters, again.ClockMillis = 2, 0, segment.Counters{}, 0
	if _, err := e.c.Reset(t.Context(), w.Owner, w.Revision, w.Offset, again); err != nil {
		t.Fatal(err)
	}
	off = e.refresh(t).Supervisors["s"].Partitions[partition(0)].Offset
	if want := (catalog.ClosedGeneration{Generation: 1, TopicID: "another", Start: 3, End: 7, Stored: 3}); len(off.Closed) != 2 || off.Closed[1] != want {
		t.Errorf("closed generations %+v, want the second %+v", off.Closed, want)
	}
	if err := catalog.Verify(e.refresh(t)); err != nil {
		t.Error(err)
	}
}

func testBegin(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, _ := e.writer(t)
	if _, err := e.c.RaiseFloors(t.Context(), "ds", catalog.Floors{RetentionMillis: 1000}); err != nil {
		t.Fatal(err)
	}
	owner, err := s.Acquire(t.Context(), partition(1))
	if err != nil {
		t.Fatal(err)
	}
	start := catalog.Offset{LeaderEpoch: -1, Facts: segment.Facts{SpecVersion: 1}}
	if _, err := e.c.Begin(t.Context(), owner, start); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("begin without the floor: %v", err)
	}
	start.Facts.RetentionFloorMillis = 1000
	e.faulty.BeforeTxn(func() {
		if _, err := e.c.RaiseFloors(t.Context(), "ds", catalog.Floors{RetentionMillis: 2000}); err != nil {
			t.Error(err)
		}
	})
	if _, err := e.c.Begin(t.Context(), owner, start); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("begin while the floor rises: %v", err)
	}
	start.Facts.RetentionFloorMillis = 2000
	e.faulty.Next(LoseReply)
	rev, err := e.c.Begin(t.Context(), owner, start)
	if err != nil {
		t.Fatal(err)
	}
	off, mod, found, err := e.c.ReadOffset(t.Context(), partition(1))
	if err != nil || !found || mod != rev || off.Facts != start.Facts {
		t.Errorf("offset %+v at %d, %v", off, mod, err)
	}
	if again, err := e.c.Begin(t.Context(), owner, start); err != nil || again != rev {
		t.Errorf("the same beginning again: revision %d, not %d: %v", again, rev, err)
	}
	other := start
	other.Next++
	if _, err := e.c.Begin(t.Context(), owner, other); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("begin elsewhere: %v", err)
	}
	r, err := catalog.DecodeRecord(off.Record, e.objects.read(t, off.Record))
	if err != nil || r.Kind != catalog.RecordBegin || !reflect.DeepEqual(r.Offset, off) {
		t.Errorf("record %+v, %v", r, err)
	}
}

func testAcknowledge(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	facts := w.Offset.Facts
	facts.RetentionFloorMillis = 1000
	e.faulty.Next(LoseReply)
	rev, err := e.c.Acknowledge(t.Context(), w.Owner, w.Revision, w.Offset, facts)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := e.c.Acknowledge(t.Context(), w.Owner, w.Revision, w.Offset, facts); err != nil || again != rev {
		t.Errorf("the same acknowledgement again: revision %d, not %d: %v", again, rev, err)
	}
	other := facts
	other.RetentionFloorMillis++
	if _, err := e.c.Acknowledge(t.Context(), w.Owner, w.Revision, w.Offset, other); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("acknowledge at an old revision: %v", err)
	}
	w.Offset.Facts, w.Revision = facts, rev
	if _, err := e.c.Acknowledge(t.Context(), w.Owner, rev, w.Offset, segment.Facts{}); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("facts that go back: %v", err)
	}
	w.MustAppend(t, Hour(1), 5)
	if err := s.Release(t.Context(), w.Owner); err != nil {
		t.Fatal(err)
	}
	if _, err := e.c.Acknowledge(t.Context(), w.Owner, w.Revision, w.Offset, facts); !errors.Is(err, catalog.ErrFenced) {
		t.Errorf("acknowledge without ownership: %v", err)
	}
	v := e.refresh(t)
	if p := v.Supervisors["s"].Partitions[partition(0)]; p.Offset.Facts != facts || p.Owner != nil {
		t.Errorf("partition %+v", p)
	}
	if err := catalog.Verify(v); err != nil {
		t.Error(err)
	}
}

func runSupervisors(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	e.faulty.Next(LoseReply)
	Supervise(t, e.c, "s", "ds")
	second := catalog.SupervisorChange{
		Supervisor:    catalog.Supervisor{ID: "s", Datasource: "ds", Version: 2, SchemaID: 2, Spec: []byte(`{"a":1}`)},
		ExpectVersion: 1, NewSchema: Schema(2, "page", "user"),
	}
	rev, err := e.c.PutSupervisor(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := e.c.PutSupervisor(t.Context(), second); err != nil || again != rev {
		t.Errorf("the same version again: %d after %d, %v", again, rev, err)
	}
	for name, c := range map[string]struct {
		want  error
		spoil func(*catalog.SupervisorChange)
	}{
		"other content": {catalog.ErrConflict, func(c *catalog.SupervisorChange) { c.Supervisor.Suspended = true }},
		"other version": {catalog.ErrConflict, func(c *catalog.SupervisorChange) { c.ExpectVersion, c.Supervisor.Version = 7, 8 }},
		"version leap":  {catalog.ErrInvalid, func(c *catalog.SupervisorChange) { c.Supervisor.Version = 5 }},
		"moved columns": {catalog.ErrInvalid, func(c *catalog.SupervisorChange) { third(c, 3, "user", "page") }},
		"schema leap":   {catalog.ErrInvalid, func(c *catalog.SupervisorChange) { third(c, 9, "page", "user") }},
		"no datasource": {catalog.ErrInvalid, func(c *catalog.SupervisorChange) {
			c.Supervisor.ID, c.Supervisor.Datasource, c.Supervisor.Version, c.ExpectVersion = "new", "missing", 1, 0
		}},
		"moves away": {catalog.ErrInvalid, func(c *catalog.SupervisorChange) {
			third(c, 2)
			c.NewSchema, c.Supervisor.Datasource = nil, "other"
		}},
		"datasource exists": {catalog.ErrConflict, func(c *catalog.SupervisorChange) {
			c.Supervisor.ID, c.Supervisor.Version, c.ExpectVersion = "new", 1, 0
			c.NewDatasource = &catalog.Datasource{Name: "ds", HashKey: Sum("x")[:32]}
			c.NewSchema, c.Supervisor.SchemaID = Schema(1, "page"), 1
		}},
	} {
		change := second
		c.spoil(&change)
		if _, err := e.c.PutSupervisor(t.Context(), change); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v := e.refresh(t)
	ds := v.Datasources["ds"]
	if v.Supervisors["s"].Version != 2 || ds.Schema.ID != 2 || len(ds.Schemas) != 2 || ds.SegmentGranularity != "hour" {
		t.Errorf("view: %+v, %+v", v.Supervisors["s"], ds)
	}
	if n := len(slices.DeleteFunc(e.objects.Keys(), func(k string) bool { return k[:6] != "specs/" })); n < 2 {
		t.Errorf("%d mirrors", n)
	}
}

// third makes the change one to version 3.
func third(c *catalog.SupervisorChange, schema int32, columns ...string) {
	c.Supervisor.Version, c.ExpectVersion, c.Supervisor.SchemaID = 3, 2, schema
	c.NewSchema = Schema(schema, columns...)
}
