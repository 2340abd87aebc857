package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/catalog/memkv"
	"drumlin/compaction"
	"drumlin/objectstore/mem"
	"drumlin/spec"
)

// fakeWorker carries out tasks as the test says, and watches who runs at the same time.
type fakeWorker struct {
	mu      sync.Mutex
	do      func(ctx context.Context, t *spec.Task, r compaction.RunOptions) (*compaction.Report, error) // nil: succeed at once
	runs    map[string]int
	running map[string]int
	most    int
	twice   string // a task that ran twice at a time
	drops   map[string]int
}

func newFakeWorker() *fakeWorker {
	return &fakeWorker{runs: map[string]int{}, running: map[string]int{}, drops: map[string]int{}}
}

func (f *fakeWorker) Run(ctx context.Context, t *spec.Task, r compaction.RunOptions) (*compaction.Report, error) {
	f.mu.Lock()
	do := f.do
	f.runs[t.ID]++
	f.running[t.ID]++
	f.most = max(f.most, len(f.running))
	if f.running[t.ID] > 1 {
		f.twice = t.ID
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.running[t.ID]--; f.running[t.ID] == 0 {
			delete(f.running, t.ID)
		}
	}()
	r.Log.Info("the worker is at work")
	if do == nil {
		return &compaction.Report{TaskType: t.Type, DataSource: t.DataSource}, nil
	}
	return do(ctx, t, r)
}

func (f *fakeWorker) Drop(_ context.Context, datasource string, _ compaction.Claims) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drops[datasource]++
	return 1, nil
}

func (f *fakeWorker) ran(id string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runs[id]
}

// works replaces what runs do.
func (f *fakeWorker) works(do func(ctx context.Context, t *spec.Task, r compaction.RunOptions) (*compaction.Report, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.do = do
}

// hold makes runs wait until the returned function is called, or until they are cancelled.
func (f *fakeWorker) hold() (release func()) {
	gate := make(chan struct{})
	f.works(func(ctx context.Context, t *spec.Task, _ compaction.RunOptions) (*compaction.Report, error) {
		select {
		case <-gate:
			return &compaction.Report{TaskType: t.Type, DataSource: t.DataSource}, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("half done: %w", ctx.Err())
		}
	})
	return sync.OnceFunc(func() { close(gate) })
}

var errFlaky = errors.New("the store is away")

// taskWorld is a catalog with a datasource of hourly chunks, in a bubble of fake time.
type taskWorld struct {
	*world
	faulty *catalogtest.Faulty
	worker *fakeWorker
	writer *catalogtest.Writer
}

func newTaskWorld(t *testing.T) *taskWorld {
	kv := memkv.New(nil)
	w := &taskWorld{world: &world{kv: kv, objs: mem.New(), topics: &fakeTopics{}, net: newFakeNet()}, faulty: catalogtest.NewFaulty(kv), worker: newFakeWorker()}
	w.c = w.openFaulty(t)
	catalogtest.Supervise(t, w.c, "pages", "pages")
	session := catalogtest.Register(t, w.c, "writer")
	w.writer = catalogtest.Write(t, w.c, session, catalog.PartitionKey{Supervisor: "pages", Topic: "pages"})
	return w
}

// ingest commits one segment of n rows for each hour.
func (w *taskWorld) ingest(t *testing.T, n int64, hours ...int64) {
	for _, h := range hours {
		w.writer.MustAppend(t, catalogtest.Hour(h), n)
	}
	if _, err := w.c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *taskWorld) openFaulty(t *testing.T) *catalog.Catalog {
	c, err := catalog.Open(t.Context(), catalog.Options{KV: w.faulty, Objects: w.objs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// compactor runs a node that carries out tasks, and has the duties where nobody else has, until the test ends or the returned
// function is called.
func (w *taskWorld) compactor(t *testing.T, id string, change func(*Options)) (co *Coordinator, end func()) {
	o := Options{
		Topics: w.topics, Node: catalog.Node{ID: id, Address: id + ":80", Roles: []string{RoleCompact}},
		Worker: w.worker, Objects: w.objs, LeaseTTL: 10 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	if o.Catalog == nil {
		o.Catalog = w.openFaulty(t)
	}
	co = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- co.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return co, end
}

func withDuties(o *Options) { o.Node.Roles = []string{RoleCompact, RoleCoordinate} }

// until waits in fake time.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 200_000 {
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("never came true: %s", what)
}

func (w *taskWorld) task(id string) catalog.Task {
	if t := w.c.View().Tasks[id]; t != nil {
		return t.Task
	}
	return catalog.Task{}
}

func (w *taskWorld) ends(t *testing.T, id string, as catalog.TaskState) catalog.Task {
	t.Helper()
	until(t, "task "+id+" ends", func() bool { return w.task(id).State.Finished() })
	got := w.task(id)
	if got.State != as {
		t.Fatalf("task %s ended as %s: %s", id, got.State, got.Error)
	}
	return got
}

func taskText(id string, more string) []byte {
	return fmt.Appendf(nil, `{"type":"compact","id":%q,"dataSource":"pages","interval":"1970-01-01T00/1970-01-02T00"%s}`, id, more)
}

func mustSubmitTask(t *testing.T, co *Coordinator, id, more string) {
	t.Helper()
	if _, _, err := co.SubmitTask(t.Context(), taskText(id, more)); err != nil {
		t.Fatal(err)
	}
}
