package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

// RoleCompact is the role of nodes that run tasks.
const RoleCompact = "compact"

// Worker carries out tasks; *compaction.Worker has it.
type Worker interface {
	// Run does a task's work. A *compaction.Busy says that others work on its chunks, a *compaction.TaskError that trying
	// again is of no use; after other errors it may be. The report may be there beside an error.
	Run(ctx context.Context, t *spec.Task, r compaction.RunOptions) (*compaction.Report, error)
	// Drop hides what lies wholly below a datasource's retention floor.
	Drop(ctx context.Context, datasource string, claims compaction.Claims) (dropped int, err error)
}

// Why an attempt's context ends; match context.Cause.
var (
	errCancelled = errors.New("cancelled on request")
	errStopping  = errors.New("the process is stopping")
)

// queue runs tasks of the catalog's queue in this process.
type queue struct {
	catalog *catalog.Catalog
	worker  Worker
	objects catalog.Objects
	node    catalog.Node
	o       CompactionOptions
	now     func() time.Time
	log     *slog.Logger
	metrics *taskMetrics
	kick    chan struct{} // asks the loop to look again

	mu       sync.Mutex
	attempts map[string]*attempt  // by task
	pauses   map[string]time.Time // tasks that could not even be begun: when to try again
	unsure   map[string]bool      // tasks that this process may have claimed without having heard of it
}

func newQueue(o *Options, metrics *taskMetrics) *queue {
	return &queue{
		catalog: o.Catalog, worker: o.Worker, objects: o.Objects, node: o.Node, o: o.Compaction, now: o.Now, log: o.Logger,
		metrics: metrics, kick: make(chan struct{}, 1), attempts: map[string]*attempt{}, pauses: map[string]time.Time{}, unsure: map[string]bool{},
	}
}

// run runs tasks under one session until ctx ends, and returns when all attempts have ended. context.Cause(ctx) tells what
// becomes of them: after errStopping they are put back, after a lost session the tasks are left to whoever takes them over.
func (q *queue) run(ctx context.Context, session *catalog.Session, claims *bucketClaims) {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	for {
		timer := time.NewTimer(q.advance(ctx, session, claims, &attempts))
		select {
		case <-ctx.Done():
		case <-q.kick:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// advance begins what may begin, and says when to look again at the latest.
func (q *queue) advance(ctx context.Context, session *catalog.Session, claims *bucketClaims, wg *sync.WaitGroup) time.Duration {
	view := q.catalog.View()
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, a := range q.attempts {
		if t := view.Tasks[id]; t != nil && t.CancelRequested && t.Epoch == a.epoch {
			a.cancel(errCancelled)
		}
	}
	wake := now.Add(idleFor)
	for id, at := range q.pauses {
		switch {
		case !at.After(now):
			delete(q.pauses, id)
		case at.Before(wake):
			wake = at
		}
	}
	next, due := pick(view.Tasks, q.claimedLocked, q.o.MaxSlots, now.UnixMilli())
	if at := time.UnixMilli(due); due != 0 && at.Before(wake) {
		wake = at
	}
	for _, t := range next {
		if len(q.attempts) >= q.o.NodeSlots {
			break // the end of one kicks the loop
		}
		q.begin(ctx, session, claims, t.ID, wg)
	}
	return wake.Sub(now)
}

// claimedLocked says whether somebody holds the task, as far as is known here, or it has to wait here.
func (q *queue) claimedLocked(t *catalog.TaskView) bool {
	_, here := q.attempts[t.ID]
	_, paused := q.pauses[t.ID]
	return t.Claimed && !q.unsure[t.ID] || here || paused
}

// claimEnded notes how an attempt to claim a task has ended. A claim that was never answered may be there: this process claims
// again, which gives it what it holds, or tells who does.
func (q *queue) claimEnded(id string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil || errors.Is(err, catalog.ErrOwned) || errors.Is(err, catalog.ErrSessionLost) {
		delete(q.unsure, id)
		return
	}
	q.unsure[id] = true
}

// begin runs one attempt beside the loop. Called with mu held.
func (q *queue) begin(ctx context.Context, session *catalog.Session, claims *bucketClaims, id string, wg *sync.WaitGroup) {
	process := ctx
	ctx, cancel := context.WithCancelCause(process)
	a := &attempt{q: q, id: id, cancel: cancel, log: &taskLog{}}
	q.attempts[id] = a
	wg.Go(func() {
		defer cancel(nil)
		err := a.run(ctx, process, session, claims)
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.attempts, id)
		if err != nil && ctx.Err() == nil {
			q.pauses[id] = q.now().Add(pauseAfter(id, 1, time.Second, q.o.MaxRetryPause))
			q.log.Warn("a task could not be begun or ended; trying again", "task", id, "error", err)
		}
		signal(q.kick)
	})
}

// liveLog is the log of the attempt that runs here; ok is false where none does.
func (q *queue) liveLog(id string) (text []byte, ok bool) {
	q.mu.Lock()
	a := q.attempts[id]
	q.mu.Unlock()
	if a == nil {
		return nil, false
	}
	return a.log.Bytes(), true
}
