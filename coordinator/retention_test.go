package coordinator

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/catalog/memkv"
	"drumlin/objectstore/mem"
	"drumlin/segment"
	"drumlin/spec"
)

const hourMillis = 3_600_000

func TestDedupFloor(t *testing.T) {
	hour, err := spec.ParseGranularity("hour")
	if err != nil {
		t.Fatal(err)
	}
	const horizon = 2 * hourMillis
	clock := func(millis int64) reach { return reach{clockMillis: millis} }
	empty, unread := reach{empty: true}, reach{}
	for _, c := range []struct {
		name    string
		reaches []reach
		want    int64
	}{
		{"nothing is known", nil, 0},
		{"one partition", []reach{clock(10*hourMillis + 5)}, 8 * hourMillis},
		{"the bucket that ends at clock − horizon is still within", []reach{clock(10 * hourMillis)}, 7 * hourMillis},
		{"the slowest counts", []reach{clock(50 * hourMillis), clock(10*hourMillis + 1), clock(90 * hourMillis)}, 8 * hourMillis},
		{"an empty partition does not count", []reach{clock(10*hourMillis + 5), empty}, 8 * hourMillis},
		{"only empty ones", []reach{empty, empty}, 0},
		{"records that nobody has read", []reach{clock(10 * hourMillis), unread}, 0},
		{"not past the horizon yet", []reach{clock(hourMillis)}, 0},
	} {
		if got := dedupFloor(c.reaches, horizon, hour); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	// No record that a partition would take by its own clock lies below the floor.
	for clockMillis := int64(1); clockMillis < 400*hourMillis; clockMillis += 1_234_567 {
		floor := dedupFloor([]reach{clock(clockMillis)}, horizon, hour)
		for _, at := range []int64{floor - 1, floor} {
			start, end := hour.Chunk(max(at, 0))
			if beyond := end+horizon < clockMillis; end <= floor && !beyond {
				t.Fatalf("clock %d, floor %d: the bucket [%d, %d) is within the horizon", clockMillis, floor, start, end)
			}
		}
	}
}

// horizonWorld has a datasource whose spec has a horizon of two hours, and one partition with records.
func horizonWorld(t *testing.T) (w *taskWorld, o func(*Options)) {
	kv := memkv.New(nil)
	w = &taskWorld{world: &world{kv: kv, objs: mem.New(), topics: &fakeTopics{}}, faulty: catalogtest.NewFaulty(kv), worker: newFakeWorker()}
	w.c = w.openFaulty(t)
	w.topics.set("pages", 1)
	co := New(Options{Catalog: w.c, Topics: w.topics})
	mustSubmit(t, co, []byte(`{type: kafka, spec: {dataSchema: {dataSource: pages, timestampSpec: {column: t}, dimensionsSpec: {dimensions: [page]},
		granularitySpec: {segmentGranularity: hour, rollup: false}, dedupSpec: {key: id, horizon: PT2H}},
		ioConfig: {topic: pages, useEarliestOffset: true, inputFormat: {type: json}}}}`))
	session := catalogtest.Register(t, w.c, "writer")
	w.writer = catalogtest.Write(t, w.c, session, catalog.PartitionKey{Supervisor: "pages", Topic: "pages"})
	return w, withDuties
}

func (w *taskWorld) appendAt(t *testing.T, hour, clockMillis int64) {
	t.Helper()
	b := catalogtest.Hour(hour)
	r := w.writer.Request(b, 0, map[segment.Bucket]int64{b: 5})
	r.Next.ClockMillis = clockMillis
	if _, err := w.writer.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestHorizonRaisesTheDedupFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, change := horizonWorld(t)
		w.appendAt(t, 10, 20*hourMillis+1)
		co, _ := w.compactor(t, "a", change)
		floor := func() int64 { return w.refresh(t).Datasources["pages"].DedupFloorMillis }
		until(t, "the floor rises", func() bool { return floor() == 18*hourMillis })
		until(t, "sidecars below it are let go", func() bool {
			w.worker.mu.Lock()
			defer w.worker.mu.Unlock()
			return w.worker.drops["pages"] > 0
		})
		// A second partition with records that nobody has read holds it back, until it is read.
		w.topics.set("pages", 2)
		time.Sleep(time.Minute)
		w.writer.Revision = w.refresh(t).Supervisors["pages"].Partitions[catalog.PartitionKey{Supervisor: "pages", Topic: "pages"}].OffsetRevision
		w.appendAt(t, 10, 30*hourMillis+1)
		time.Sleep(10 * time.Minute)
		if got := floor(); got != 18*hourMillis {
			t.Errorf("the floor rose to %d over records that nobody has read", got)
		}
		session := catalogtest.Register(t, w.c, "second")
		second := &taskWorld{writer: catalogtest.Write(t, w.c, session, catalog.PartitionKey{Supervisor: "pages", Topic: "pages", Partition: 1})}
		second.appendAt(t, 10, 25*hourMillis+1)
		until(t, "the floor follows the slower one", func() bool { return floor() == 23*hourMillis })
		if got := newestFacts(w.c.View(), "pages"); got.DedupFloorMillis != 23*hourMillis {
			t.Errorf("facts for the workers: %+v", got)
		}
		if _, _, err := co.Task("none"); !errors.Is(err, ErrNoTask) {
			t.Error(err)
		}
	})
}

func TestRulesRaiseTheRetentionFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		now := time.Now().UnixMilli() / hourMillis
		w.ingest(t, 10, now-100, now-50, now-2)
		co, _ := w.compactor(t, "a", withDuties)
		var problems spec.Problems
		if _, err := co.SetRules(t.Context(), "pages", []byte(`[{"type":"dropBeforePeriod","period":"P1D"}]`)); !errors.As(err, &problems) {
			t.Errorf("rules that cannot be read: %v", err)
		}
		if _, err := co.SetRules(t.Context(), "nobody", []byte(`[]`)); !errors.Is(err, ErrNoDatasource) {
			t.Errorf("rules for nobody: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if got := w.refresh(t).Datasources["pages"].RetentionFloorMillis; got != 0 {
			t.Fatalf("a floor of %d without rules", got)
		}
		warnings, err := co.SetRules(t.Context(), "pages", []byte(`[{"type":"dropBeforeByPeriod","period":"P1D"},{"type":"loadForever"}]`))
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(warnings, "\n"); !strings.Contains(text, "time chunks: 2, records: ") {
			t.Errorf("no word of what is dropped: %q", text)
		}
		time.Sleep(2 * time.Minute)
		day := time.Now().UnixMilli()/hourMillis - 24
		if got := w.refresh(t).Datasources["pages"].RetentionFloorMillis; got != day*hourMillis {
			t.Errorf("floor %d, want hour %d", got, day)
		}
		w.worker.mu.Lock()
		drops := w.worker.drops["pages"]
		w.worker.mu.Unlock()
		if drops == 0 {
			t.Error("nothing was dropped")
		}
		time.Sleep(3 * time.Hour)
		if got := w.refresh(t).Datasources["pages"].RetentionFloorMillis; got != (day+3)*hourMillis {
			t.Errorf("floor %d three hours later, want hour %d", got, day+3)
		}
		if _, err := co.SetRules(t.Context(), "pages", []byte(`[]`)); err != nil {
			t.Fatal(err)
		}
		if got, err := co.Rules("pages"); err != nil || string(got) != "[]" || len(co.AllRules()) != 0 {
			t.Errorf("rules: %s %v", got, err)
		}
		history, err := co.RulesHistory(t.Context(), "pages")
		if err != nil || len(history) != 2 || !strings.Contains(string(history[1].Value), "dropBeforeByPeriod") {
			t.Errorf("history: %+v %v", history, err)
		}
	})
}
