package coordinator

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

const (
	maxErrorBytes    = 8 << 10 // of a task's error in the catalog; the whole of it stands in the log
	updateAttempts   = 20
	firstUpdatePause = 50 * time.Millisecond
)

// errSuperseded: somebody else runs the task by now, or has ended it.
var errSuperseded = errors.New("the task has been taken over or ended by someone else")

// attempt is one attempt at a task, by this process.
type attempt struct {
	q      *queue
	id     string
	cancel context.CancelCauseFunc
	log    *taskLog
	epoch  int64 // of the claim, once the catalog says that the attempt runs; guarded by the queue's mu

	progress progress
}

// verdict is what becomes of a task after an attempt.
type verdict struct {
	state  catalog.TaskState
	err    error         // why it failed, or waits
	failed bool          // the attempt counts against the retries
	pause  time.Duration // before the next attempt
}

// run claims the task, does its work, and writes down what has become of it. An error means that the catalog or the store
// could not be asked; whatever has been left half done, the task is taken up again.
// process ends with the work of this whole process, ctx also where this attempt is to end.
func (a *attempt) run(ctx, process context.Context, session *catalog.Session, claims compaction.Claims) (err error) {
	claim, err := session.ClaimTask(ctx, a.id)
	a.q.claimEnded(a.id, err)
	if errors.Is(err, catalog.ErrOwned) {
		_, err = a.q.catalog.Refresh(ctx) // shows who has been faster
		return err
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.unclaim(process, session, claim)) }()
	// Taking a task up outlives ctx: a task that has begun is put back in good order.
	begin, cancelBegin := context.WithTimeout(context.WithoutCancel(ctx), a.q.o.FinishTimeout)
	task, parsed, err := a.take(begin, claim)
	cancelBegin()
	if err != nil || task == nil {
		return err
	}
	report, v := a.work(ctx, task, parsed, claims)
	if v == nil { // the session is lost, and the claim with it
		return nil
	}
	return a.insist(process, session, a.finisher(task, report, v))
}

// unclaim gives the task's claim up; where it cannot, it goes with the session.
func (a *attempt) unclaim(process context.Context, session *catalog.Session, claim catalog.Claim) error {
	return a.insist(process, session, func(ctx context.Context) error { return session.Unclaim(ctx, claim) })
}

// insist repeats what must be written down at the end of an attempt, for as long as the session lives: a task whose claim is
// held, and that nobody works on, would wait for the end of this process. Once the process stops it is tried for a while only;
// the claim goes with the session then.
func (a *attempt) insist(process context.Context, session *catalog.Session, write func(context.Context) error) error {
	for pause := firstUpdatePause; ; pause = min(2*pause, time.Second) {
		within, cancel := context.WithTimeout(context.WithoutCancel(process), a.q.o.FinishTimeout)
		err := write(within)
		cancel()
		if err == nil || process.Err() != nil || refused(err) {
			return err
		}
		select {
		case <-session.Lost():
			return nil
		default:
			a.q.log.Warn("the end of an attempt could not be written down; trying again", "task", a.id, "error", err)
			wait(process, pause)
		}
	}
}

// refused says that the catalog has answered, and answers the same however often it is asked.
func refused(err error) bool {
	for _, e := range []error{
		catalog.ErrInvalid, catalog.ErrCorrupt, catalog.ErrFormat, catalog.ErrIncarnation, catalog.ErrClosed, catalog.ErrSessionLost,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// take writes down that this process runs the task. It returns nil where the task is not to be run: it has ended, or others
// who claimed theirs before fill the slots.
func (a *attempt) take(ctx context.Context, claim catalog.Claim) (*catalog.Task, *spec.Task, error) {
	for tried := false; ; tried = true {
		view, err := a.q.catalog.Refresh(ctx)
		if err != nil {
			return nil, nil, err
		}
		tv := view.Tasks[a.id]
		if tv == nil || tv.State.Finished() || earlierClaims(view.Tasks, claim.Epoch) >= a.q.o.MaxSlots {
			return nil, nil, nil
		}
		parsed, _, parseErr := spec.ParseTask(tv.Spec)
		t := tv.Task
		if !tried || t.State != catalog.TaskRunning || t.Epoch != claim.Epoch { // else the update before took effect
			a.q.nextState(&t, parsed, parseErr, claim)
			_, err = a.q.catalog.UpdateTask(ctx, t, tv.Revision)
		}
		switch {
		case errors.Is(err, catalog.ErrUnknown) && !tried:
			continue
		case errors.Is(err, catalog.ErrConflict):
			return nil, nil, nil // cancelled at this moment, most likely: the loop looks again
		case err != nil:
			return nil, nil, err
		case t.State.Finished():
			a.q.metrics.ended(&t)
			return nil, nil, nil
		}
		parsed.ID = t.ID
		a.q.mu.Lock()
		a.epoch = claim.Epoch
		a.q.mu.Unlock()
		a.q.metrics.waited(&t)
		return &t, parsed, nil
	}
}

// nextState is what a task becomes that this process has claimed: running, or ended where it is not to be run any more.
func (q *queue) nextState(t *catalog.Task, parsed *spec.Task, parseErr error, claim catalog.Claim) {
	orphan := t.State == catalog.TaskRunning // its node has gone without a word
	if orphan {
		t.Failures++
	}
	switch {
	case t.CancelRequested:
		endTask(t, errCancelled, q.now())
	case parseErr != nil:
		endTask(t, fmt.Errorf("this program cannot read the task: %w", parseErr), q.now())
	case orphan && t.Failures > parsed.Tuning.MaxRetry:
		endTask(t, fmt.Errorf("%d attempts failed; during the last one, number %d, node %s went away", t.Failures, t.Attempt, t.Node), q.now())
	default:
		t.State, t.Attempt, t.Node, t.Epoch = catalog.TaskRunning, t.Attempt+1, q.node.ID, claim.Epoch
		t.StartedMillis, t.NotBeforeMillis, t.Done, t.Total = q.now().UnixMilli(), 0, 0, 0
	}
}

// earlierClaims counts the tasks that were claimed before the epoch. Of those who claim at the same moment the first ones
// stay: the cap on slots holds in the whole cluster without anybody who counts for all.
func earlierClaims(tasks map[string]*catalog.TaskView, epoch int64) int {
	n := 0
	for _, t := range tasks {
		if t.ClaimEpoch != 0 && t.ClaimEpoch < epoch && !t.State.Finished() {
			n++
		}
	}
	return n
}

func endTask(t *catalog.Task, err error, now time.Time) {
	t.State, t.FinishedMillis, t.NotBeforeMillis, t.Error = catalog.TaskFailed, now.UnixMilli(), 0, shortError(err)
}

func shortError(err error) string {
	text := err.Error()
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes] + "…"
	}
	return text
}

// work runs the worker, keeps the catalog told of its progress, and judges how it ended. A nil verdict: the claim is gone.
func (a *attempt) work(ctx context.Context, t *catalog.Task, parsed *spec.Task, claims compaction.Claims) (*compaction.Report, *verdict) {
	log := a.log.logger().With("task", t.ID, "attempt", t.Attempt)
	a.q.log.Info("task begins", "task", t.ID, "datasource", t.Datasource, "attempt", t.Attempt)
	log.Info("attempt begins", "node", a.q.node.ID, "type", t.Type, "datasource", t.Datasource, "priority", t.Priority)
	telling, stopTelling := context.WithCancel(ctx)
	var tells sync.WaitGroup
	tells.Go(func() { a.tellProgress(telling, t.Epoch) })
	report, err := a.q.worker.Run(ctx, parsed, compaction.RunOptions{
		Claims: claims, Progress: a.progress.set, Log: log,
	})
	stopTelling()
	tells.Wait()
	v := judge(t, parsed, err, context.Cause(ctx), a.q.o)
	switch {
	case v == nil:
		a.q.log.Warn("a task's claim is lost with the session; whoever takes the task over begins anew", "task", t.ID)
		return nil, nil
	case v.err != nil:
		log.Error("attempt ends", "state", v.state, "error", v.err, "again", v.pause)
		a.q.log.Warn("task attempt failed", "task", t.ID, "attempt", t.Attempt, "state", v.state, "error", v.err)
	default:
		log.Info("attempt ends", "state", v.state)
		a.q.log.Info("task attempt ended", "task", t.ID, "attempt", t.Attempt, "state", v.state)
	}
	return report, v
}

// judge says what becomes of a task whose attempt ended with err, the attempt's context having ended for the cause (nil: it
// has not). Work that is done is done, even where the end was asked for meanwhile. Busy chunks do not count against the
// retries: whoever holds them works on them, and one waits for him as in Druid's queue of locks. nil: leave the task alone.
func judge(t *catalog.Task, parsed *spec.Task, err, cause error, o CompactionOptions) *verdict {
	var final *compaction.TaskError
	var busy *compaction.Busy
	switch {
	case err == nil:
		return &verdict{state: catalog.TaskSuccess}
	case errors.Is(cause, errCancelled):
		return &verdict{state: catalog.TaskFailed, err: errCancelled}
	case errors.Is(cause, errStopping):
		return &verdict{state: catalog.TaskWaiting}
	case cause != nil:
		return nil
	case errors.As(err, &final):
		return &verdict{state: catalog.TaskFailed, err: err, failed: true}
	case errors.As(err, &busy):
		return &verdict{
			state: catalog.TaskWaiting, err: err, pause: pauseAfter(t.ID, t.Attempt-t.Failures, o.RetryPause, o.MaxBusyPause),
		}
	}
	v := &verdict{state: catalog.TaskWaiting, err: err, failed: true}
	if failures := t.Failures + 1; failures > parsed.Tuning.MaxRetry {
		v.state, v.err = catalog.TaskFailed, fmt.Errorf("%d attempts failed, the last one: %w", failures, err)
	} else {
		v.pause = pauseAfter(t.ID, failures, o.RetryPause, o.MaxRetryPause)
	}
	return v
}

// pauseAfter doubles with each failure, and has jitter that the task and the number decide, so that it can be foretold.
func pauseAfter(id string, failures int, first, longest time.Duration) time.Duration {
	pause := min(longest, first<<min(max(failures-1, 0), 16))
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%d", id, failures) // never fails
	return pause/2 + time.Duration(h.Sum64()%uint64(pause/2+1))
}
