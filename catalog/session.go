package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Session is one process's registration: a lease that keeps node/…, own/… and claim/… alive. That the lease is being
// renewed never proves ownership, and that it is not being renewed never proves the loss of it: only the compares of
// a transaction tell.
type Session struct {
	c     *Catalog
	node  Node
	lease int64
	ttl   time.Duration

	cancel context.CancelFunc
	done   chan struct{} // closed when the keepalive goroutine has ended
	lost   chan struct{}
	once   sync.Once
}

// Register announces the node under a lease of at least ttl. A lease that an earlier process of the same node id left
// behind is revoked, with all that it owned.
func (c *Catalog) Register(ctx context.Context, node Node, ttl time.Duration) (*Session, error) {
	if node.ID == "" || len(node.ID) > maxNameBytes || ttl <= 0 {
		return nil, invalidf("register node %q for %s: an id and a positive time are needed", node.ID, ttl)
	}
	value, err := encode(node)
	if err != nil {
		return nil, err
	}
	if err := c.revokePredecessor(ctx, node.ID); err != nil {
		return nil, fmt.Errorf("register node %s: %w", node.ID, err)
	}
	lease, err := c.o.KV.Grant(ctx, ttl)
	if err != nil {
		return nil, fmt.Errorf("register node %s: get a lease: %w", node.ID, err)
	}
	key := nodeKey(node.ID)
	res, _, err := c.settle(ctx, Txn{
		If:   []Compare{ifAbsent(key)},
		Then: []Op{{Kind: OpPut, Key: key, Value: value, Lease: lease}},
		Else: opGets(key),
	})
	if err == nil && !res.Succeeded && res.Gets[key].Lease != lease {
		err = fmt.Errorf("%w: another process registered the same node id at the same moment", ErrOwned)
	}
	if err != nil {
		// The lease would end by itself; revoking it only frees the id sooner.
		return nil, errors.Join(fmt.Errorf("register node %s: %w", node.ID, err), c.o.KV.Revoke(ctx, lease))
	}
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Session{
		c: c, node: node, lease: lease, ttl: ttl, cancel: cancel, done: make(chan struct{}), lost: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		s.keepAlive(runCtx)
	}()
	return s, nil
}

func (c *Catalog) revokePredecessor(ctx context.Context, id string) error {
	old, err := c.get(ctx, nodeKey(id))
	if err != nil || old == nil || old.Lease == 0 {
		return err
	}
	c.o.Logger.Info("revoking the lease of an earlier process of this node", "node", id)
	return c.o.KV.Revoke(ctx, old.Lease)
}

// keepAlive renews the lease three times within its life. The session is lost when the store says that the lease is
// gone, or when it could not be renewed for a whole life of it.
func (s *Session) keepAlive(ctx context.Context) {
	ticker := time.NewTicker(s.ttl / 3)
	defer ticker.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		callCtx, cancel := context.WithTimeout(ctx, s.ttl/3)
		err := s.c.o.KV.KeepAlive(callCtx, s.lease)
		cancel()
		switch {
		case err == nil:
			renewed = time.Now()
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrKVLeaseNotFound), time.Since(renewed) >= s.ttl:
			s.c.o.Logger.Warn("the node's lease is gone, or could not be renewed in its time", "node", s.node.ID, "error", err)
			s.once.Do(func() { close(s.lost) })
			return
		}
	}
}

// Lost is closed when the lease is gone or presumed to be. Register again; hot rows may be kept meanwhile.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Close ends the lease, and with it everything that the session owns.
func (s *Session) Close(ctx context.Context) error {
	s.cancel()
	<-s.done
	s.once.Do(func() { close(s.lost) })
	if err := s.c.o.KV.Revoke(ctx, s.lease); err != nil {
		return fmt.Errorf("end the session of node %s: %w", s.node.ID, err)
	}
	return nil
}

// Acquire makes the session the partition's owner; ErrOwned if another is. Acquiring again what the session owns
// returns the same owner.
func (s *Session) Acquire(ctx context.Context, k PartitionKey) (Owner, error) {
	if k.Supervisor == "" || k.Topic == "" || k.Partition < 0 {
		return Owner{}, invalidf("acquire %+v: supervisor, topic and partition are needed", k)
	}
	epoch, err := s.hold(ctx, []string{ownKey(k)})
	if err != nil {
		return Owner{}, fmt.Errorf("acquire %s of supervisor %s: %w", k.path(), k.Supervisor, err)
	}
	return Owner{PartitionKey: k, Node: s.node.ID, Epoch: epoch}, nil
}

// hold creates the keys under the session's lease in one transaction, and returns their create_revision.
func (s *Session) hold(ctx context.Context, keys []string) (epoch int64, err error) {
	value, err := encode(ownValue{Node: s.node.ID})
	if err != nil {
		return 0, err
	}
	t := Txn{Else: opGets(keys...)}
	for _, key := range keys {
		t.If = append(t.If, ifAbsent(key))
		t.Then = append(t.Then, Op{Kind: OpPut, Key: key, Value: value, Lease: s.lease})
	}
	res, _, err := s.c.settle(ctx, t)
	switch {
	case errors.Is(err, ErrKVLeaseNotFound):
		return 0, fmt.Errorf("%w: %w", ErrSessionLost, err)
	case err != nil:
		return 0, err
	case res.Succeeded:
		return res.Revision, nil
	}
	for _, key := range keys {
		kv, ok := res.Gets[key]
		switch {
		case !ok:
			return 0, fmt.Errorf("%w: %s is free, but others of the same request are not", ErrOwned, key)
		case kv.Lease != s.lease:
			return 0, fmt.Errorf("%w: %s", ErrOwned, kv.Value)
		case epoch != 0 && epoch != kv.CreateRevision:
			return 0, fmt.Errorf("%w: %s was taken by this session at another time", ErrOwned, key)
		}
		epoch = kv.CreateRevision
	}
	return epoch, nil
}

// Release gives the partition up. Giving up what is not owned any more succeeds.
func (s *Session) Release(ctx context.Context, o Owner) error {
	return s.c.letGo(ctx, []string{ownKey(o.PartitionKey)}, o.Epoch)
}

func (c *Catalog) letGo(ctx context.Context, keys []string, epoch int64) error {
	t := Txn{If: []Compare{ifCreated(keys[0], epoch)}}
	for _, key := range keys {
		t.Then = append(t.Then, opDelete(key))
	}
	if _, _, err := c.settle(ctx, t); err != nil {
		return fmt.Errorf("release %s: %w", keys[0], err)
	}
	return nil
}

const settleAttempts = 4

// settle sends a transaction until its outcome is known. The transaction must be one whose compares fail once it has
// been applied, so that sending it again is harmless and its Else branch tells. doubtful says that an earlier attempt
// had an unknown outcome: an Else branch may then be the work of that attempt.
func (c *Catalog) settle(ctx context.Context, t Txn) (res *TxnResult, doubtful bool, err error) {
	for attempt := 1; ; attempt++ {
		res, err = c.txn(ctx, t)
		switch {
		case err == nil:
			return res, doubtful, nil
		case errors.Is(err, ErrKVUnknown):
			doubtful = true
		case !errors.Is(err, ErrKVUnavailable):
			if doubtful {
				return nil, true, fmt.Errorf("%w: %w", ErrUnknown, err)
			}
			return nil, false, err
		}
		if attempt == settleAttempts || sleep(ctx, time.Duration(attempt)*firstBackoff) != nil {
			break
		}
	}
	if doubtful {
		return nil, true, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return nil, false, err
}
