package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/compaction"
	"drumlin/segment"
	"drumlin/spec"
)

func TestBucketClaimsKeepTasksOfOneProcessApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		session := catalogtest.Register(t, w.c, "a")
		b := newBucketClaims(session)
		hours := func(from, to int64) (out []segment.Bucket) {
			for h := from; h < to; h++ {
				out = append(out, catalogtest.Hour(h))
			}
			return out
		}
		day, err := b.ClaimBuckets(t.Context(), "pages", hours(0, 24))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.ClaimBuckets(t.Context(), "pages", hours(3, 4)); !errors.Is(err, catalog.ErrOwned) {
			t.Errorf("an hour of a claimed day: %v", err)
		}
		if _, err := b.ClaimBuckets(t.Context(), "other", hours(3, 4)); err != nil {
			t.Errorf("another datasource: %v", err)
		}
		// The reply to giving up is lost for good: the buckets are free once the catalog can be told.
		w.faulty.Next(catalogtest.Refuse, catalogtest.Refuse, catalogtest.Refuse, catalogtest.Refuse)
		if err := b.Unclaim(t.Context(), day); err == nil {
			t.Fatal("the fault did not happen")
		}
		hour, err := b.ClaimBuckets(t.Context(), "pages", hours(3, 4))
		if err != nil || hour.Epoch == day.Epoch {
			t.Errorf("claim anew: epoch %d after %d, %v", hour.Epoch, day.Epoch, err)
		}
	})
}

func TestTaskMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		registry := prometheus.NewRegistry()
		co, _ := w.compactor(t, "a", func(o *Options) { withDuties(o); o.Registerer = registry })
		mustSubmitTask(t, co, "one", "")
		w.ends(t, "one", catalog.TaskSuccess)
		time.Sleep(time.Minute)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		for name, want := range map[string]float64{
			"task_success_count": 1, "task_run_time": 1, "task_pending_time": 1, "taskSlot_total_count": 2, "taskSlot_used_count": 0,
			"segment_nuked_bytes": 0,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		bad := New(Options{Catalog: w.c, Topics: w.topics, Registerer: registry})
		if err := bad.Run(t.Context()); err == nil {
			t.Error("metrics registered twice are accepted")
		}
		if err := New(Options{Catalog: w.c, Topics: w.topics, Worker: w.worker}).Run(t.Context()); err == nil {
			t.Error("a worker without an object store is accepted")
		}
	})
}

func TestForgettable(t *testing.T) {
	tasks := map[string]*catalog.TaskView{}
	add := func(n int, origin, datasource string, state catalog.TaskState) {
		for i := range n {
			id := fmt.Sprintf("%s-%s-%s-%02d", origin, datasource, state, i)
			tasks[id] = &catalog.TaskView{Task: catalog.Task{
				ID: id, Origin: origin, Datasource: datasource, State: state, FinishedMillis: int64(i),
			}}
		}
	}
	add(5, originUser, "a", catalog.TaskSuccess)
	add(2, originUser, "b", catalog.TaskFailed)
	add(4, originRecent, "a", catalog.TaskSuccess)
	add(2, originHistorical, "a", catalog.TaskSuccess)
	add(9, originRecent, "a", catalog.TaskWaiting)
	var got []string
	for _, t := range forgettable(tasks, &CompactionOptions{KeepUserTasks: 3, KeepAutomaticTasks: 2}) {
		got = append(got, t.ID)
	}
	want := "recent-a-SUCCESS-00 user-a-SUCCESS-00 recent-a-SUCCESS-01 user-a-SUCCESS-01"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTaskLogKeepsBothEnds(t *testing.T) {
	l := &taskLog{}
	line := strings.Repeat("x", 99) + "\n"
	const lines = 10_000
	for i := range lines {
		if _, err := fmt.Fprintf(l, "%06d %s", i, line); err != nil {
			t.Fatal(err)
		}
	}
	text := string(l.Bytes())
	if len(text) > maxLogHeadBytes+maxLogTailBytes+200 || !strings.HasPrefix(text, "000000 ") ||
		!strings.Contains(text, fmt.Sprintf("%06d ", lines-1)) || strings.Count(text, "are left out here") != 1 {
		t.Errorf("%d bytes, from %q", len(text), text[:50])
	}
	var kept, cut, cutBytes int
	for _, row := range strings.Split(strings.TrimSpace(text), "\n") {
		if n, _ := fmt.Sscanf(row, "… %d lines (%d bytes)", &cut, &cutBytes); n == 2 {
			continue
		}
		kept++
	}
	if kept+cut != lines {
		t.Errorf("%d lines kept and %d cut of %d", kept, cut, lines)
	}
	for _, c := range []struct {
		offset int64
		want   string
	}{{0, "hello"}, {2, "llo"}, {5, ""}, {9, ""}, {-2, "lo"}, {-5, "hello"}, {-9, "hello"}, {-1 << 63, "hello"}} {
		if got := string(fromOffset([]byte("hello"), c.offset)); got != c.want {
			t.Errorf("from %d: %q, want %q", c.offset, got, c.want)
		}
	}
}

// TestQueueUnderFaults runs random tasks on three nodes, while transactions fail, and replies are lost, and nodes come and
// go. Every task must end as its work says, never run twice at a time, and never above the cap.
func TestQueueUnderFaults(t *testing.T) {
	for range 6 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { queueUnderFaults(t, rand.New(rand.NewPCG(seed, 2))) })
		})
	}
}

func queueUnderFaults(t *testing.T, r *rand.Rand) {
	w := newTaskWorld(t)
	w.ingest(t, 10, 1)
	w.worker.works(func(ctx context.Context, task *spec.Task, o compaction.RunOptions) (*compaction.Report, error) {
		for i := range 5 {
			select {
			case <-time.After(time.Second):
				o.Progress(i+1, 5)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		switch {
		case strings.HasPrefix(task.ID, "bad"):
			return nil, &compaction.TaskError{Err: errBroken}
		case strings.HasPrefix(task.ID, "flaky") && w.worker.ran(task.ID) == 1:
			return nil, errFlaky
		case strings.HasPrefix(task.ID, "busy") && w.worker.ran(task.ID) < 4:
			return nil, &compaction.Busy{}
		}
		return &compaction.Report{}, nil
	})
	slots := 1 + r.IntN(4)
	catalogs := map[string]*catalog.Catalog{} // opened while nothing fails
	for _, id := range []string{"a", "b", "c"} {
		catalogs[id] = w.openFaulty(t)
	}
	change := func(o *Options) {
		o.Catalog = catalogs[o.Node.ID[:1]]
		o.Compaction.MaxSlots, o.Compaction.NodeSlots = slots, 1+r.IntN(3)
	}
	submitter := New(Options{Catalog: w.c, Topics: w.topics})
	kinds := []string{"good", "bad", "flaky", "busy"}
	const tasks = 24
	for i := range tasks {
		mustSubmitTask(t, submitter, fmt.Sprintf("%s-%d", kinds[i%len(kinds)], i), `,"tuningConfig":{"maxRetry":40}`)
	}
	ends := map[string]func(){}
	for _, id := range []string{"a", "b", "c"} {
		_, ends[id] = w.compactor(t, id, change)
	}
	w.faulty.Randomly(rand.New(rand.NewPCG(r.Uint64(), 3)), 0.15)
	for i := range 6 {
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
		id := []string{"a", "b", "c"}[r.IntN(3)]
		ends[id]()
		_, ends[id] = w.compactor(t, fmt.Sprintf("%s%d", id, i), change)
	}
	w.faulty.Randomly(nil, 0)
	for i := range tasks {
		id := fmt.Sprintf("%s-%d", kinds[i%len(kinds)], i)
		want := catalog.TaskSuccess
		if strings.HasPrefix(id, "bad") {
			want = catalog.TaskFailed
		}
		got := w.ends(t, id, want)
		if want == catalog.TaskFailed && !strings.Contains(got.Error, errBroken.Error()) {
			t.Errorf("%s failed for %q", id, got.Error)
		}
	}
	w.worker.mu.Lock()
	defer w.worker.mu.Unlock()
	if w.worker.most > slots || w.worker.twice != "" {
		t.Errorf("%d tasks ran at a time with %d slots; twice at a time: %q", w.worker.most, slots, w.worker.twice)
	}
}
