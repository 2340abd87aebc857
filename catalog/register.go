package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RegisterOption changes how a node is registered.
type RegisterOption func(*registration)

// Sole says that no other process of the node's id can live, as a lock on its data tells: what an earlier one has left
// behind is revoked at once, wherever it was.
func Sole() RegisterOption { return func(r *registration) { r.sole = true } }

// registration is one call of Register.
type registration struct {
	c    *Catalog
	node Node
	ttl  time.Duration
	sole bool
}

// A process waits for another one of its id to go for so many lives of a lease, and for what a store may add to a short one.
const (
	patience      = 2
	patienceSlack = 2 * time.Second
)

// Register announces the node under a lease of at least ttl. What an earlier process of the same id at the same address
// has left behind is revoked, with all that it owned: two processes cannot listen there. One of another address is waited
// for until its lease ends; ErrNodeTaken: it is renewed, so that process lives. So is one that has taken this process's
// place while it was registered before: otherwise the two would revoke each other's leases for ever.
func (c *Catalog) Register(ctx context.Context, node Node, ttl time.Duration, options ...RegisterOption) (*Session, error) {
	if node.ID == "" || len(node.ID) > maxNameBytes || ttl <= 0 {
		return nil, invalidf("register node %q for %s: an id and a positive time are needed", node.ID, ttl)
	}
	node.Instance, node.Leaving, node.Unable = c.instance, false, nil
	r := &registration{c: c, node: node, ttl: ttl}
	for _, o := range options {
		o(r)
	}
	if err := r.clear(ctx); err != nil {
		return nil, fmt.Errorf("register node %s: %w", node.ID, err)
	}
	lease, err := c.grant(ctx, ttl)
	if err != nil {
		return nil, fmt.Errorf("register node %s: get a lease: %w", node.ID, err)
	}
	granted := time.Now()
	revision, err := r.announce(ctx, lease)
	if err != nil {
		// The lease would end by itself; revoking it only frees the id sooner.
		return nil, errors.Join(fmt.Errorf("register node %s: %w", node.ID, err), c.revoke(ctx, lease))
	}
	c.mu.Lock()
	c.registered[node.ID] = struct{}{}
	c.mu.Unlock()
	return newSession(ctx, c, node, lease, ttl, revision, granted), nil
}

// clear makes room for the node: it returns when no earlier process's key is there.
func (r *registration) clear(ctx context.Context) error {
	key := nodeKey(r.node.ID)
	var waited int64 // the lease whose end is waited for
	var until time.Time
	for {
		old, err := r.c.get(ctx, key)
		if err != nil || old == nil || old.Lease == 0 {
			return err
		}
		var there Node
		if err := decode(key, old.Value, &there); err != nil {
			return err
		}
		switch {
		case r.replaces(&there):
			r.c.o.Logger.Info("revoking the lease of an earlier process of this node", "node", r.node.ID, "address", there.Address)
			return r.c.revoke(ctx, old.Lease)
		case waited != old.Lease:
			waited, until = old.Lease, time.Now().Add(patience*r.ttl+patienceSlack)
			r.c.o.Logger.Warn("another process of this node's id is registered; waiting for its lease to end", "node", r.node.ID,
				"address", there.Address, "ownAddress", r.node.Address)
		case !time.Now().Before(until):
			return fmt.Errorf("%w: a process at %q renews its lease, and this one is at %q: give one of them another node id, or stop it",
				ErrNodeTaken, there.Address, r.node.Address)
		}
		if err := sleep(ctx, min(r.ttl/10, 500*time.Millisecond)); err != nil {
			return err
		}
	}
}

// replaces says whether the process that is registered is this one, or cannot be alive.
func (r *registration) replaces(there *Node) bool {
	if there.Instance == r.c.instance || r.sole {
		return true
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	_, again := r.c.registered[r.node.ID]
	return !again && there.Address == r.node.Address
}

// announce puts the node's key, and returns its revision.
func (r *registration) announce(ctx context.Context, lease int64) (revision int64, err error) {
	value, err := encode(r.node)
	if err != nil {
		return 0, err
	}
	key := nodeKey(r.node.ID)
	res, _, err := r.c.settle(ctx, Txn{
		If:   []Compare{ifAbsent(key)},
		Then: []Op{{Kind: OpPut, Key: key, Value: value, Lease: lease}},
		Else: opGets(key),
	})
	switch {
	case err != nil:
		return 0, err
	case res.Succeeded:
		return res.Revision, nil
	case res.Gets[key].Lease != lease:
		return 0, fmt.Errorf("%w: another process registered the same node id at the same moment", ErrOwned)
	}
	return res.Gets[key].ModRevision, nil
}

// grant and revoke give a lease no more time than other requests: a store that does not answer holds nobody up for ever.
func (c *Catalog) grant(ctx context.Context, ttl time.Duration) (lease int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.RequestTimeout)
	defer cancel()
	return c.o.KV.Grant(ctx, ttl)
}

func (c *Catalog) revoke(ctx context.Context, lease int64) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.RequestTimeout)
	defer cancel()
	return c.o.KV.Revoke(ctx, lease)
}
