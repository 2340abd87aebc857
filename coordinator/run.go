package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"drumlin/catalog"
)

// Run registers this process, and reads its share of the partitions until ctx ends; then it hands off what is hot, gives
// everything up and returns nil. A lost lease is registered anew.
func (c *Coordinator) Run(ctx context.Context) error {
	if c.err != nil {
		return fmt.Errorf("run the coordinator: %w", c.err)
	}
	pause := 50 * time.Millisecond
	for ctx.Err() == nil {
		session, err := c.register(ctx)
		if err != nil {
			if errors.Is(err, catalog.ErrNodeTaken) || errors.Is(err, catalog.ErrInvalid) || errors.Is(err, catalog.ErrFormat) || errors.Is(err, catalog.ErrClosed) {
				return fmt.Errorf("run the coordinator: %w", err)
			}
			if ctx.Err() == nil {
				c.o.Logger.Warn("cannot register this node; trying again", "node", c.o.Node.ID, "error", err)
			}
			wait(ctx, pause)
			pause = min(2*pause, c.o.Backoff)
			continue
		}
		pause = 50 * time.Millisecond
		c.serve(ctx, session)
	}
	c.lateWork.Wait()
	return nil
}

func (c *Coordinator) register(ctx context.Context) (*catalog.Session, error) {
	var options []catalog.RegisterOption
	if c.o.Sole {
		options = append(options, catalog.Sole())
	}
	return c.o.Catalog.Register(ctx, c.o.Node, c.o.LeaseTTL, options...)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// serve shares partitions under one session.
func (c *Coordinator) serve(ctx context.Context, session *catalog.Session) {
	c.setSession(session)
	// Steps outlive ctx: a step that is under way when the process ends is waited for, and the last handoffs come after.
	steps, cancelSteps := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelSteps()
	watch, cancelWatch := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { c.followView(watch) })
	if c.o.Topics != nil {
		watching.Go(func() { c.followTopics(watch) })
	}
	if c.o.Ingest != nil && slices.Contains(c.o.Node.Roles, RoleIngest) {
		watching.Go(func() { c.followReach(watch, session) })
	}
	working, cancelWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelWork(nil)
	work := new(sync.WaitGroup)
	c.startWork(working, session, work)
	lost := c.loop(ctx, steps, session)
	var leaving sync.WaitGroup
	if !lost {
		leaving.Go(func() { c.leave(ctx, session) })
	}
	cancelWork(whyEnding(lost))
	cancelWatch()
	watching.Wait()
	if lost {
		c.setSession(nil) // what it owned is gone: there is nothing to release
	}
	c.giveUp(ctx, cancelSteps, lost)
	c.waitForWork(work, lost)
	leaving.Wait()
	c.setSession(nil)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.LeaseTTL)
	defer cancel()
	if err := session.Close(end); err != nil {
		c.o.Logger.Warn("the node's lease will end by itself", "node", c.o.Node.ID, "error", err)
	}
}

// leave tells the others that this process is about to stop: each partition is theirs as soon as it is released here, and not
// only when all of them are, and the running tasks have been put back. Where it cannot be told, the end of the lease tells.
func (c *Coordinator) leave(ctx context.Context, session *catalog.Session) {
	c.cluster.leaving()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.LeaseTTL)
	defer cancel()
	if err := session.Leave(ctx); err != nil {
		c.o.Logger.Warn("cannot announce that this node stops; the end of its lease will", "node", c.o.Node.ID, "error", err)
	}
}

// startWork runs tasks and duties under the session, as this node's roles say, until ctx ends.
func (c *Coordinator) startWork(ctx context.Context, session *catalog.Session, wg *sync.WaitGroup) {
	claims := newBucketClaims(session)
	if c.o.Worker != nil && slices.Contains(c.o.Node.Roles, RoleCompact) {
		wg.Go(func() { c.queue.run(ctx, session, claims) })
	}
	if slices.Contains(c.o.Node.Roles, RoleCoordinate) {
		wg.Go(func() { c.duties.run(ctx, session, claims) })
	}
}

// waitForWork waits until tasks and duties have ended. After a lost session it does so for a while only: they can do no harm,
// as every write of theirs is fenced, and must not keep this process from registering anew. Run waits for them in the end.
func (c *Coordinator) waitForWork(wg *sync.WaitGroup, lost bool) {
	ended := make(chan struct{})
	c.lateWork.Go(func() {
		defer close(ended)
		wg.Wait()
	})
	var enough <-chan time.Time
	if lost {
		timer := time.NewTimer(c.o.StopTimeout)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-ended:
	case <-enough:
		c.o.Logger.Warn("tasks of the lost session have not ended yet; going on without them")
	}
}

// whyEnding is the cause with which tasks and duties end.
func whyEnding(lost bool) error {
	if lost {
		return catalog.ErrSessionLost
	}
	return errStopping
}

func (c *Coordinator) setSession(s *catalog.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	c.ability = ability{} // the registration says nothing of it yet
	clear(c.released)
	c.cluster.under(s)
	c.changedLocked()
}

// loop acts on every change until ctx ends or the session is lost.
func (c *Coordinator) loop(ctx, steps context.Context, session *catalog.Session) (lost bool) {
	for {
		timer := time.NewTimer(c.reconcile(steps, session))
		select {
		case <-ctx.Done():
		case <-session.Lost():
			lost = true
		case <-c.kick:
		case <-timer.C:
		}
		timer.Stop()
		if lost || ctx.Err() != nil {
			return lost
		}
	}
}

// followView kicks the loop at every new view.
func (c *Coordinator) followView(ctx context.Context) {
	for revision := int64(0); ; {
		v, err := c.o.Catalog.WaitChange(ctx, revision)
		if err != nil {
			if ctx.Err() == nil {
				c.o.Logger.Error("the catalog's view advances no more", "error", err)
				<-ctx.Done()
			}
			return
		}
		c.notice(v)
		revision = v.Revision
	}
}

// notice kicks the loop, and asks for topics where the view holds a supervisor or a version that is new.
func (c *Coordinator) notice(v *catalog.View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, s := range v.Supervisors {
		d := c.found[id]
		if !s.Suspended && (d == nil || d.version < s.Version || !d.asked) {
			signal(c.look)
		}
	}
	c.changedLocked()
	signal(c.queue.kick)
	signal(c.duties.kick)
}

// followTopics asks for topics and partitions now and then, and at once for a new supervisor.
func (c *Coordinator) followTopics(ctx context.Context) {
	var questions sync.WaitGroup
	defer questions.Wait()
	ticker := time.NewTicker(c.o.DiscoverEvery)
	defer ticker.Stop()
	for {
		c.discoverAll(ctx, &questions)
		select {
		case <-ticker.C:
		case <-c.look:
		case <-ctx.Done():
			return
		}
	}
}

// giveUp ends all workers: with their last handoffs when the process ends, without when the session is lost, since the
// epochs of their commits are over.
func (c *Coordinator) giveUp(ctx context.Context, cancelSteps context.CancelFunc, lost bool) {
	if lost {
		cancelSteps()
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.StopTimeout)
	defer cancel()
	c.stopAll(stop, lost)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.stepsWG.Wait()
	}()
	select {
	case <-ended:
	case <-stop.Done():
		cancelSteps()
		<-ended
	}
	c.stopAll(stop, lost) // those that a step was working on before
	c.stepsWG.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.partitions)
	c.changedLocked()
}

// stopAll launches the end of every partition that no step is working on.
func (c *Coordinator) stopAll(ctx context.Context, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.partitions {
		if !p.busy && (p.running || p.held) {
			c.launch(ctx, p, "stop", func(ctx context.Context) error { return c.stop(ctx, p, !lost) })
		}
	}
}

// wantedLocked lists the partitions that should be read by someone, and who owns them now.
func (c *Coordinator) wantedLocked(view *catalog.View) (wanted []catalog.PartitionKey, owners map[catalog.PartitionKey]string) {
	owners = map[catalog.PartitionKey]string{}
	for id, v := range view.Supervisors {
		if v.Suspended {
			continue
		}
		for key := range c.follow(v).partitions {
			wanted = append(wanted, key)
			if p := view.Supervisors[id].Partitions[key]; p != nil && p.Owner != nil {
				owners[key] = p.Owner.Node
			}
			if p := c.partitions[key]; p != nil && p.held {
				owners[key] = c.o.Node.ID
			}
		}
	}
	return wanted, owners
}

// targetLocked says who should read what.
func (c *Coordinator) targetLocked(view *catalog.View) (target map[catalog.PartitionKey]string, owners map[catalog.PartitionKey]string) {
	wanted, owners := c.wantedLocked(view)
	var nodes []string
	for id, n := range view.Nodes {
		if id != c.o.Node.ID && reads(n) {
			nodes = append(nodes, id)
		}
	}
	if c.o.Ingest != nil && slices.Contains(c.o.Node.Roles, RoleIngest) {
		nodes = append(nodes, c.o.Node.ID)
	}
	return shareAble(nodes, c.unableLocked(view), wanted, owners), owners
}
