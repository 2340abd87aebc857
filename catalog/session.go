package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"drumlin/internal/retrying"
)

// Session is one process's registration: a lease that keeps node/…, own/… and claim/… alive. That the lease is being
// renewed never proves ownership, and that it is not being renewed never proves the loss of it: only the compares of
// a transaction tell. So a session whose store does not answer is doubtful, and goes on; it is lost when the store says
// that the lease is gone.
type Session struct {
	c     *Catalog
	node  Node
	lease int64
	ttl   time.Duration

	cancel context.CancelFunc
	done   chan struct{} // closed when the keepalive goroutine has ended
	lost   chan struct{}
	once   sync.Once

	mu      sync.Mutex
	renewed time.Time // when the lease was last known to live

	announcing sync.Mutex // held while the node's key is put
	announced  Node       // as it stands in the key
	value      []byte     // of the key, where it is known
	revision   int64      // mod_revision of the key
}

func newSession(ctx context.Context, c *Catalog, node Node, lease int64, ttl time.Duration, revision int64, granted time.Time) *Session {
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Session{
		c: c, node: node, lease: lease, ttl: ttl, cancel: cancel, done: make(chan struct{}), lost: make(chan struct{}),
		announced: node, revision: revision, renewed: granted,
	}
	go func() {
		defer close(s.done)
		s.keepAlive(runCtx)
	}()
	return s
}

// longestRenewal bounds one request to renew a lease, so that the one that follows it finds a store that is back.
const longestRenewal = 3 * time.Second

// keepAlive renews the lease three times within its life, and tries again soon where that fails, until the store says that the
// lease is gone.
func (s *Session) keepAlive(ctx context.Context) {
	pause := s.ttl / 3
	again := min(s.ttl/10, time.Second)
	within := min(pause, longestRenewal)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	doubtful := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		sent := time.Now()
		callCtx, cancel := context.WithTimeout(ctx, within)
		err := s.c.o.KV.KeepAlive(callCtx, s.lease)
		cancel()
		switch {
		case err == nil:
			if doubtful {
				s.c.o.Logger.Info("the catalog store answers again, and the node's lease lives", "node", s.node.ID)
				doubtful = false
			}
			s.alive(sent)
			timer.Reset(pause)
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrKVLeaseNotFound):
			s.c.o.Logger.Warn("the node's lease is gone", "node", s.node.ID, "error", err)
			s.lose()
			return
		}
		if since, is := s.Doubtful(); is && !doubtful {
			doubtful = true
			s.c.o.Logger.Warn("the node's lease could not be renewed for a whole life of it; going on, and trying again",
				"node", s.node.ID, "renewed", since, "error", err)
		}
		timer.Reset(again)
	}
}

func (s *Session) alive(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed = at
}

// Node is what was announced, with this process's Instance.
func (s *Session) Node() Node { return s.node }

func (s *Session) lose() { s.once.Do(func() { close(s.lost) }) }

// Lost is closed when the store has said that the lease is gone. Register again.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Doubtful says whether the lease could not be renewed for a whole life of it, and since when nothing is known of it: the
// store does not answer. Whoever works under the session goes on; what he writes is fenced.
func (s *Session) Doubtful() (since time.Time, doubtful bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewed, time.Since(s.renewed) >= s.ttl
}

// Leave announces that the process is about to stop, so that others take over what it gives up, and it gets nothing more.
// ErrSessionLost: there is nothing to leave any more.
func (s *Session) Leave(ctx context.Context) error {
	return s.announce(ctx, "leaves", func(n *Node) { n.Leaving = true })
}

// CannotRead announces the supervisors that the process cannot read now, all of them at once; none: it can read again.
// ErrSessionLost: nobody looks at it any more.
func (s *Session) CannotRead(ctx context.Context, unable map[string]Unable) error {
	return s.announce(ctx, "can or cannot read", func(n *Node) { n.Unable = maps.Clone(unable) })
}

// announce puts the node's key anew, as changed.
func (s *Session) announce(ctx context.Context, what string, change func(*Node)) error {
	s.announcing.Lock()
	defer s.announcing.Unlock()
	node := s.announced
	change(&node)
	value, err := encode(node)
	if err != nil {
		return err
	}
	if bytes.Equal(value, s.value) {
		return nil
	}
	key := nodeKey(node.ID)
	for {
		res, _, err := s.c.settle(ctx, Txn{
			If:   []Compare{ifModified(key, s.revision)},
			Then: []Op{{Kind: OpPut, Key: key, Value: value, Lease: s.lease}},
			Else: opGets(key),
		})
		kv, there := res.get(key)
		switch {
		case errors.Is(err, ErrKVLeaseNotFound):
			return fmt.Errorf("announce that node %s %s: %w: %w", node.ID, what, ErrSessionLost, err)
		case err != nil:
			return fmt.Errorf("announce that node %s %s: %w", node.ID, what, err)
		case res.Succeeded:
			s.revision = res.Revision
		case !there || kv.Lease != s.lease || kv.ModRevision == s.revision:
			return fmt.Errorf("announce that node %s %s: %w", node.ID, what, ErrSessionLost)
		case !bytes.Equal(kv.Value, value): // of an earlier announcement, whose reply was lost
			s.revision = kv.ModRevision
			continue
		default:
			s.revision = kv.ModRevision
		}
		s.announced, s.value = node, value
		return nil
	}
}

// get reads the answer to one OpGet, also of a transaction that has none.
func (r *TxnResult) get(key string) (kv KeyValue, there bool) {
	if r == nil {
		return KeyValue{}, false
	}
	kv, there = r.Gets[key]
	return kv, there
}

// Close ends the lease, and with it everything that the session owns.
func (s *Session) Close(ctx context.Context) error {
	s.cancel()
	<-s.done
	s.lose()
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
		s.lose() // before its next renewal would tell
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
		if attempt == settleAttempts {
			break
		}
		retrying.Failed(ctx, err)
		if sleep(ctx, time.Duration(attempt)*firstBackoff) != nil {
			break
		}
	}
	if doubtful {
		return nil, true, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return nil, false, err
}
