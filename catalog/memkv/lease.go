package memkv

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"drumlin/catalog"
)

// Grant implements catalog.Leases.
func (s *Store) Grant(ctx context.Context, ttl time.Duration) (int64, error) {
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", catalog.ErrKVUnavailable, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextLease++
	s.leases[s.nextLease] = &lease{ttl: ttl, expires: s.now().Add(ttl), keys: map[string]struct{}{}}
	return s.nextLease, nil
}

// KeepAlive implements catalog.Leases.
func (s *Store) KeepAlive(ctx context.Context, id int64) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", catalog.ErrKVUnavailable, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	l := s.leases[id]
	if l == nil {
		return fmt.Errorf("renew lease %d: %w", id, catalog.ErrKVLeaseNotFound)
	}
	l.expires = s.now().Add(l.ttl)
	return nil
}

// Revoke implements catalog.Leases.
func (s *Store) Revoke(ctx context.Context, id int64) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", catalog.ErrKVUnavailable, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(id)
	return nil
}

func (s *Store) expireLocked() {
	now := s.now()
	for _, id := range slices.Sorted(maps.Keys(s.leases)) {
		if !s.leases[id].expires.After(now) {
			s.endLocked(id)
		}
	}
}

// endLocked deletes the lease and all its keys in one revision.
func (s *Store) endLocked(id int64) {
	l := s.leases[id]
	if l == nil {
		return
	}
	delete(s.leases, id)
	var events []catalog.Event
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		events = append(events, s.deleteLocked(key, s.revision+1))
	}
	s.advance(events)
}
