package compaction

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"drumlin/catalog"
	"drumlin/objectstore"
	"drumlin/segment"
	"drumlin/spec"
)

// maxChunkAttempts is how often one attempt at a task plans a chunk again: after a lost swap, a lost claim or a reply that
// was lost, and where the chunk has become part of another.
const maxChunkAttempts = 6

// errBusy: another task works on the chunk.
var errBusy = errors.New("another task works on it")

// taskRun is one attempt at a task.
type taskRun struct {
	w       *Worker
	task    *spec.Task
	o       RunOptions
	total   int
	done    int
	results []chunkResult
}

// chunkResult is what became of one chunk.
type chunkResult struct {
	ChunkReport
	interval spec.Interval
	err      error
	manifest *catalog.Manifest // that was swapped in; nil: none
}

func (r *taskRun) log(text string, args ...any) { r.o.Log.Info(text, args...) }

// all works on every chunk. Those that are claimed by others come again at the end, once.
func (r *taskRun) all(ctx context.Context, plan *TaskPlan) error {
	r.progress()
	var again []ChunkPlan
	for _, c := range plan.Chunks {
		if res := r.one(ctx, c); errors.Is(res.err, errBusy) {
			again = append(again, c)
		} else {
			r.finish(res)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	for _, c := range again {
		r.finish(r.one(ctx, c))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return r.verdict()
}

func (r *taskRun) finish(res *chunkResult) {
	r.results = append(r.results, *res)
	r.done++
	where := res.interval.String()
	if res.err != nil {
		r.o.Log.Warn("chunk", "interval", where, "outcome", string(res.Outcome), "error", res.err.Error())
	} else {
		r.log("chunk", "interval", where, "outcome", string(res.Outcome), "reason", res.Reason, "mode", string(res.Mode),
			"segmentsBefore", res.Before.Segments, "segmentsAfter", res.After.Segments, "rowsBefore", res.Before.Rows,
			"rowsAfter", res.After.Rows)
	}
	r.progress()
}

func (r *taskRun) progress() {
	if r.o.Progress != nil {
		r.o.Progress(r.done, r.total)
	}
}

// verdict is the task's error: final only where all that has failed is final.
func (r *taskRun) verdict() error {
	var final, transient []error
	busy := &Busy{}
	for i := range r.results {
		res := &r.results[i]
		var taskError *TaskError
		switch {
		case res.err == nil:
		case errors.Is(res.err, errBusy):
			busy.Intervals = append(busy.Intervals, res.interval)
		case errors.As(res.err, &taskError):
			final = append(final, fmt.Errorf("%s: %w", res.interval.String(), res.err))
		default:
			transient = append(transient, fmt.Errorf("%s: %w", res.interval.String(), res.err))
		}
	}
	switch {
	case len(transient) > 0: // the next attempt meets the final ones again
		return errors.Join(transient...)
	case len(busy.Intervals) > 0:
		return busy
	case len(final) > 0:
		return &TaskError{Err: errors.Join(final...)}
	}
	return nil
}

// one plans and carries out one chunk, again where somebody else was faster. What counts is what the catalog shows when the
// chunk is claimed, not what it showed when the task was planned.
func (r *taskRun) one(ctx context.Context, planned ChunkPlan) *chunkResult {
	res := &chunkResult{interval: planned.Interval}
	res.Interval, res.Before = planned.Interval.String(), planned.Before
	buckets := planned.Buckets
	if planned.Job == nil { // nothing to claim: the plan's view is word enough
		res.settle(planned)
		return res
	}
	for res.Attempts = 1; ; res.Attempts++ {
		next, err := r.attempt(ctx, res, buckets)
		var again *againError
		if !errors.As(err, &again) || res.Attempts == maxChunkAttempts || ctx.Err() != nil {
			res.err = err
			res.conclude()
			return res
		}
		r.log("planning the chunk again", "interval", res.Interval, "attempt", res.Attempts, "reason", again.Error())
		if next != nil {
			buckets = next
		}
	}
}

// againError: plan the chunk again on a fresh view.
type againError struct{ err error }

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// settle takes over a plan without a job.
func (res *chunkResult) settle(p ChunkPlan) {
	res.Reason, res.Before, res.After, res.Outcome = p.Reason, p.Before, p.Before, OutcomeNothing
	res.interval, res.Interval, res.Mode, res.Stats, res.Totals = p.Interval, p.Interval.String(), "", Stats{}, p.totals
	if len(p.Problems) > 0 {
		res.err = &TaskError{Err: &PlanError{Problems: p.Problems}}
	}
	res.conclude()
}

func (res *chunkResult) conclude() {
	var taskError *TaskError
	switch {
	case res.err == nil:
		return
	case errors.Is(res.err, errBusy):
		res.Outcome = OutcomeBusy
	case errors.As(res.err, &taskError):
		res.Outcome = OutcomeSkipped
	default:
		res.Outcome = OutcomeFailed
	}
	res.Error = res.err.Error()
}

// attempt claims the buckets, plans on a view read under the claim, and does what is to be done. Where the chunk has become
// another one meanwhile, next are its buckets.
func (r *taskRun) attempt(ctx context.Context, res *chunkResult, buckets []segment.Bucket) (next []segment.Bucket, err error) {
	claim, err := r.o.Claims.ClaimBuckets(ctx, r.task.DataSource, buckets)
	if errors.Is(err, catalog.ErrOwned) {
		return nil, fmt.Errorf("%w: %w", errBusy, err)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		// The claim goes with the session at the latest; giving it up early lets others work.
		if e := r.o.Claims.Unclaim(context.WithoutCancel(ctx), claim); e != nil {
			r.o.Log.Warn("the claim was not given up", "interval", res.Interval, "error", e)
		}
	}()
	view, err := r.w.o.Heads.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	plan, problems := planTask(view, r.task, span(buckets))
	if len(problems) > 0 {
		return nil, &TaskError{Err: &PlanError{Problems: problems}}
	}
	if len(plan.Chunks) == 0 {
		res.settle(ChunkPlan{Interval: span(buckets), Reason: "no data is left in it"})
		return nil, nil
	}
	switch c := &plan.Chunks[0]; { // buckets only ever join: there is one
	case c.Job == nil:
		res.settle(*c)
		return nil, res.err
	case !slices.Equal(c.Buckets, buckets):
		res.interval, res.Interval = c.Interval, c.Interval.String()
		return c.Buckets, &againError{errors.New("the chunk has become part of another")}
	default:
		return nil, r.carryOut(ctx, res, view, claim, c)
	}
}

func span(buckets []segment.Bucket) spec.Interval {
	return spec.Interval{StartMillis: buckets[0].StartMillis, EndMillis: buckets[len(buckets)-1].EndMillis}
}

// carryOut has the job written and swaps it in.
func (r *taskRun) carryOut(ctx context.Context, res *chunkResult, view *catalog.View, claim catalog.Claim, p *ChunkPlan) error {
	res.Mode, res.Reason, res.Before = p.Job.Mode, p.Reason, p.Before
	out, err := r.w.write(ctx, p.Job, claim, r.rowProgress(res.Interval))
	if errors.Is(err, objectstore.ErrNotFound) {
		return &againError{err} // a view that is too old: never a partial result
	}
	if err != nil {
		return err
	}
	swapped, err := r.w.o.Heads.Swap(ctx, swapOf(view, claim, p.Job, out))
	switch {
	case errors.Is(err, catalog.ErrUnknown):
		return r.readBack(ctx, res, claim, p.Job, out, err)
	case errors.Is(err, catalog.ErrConflict), err == nil && swapped.Outcome != catalog.SwapDone:
		if err == nil {
			err = fmt.Errorf("the swap was %s", swapped.Outcome)
		}
		return &againError{err}
	case errors.Is(err, catalog.ErrInvalid):
		return &TaskError{Err: err}
	case err != nil:
		return err
	}
	view, err = r.w.o.Heads.WaitRevision(ctx, swapped.Revision)
	if err != nil {
		return err
	}
	r.swappedIn(res, view, swapped.Manifest, swapped.Revision, out)
	return nil
}

// swappedIn notes what the catalog shows after a swap.
func (r *taskRun) swappedIn(res *chunkResult, view *catalog.View, m *catalog.Manifest, revision int64, out *Output) {
	res.Outcome, res.manifest, res.Revision, res.Stats, res.Totals = OutcomeDone, m, revision, out.Stats, m.Totals
	if piece := pieceOf(view.Datasources[r.task.DataSource], m.Buckets[0]); piece != nil {
		res.After = shapeOf(piece)
	}
}

// readBack decides a swap whose reply was lost by what the catalog shows: our epoch in the head's manifest means that it was
// done. Otherwise the chunk is planned again. Nothing is cleaned up: collection finds orphans.
func (r *taskRun) readBack(ctx context.Context, res *chunkResult, claim catalog.Claim, j *Job, out *Output, unknown error) error {
	view, err := r.w.o.Heads.Refresh(ctx)
	if err != nil {
		return errors.Join(unknown, err)
	}
	piece := pieceOf(view.Datasources[r.task.DataSource], j.Buckets[0])
	if piece != nil && piece.Manifest != nil && piece.Manifest.Epoch == claim.Epoch && slices.Equal(piece.Members, j.Buckets) && names(piece.Manifest, out) {
		r.swappedIn(res, view, piece.Manifest, piece.HeadRevision, out)
		return nil
	}
	return &againError{unknown}
}

// names says whether the manifest names all that the job has written.
func names(m *catalog.Manifest, out *Output) bool {
	there := map[string]bool{}
	for i := range m.Settled {
		there[m.Settled[i].Object] = true
	}
	for i := range m.Adopted {
		there[m.Adopted[i].Object] = true
	}
	for _, s := range m.Sidecars {
		there[s.Object] = true
	}
	for _, object := range out.Consumed {
		if there[object] {
			return false
		}
	}
	return !slices.ContainsFunc(out.Settled, func(s segment.Meta) bool { return !there[s.Object] }) &&
		!slices.ContainsFunc(out.Adopted, func(s catalog.TailSegment) bool { return !there[s.Object] }) &&
		!slices.ContainsFunc(out.Sidecars, func(s catalog.Sidecar) bool { return !there[s.Object] })
}

// write has the job's objects written. Jobs that write none need no executor.
func (w *Worker) write(ctx context.Context, j *Job, claim catalog.Claim, progress func(done, total int64)) (*Output, error) {
	switch {
	case j.Mode == ModeDrop:
		return &Output{}, nil
	case j.Mode == ModeAdopt:
		out := &Output{}
		if j.ForgetIDs {
			for _, s := range j.Sidecars {
				out.Consumed = append(out.Consumed, s.Object)
			}
		}
		return out, nil
	case j.Mode == ModeDiscard && !j.Schema.Dedup: // without identities there is nothing to keep
		out := &Output{}
		for i := range j.Settled {
			out.discard(&j.Settled[i])
		}
		for i := range j.Tail {
			out.discard(&j.Tail[i].Meta)
		}
		return out, nil
	}
	return w.o.Executor.Run(ctx, j, Naming{Incarnation: w.o.Heads.Incarnation(), Epoch: claim.Epoch}, progress)
}

func (o *Output) discard(m *segment.Meta) {
	o.Consumed = append(o.Consumed, m.Object)
	o.Stats.InputSegments, o.Stats.InputRows = o.Stats.InputSegments+1, o.Stats.InputRows+m.Rows
	o.Stats.InputBytes, o.Stats.InputEvents = o.Stats.InputBytes+m.Bytes, o.Stats.InputEvents+m.InputRows()
	o.Stats.Filtered += m.InputRows()
}

func swapOf(view *catalog.View, claim catalog.Claim, j *Job, out *Output) catalog.SwapRequest {
	return catalog.SwapRequest{
		Claim: claim, Base: view, Datasource: j.Datasource, Buckets: j.Buckets, State: j.State, Plan: j.Plan,
		PlanSpec: j.PlanSpec, Consumed: out.Consumed, Settled: out.Settled, Adopted: out.Adopted, Sidecars: out.Sidecars,
		LastCompaction: j.LastCompaction, Duplicates: out.Stats.Duplicates, Filtered: out.Stats.Filtered,
	}
}

// report lists the chunks in the order of time.
func (r *taskRun) report(plan *TaskPlan) *Report {
	out := &Report{
		TaskType: r.task.Type, DataSource: r.task.DataSource, Intervals: showIntervals(r.task.Intervals),
		Empty: showIntervals(plan.Empty), Warnings: plan.Warnings,
	}
	slices.SortStableFunc(r.results, func(a, b chunkResult) int { return cmp.Compare(a.interval.StartMillis, b.interval.StartMillis) })
	at := map[spec.Interval]int{}
	for i := range r.results {
		c := &r.results[i]
		was, seen := at[c.interval]
		switch {
		case !seen: // chunks that have become one by now stand there once, with what was done to it
			at[c.interval] = len(out.Chunks)
			out.Chunks = append(out.Chunks, c.ChunkReport)
		case c.Outcome != OutcomeNothing:
			out.Chunks[was] = c.ChunkReport
		}
	}
	return out
}

func showIntervals(in []spec.Interval) []string {
	var out []string
	for _, i := range in {
		out = append(out, i.String())
	}
	return out
}
