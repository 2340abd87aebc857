package compaction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// Heads are the catalog as the worker uses it; *catalog.Catalog has them.
type Heads interface {
	Incarnation() string
	// Refresh returns a view at least as new as the store was when it was called.
	Refresh(ctx context.Context) (*catalog.View, error)
	// WaitRevision returns a view at least as new as the revision.
	WaitRevision(ctx context.Context, revision int64) (*catalog.View, error)
	Swap(ctx context.Context, r catalog.SwapRequest) (*catalog.SwapResult, error)
}

// Runner carries out a job; *Executor does.
type Runner interface {
	Run(ctx context.Context, job *Job, n Naming, progress func(rowsDone, rowsTotal int64)) (*Output, error)
}

// Claims give the exclusive right to work on buckets; *catalog.Session does.
type Claims interface {
	ClaimBuckets(ctx context.Context, datasource string, buckets []segment.Bucket) (catalog.Claim, error)
	Unclaim(ctx context.Context, claim catalog.Claim) error
}

// WorkerOptions are what a worker stands on.
type WorkerOptions struct {
	Heads    Heads
	Executor Runner
	// Collect deletes what nothing shows any more (kill); nil: kill tasks are refused.
	Collect CollectFunc
	Logger  *slog.Logger // nil: silent
}

// CollectFunc runs a collection within one datasource and some intervals, without a grace period, and reports it.
type CollectFunc func(ctx context.Context, datasource string, intervals []spec.Interval) (report any, err error)

// Worker carries out tasks: it plans on a fresh view under a claim, has the executor write, and swaps. It keeps nothing between
// calls, and is safe for concurrent use.
type Worker struct {
	o WorkerOptions
}

// NewWorker checks the options.
func NewWorker(o WorkerOptions) (*Worker, error) {
	if o.Heads == nil || o.Executor == nil {
		return nil, errors.New("a worker needs a catalog and an executor")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Worker{o: o}, nil
}

// RunOptions belong to one attempt at a task.
type RunOptions struct {
	Claims Claims
	// Progress is told how many of the task's chunks are done; nil: nobody.
	Progress func(done, total int)
	Log      *slog.Logger // the task's own log; nil: silent
}

// Busy: chunks of the task are claimed by others. Everything else has been done: try later.
type Busy struct {
	Intervals []spec.Interval
}

func (e *Busy) Error() string {
	where := make([]string, len(e.Intervals))
	for i, interval := range e.Intervals {
		where[i] = interval.String()
	}
	return "claimed by other tasks: " + strings.Join(where, ", ")
}

// TaskError will not get better by trying again.
type TaskError struct {
	Err error
}

func (e *TaskError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *TaskError) Unwrap() error { return e.Err }

// Run does the task's work, chunk by chunk. A chunk that fails or is busy stops no other. The error is nil only where the
// catalog shows all the work done; nothing left to do is success too. It is a *Busy where chunks were claimed by others, a
// *TaskError where trying again is of no use; after any other error it may be. The report is there beside an error too,
// unless the task could not even be planned.
func (w *Worker) Run(ctx context.Context, t *spec.Task, r RunOptions) (*Report, error) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if t.Type == spec.TaskKill {
		return w.kill(ctx, t, r)
	}
	view, err := w.o.Heads.Refresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan the task: %w", err)
	}
	plan, problems := planTask(view, t, always())
	if len(problems) > 0 {
		return nil, &TaskError{Err: &PlanError{Problems: problems}}
	}
	if !plan.hasData() {
		problem := spec.Problem{Path: "interval", Message: noSegmentsMessage(t, plan)}
		return nil, &TaskError{Err: &PlanError{Problems: spec.Problems{problem}, NoSegments: true}}
	}
	run := &taskRun{w: w, task: t, o: r, total: len(plan.Chunks)}
	run.log("the task is planned", "chunks", len(plan.Chunks), "empty", len(plan.Empty), "revision", view.Revision)
	err = run.all(ctx, plan)
	report := run.report(plan)
	if err == nil {
		err = w.verify(ctx, t.DataSource, report, run)
	}
	if err != nil {
		report.Error = err.Error()
	}
	report.sum()
	return report, err
}

// kill deletes what nothing shows any more in the task's intervals.
func (w *Worker) kill(ctx context.Context, t *spec.Task, r RunOptions) (*Report, error) {
	if w.o.Collect == nil {
		return nil, &TaskError{Err: errors.New("this node does not collect objects")}
	}
	view, err := w.o.Heads.Refresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan the task: %w", err)
	}
	if _, problems := planTask(view, t, always()); len(problems) > 0 {
		return nil, &TaskError{Err: &PlanError{Problems: problems}}
	}
	collected, err := w.o.Collect(ctx, t.DataSource, joinIntervals(append([]spec.Interval(nil), t.Intervals...)))
	if err != nil {
		return nil, fmt.Errorf("kill: %w", err)
	}
	report := &Report{TaskType: t.Type, DataSource: t.DataSource, Intervals: showIntervals(t.Intervals)}
	if report.Collected, err = json.Marshal(collected); err != nil {
		return nil, fmt.Errorf("kill: the report cannot be written: %w", err)
	}
	r.Log.Info("collected", "report", string(report.Collected))
	return report, nil
}

// verify holds the report against the catalog: what was swapped in is there, or has been replaced by something newer.
func (w *Worker) verify(ctx context.Context, datasource string, report *Report, run *taskRun) error {
	view, err := w.o.Heads.Refresh(ctx)
	if err != nil {
		return fmt.Errorf("read what the task has achieved: %w", err)
	}
	ds := view.Datasources[datasource]
	if ds == nil {
		return &TaskError{Err: fmt.Errorf("datasource %q has gone", datasource)}
	}
	for i := range run.results {
		res := &run.results[i]
		if res.manifest == nil {
			continue
		}
		for _, b := range res.manifest.Buckets {
			piece := pieceOf(ds, b)
			if piece == nil || piece.Head == nil || piece.Head.Sequence < res.manifest.Sequence {
				return fmt.Errorf("the catalog does not show what was swapped into %s: plan again", intervalOf(b).String())
			}
		}
	}
	return nil
}

// pieceOf is the bucket's view, or that of its group; nil: none.
func pieceOf(ds *catalog.DatasourceView, b segment.Bucket) *catalog.BucketView {
	if ds == nil {
		return nil
	}
	if pieces := overlapping(ds, intervalOf(b)); len(pieces) > 0 {
		return pieces[0]
	}
	return nil
}
