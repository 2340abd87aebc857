package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/compaction"
	"drumlin/segment"
	"drumlin/spec"
)

// mergers is an executor that makes one segment of a job's inputs, without looking at rows.
type mergers struct {
	fail func(*compaction.Job) error
}

func (m *mergers) Run(_ context.Context, job *compaction.Job, n compaction.Naming, _ func(int64, int64)) (*compaction.Output, error) {
	if m.fail != nil {
		if err := m.fail(job); err != nil {
			return nil, err
		}
	}
	if job.Mode != compaction.ModeFull && job.Mode != compaction.ModeTail {
		return &compaction.Output{}, nil
	}
	out := &compaction.Output{}
	inputs := slices.Clone(job.Settled)
	for _, t := range job.Tail {
		inputs = append(inputs, t.Meta)
	}
	if len(inputs) == 0 {
		return out, nil
	}
	whole := segment.Bucket{StartMillis: inputs[0].Bucket.StartMillis, EndMillis: inputs[0].Bucket.EndMillis}
	source := inputs[0].Sources[0]
	rows := int64(0)
	for _, s := range inputs {
		out.Consumed = append(out.Consumed, s.Object)
		rows += s.Rows
		source.From, source.To = min(source.From, s.Sources[0].From), max(source.To, s.Sources[0].To)
		whole.StartMillis, whole.EndMillis = min(whole.StartMillis, s.Bucket.StartMillis), max(whole.EndMillis, s.Bucket.EndMillis)
	}
	merged := catalogtest.Segment(n.Incarnation, n.Epoch, fmt.Sprintf("merged-%d", rand.Uint64()), job.Datasource, segment.KindData, whole, rows, source)
	if job.Mode == compaction.ModeTail {
		out.Adopted = []catalog.TailSegment{{Meta: merged, Unit: merged.Object}}
	} else {
		out.Settled = []segment.Meta{merged}
	}
	out.Stats = compaction.Stats{InputSegments: int64(len(inputs)), OutputSegments: 1, InputRows: rows, OutputRows: rows, InputEvents: rows, OutputEvents: rows}
	return out, nil
}

// merging gives a node a real worker on this executor.
func merging(t *testing.T, m *mergers, change func(*Options)) func(*Options) {
	return func(o *Options) {
		if change != nil {
			change(o)
		}
		worker, err := compaction.NewWorker(compaction.WorkerOptions{Heads: o.Catalog, Executor: m})
		if err != nil {
			t.Fatal(err)
		}
		o.Worker = worker
	}
}

func configText(more string) []byte {
	return fmt.Appendf(nil, `{"dataSource":"pages"%s}`, more)
}

func (w *taskWorld) countTasks(origin string) int {
	n := 0
	for _, t := range w.c.View().Tasks {
		if t.Origin == origin {
			n++
		}
	}
	return n
}

func TestAutoCompactionWorksOffWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		const hours = 40
		for range 3 {
			for h := range int64(hours) {
				w.ingest(t, 10, h)
			}
		}
		w.ingest(t, 10, 90) // the newest chunk: all others are older than a day
		c := w.openFaulty(t)
		co, _ := w.compactor(t, "a", merging(t, &mergers{}, func(o *Options) { withDuties(o); o.Catalog = c }))
		time.Sleep(time.Hour)
		if got := w.refresh(t); len(got.Tasks) != 0 {
			t.Fatalf("%d tasks without a config", len(got.Tasks))
		}
		if _, err := co.SetAutoCompaction(t.Context(), configText(`,"policies":["historical"],"taskPriority":31`)); err != nil {
			t.Fatal(err)
		}
		before, err := co.CompactionStatus("pages")
		if err != nil || before[0].BytesAwaiting != hours*30*100 {
			t.Errorf("status: %+v %v", before, err)
		}
		time.Sleep(11 * time.Minute) // one round: what had to wait for slots follows at once
		if got := w.countTasks(originHistorical); got != hours {
			t.Errorf("%d tasks for %d chunks", got, hours)
		}
		for id, task := range w.refresh(t).Tasks {
			if task.State != catalog.TaskSuccess || task.Priority != 31 {
				t.Errorf("task %s: %+v", id, task)
			}
		}
		for _, b := range w.c.View().Datasources["pages"].Buckets {
			if b.Bucket.StartMillis < catalogtest.Hour(hours).StartMillis && (len(b.Tail) != 0 || len(b.Settled) != 1) {
				t.Errorf("bucket %d: %d settled, %d tail", b.Bucket.StartMillis, len(b.Settled), len(b.Tail))
			}
		}
		s, err := co.CompactionStatus("")
		if err != nil || len(s) != 1 || s[0].ScheduleStatus != scheduleRunning || s[0].IntervalsCompacted+s[0].IntervalsSkipped != hours+1 ||
			s[0].SegmentsAwaiting != 0 {
			t.Errorf("status: %+v %v", s, err)
		}
		time.Sleep(2 * time.Hour)
		if got := w.countTasks(originHistorical); got != hours {
			t.Errorf("%d tasks after another two hours in which nothing came", got)
		}
	})
}

func TestRecentMergesWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		c := w.openFaulty(t)
		co, _ := w.compactor(t, "a", merging(t, &mergers{}, func(o *Options) { withDuties(o); o.Catalog = c }))
		w.ingest(t, 10, 5)
		if _, err := co.SetAutoCompaction(t.Context(), configText("")); err != nil {
			t.Fatal(err)
		}
		for range 120 {
			w.ingest(t, 10, 5)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(2 * time.Minute)
		if w.countTasks(originRecent) == 0 || w.countTasks(originRecent) > 45 {
			t.Errorf("%d tasks in 20 minutes", w.countTasks(originRecent))
		}
		rows := int64(0)
		b := w.refresh(t).Datasources["pages"].Buckets[0]
		for _, s := range b.Tail {
			rows += s.Rows
		}
		for _, s := range b.Settled {
			rows += s.Rows
		}
		if rows != 1210 || len(b.Tail)+len(b.Settled) > 30 {
			t.Errorf("%d rows in %d segments", rows, len(b.Tail)+len(b.Settled))
		}
	})
}

func TestFailingChunkBacksOffAndBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		for range 3 {
			w.ingest(t, 10, 1, 2, 3)
		}
		w.ingest(t, 10, 90)
		c := w.openFaulty(t)
		bad := catalogtest.Hour(1)
		m := &mergers{fail: func(job *compaction.Job) error {
			if job.Buckets[0] == bad {
				return errBroken
			}
			return nil
		}}
		co, _ := w.compactor(t, "a", merging(t, m, func(o *Options) { withDuties(o); o.Catalog = c }))
		config := `,"policies":["historical"],"tuningConfig":{"maxRetry":1}`
		if _, err := co.SetAutoCompaction(t.Context(), configText(config)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Hour)
		tasks := w.countTasks(originHistorical)
		if tasks < 2+4 || tasks > 2+12 {
			t.Errorf("%d tasks in 6 hours", tasks)
		}
		for _, b := range w.refresh(t).Datasources["pages"].Buckets {
			if (b.Bucket == catalogtest.Hour(2) || b.Bucket == catalogtest.Hour(3)) && len(b.Settled) != 1 {
				t.Errorf("a chunk waits for another one that fails: %d settled", len(b.Settled))
			}
		}
		e, err := co.Explain("pages")
		if err != nil || len(e.Policies) != 2 || !e.Enabled {
			t.Fatalf("%+v %v", e, err)
		}
		found := false
		for _, chunk := range e.Policies[1].Chunks {
			if strings.HasPrefix(chunk.Interval, "1970-01-01T01") {
				found = strings.Contains(chunk.Reason, "has failed") && strings.Contains(chunk.Reason, errBroken.Error()) && chunk.Skipped
			}
		}
		if !found {
			t.Errorf("no reason for the chunk that fails: %+v", e.Policies[1])
		}
		// A new config is a new chance, at once.
		before := w.countTasks(originHistorical)
		if _, err := co.SetAutoCompaction(t.Context(), configText(config+`,"taskPriority":30`)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute)
		if got := w.countTasks(originHistorical); got <= before {
			t.Errorf("%d tasks, as before the config changed", got)
		}
	})
}

func TestAutoCompactionSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		w.ingest(t, 10, 1)
		co := New(Options{Catalog: w.c, Topics: w.topics})
		ctx := t.Context()
		if _, err := co.AutoCompaction("pages"); !errors.Is(err, ErrNoSetting) {
			t.Errorf("none yet: %v", err)
		}
		if _, err := co.SetAutoCompaction(ctx, []byte(`{"dataSource":"nobody"}`)); !errors.Is(err, ErrNoDatasource) {
			t.Errorf("a datasource that is not there: %v", err)
		}
		var problems spec.Problems
		if _, err := co.SetAutoCompaction(ctx, configText(`,"skipOffsetFromLates":"P1D"`)); !errors.As(err, &problems) {
			t.Errorf("a config that cannot be read: %v", err)
		}
		var plan *compaction.PlanError
		if _, err := co.SetAutoCompaction(ctx, configText(`,"granularitySpec":{"rollup":true}`)); !errors.As(err, &plan) {
			t.Errorf("a config that would widen: %v", err)
		}
		for _, more := range []string{"", `,"taskPriority":30`, `,"taskPriority":30`} { // the third is the second
			if _, err := co.SetAutoCompaction(ctx, configText(more)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := co.AutoCompaction("pages"); err != nil || !strings.Contains(string(got), "30") || len(co.AutoCompactions()) != 1 {
			t.Errorf("config: %s %v", got, err)
		}
		if err := co.DeleteAutoCompaction(ctx, "pages"); err != nil {
			t.Fatal(err)
		}
		if err := co.DeleteAutoCompaction(ctx, "pages"); err != nil {
			t.Errorf("delete what is not there: %v", err)
		}
		history, err := co.AutoCompactionHistory(ctx, "pages")
		if err != nil || len(history) != 3 || string(history[0].Value) != "null" || history[0].Version != 3 {
			t.Errorf("history: %+v %v", history, err)
		}
		if e, err := co.Explain("pages"); err != nil || e.Enabled || e.Note == "" || len(e.Policies[0].Chunks) != 1 {
			t.Errorf("explain: %+v %v", e, err)
		}
		if s, err := co.CompactionStatus("pages"); err != nil || s[0].ScheduleStatus != scheduleOff {
			t.Errorf("status: %+v %v", s, err)
		}
	})
}

// TestAutoTask holds the tasks of both policies against the config that they come from.
func TestAutoTask(t *testing.T) {
	config, _, err := spec.ParseAutoCompaction([]byte(`{dataSource: pages, taskPriority: 40, maxRowsPerSegment: 1000,
		granularitySpec: {segmentGranularity: DAY, queryGranularity: hour}, dimensionsSpec: {dimensions: [page]},
		transformSpec: {filter: {type: selector, dimension: page, value: a}},
		tuningConfig: {maxRetry: 2, partitionsSpec: {type: range, partitionDimensions: [page]}}, taskContext: {tags: {x: y}}}`))
	if err != nil {
		t.Fatal(err)
	}
	chunk := spec.Interval{StartMillis: 0, EndMillis: 86_400_000}
	for _, policy := range []string{originRecent, originHistorical} {
		text, err := autoTask(config, policy, chunk)
		if err != nil {
			t.Fatal(err)
		}
		task, _, err := spec.ParseTask(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if task.Policy != policy || task.Priority != 40 || task.DataSource != "pages" || len(task.Intervals) != 1 || task.Intervals[0] != chunk ||
			task.Tuning.MaxRetry != 2 || task.Tuning.MaxRowsPerSegment != 1000 || len(task.Tuning.PartitionDimensions) != 1 {
			t.Errorf("%s: %+v", policy, task)
		}
		changes := task.Change.SegmentGranularity != nil && task.Change.QueryGranularity != nil && task.Change.Dimensions != nil &&
			task.Change.Filter != nil
		if changes != (policy == originHistorical) {
			t.Errorf("%s changes: %+v", policy, task.Change)
		}
	}
}

func TestOneProcessHasTheDuties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaskWorld(t)
		var mu sync.Mutex
		collected := map[string]int{}
		rounds := func() (a, b int) {
			mu.Lock()
			defer mu.Unlock()
			return collected["a"], collected["b"]
		}
		collecting := func(o *Options) {
			withDuties(o)
			id := o.Node.ID
			o.Collect = func(context.Context, int64) (int64, int64, error) {
				mu.Lock()
				defer mu.Unlock()
				collected[id]++
				return 1, 10, nil
			}
		}
		_, endA := w.compactor(t, "a", collecting)
		synctest.Wait()
		_, endB := w.compactor(t, "b", collecting)
		time.Sleep(58 * time.Minute)
		if a, b := rounds(); a != 12 || b != 0 {
			t.Errorf("%d and %d rounds", a, b)
		}
		endA()
		time.Sleep(58 * time.Minute)
		if a, b := rounds(); a != 12 || b != 12 {
			t.Errorf("%d and %d rounds after the first one left", a, b)
		}
		endB()
	})
}
