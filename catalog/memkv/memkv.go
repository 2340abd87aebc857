package memkv

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"drumlin/catalog"
)

// Store is the store. It is safe for concurrent use.
type Store struct {
	now func() time.Time

	mu        sync.Mutex
	revision  int64
	compacted int64                // revisions below it cannot be read any more
	keys      map[string][]version // ascending by mod revision
	log       []catalog.Event      // every change since compacted, ascending by mod revision
	leases    map[int64]*lease
	nextLease int64
	changed   chan struct{} // closed and replaced at every new revision
}

type version struct {
	kv      catalog.KeyValue
	deleted bool
}

type lease struct {
	ttl     time.Duration
	expires time.Time
	keys    map[string]struct{}
}

var _ catalog.Backend = (*Store)(nil)

// New returns an empty store at revision 1. now nil means the wall clock.
func New(now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{
		now: now, revision: 1, keys: map[string][]version{}, leases: map[int64]*lease{}, changed: make(chan struct{}),
		nextLease: 1000,
	}
}

// at returns the version of the key that a reader of the revision sees; nil: none.
func at(versions []version, revision int64) *catalog.KeyValue {
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].kv.ModRevision > revision {
			continue
		}
		if versions[i].deleted {
			return nil
		}
		return &versions[i].kv
	}
	return nil
}

// Range implements catalog.KV.
func (s *Store) Range(ctx context.Context, prefix string, o catalog.RangeOptions) (*catalog.RangeResult, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", catalog.ErrKVUnavailable, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	revision := o.Revision
	switch {
	case revision == 0:
		revision = s.revision
	case revision < s.compacted:
		return nil, fmt.Errorf("%w: %d, the oldest is %d", catalog.ErrKVCompacted, revision, s.compacted)
	case revision > s.revision:
		return nil, fmt.Errorf("%w: %d, the newest is %d", catalog.ErrKVFutureRevision, revision, s.revision)
	}
	res := &catalog.RangeResult{Revision: revision}
	for key, versions := range s.keys {
		if key != prefix && (o.Exact || !strings.HasPrefix(key, prefix)) {
			continue
		}
		if kv := at(versions, revision); kv != nil {
			out := *kv
			out.Value = slices.Clone(kv.Value)
			if o.KeysOnly {
				out.Value = nil
			}
			res.KVs = append(res.KVs, out)
		}
	}
	slices.SortFunc(res.KVs, func(a, b catalog.KeyValue) int { return strings.Compare(a.Key, b.Key) })
	return res, nil
}

// Txn implements catalog.KV.
func (s *Store) Txn(ctx context.Context, t catalog.Txn) (*catalog.TxnResult, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", catalog.ErrKVUnavailable, ctx.Err())
	}
	if err := t.CheckLimits(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	res := &catalog.TxnResult{Succeeded: true, Gets: map[string]catalog.KeyValue{}}
	for _, c := range t.If {
		var have catalog.KeyValue
		if kv := at(s.keys[c.Key], s.revision); kv != nil {
			have = *kv
		}
		got := have.ModRevision
		if c.Target == catalog.CompareCreate {
			got = have.CreateRevision
		}
		res.Succeeded = res.Succeeded && got == c.Revision
	}
	ops := t.Then
	if !res.Succeeded {
		ops = t.Else
	}
	for _, op := range ops {
		if op.Kind == catalog.OpPut && op.Lease != 0 && s.leases[op.Lease] == nil {
			return nil, fmt.Errorf("put %s: %w", op.Key, catalog.ErrKVLeaseNotFound)
		}
	}
	s.runLocked(ops, res)
	res.Revision = s.revision
	return res, nil
}

// runLocked runs the operations of one branch at the next revision.
func (s *Store) runLocked(ops []catalog.Op, res *catalog.TxnResult) {
	next := s.revision + 1
	var events []catalog.Event
	for _, op := range ops {
		current := at(s.keys[op.Key], next)
		switch op.Kind {
		case catalog.OpGet:
			if current != nil {
				kv := *current
				kv.Value = slices.Clone(kv.Value)
				res.Gets[op.Key] = kv
			}
		case catalog.OpPut:
			kv := catalog.KeyValue{
				Key: op.Key, Value: slices.Clone(op.Value), CreateRevision: next, ModRevision: next, Version: 1, Lease: op.Lease,
			}
			if current != nil {
				kv.CreateRevision, kv.Version = current.CreateRevision, current.Version+1
				s.detach(current)
			}
			if l := s.leases[op.Lease]; l != nil {
				l.keys[op.Key] = struct{}{}
			}
			s.keys[op.Key] = append(s.keys[op.Key], version{kv: kv})
			events = append(events, catalog.Event{KeyValue: kv})
		case catalog.OpDelete:
			if current != nil {
				s.detach(current)
				events = append(events, s.deleteLocked(op.Key, next))
			}
		}
	}
	s.advance(events)
}

func (s *Store) detach(kv *catalog.KeyValue) {
	if l := s.leases[kv.Lease]; l != nil {
		delete(l.keys, kv.Key)
	}
}

func (s *Store) deleteLocked(key string, revision int64) catalog.Event {
	kv := catalog.KeyValue{Key: key, ModRevision: revision}
	s.keys[key] = append(s.keys[key], version{kv: kv, deleted: true})
	return catalog.Event{Deleted: true, KeyValue: kv}
}

func (s *Store) advance(events []catalog.Event) {
	if len(events) == 0 {
		return
	}
	s.revision++
	s.log = append(s.log, events...)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Compact forgets everything below the revision, which stays readable.
func (s *Store) Compact(revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision <= s.compacted || revision > s.revision {
		return
	}
	s.compacted = revision
	for key, versions := range s.keys {
		keep := 0
		for i, v := range versions {
			if v.kv.ModRevision <= revision {
				keep = i
			}
		}
		versions = slices.Clone(versions[keep:])
		if len(versions) == 1 && versions[0].deleted && versions[0].kv.ModRevision <= revision {
			delete(s.keys, key)
			continue
		}
		s.keys[key] = versions
	}
	s.log = slices.DeleteFunc(slices.Clone(s.log), func(e catalog.Event) bool { return e.ModRevision <= revision })
}
