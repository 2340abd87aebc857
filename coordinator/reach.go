package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
)

// Stretches of time in which a process finds out that it cannot read a supervisor's partitions, in lives of its lease: to
// others such a process is much like one that has died, but that it can still hand over.
const (
	silenceLimit = 3 // brokers that have answered no question for so long: the process cannot read
	returnAfter  = 3 // brokers that have answered every question for so long: it can read again
)

// givesUpAfter is how long a process that cannot read keeps what it owns while another one seems to be able. Where all the
// brokers are away every process finds that out, some seconds apart: until then nobody gives up hot rows to one who is no
// better off.
func (o *Options) givesUpAfter() time.Duration { return max(o.LeaseTTL, 3*o.DiscoverEvery/2) }

// contact is what this process knows of its way to a supervisor's brokers.
type contact struct {
	// silentSince is when the first question was put that is still not answered; zero: they answer.
	silentSince time.Time
	reason      string // what the questions come to
	// fresh says that this process has not read anything by this way yet: others need not wait long for it, nor it for them.
	fresh bool
	// wholeSince is since when the brokers of every partition have answered every question; zero: not now, or not asked.
	wholeSince time.Time
}

// unableNow says which supervisors a process cannot read, by its contacts and what it said before. One that goes silent is
// joined by those that have been silent for half as long: they share their brokers, most likely, and nobody should be given
// partitions of the one for having lost those of the other. Whoever is unable becomes able again only after a stretch of
// answers without a gap, so that a flapping network moves partitions once.
func unableNow(now time.Time, lease time.Duration, before map[string]catalog.Unable, contacts map[string]contact) map[string]catalog.Unable {
	out := map[string]catalog.Unable{}
	took := func(id string, c contact) {
		out[id] = catalog.Unable{SinceMillis: c.silentSince.UnixMilli(), Reason: c.reason}
	}
	stretches := func(c contact) (leave, back time.Duration) {
		if c.fresh {
			return lease / 2, lease
		}
		return silenceLimit * lease, returnAfter * lease
	}
	another := false
	for id, c := range contacts {
		silent := !c.silentSince.IsZero()
		leave, back := stretches(c)
		if was, is := before[id]; is {
			if silent || c.wholeSince.IsZero() || now.Sub(c.wholeSince) < back {
				out[id] = was
			}
		} else if silent && now.Sub(c.silentSince) >= leave {
			took(id, c)
			another = true
		}
	}
	if another {
		for id, c := range contacts {
			leave, _ := stretches(c)
			if _, is := out[id]; !is && !c.silentSince.IsZero() && now.Sub(c.silentSince) >= leave/2 {
				took(id, c)
			}
		}
	}
	return out
}

// ability is what a session has announced, and what follows from it. Guarded by the coordinator's mu.
type ability struct {
	unable map[string]catalog.Unable // as announced, by supervisor
	// others says since when another process has been able to read a supervisor that this one cannot read.
	others map[string]time.Time
	whole  map[string]bool // those among unable whose brokers answer at this moment
}

// followReach announces what this process cannot read, and takes it back, until ctx ends.
func (c *Coordinator) followReach(ctx context.Context, session *catalog.Session) {
	ticker := time.NewTicker(min(c.o.DiscoverEvery, c.o.LeaseTTL/4))
	defer ticker.Stop()
	failing := false
	for {
		err := c.announceReach(ctx, session)
		if err != nil && !failing && ctx.Err() == nil {
			c.o.Logger.Warn("cannot announce what this node can read; trying again", "node", c.o.Node.ID, "error", err)
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (c *Coordinator) announceReach(ctx context.Context, session *catalog.Session) error {
	view := c.o.Catalog.View()
	now := c.o.Now()
	c.mu.Lock()
	before := c.ability.unable
	contacts := c.contactsLocked(view, now)
	next := unableNow(now, c.o.LeaseTTL, before, contacts)
	c.mu.Unlock()
	if !maps.Equal(before, next) {
		if err := session.CannotRead(ctx, next); err != nil {
			return err
		}
		c.tellReach(before, next)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != session {
		return nil
	}
	whole, others := map[string]bool{}, map[string]time.Time{}
	for id := range next {
		whole[id] = !contacts[id].wholeSince.IsZero() && contacts[id].silentSince.IsZero()
		if c.anotherCan(view, id) {
			others[id] = now
			if since, was := c.ability.others[id]; was {
				others[id] = since
			}
		}
	}
	c.ability = ability{unable: next, others: others, whole: whole}
	if len(before)+len(next) > 0 {
		c.changedLocked()
	}
	return nil
}

func (c *Coordinator) tellReach(before, next map[string]catalog.Unable) {
	for _, id := range slices.Sorted(maps.Keys(next)) {
		if _, was := before[id]; !was {
			c.o.Logger.Warn("this node cannot read a supervisor's partitions: those that can shall read them", "node", c.o.Node.ID,
				"supervisor", id, "since", time.UnixMilli(next[id].SinceMillis), "reason", next[id].Reason)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if _, is := next[id]; !is {
			c.o.Logger.Info("this node can read a supervisor's partitions again", "node", c.o.Node.ID, "supervisor", id)
		}
	}
}

// contactsLocked gathers what questions about topics, and the readers of partitions, have come to. Called with mu held.
func (c *Coordinator) contactsLocked(view *catalog.View, now time.Time) map[string]contact {
	out := map[string]contact{}
	for id, d := range c.found {
		if v := view.Supervisors[id]; v == nil || v.Suspended {
			continue
		}
		_, unable := c.ability.unable[id]
		d.settled = d.settled || d.done && !unable
		found := contact{silentSince: d.silentSince, fresh: !d.settled, wholeSince: d.wholeSince, reason: "the brokers do not answer"}
		if d.asking && now.Sub(d.silentSince) < c.o.LeaseTTL/4 {
			found.silentSince = time.Time{} // it is being asked just now
		}
		if d.err != nil {
			found.reason = d.err.Error()
		}
		out[id] = found
	}
	for key, p := range c.partitions {
		found, known := out[key.Supervisor]
		if !known || !p.running || p.ended {
			continue
		}
		s, ok := c.o.Ingest.Status(key)
		if !ok || s.SilentSince.IsZero() || !found.silentSince.IsZero() && found.silentSince.Before(s.SilentSince) {
			continue
		}
		found.silentSince = s.SilentSince
		if s.LastError != "" {
			found.reason = describePartition(key, s.LastError)
		}
		out[key.Supervisor] = found
	}
	return out
}

// anotherCan says whether a process beside this one can read a supervisor's partitions, as far as it says.
func (c *Coordinator) anotherCan(view *catalog.View, supervisor string) bool {
	for id, n := range view.Nodes {
		if _, unable := n.Unable[supervisor]; id != c.o.Node.ID && !unable && reads(n) {
			return true
		}
	}
	return false
}

// reads says whether a node takes part in sharing partitions.
func reads(n catalog.Node) bool { return !n.Leaving && slices.Contains(n.Roles, RoleIngest) }

// keepsLocked says whether this process, which cannot read the supervisor's partitions, keeps those that it owns for now.
// Called with mu held.
func (c *Coordinator) keepsLocked(supervisor string) bool {
	if _, unable := c.ability.unable[supervisor]; !unable {
		return false
	}
	since, another := c.ability.others[supervisor]
	return !another || c.ability.whole[supervisor] || c.o.Now().Sub(since) < c.o.givesUpAfter()
}

// unableLocked lists, by supervisor, the nodes that cannot read it. What this process has announced holds before the view
// shows it. Called with mu held.
func (c *Coordinator) unableLocked(view *catalog.View) map[string][]string {
	out := map[string][]string{}
	for id, n := range view.Nodes {
		if id != c.o.Node.ID {
			for supervisor := range n.Unable {
				out[supervisor] = append(out[supervisor], id)
			}
		}
	}
	for supervisor := range c.ability.unable {
		out[supervisor] = append(out[supervisor], c.o.Node.ID)
	}
	return out
}

// unableErrors tells which nodes cannot read a supervisor's partitions.
func unableErrors(view *catalog.View, supervisor string) []RecentError {
	var out []RecentError
	for _, id := range slices.Sorted(maps.Keys(view.Nodes)) {
		why, unable := view.Nodes[id].Unable[supervisor]
		if !unable || !reads(view.Nodes[id]) {
			continue
		}
		since := instant(time.UnixMilli(why.SinceMillis), true)
		out = append(out, RecentError{Timestamp: since, Message: fmt.Sprintf(
			"node %s: cannot read since %s, so that others read its partitions where any can: %s", id, since, why.Reason)})
	}
	return out
}

// noteAnswer keeps what a question about a supervisor's topics came to. whole says that the brokers of all its partitions have
// answered too. Called with the coordinator's mu held.
func (d *discovery) noteAnswer(now time.Time, err error, whole bool) {
	if consumer.Answered(err) {
		d.silentSince = time.Time{}
	}
	switch {
	case !whole:
		d.wholeSince = time.Time{}
	case d.wholeSince.IsZero():
		d.wholeSince = now
	}
}
