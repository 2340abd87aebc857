package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/segment"
)

// without makes the owners of one partition refuse.
func (w *world) without(partition int32, err error) {
	w.refuse = func(r segment.HotRequest) error {
		if r.Partition == partition {
			return err
		}
		return nil
	}
}

func TestAPartialAnswerSaysWhatItLacks(t *testing.T) {
	w, tab := small(t)
	w.without(0, &segment.HotUnavailable{Status: segment.HotCatchingUp, At: 3, Detail: "read to offset 3 of 5"})
	registry := prometheus.NewRegistry()
	e := w.engine(func(o *Options) { o.HotBudget, o.Registerer = 50*time.Millisecond, registry })
	_, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events"})
	refused := wantKind(t, err, Unavailable, "events/topic-events/0: node n1 at 127.0.0.1:8888: read to offset 3 of 5", "allowPartial", "within 50ms")
	if len(refused.Names) != 1 {
		t.Errorf("partitions: %v", refused.Names)
	}
	partial := Request{SQL: "SELECT COUNT(*), SUM(n) FROM events", Context: map[string]any{"allowPartial": true}}
	lines, a, err := ask(e, partial)
	if err != nil || lines[0] != "8 31" { // 0, 2, 4 are committed; 1, 3, 5, 7, 9 are hot
		t.Fatalf("got %v, %v", lines, err)
	}
	text, err := json.Marshal(a.Cut)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"revision":%d,"partial":true,"datasources":{"events":{"events":[{"topic":"topic-events","generation":0,"partition":0,`+
		`"offset":3,"missing":"node n1 at 127.0.0.1:8888: read to offset 3 of 5"},{"topic":"topic-events","generation":0,"partition":1,"offset":5}]}}}`, w.revision)
	if string(text) != want {
		t.Errorf("cut:\ngot  %s\nwant %s", text, want)
	}
	if got := a.Cut.Missing(); len(got) != 1 || got[0] != "events/topic-events/0: node n1 at 127.0.0.1:8888: read to offset 3 of 5" {
		t.Errorf("missing: %v", got)
	}
	w.refuse = nil
	if lines, a, err = ask(e, partial); err != nil || lines[0] != "10 45" || a.Cut.Partial || a.Cut.Missing() != nil {
		t.Errorf("with every owner there: %v, %v, %+v", lines, err, a)
	}
	tab.partitions[1].unowned, tab.partitions[1].revision = true, 0 // and no row of it is committed
	if lines, a, err = ask(e, partial); err != nil || lines[0] != "5 20" || len(a.Cut.Missing()) != 1 {
		t.Errorf("without a partition that has not begun: %v, %v, %+v", lines, err, a)
	}
	if n := metricSum(t, registry, "drumlin_query_partitions_missing_total"); n != 3 {
		t.Errorf("%v partitions were missing", n)
	}
	if n := metricSum(t, registry, "drumlin_query_partial_answers_total"); n != 2 {
		t.Errorf("%v partial answers", n)
	}
}

// TestAHaltedPartitionIsNotWaitedFor: only a person ends a halt, so the budget is not spent on it, but for one look at a newer
// view. What may come by itself is waited for where an answer can do without the halted partition.
func TestAHaltedPartitionIsNotWaitedFor(t *testing.T) {
	w, _ := small(t)
	halted := &segment.HotUnavailable{Status: segment.HotHalted, At: 3, Detail: "halted at offset 3"}
	e := w.engine(func(o *Options) { o.HotBudget = 30 * time.Second })
	began := time.Now()
	count := func(settings map[string]any) (*Answer, error) {
		_, a, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events", Context: settings})
		return a, err
	}
	w.without(0, halted)
	_, err := count(nil)
	wantKind(t, err, Unavailable, "cannot give their rows", "halted at offset 3", "drumlin gap list", `"cut": "committed"`)
	a, err := count(map[string]any{"allowPartial": true})
	if err != nil || len(a.Cut.Missing()) != 1 {
		t.Fatalf("without the halted partition: %+v, %v", a, err)
	}
	asked := 0
	w.refuse = func(r segment.HotRequest) error {
		asked++
		if asked == 1 {
			return halted // by an owner that somebody else has followed meanwhile
		}
		return nil
	}
	if a, err = count(nil); err != nil || a.Cut.Partial {
		t.Errorf("halted at the first look only: %+v, %v", a, err)
	}
	moving := 0
	w.refuse = func(r segment.HotRequest) error {
		if r.Partition == 0 {
			return halted
		}
		if moving++; moving < 5 {
			return &segment.HotUnavailable{Status: segment.HotNotOwner, Detail: "moved"}
		}
		return nil
	}
	if a, err = count(map[string]any{"allowPartial": true}); err != nil || len(a.Cut.Missing()) != 1 || moving != 5 {
		t.Errorf("asked %d times for what had moved: %+v, %v", moving, a, err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("halted partitions were waited for: %s", took)
	}
}

// metricSum is a counter's or gauge's value, or how often a histogram observed.
func metricSum(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Errorf("there is no metric %s", name)
	return -1
}

// TestRowsThatCameAreNotAskedForAgain waits for one owner of many, and commits a partition meanwhile.
func TestRowsThatCameAreNotAskedForAgain(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", true, 20, column("n", segment.TypeLong))
	for i := range int64(100) {
		tab.partitions[i%20].add(worldRow{millis: t0, key: fmt.Sprint(i), values: []any{i}})
	}
	asked := map[int32]int{}
	w.refuse = func(r segment.HotRequest) error {
		asked[r.Partition]++
		if r.Partition == 7 && asked[7] < 4 {
			return &segment.HotUnavailable{Status: segment.HotNotOwner, Detail: "moved"}
		}
		if r.Partition == 7 && asked[7] == 4 {
			w.mu.Unlock()
			w.commit(tab, tab.partitions[3], 2) // its rows are cold now
			w.mu.Lock()
			return &segment.HotUnavailable{Status: segment.HotStaleView, Revision: w.revision, Detail: "stale"}
		}
		return nil
	}
	if got := mustAsk(t, w.engine(), "SELECT COUNT(*), SUM(n) FROM events"); got[0] != "100 4950" {
		t.Errorf("got %v", got)
	}
	for p, n := range asked {
		if want := map[int32]int{7: 5, 3: 2}[p]; n != max(want, 1) {
			t.Errorf("partition %d was asked for %d times", p, n)
		}
	}
}

// stuck never answers, and counts the questions.
type stuck struct {
	HotSource
	asked *atomic.Int64
}

func (s stuck) Hot(ctx context.Context, _ segment.HotRequest) (*segment.HotRows, error) {
	s.asked.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAnOwnerThatNeverAnswersIsGivenUp(t *testing.T) {
	w, _ := small(t)
	var asked atomic.Int64
	e := w.engine(func(o *Options) { o.Hot = stuck{w, &asked} })
	_, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events", Context: map[string]any{"hotTimeout": 10}})
	wantKind(t, err, Unavailable, "has not answered within 1s", "events/topic-events/1")
	if n := asked.Load(); n != 2 {
		t.Errorf("two owners were asked %d times within a budget for once", n)
	}
	_, _, err = ask(e, Request{SQL: "SELECT COUNT(*) FROM events", Context: map[string]any{"timeout": 500}})
	wantKind(t, err, Timeout, "owners of partitions were asked", "events/topic-events/0")
	for _, bad := range []map[string]any{{"hotTimeout": -1}, {"hotTimeout": "soon"}, {"allowPartial": "maybe"}, {"maxViewAge": 1.5}} {
		_, _, err := ask(e, Request{SQL: "SELECT 1", Context: bad})
		wantKind(t, err, Invalid, "context.")
	}
}

// cutOff is a catalog whose store can be taken away, and whose view stands still until it is refreshed.
type cutOff struct {
	*world
	down atomic.Bool
	mu   sync.Mutex
	last *catalog.View
}

var errNoStore = errors.New("connection refused")

func (c *cutOff) View() *catalog.View {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = c.world.View()
	}
	return c.last
}

func (c *cutOff) Refresh(context.Context) (*catalog.View, error) {
	if c.down.Load() {
		return nil, errNoStore
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = c.world.View()
	return c.last, nil
}

func (c *cutOff) WaitRevision(ctx context.Context, revision int64) (*catalog.View, error) {
	if !c.down.Load() {
		return c.world.WaitRevision(ctx, revision)
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestQueriesGoOnWithoutTheCatalog as long as what they need is in the last view.
func TestQueriesGoOnWithoutTheCatalog(t *testing.T) {
	w, tab := small(t)
	store := &cutOff{world: w}
	e := w.engine(func(o *Options) { o.Catalog, o.HotBudget, o.ViewCheckEvery = store, 100*time.Millisecond, time.Hour })
	mustAsk(t, e, "SELECT COUNT(*) FROM sys.servers")
	store.down.Store(true)
	w.table("later", false, 1, column("page", segment.TypeString))
	w.revision++
	seen := store.View().Revision
	lines, a, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events"})
	if err != nil || lines[0] != "10" || a.Cut.Revision != seen {
		t.Errorf("at the last view: %v, %v", lines, err)
	}
	aged := func(sql string, millis any) error {
		_, _, err := ask(e, Request{SQL: sql, Context: map[string]any{"maxViewAge": millis}})
		return err
	}
	if err := aged("SELECT COUNT(*) FROM events", 60_000); err != nil {
		t.Errorf("a view of less than a minute: %v", err)
	}
	if err := aged("SELECT COUNT(*) FROM sys.servers", 60_000); err != nil {
		t.Errorf("a system table of less than a minute: %v", err)
	}
	wantKind(t, aged("SELECT COUNT(*) FROM events", 0), Unavailable, "connection refused", "the query allows 0s", "was the newest")
	_, _, err = ask(e, Request{SQL: "SELECT COUNT(*) FROM sys.servers"})
	wantKind(t, err, Unavailable, "connection refused", "maxViewAge")
	_, _, err = ask(e, Request{SQL: "SELECT COUNT(*) FROM later"})
	wantKind(t, err, Unavailable, "the table later is not known to the last view", "connection refused")
	_, _, err = ask(e, Request{SQL: "SELECT COUNT(*) FROM events", Context: map[string]any{"revision": seen + 1}})
	wantKind(t, err, Unavailable, fmt.Sprint("older than revision ", seen+1), fmt.Sprint("revision ", seen))
	w.without(1, &segment.HotUnavailable{Status: segment.HotNotOwner, Detail: "moved"})
	_, _, err = ask(e, Request{SQL: "SELECT COUNT(*) FROM events"})
	wantKind(t, err, Unavailable, "moved", "the catalog could not be asked for a view newer", "connection refused")
	left := 2
	w.refuse = func(segment.HotRequest) error { // the owner recovers, and the catalog does not
		if left--; left >= 0 {
			return errors.New("connection reset")
		}
		return nil
	}
	patient := Request{SQL: "SELECT COUNT(*) FROM events", Context: map[string]any{"hotTimeout": 60_000}}
	if lines, _, err := ask(e, patient); err != nil || lines[0] != "10" {
		t.Errorf("got %v, %v", lines, err)
	}
	store.down.Store(false)
	if got := mustAsk(t, e, "SELECT COUNT(*) FROM later"); got[0] != "0" {
		t.Errorf("a table that is new: %v", got)
	}
	newer := *tab.schema
	newer.ID, newer.Columns, newer.Dimensions = 2, append(newer.Columns[:2:2], segment.Column{ID: 105, Name: "added", Type: segment.TypeLong}), []string{"page", "n", "added"}
	tab.schema = &newer
	w.revision++
	if got := mustAsk(t, e, "SELECT COUNT(added) FROM events"); got[0] != "0" {
		t.Errorf("a column that is new: %v", got)
	}
	_, _, err = ask(e, Request{SQL: "SELECT COUNT(gone) FROM events"})
	wantKind(t, err, Invalid, "gone")
}

func TestTheAgeOfTheViewIsMeasured(t *testing.T) {
	w, _ := small(t)
	store := &cutOff{world: w}
	registry := prometheus.NewRegistry()
	e := w.engine(func(o *Options) { o.Catalog, o.Registerer, o.ViewCheckEvery = store, registry, time.Millisecond })
	age := func() float64 { return metricSum(t, registry, "drumlin_query_view_age_seconds") }
	store.down.Store(true)
	for deadline := time.Now().Add(time.Minute); age() < 0.05; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the age does not grow while the store is down")
		}
	}
	store.down.Store(false)
	for deadline := time.Now().Add(time.Minute); age() > 0.04; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the age does not fall once the store is back")
		}
	}
	mustAsk(t, e, "SELECT COUNT(*) FROM events")
	for _, name := range []string{"drumlin_query_seconds", "drumlin_query_hot_wait_seconds", "drumlin_query_view_revision", "drumlin_query_cache_fetches_total"} {
		if metricSum(t, registry, name) < 1 {
			t.Errorf("%s stands still", name)
		}
	}
}

// TestTheCacheMayBeTakenAway at any time: files come back, and no query fails.
func TestTheCacheMayBeTakenAway(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", true, 4, column("n", segment.TypeLong))
	for i := range int64(400) {
		tab.partitions[i%4].add(worldRow{millis: t0 + i%3*hour, key: fmt.Sprint(i), values: []any{i}})
	}
	for at := int64(10); at <= 100; at += 10 {
		for _, p := range tab.partitions {
			w.commit(tab, p, at)
		}
	}
	dir := t.TempDir() + "/cache"
	e := w.engine(func(o *Options) { o.CacheDir = dir })
	for range 15 {
		var removing sync.WaitGroup
		removing.Go(func() {
			time.Sleep(rand.N(40 * time.Millisecond)) // anywhere within the query
			if err := os.RemoveAll(dir); err != nil {
				t.Log("files have come while the directory was removed: ", err)
			}
		})
		lines, _, err := ask(e, Request{SQL: "SELECT COUNT(*), SUM(n) FROM events"})
		if err != nil || lines[0] != "400 79800" {
			t.Errorf("got %v, %v", lines, err)
		}
		removing.Wait()
	}
}

// slowObjects answers when the caller has gone.
type slowObjects struct{}

func (slowObjects) Get(ctx context.Context, _ string, _, _ int64) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestASlowObjectStoreIsNamed(t *testing.T) {
	w, _ := small(t)
	e := w.engine(func(o *Options) { o.Objects = slowObjects{} })
	_, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events", Context: map[string]any{"timeout": 50}})
	wantKind(t, err, Timeout, "while segments were read from the object store")
}

func TestServersAndStatesOfSupervisors(t *testing.T) {
	w, _ := small(t)
	for name, states := range map[string]givenStates{
		`"events" "UNHEALTHY_TASKS" "LOST_RANGE" 0`: {known: map[string]SupervisorState{"events": {State: "UNHEALTHY_TASKS", Detailed: "LOST_RANGE"}}},
		`"events" "RUNNING" "RUNNING" 1`:            {err: errors.New("nobody answers")},
	} {
		e := w.engine(func(o *Options) { o.Supervisors = states })
		if got := mustAsk(t, e, "SELECT supervisor_id, state, detailed_state, healthy FROM sys.supervisors"); strings.Join(got, "\n") != name {
			t.Errorf("got %v, want %s", got, name)
		}
		got := mustAsk(t, e, "SELECT node, server, roles, version, hot_rows_address, is_leaving, partitions FROM sys.servers")
		if fmt.Sprint(got) != `["n1" "127.0.0.1:8888" "ingest,query" "dev" null 0 2]` {
			t.Errorf("servers: %v", got)
		}
	}
}

type givenStates struct {
	known map[string]SupervisorState
	err   error
}

func (g givenStates) SupervisorStates(ctx context.Context) (map[string]SupervisorState, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("asked without a time limit")
	}
	return g.known, g.err
}
