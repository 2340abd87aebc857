package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"drumlin/catalog"
)

// RoleCoordinate is the role of nodes that may hold the standing duties.
const RoleCoordinate = "coordinate"

// dutiesClaim is the claim of whoever has the standing duties. No task can have this id.
const dutiesClaim = "!duties"

// duties are what one process does for the whole cluster, for as long as it holds the claim.
type duties struct {
	c    *Coordinator
	kick chan struct{} // the view has changed
}

func newDuties(c *Coordinator) *duties { return &duties{c: c, kick: make(chan struct{}, 1)} }

// run waits for the claim and does the duties until ctx ends.
func (d *duties) run(ctx context.Context, session *catalog.Session, claims *bucketClaims) {
	for ctx.Err() == nil {
		claim, err := session.ClaimTask(ctx, dutiesClaim)
		if err != nil {
			if !errors.Is(err, catalog.ErrOwned) && ctx.Err() == nil {
				d.c.o.Logger.Warn("cannot ask for the standing duties; trying again", "error", err)
			}
			wait(ctx, d.c.o.LeaseTTL/2)
			continue
		}
		d.c.o.Logger.Info("this process has the standing duties now", "node", d.c.o.Node.ID)
		d.c.metrics.duties(true)
		d.serve(ctx, claims)
		d.c.metrics.duties(false)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.c.o.LeaseTTL)
		if err := session.Unclaim(end, claim); err != nil {
			d.c.o.Logger.Info("the standing duties go with this node's lease", "error", err)
		}
		cancel()
	}
}

// serve runs every duty beside the others, so that one that is slow holds up none, until ctx ends.
func (d *duties) serve(ctx context.Context, claims *bucketClaims) {
	var wg sync.WaitGroup
	defer wg.Wait()
	o := &d.c.o.Compaction
	wg.Go(func() { d.loop(ctx, "prune", o.PruneEvery, nil, d.prune) })
	wg.Go(func() { d.loop(ctx, "horizon", o.RetentionEvery, nil, d.raiseDedupFloors) })
	if d.c.o.Worker != nil {
		wg.Go(func() {
			d.loop(ctx, "retention", o.RetentionEvery, nil, func(ctx context.Context) error { return d.retain(ctx, claims) })
		})
	}
	if d.c.o.Collect != nil {
		wg.Go(func() { d.loop(ctx, "collect", o.CollectEvery, nil, d.collect) })
	}
	rounds := []*policyRound{
		{c: d.c, policy: originRecent, every: o.RecentEvery, ask: make(chan struct{}, 1)},
		{c: d.c, policy: originHistorical, every: o.HistoricalEvery, ask: make(chan struct{}, 1)},
	}
	for _, r := range rounds {
		wg.Go(func() { d.loop(ctx, r.policy, r.every, r.ask, r.run) })
	}
	wg.Go(func() { d.follow(ctx, rounds) })
}

// loop runs rounds of a duty at once, then every so often, and when it is asked to. A round that fails comes again.
func (d *duties) loop(ctx context.Context, duty string, every time.Duration, ask <-chan struct{}, round func(context.Context) error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := round(ctx); err != nil && ctx.Err() == nil {
			d.c.metrics.dutyFailed(duty)
			d.c.o.Logger.Warn("a round of a standing duty failed; it comes again", "duty", duty, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-ask:
		}
	}
}

// follow shows the queue in the metrics, and asks a policy for a round before its time where chosen chunks had to wait and
// their turn has come.
func (d *duties) follow(ctx context.Context, rounds []*policyRound) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.kick:
		}
		view := d.c.o.Catalog.View()
		d.c.metrics.queue(view.Tasks, d.c.o.Compaction.MaxSlots, d.c.o.Now().UnixMilli())
		for _, r := range rounds {
			if r.due(view) {
				signal(r.ask)
			}
		}
	}
}

// prune forgets ended tasks that are more than the newest of their datasource and origin.
func (d *duties) prune(ctx context.Context) error {
	var errs []error
	for _, t := range forgettable(d.c.o.Catalog.View().Tasks, &d.c.o.Compaction) {
		err := d.c.o.Catalog.DeleteTask(ctx, t.ID, t.Revision)
		if err != nil && !errors.Is(err, catalog.ErrConflict) {
			errs = append(errs, fmt.Errorf("forget task %s: %w", t.ID, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// forgettable lists the ended tasks that need not be kept, oldest first.
func forgettable(tasks map[string]*catalog.TaskView, o *CompactionOptions) []*catalog.TaskView {
	type group struct{ datasource, origin string }
	ended := map[group][]*catalog.TaskView{}
	for _, t := range tasks {
		if t.State.Finished() && !t.Claimed {
			g := group{t.Datasource, t.Origin}
			ended[g] = append(ended[g], t)
		}
	}
	var out []*catalog.TaskView
	for _, list := range ended {
		keep := o.KeepUserTasks
		if automatic(list[0]) {
			keep = o.KeepAutomaticTasks
		}
		if len(list) > keep {
			slices.SortFunc(list, compareEnded)
			out = append(out, list[:len(list)-keep]...)
		}
	}
	slices.SortFunc(out, compareEnded)
	return out
}

func compareEnded(a, b *catalog.TaskView) int {
	return cmp.Or(cmp.Compare(a.FinishedMillis, b.FinishedMillis), cmp.Compare(a.ID, b.ID))
}
