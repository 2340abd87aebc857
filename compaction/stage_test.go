package compaction

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/catalog/memkv"
	"drumlin/internal/failpoint"
	"drumlin/segment"
	"drumlin/spec"
)

// stage is a catalog with one datasource of hourly buckets, a writer, and a worker whose executor writes nothing.
type stage struct {
	c          *catalog.Catalog
	objects    *catalogtest.Objects
	failpoints *failpoint.Set
	session    *catalog.Session
	writer     *catalogtest.Writer
	executor   *fakeExecutor
	worker     *Worker
}

func newStage(t *testing.T, plan string) *stage {
	t.Helper()
	schema := catalogtest.Schema(1, "page")
	if plan != "" {
		schema.States = []segment.Column{{ID: 200, Name: "count", Type: segment.TypeLong}}
	}
	return openStage(t, schema, plan)
}

func openStage(t *testing.T, schema *segment.Schema, plan string) *stage {
	t.Helper()
	s := &stage{failpoints: failpoint.New(), objects: catalogtest.NewObjects()}
	var err error
	s.c, err = catalog.Open(t.Context(), catalog.Options{
		KV: memkv.New(time.Now), Objects: s.objects, CheckEvery: -1, Failpoints: s.failpoints,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.c.Close(); err != nil {
			t.Error(err)
		}
	})
	change := catalog.SupervisorChange{
		Supervisor: catalog.Supervisor{ID: "wiki", Datasource: "wiki", Version: 1, SchemaID: 1, Spec: []byte(`{}`)},
		NewDatasource: &catalog.Datasource{
			Name: "wiki", SegmentGranularity: "hour", HashKey: catalogtest.Sum("wiki")[:32],
		},
		NewSchema: schema,
	}
	if plan != "" {
		change.NewDatasource.Plan = json.RawMessage(plan)
	}
	if _, err := s.c.PutSupervisor(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	s.session = catalogtest.Register(t, s.c, "worker")
	s.writer = catalogtest.Write(t, s.c, catalogtest.Register(t, s.c, "owner"),
		catalog.PartitionKey{Supervisor: "wiki", Topic: "wiki"})
	s.executor = &fakeExecutor{}
	s.worker, err = NewWorker(WorkerOptions{Heads: s.c, Executor: s.executor, Collect: func(
		_ context.Context, datasource string, intervals []spec.Interval,
	) (any, error) {
		return map[string]int{datasource: len(intervals)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeExecutor makes one segment of all inputs, without rows.
type fakeExecutor struct {
	mu     sync.Mutex
	n      int
	jobs   []*Job
	before func(n int, job *Job) error // called before the work
}

func (f *fakeExecutor) Run(_ context.Context, job *Job, n Naming, _ func(done, total int64)) (*Output, error) {
	f.mu.Lock()
	f.n++
	number, before := f.n, f.before
	f.jobs = append(f.jobs, job)
	f.mu.Unlock()
	if before != nil {
		if err := before(number, job); err != nil {
			return nil, err
		}
	}
	out := &Output{}
	var rows int64
	var source segment.OffsetRange
	input := func(m *segment.Meta) {
		out.Consumed, rows, source = append(out.Consumed, m.Object), rows+m.InputRows(), m.Sources[0]
		out.Stats.InputSegments, out.Stats.InputRows = out.Stats.InputSegments+1, out.Stats.InputRows+m.Rows
		out.Stats.InputBytes, out.Stats.InputEvents = out.Stats.InputBytes+m.Bytes, out.Stats.InputEvents+m.InputRows()
	}
	for i := range job.Settled {
		input(&job.Settled[i])
	}
	for i := range job.Tail {
		input(&job.Tail[i].Meta)
	}
	bucket := segment.Bucket{StartMillis: job.Buckets[0].StartMillis, EndMillis: job.Buckets[len(job.Buckets)-1].EndMillis}
	name := func(kind segment.Kind) segment.Meta {
		return catalogtest.Segment(n.Incarnation, n.Epoch, fmt.Sprintf("made-%d", number), job.Datasource, kind, bucket, rows, source)
	}
	m := name(segment.KindData)
	folded := job.Definition != nil && job.Definition.Rollup && job.Mode != ModeTail
	if folded {
		m.Folded, m.Events, m.Rows = true, rows, max(rows/2, 1)
	}
	if folded || job.Mode == ModeDiscard {
		ids := rows
		for _, s := range job.Sidecars {
			out.Consumed, ids = append(out.Consumed, s.Object), ids+s.Rows
		}
		s := name(segment.KindIDs)
		out.Sidecars = []catalog.Sidecar{{Bucket: bucket, Object: s.Object, Bytes: 16 * ids, SHA256: s.SHA256, Rows: ids}}
		out.Stats.IDs = ids
	}
	switch job.Mode {
	case ModeDiscard:
		out.Stats.Filtered = rows
		return out, nil
	case ModeTail:
		out.Adopted = []catalog.TailSegment{{Meta: m, Unit: fmt.Sprint("unit-", number)}}
	case ModeFull:
		out.Settled = []segment.Meta{m}
	default:
		return nil, fmt.Errorf("mode %s needs no executor", job.Mode)
	}
	out.Stats.OutputSegments, out.Stats.OutputRows, out.Stats.OutputBytes, out.Stats.OutputEvents = 1, m.Rows, m.Bytes, rows
	return out, nil
}

func (s *stage) run(t *testing.T, text string, o RunOptions) (*Report, error) {
	t.Helper()
	task, _, err := spec.ParseTask([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if o.Claims == nil {
		o.Claims = s.session
	}
	return s.worker.Run(t.Context(), task, o)
}

// compact is a task over hours of the day that catalogtest.Hour counts in.
func compact(from, to int64, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"type":"compact","dataSource":"wiki","interval":%q%s}`,
		spec.Interval{StartMillis: from * 3_600_000, EndMillis: to * 3_600_000}.String(), more)
}

// check holds the newest view to what must always be, and returns the datasource.
func (s *stage) check(t *testing.T, records int64) *catalog.DatasourceView {
	t.Helper()
	v, err := s.c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := catalog.Verify(v); err != nil {
		t.Fatal(err)
	}
	ds := v.Datasources["wiki"]
	if got := shapeOf(ds.Buckets...).Events; got != records {
		t.Errorf("the catalog shows %d records, want %d", got, records)
	}
	return ds
}

func outcomes(r *Report) string {
	var out []string
	for _, c := range r.Chunks {
		out = append(out, fmt.Sprintf("%s %s", strings.SplitN(c.Interval, "T", 2)[1][:5], c.Outcome))
	}
	return strings.Join(out, ", ")
}
