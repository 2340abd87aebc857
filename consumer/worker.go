package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"drumlin/catalog"
)

const (
	chunkRecords       = 1024                   // worked on before the loop looks at anything else
	maxQueuedSteps     = 256                    // handoffs that wait, small ones: hot memory ends sooner where they are not
	dryPublishEvery    = 20 * time.Millisecond  // between publications while records come slower than they are read
	pauseRecheckEvery  = 20 * time.Millisecond  // while hot memory is at its limit
	housekeepingEvery  = 500 * time.Millisecond // at the latest
	longestHandoffWait = 100 * 365 * 24 * time.Hour
)

// worker reads one partition. Its loopState belongs to its loop alone.
type worker struct {
	key   catalog.PartitionKey
	owner catalog.Owner
	d     *deps
	log   *slog.Logger
	hot   *hotLog

	commands chan func()   // run by the loop
	pressure chan struct{} // asks for an early handoff
	ready    chan struct{} // closed: makes a case of the loop's select ready
	stopping chan struct{} // closed by Stop with a handoff
	stopOnce sync.Once
	done     chan struct{} // closed when everything has ended
	cancel   context.CancelFunc
	status   atomic.Pointer[PartitionStatus]
	uncut    atomic.Int64 // published bytes that no handoff holds yet
	draining atomic.Int64 // bytes that handoffs hold: they come free by themselves
	trouble  atomic.Pointer[trouble]
	asking   atomic.Pointer[asked] // nil: no step asks for anything now

	newestMillis atomic.Int64 // largest Kafka timestamp of what can be read; 0: none yet

	loopState
}

// loopState is what the loop of a worker knows.
type loopState struct {
	plan, target *plan // by which records are read, and shall be once that is allowed
	batches      *builders
	standing     standing

	// The position: everything below next has been read.
	next             int64
	leaderEpoch      int32
	clock            int64
	catchUp          int64
	stableEnd        int64     // −1: unknown
	stableSince      time.Time // when stableEnd last moved
	end              int64     // newest known high watermark; −1: unknown
	rejectedTotal    int64     // of this generation, up to next
	unparseableTotal int64     // of those: what could not be read
	halted           *Halt

	// Since the last cut:
	cutFrom          int64
	rangeRows        int64
	rangeRejects     int64
	rangeUnparseable int64
	rangeBytes       int64
	rangeBuckets     map[int64]int64 // rows by bucket start
	rangeFirst       int64           // Kafka timestamp of the first record
	rangeBegan       time.Time       // zero: nothing has been read

	unpublished   bool
	publishAt     time.Time
	lastPublished time.Time

	fetcher *fetcher
	pending []Record // of the last poll, not yet read
	reopen  backoff

	steps    []*step
	running  bool
	holding  int // queued or running steps that hold up reading
	stepDone chan stepResult
	stepWG   sync.WaitGroup
	adopting bool

	probing bool
	probeAt time.Time
	// silentSince is when the brokers were first asked in vain after their last answer; zero: they answer.
	silentSince time.Time
	probed      chan probeResult
	paused      bool
	stopped     bool // stopping was seen: the last handoff is under way
	waiters     []*handoffWaiter
	lastError   string

	lastErrorAt time.Time
}

type probeResult struct {
	bounds Bounds
	err    error
	asked  time.Time
}

// handoffWaiter waits until everything hot is committed, once the position has reached upTo. One that has left wants nothing
// any more.
type handoffWaiter struct {
	upTo   int64
	cutAt  int64 // −1: not cut yet
	left   atomic.Bool
	result chan handoffResult
}

type handoffResult struct {
	revision int64
	err      error
}

var (
	errOrder    = errors.New("offsets did not increase")
	errDiverged = errors.New("the log was truncated below rows that are not committed yet")
)

func newWorker(d *deps, a Assignment) *worker {
	key := a.Owner.PartitionKey
	w := &worker{
		key: key, owner: a.Owner, d: d,
		log:      d.Logger.With("supervisor", key.Supervisor, "topic", key.Topic, "partition", key.Partition, "epoch", a.Owner.Epoch),
		hot:      newHotLog(d.memory, key.Topic, key.Partition),
		commands: make(chan func()), pressure: make(chan struct{}, 1), stopping: make(chan struct{}), done: make(chan struct{}),
	}
	w.ready = make(chan struct{})
	close(w.ready)
	w.stepDone, w.probed = make(chan stepResult, 1), make(chan probeResult, 1)
	w.rangeBuckets, w.stableEnd, w.end = map[int64]int64{}, -1, -1
	w.report()
	return w
}

// run reads until it is stopped (nil) or must step down. The hot rows are gone when it returns.
func (w *worker) run(ctx context.Context, a Assignment) error {
	defer w.hot.close()
	if err := w.beginUnlessStopped(ctx, a); err != nil {
		if w.isStopping() {
			return nil
		}
		return err
	}
	running, cancel := context.WithCancel(ctx)
	err := w.loop(running)
	w.closeFetcher()
	cancel()
	w.stepWG.Wait()
	why := err
	if err == nil || ctx.Err() != nil { // stopped: whoever waits was not the one who has been cancelled
		why = ErrNotRunning
	}
	w.abandon(why)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (w *worker) isStopping() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

func (w *worker) beginUnlessStopped(ctx context.Context, a Assignment) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-w.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := w.begin(ctx, a)
	cancel()
	<-ended
	return err
}

// abandon lets go of what was queued and answers who waits.
func (w *worker) abandon(err error) {
	for _, s := range w.steps {
		if s.release != nil {
			s.release()
		}
	}
	w.steps = nil
	select {
	case r := <-w.stepDone:
		if r.step.release != nil {
			r.step.release()
		}
	default:
	}
	for _, h := range w.waiters {
		h.result <- handoffResult{err: fmt.Errorf("%s: not handed off: %w", w.place(), err)}
	}
	w.waiters = nil
	w.draining.Store(0)
	w.uncut.Store(0)
}

func (w *worker) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	stopping := (<-chan struct{})(w.stopping)
	for {
		if err := w.advance(ctx); err != nil {
			return err
		}
		w.report()
		if w.stopped && len(w.steps) == 0 && !w.running {
			return nil
		}
		timer.Reset(w.untilWake())
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stopping:
			stopping, w.stopped = nil, true
			w.closeFetcher()
			err = w.cut()
		case c := <-w.commands:
			c()
		case <-w.pressure:
			err = w.cut()
		case r := <-w.stepDone:
			err = w.finishStep(r)
		case r := <-w.probed:
			err = w.finishProbe(r)
		case p := <-w.polls():
			err = w.polled(p)
		case <-w.work():
			err = w.read()
		case <-timer.C:
		}
		if err != nil {
			return err
		}
	}
}

// advance does what has become due.
func (w *worker) advance(ctx context.Context) error {
	now := time.Now()
	w.updatePause()
	if w.unpublished && !now.Before(w.publishAt) {
		if err := w.publish(); err != nil {
			return err
		}
	}
	if age := w.handoffAge(); !w.rangeBegan.IsZero() && now.Sub(w.rangeBegan) >= age {
		if err := w.cut(); err != nil {
			return err
		}
	}
	if err := w.adoptIfDue(); err != nil {
		return err
	}
	if err := w.serveWaiters(); err != nil {
		return err
	}
	w.startStep(ctx)
	w.startFetching(ctx, now)
	w.startProbe(ctx, now)
	w.hot.expire(now, w.d.Grace, w.d.MaxHotBytes/8)
	return nil
}

func (w *worker) handoffAge() time.Duration {
	if ms := w.target.spec.Tuning.IntermediateHandoffMillis; ms > 0 && ms < longestHandoffWait.Milliseconds() {
		return time.Duration(ms) * time.Millisecond
	}
	return longestHandoffWait
}

// memoryFull says whether hot rows of the process fill memory so far that nothing more is read.
func (w *worker) memoryFull() bool {
	share := int64(pauseFrom)
	if w.paused {
		share = resumeBelow
	}
	return w.d.memory.used.Load() >= w.d.MaxHotBytes/100*share
}

func (w *worker) updatePause() {
	w.paused = w.memoryFull() || len(w.steps) >= maxQueuedSteps
	if w.paused {
		w.d.budget.look()
	}
}

// reading says whether records may be read now.
func (w *worker) reading() bool {
	return w.halted == nil && !w.stopped && !w.paused && w.holding == 0
}

func (w *worker) work() <-chan struct{} {
	if w.reading() && len(w.pending) > 0 {
		return w.ready
	}
	return nil
}

func (w *worker) polls() <-chan polled {
	if w.reading() && len(w.pending) == 0 && w.fetcher != nil {
		return w.fetcher.out
	}
	return nil
}

func (w *worker) untilWake() time.Duration {
	d := housekeepingEvery
	now := time.Now()
	soon := func(t time.Time) { d = max(0, min(d, t.Sub(now))) }
	if w.unpublished {
		soon(w.publishAt)
	}
	if !w.rangeBegan.IsZero() {
		soon(w.rangeBegan.Add(w.handoffAge()))
	}
	if w.fetcher == nil && w.halted == nil && !w.stopped {
		soon(w.reopen.at)
	}
	if w.paused {
		d = min(d, pauseRecheckEvery)
	}
	return d
}

func (w *worker) startStep(ctx context.Context) {
	if w.running || len(w.steps) == 0 {
		return
	}
	s := w.steps[0]
	w.steps = w.steps[1:]
	w.running = true
	now := w.standing
	w.stepWG.Add(1)
	go func() {
		defer w.stepWG.Done()
		after, err := s.run(ctx, now)
		w.stepDone <- stepResult{step: s, now: after, err: err}
	}()
}

func (w *worker) finishStep(r stepResult) error {
	w.running = false
	if r.step.holds {
		w.holding--
	}
	if r.step.release != nil {
		r.step.release()
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", w.place(), r.err)
	}
	w.standing = r.now
	r.step.then(r.now)
	return nil
}

func (w *worker) queue(s *step) {
	w.steps = append(w.steps, s)
	if s.holds {
		w.holding++
	}
}
