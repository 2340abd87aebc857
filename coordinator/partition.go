package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/segment"
)

// partition is one partition as far as this process reads it. Its fields are guarded by the coordinator's mu; one step at
// a time works on it (busy).
type partition struct {
	key      catalog.PartitionKey
	busy     bool
	held     bool          // owner is ours, as far as we know
	owner    catalog.Owner // of the last acquisition
	running  bool          // a worker has been started and has not been stopped
	ended    bool          // the worker has stepped down by itself
	facts    segment.Facts // the spec version and the floors that the worker was given
	since    time.Time     // when the worker was started
	failures int
	retryAt  time.Time
	err      error // of the last step or worker; nil: all is well

	// While it is handed off for the last time: leave ends that, and awaited is since when somebody waits to read it.
	leave   context.CancelFunc
	awaited time.Time
}

// idleFor is how long the loop waits when nothing is due.
const idleFor = time.Minute

// reconcile launches the step that each partition needs next, and says when to look again at the latest.
func (c *Coordinator) reconcile(ctx context.Context, session *catalog.Session) time.Duration {
	view := c.o.Catalog.View()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.adoptLocked(view, session)
	target, owners := c.targetLocked(view)
	for key, node := range target {
		if node == c.o.Node.ID && c.partitions[key] == nil {
			c.partitions[key] = &partition{key: key}
		}
	}
	now := c.o.Now()
	next := idleFor
	keys := make([]catalog.PartitionKey, 0, len(c.partitions))
	for key := range c.partitions {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, comparePartitions)
	for _, key := range keys {
		p := c.partitions[key]
		if p.busy { // its end kicks the loop
			next = min(next, c.hurryLocked(p, target[key], now))
			continue
		}
		mine := target[key] == c.o.Node.ID || p.held && c.keepsLocked(key.Supervisor)
		if mine || p.held || p.running {
			next = min(next, c.advanceLocked(ctx, session, p, view, mine, owners[key], now))
		} else {
			delete(c.partitions, key)
		}
	}
	return next
}

// advanceLocked launches one partition's next step. It returns when that may be, where it is not now.
func (c *Coordinator) advanceLocked(ctx context.Context, session *catalog.Session, p *partition, view *catalog.View, mine bool,
	owner string, now time.Time,
) time.Duration {
	sup, facts := view.Supervisors[p.key.Supervisor], newestFacts(view, p.key.Supervisor)
	switch {
	case p.ended:
		c.launch(ctx, p, "step down", func(ctx context.Context) error { return c.stop(ctx, p, false) })
	case !mine && !p.running && now.Before(p.retryAt):
		return p.retryAt.Sub(now) // the catalog could not be told that it is given up
	case !mine:
		c.launch(ctx, p, "give up", func(ctx context.Context) error { return c.stop(ctx, p, true) })
	case p.running && p.facts == facts:
	case now.Before(p.retryAt):
		return p.retryAt.Sub(now)
	case p.running:
		c.launch(ctx, p, "update", func(ctx context.Context) error { return c.update(ctx, p, sup.Supervisor, facts) })
	case owner != "" && owner != c.o.Node.ID:
		// The view changes when its owner lets go.
	default:
		fromEarliest := !c.found[p.key.Supervisor].begun[p.key]
		c.launch(ctx, p, "start", func(ctx context.Context) error {
			return c.start(ctx, session, p, sup.Supervisor, facts, fromEarliest)
		})
	}
	return idleFor
}

// hurryLocked ends a last handoff that somebody else has waited for long enough, or this process again: the partition is
// released without it, and its rows are read again from the committed offset. It returns when that may be. One that nobody
// waits for, as of a suspended supervisor, has all the time that it needs. Called with mu held.
func (c *Coordinator) hurryLocked(p *partition, reader string, now time.Time) time.Duration {
	switch left := c.o.StopTimeout - now.Sub(p.awaited); {
	case p.leave == nil:
	case reader == "":
		p.awaited = time.Time{}
	case p.awaited.IsZero():
		p.awaited = now
		return c.o.StopTimeout
	case left > 0:
		return left
	default:
		p.leave()
		p.leave = nil
		c.cluster.unfinished()
		c.o.Logger.Warn("a partition is released before its last handoff is done: whoever reads it next reads its rows again",
			"supervisor", p.key.Supervisor, "topic", p.key.Topic, "partition", p.key.Partition, "waited", now.Sub(p.awaited), "reader", reader)
	}
	return idleFor
}

// adoptLocked notices partitions that the catalog says this node owns, and that nothing here knows of: the reply to an
// acquisition was lost, or the request to release them was. Left alone they would be nobody's as long as this session lives.
func (c *Coordinator) adoptLocked(view *catalog.View, session *catalog.Session) {
	if view.Nodes[c.o.Node.ID].Instance != session.Node().Instance {
		return // not registered yet in this view, or replaced by another process of the same id
	}
	for key, epoch := range c.released {
		if pv := partitionOf(view, key); pv == nil || pv.Owner == nil || pv.Owner.Epoch != epoch {
			delete(c.released, key)
		}
	}
	for _, sup := range view.Supervisors {
		for key, pv := range sup.Partitions {
			if pv.Owner == nil || pv.Owner.Node != c.o.Node.ID || pv.Owner.Epoch == c.released[key] {
				continue
			}
			p := c.partitions[key]
			if p == nil {
				p = &partition{key: key}
				c.partitions[key] = p
			}
			if !p.busy && !p.held && !p.running {
				p.held, p.owner = true, *pv.Owner
			}
		}
	}
}

// partitionOf finds a partition in the view; nil: it is not there.
func partitionOf(view *catalog.View, key catalog.PartitionKey) *catalog.PartitionView {
	if sup := view.Supervisors[key.Supervisor]; sup != nil {
		return sup.Partitions[key]
	}
	return nil
}

// newestFacts are those that a supervisor's workers shall come to: of its newest version, and its datasource's floors.
func newestFacts(view *catalog.View, supervisor string) segment.Facts {
	sup := view.Supervisors[supervisor]
	if sup == nil {
		return segment.Facts{}
	}
	facts := segment.Facts{SpecVersion: sup.Version}
	if ds := view.Datasources[sup.Datasource]; ds != nil {
		facts.RetentionFloorMillis, facts.DedupFloorMillis = ds.RetentionFloorMillis, ds.DedupFloorMillis
	}
	return facts
}

// launch runs one step of a partition beside the loop. Called with mu held.
func (c *Coordinator) launch(ctx context.Context, p *partition, what string, step func(context.Context) error) {
	p.busy = true
	c.stepsWG.Go(func() {
		err := step(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		p.busy = false
		c.noteLocked(p, what, err)
		c.changedLocked()
	})
}

// noteLocked keeps a step's outcome. After a failure the next step waits, longer each time, with jitter.
func (c *Coordinator) noteLocked(p *partition, what string, err error) {
	if err == nil {
		p.err = nil
		return
	}
	p.err = err
	p.failures++
	pause := min(c.o.Backoff, 50*time.Millisecond<<min(p.failures, 16))
	p.retryAt = c.o.Now().Add(pause/2 + rand.N(pause/2+1))
	if !errors.Is(err, context.Canceled) {
		c.o.Logger.Warn("a step of a partition failed", "step", what, "supervisor", p.key.Supervisor, "topic", p.key.Topic,
			"partition", p.key.Partition, "error", err, "again", pause)
	}
}

// start acquires a partition and starts its worker.
func (c *Coordinator) start(ctx context.Context, session *catalog.Session, p *partition, sup catalog.Supervisor,
	facts segment.Facts, fromEarliest bool,
) error {
	owner, err := session.Acquire(ctx, p.key)
	if errors.Is(err, catalog.ErrOwned) {
		// It was adopted from a view that was older than the session: the newest one says whose it is.
		c.mu.Lock()
		p.held = false
		c.mu.Unlock()
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	p.owner, p.held, p.ended = owner, true, false
	c.mu.Unlock()
	c.cluster.moved("acquired")
	err = c.o.Ingest.Start(ctx, consumer.Assignment{
		Owner: owner, Supervisor: sup, FromEarliest: fromEarliest,
		Ended: func(_ catalog.PartitionKey, err error) { c.workerEnded(p, owner.Epoch, err) },
	})
	c.mu.Lock()
	p.running, p.facts, p.since = err == nil, facts, c.o.Now()
	c.mu.Unlock()
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("start to read: %w", err), c.release(ctx, p, owner))
}

// stop ends a partition's worker and releases the partition.
func (c *Coordinator) stop(ctx context.Context, p *partition, handoff bool) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	owner, running := p.owner, p.running && !p.ended
	if running && handoff {
		p.leave, p.awaited = cancel, time.Time{}
		c.changedLocked() // the loop looks who waits for it
	}
	c.mu.Unlock()
	var err error
	if running {
		if err = c.o.Ingest.Stop(within, p.key, handoff); err != nil {
			err = fmt.Errorf("stop reading: what was not handed off is read again from the log: %w", err)
		}
	}
	c.mu.Lock()
	p.running, p.ended, p.leave = false, false, nil
	c.mu.Unlock()
	return errors.Join(err, c.release(ctx, p, owner))
}

// release gives a partition back. Where the catalog cannot be told, the partition stays held, and is given back later.
func (c *Coordinator) release(ctx context.Context, p *partition, owner catalog.Owner) error {
	c.mu.Lock()
	session := c.session
	c.mu.Unlock()
	if session != nil { // else its end releases everything
		if err := session.Release(ctx, owner); err != nil {
			return err
		}
	}
	c.cluster.moved("released")
	c.mu.Lock()
	defer c.mu.Unlock()
	p.held = false
	if session != nil {
		c.released[p.key] = owner.Epoch
	}
	return nil
}

func (c *Coordinator) update(ctx context.Context, p *partition, sup catalog.Supervisor, facts segment.Facts) error {
	if err := c.o.Ingest.Update(ctx, sup, p.key); err != nil {
		return fmt.Errorf("give the worker version %d of the spec: %w", sup.Version, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.facts = facts
	return nil
}

// steadyAfter is how long a worker must have run for its failures to be forgotten.
const steadyAfter = 30 * time.Second

// workerEnded is called when a worker has ended. nil means that it was stopped, and the step that did so goes on.
func (c *Coordinator) workerEnded(p *partition, epoch int64, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.owner.Epoch != epoch {
		return
	}
	p.ended = true
	if p.running && c.o.Now().Sub(p.since) > steadyAfter {
		p.failures = 0
	}
	c.noteLocked(p, "read", err)
	c.changedLocked()
}
