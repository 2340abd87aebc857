package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"drumlin/catalog"
	"drumlin/segment"
)

// Errors of a Manager; match them with errors.Is.
var (
	// ErrNotRunning: this process does not read the partition.
	ErrNotRunning = errors.New("the partition is not read by this process")
	// ErrRunning: this process reads the partition already.
	ErrRunning = errors.New("the partition is read by this process already")
	// ErrClosed: the manager has been stopped.
	ErrClosed = errors.New("the consumer has been stopped")
	// ErrHalted: the partition is not read any further until somebody decides; the text says about what.
	ErrHalted = errors.New("the partition is halted")
	// ErrNotHalted: there is no lost range to accept.
	ErrNotHalted = errors.New("the partition is not halted for a lost range")
	// ErrOtherLoss: the range that was accepted is not the range that is lost.
	ErrOtherLoss = errors.New("another range is lost")
)

// Manager reads the partitions that it is told to, each with a worker of its own, within one budget of hot memory. It
// is safe for concurrent use.
type Manager struct {
	d *deps

	mu      sync.Mutex
	workers map[catalog.PartitionKey]*worker
	closed  bool
	wg      sync.WaitGroup // workers, and who is told of their end

	cancel     context.CancelFunc // of the budget and the advisor
	background sync.WaitGroup
}

// NewManager returns a manager that reads nothing yet. The caller ends it with StopAll.
func NewManager(o Options) (*Manager, error) {
	o.setDefaults()
	if o.Offsets == nil || o.Versions == nil || o.Builder == nil || o.Broker == nil || o.Incarnation == "" {
		return nil, errors.New("consumer: Offsets, Versions, Builder, Broker and Incarnation are needed")
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("consumer: register metrics: %w", err)
	}
	memory := &meter{inner: o.Allocator}
	d := &deps{Options: o, memory: memory, metrics: m, budget: newBudget(o.MaxHotBytes, memory)}
	ctx, cancel := context.WithCancel(context.Background())
	out := &Manager{d: d, workers: map[catalog.PartitionKey]*worker{}, cancel: cancel}
	d.advisor = newAdvisor(o.Broker, o.Logger, out.reads)
	if o.Registerer != nil {
		if err := o.Registerer.Register(newGauges(out.list, memory, o.MaxHotBytes)); err != nil {
			cancel()
			return nil, fmt.Errorf("consumer: register metrics: %w", err)
		}
	}
	out.background.Go(func() { d.budget.run(ctx, out.list) })
	out.background.Go(func() { d.advisor.run(ctx) })
	return out, nil
}

func (m *Manager) list() []*worker {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*worker, 0, len(m.workers))
	for _, w := range m.workers {
		out = append(out, w)
	}
	return out
}

// reads says whether this process reads the partition.
func (m *Manager) reads(key catalog.PartitionKey) bool {
	_, err := m.worker(key)
	return err == nil
}

func (m *Manager) worker(key catalog.PartitionKey) (*worker, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.workers[key]; w != nil {
		return w, nil
	}
	return nil, fmt.Errorf("supervisor %s, topic %s, partition %d: %w", key.Supervisor, key.Topic, key.Partition, ErrNotRunning)
}

// Start begins to read a partition and returns at once: what goes wrong from here on is retried and shown in the
// status, or ends the worker and is told to a.Ended. The reading goes on after ctx has ended, until Stop.
func (m *Manager) Start(ctx context.Context, a Assignment) error {
	key := a.Owner.PartitionKey
	if key.Supervisor != a.Supervisor.ID || a.Owner.Epoch == 0 {
		return fmt.Errorf("start %s partition %d: the owner %+v does not fit supervisor %q", key.Topic, key.Partition, a.Owner, a.Supervisor.ID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return ErrClosed
	case m.workers[key] != nil:
		return fmt.Errorf("start %s partition %d of %s: %w", key.Topic, key.Partition, key.Supervisor, ErrRunning)
	}
	w := newWorker(m.d, a)
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	m.workers[key] = w
	m.wg.Go(func() { m.supervise(runCtx, w, a) })
	return nil
}

// supervise runs a worker to its end and tells of it.
func (m *Manager) supervise(ctx context.Context, w *worker, a Assignment) {
	err := w.run(ctx, a)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // Stop asked for it
	}
	w.cancel()
	m.mu.Lock()
	delete(m.workers, w.key)
	m.mu.Unlock()
	close(w.done)
	if err != nil {
		w.log.Warn("steps down", "error", err)
	}
	if a.Ended != nil {
		a.Ended(w.key, err)
	}
}

// Update gives a running partition a newer spec version, or floors that have risen since. It takes effect at an
// offset of the worker's choice; Status().Facts tells when.
func (m *Manager) Update(ctx context.Context, s catalog.Supervisor, key catalog.PartitionKey) error {
	w, err := m.worker(key)
	if err != nil {
		return err
	}
	target, err := m.d.planFor(ctx, s)
	if err != nil {
		return err
	}
	return w.command(ctx, func() error {
		if target.facts.SpecVersion < w.target.facts.SpecVersion {
			return nil // overtaken by a later update
		}
		return w.aim(target)
	})
}

// Stop ends the reading of a partition and waits for it. With handoff everything that has been read is committed
// first; if ctx ends before that, the rest is dropped, to be read again by the next owner. Ownership stays with the
// caller, who releases it afterwards.
func (m *Manager) Stop(ctx context.Context, key catalog.PartitionKey, handoff bool) error {
	w, err := m.worker(key)
	if err != nil {
		return err
	}
	return w.stop(ctx, handoff)
}

func (w *worker) stop(ctx context.Context, handoff bool) error {
	if !handoff {
		w.cancel()
		<-w.done
		return nil
	}
	w.stopOnce.Do(func() { close(w.stopping) })
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		w.cancel()
		<-w.done
		return fmt.Errorf("%s: stopped before its last handoff was done; the rows will be read again: %w", w.place(), ctx.Err())
	}
}

// StopAll stops every partition with a last handoff, within ctx, and ends the manager. It returns when every goroutine
// has ended.
func (m *Manager) StopAll(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	workers := m.list()
	errs := make([]error, len(workers))
	var stops sync.WaitGroup
	for i, w := range workers {
		stops.Go(func() { errs[i] = w.stop(ctx, true) })
	}
	stops.Wait()
	m.wg.Wait()
	m.cancel()
	m.background.Wait()
	return errors.Join(errs...)
}

// Handoff commits everything hot once the partition has been read up to offset upTo, and returns the revision at which
// all of it is in the catalog.
func (m *Manager) Handoff(ctx context.Context, key catalog.PartitionKey, upTo int64) (revision int64, err error) {
	w, err := m.worker(key)
	if err != nil {
		return 0, err
	}
	h := &handoffWaiter{upTo: upTo, cutAt: -1, result: make(chan handoffResult, 1)}
	if err := w.command(ctx, func() error { w.waiters = append(w.waiters, h); return nil }); err != nil {
		return 0, err
	}
	select {
	case r := <-h.result:
		return r.revision, r.err
	case <-ctx.Done():
		h.left.Store(true)
		return 0, fmt.Errorf("hand off %s up to offset %d: %w", w.place(), upTo, ctx.Err())
	}
}

// AcceptLoss lets a partition that is halted for the lost range [from, to) go on behind it: the range is committed as lost.
// Another range than the one that it is halted for is refused.
func (m *Manager) AcceptLoss(ctx context.Context, key catalog.PartitionKey, from, to int64) error {
	w, err := m.worker(key)
	if err != nil {
		return err
	}
	return w.command(ctx, func() error {
		if w.halted == nil || w.halted.Reason != HaltLostRange {
			return fmt.Errorf("%s: %w", w.place(), ErrNotHalted)
		}
		if from != w.halted.From || to != w.halted.To {
			return fmt.Errorf("%s: %w: the log no longer holds [%d, %d), accepted was [%d, %d)",
				w.place(), ErrOtherLoss, w.halted.From, w.halted.To, from, to)
		}
		return w.acceptLoss()
	})
}

// command runs f in the worker's loop.
func (w *worker) command(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case w.commands <- func() { result <- f() }:
	case <-w.done:
		return fmt.Errorf("%s: %w", w.place(), ErrNotRunning)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", w.place(), ctx.Err())
	}
	return <-result
}

// Status describes a partition; false where this process does not read it.
func (m *Manager) Status(key catalog.PartitionKey) (PartitionStatus, bool) {
	w, err := m.worker(key)
	if err != nil {
		return PartitionStatus{}, false
	}
	return *w.status.Load(), true
}

// Hot returns the rows of a partition that a cut needs, from r.From on. The error is a *segment.HotUnavailable. The
// caller releases what it gets.
func (m *Manager) Hot(_ context.Context, r segment.HotRequest) (*segment.HotRows, error) {
	w, err := m.worker(catalog.PartitionKey{Supervisor: r.Supervisor, Topic: r.Topic, Partition: r.Partition})
	if err != nil {
		return nil, &segment.HotUnavailable{Status: segment.HotNotOwner, Revision: r.Revision, Detail: err.Error()}
	}
	return w.hot.read(r)
}

// HotBytes is how much memory hot rows take up, those that readers still hold included.
func (m *Manager) HotBytes() int64 { return m.d.memory.used.Load() }
