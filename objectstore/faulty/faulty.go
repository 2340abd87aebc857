package faulty

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"drumlin/objectstore"
)

// ErrInjected is the failure that the action fail injects.
var ErrInjected = errors.New("injected fault")

// Store passes calls to another store, with faults.
type Store struct {
	inner objectstore.Store

	mu    sync.Mutex
	rules []*rule
	puts  []string // keys in the order of their successful Puts
	fired int
}

var _ objectstore.Store = (*Store)(nil)

// New wraps a store; the rules are as the package's description says.
func New(inner objectstore.Store, rules string) (*Store, error) {
	parsed, err := parseRules(rules)
	if err != nil {
		return nil, err
	}
	return &Store{inner: inner, rules: parsed}, nil
}

// Fired is how many faults have been injected, so that a test can tell that its faults happened.
func (s *Store) Fired() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fired
}

// Put is objectstore.Store's.
func (s *Store) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error {
	return s.change(ctx, "put", key, func() error {
		if err := s.inner.Put(ctx, key, body, size, sha256); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.puts = append(s.puts, key)
		return nil
	})
}

// Delete is objectstore.Store's.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.change(ctx, "delete", key, func() error { return s.inner.Delete(ctx, key) })
}

// Get is objectstore.Store's.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	rules, err := s.before(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	r, err := s.inner.Get(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		switch rule.action {
		case "truncate":
			r = &damaged{Reader: io.LimitReader(r, rule.bytes), Closer: r}
		case "flip":
			r = &damaged{Reader: &flipped{in: r, left: rule.bytes - offset}, Closer: r}
		}
	}
	return r, nil
}

// Head is objectstore.Store's.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if _, err := s.before(ctx, "head", key); err != nil {
		return objectstore.Info{}, err
	}
	return s.inner.Head(ctx, key)
}

// List is objectstore.Store's.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) bool) error {
	rules, err := s.before(ctx, "list", prefix)
	if err != nil {
		return err
	}
	var hidden []string
	for _, rule := range rules {
		if rule.action == "stale" {
			s.mu.Lock()
			hidden = append(hidden, s.puts[max(0, len(s.puts)-rule.last):]...)
			s.mu.Unlock()
		}
	}
	return s.inner.List(ctx, prefix, func(i objectstore.Info) bool {
		return slices.Contains(hidden, i.Key) || fn(i)
	})
}

// change runs a verb that has an effect.
func (s *Store) change(ctx context.Context, verb, key string, effect func() error) error {
	rules, err := s.before(ctx, verb, key)
	if err != nil {
		return err
	}
	if err := effect(); err != nil {
		return err
	}
	for _, rule := range rules {
		if rule.action == "lose-reply" {
			return fmt.Errorf("%s %q: injected: %w", verb, key, objectstore.ErrUnknown)
		}
	}
	return nil
}

// before finds the rules that fire, and runs those that act before the verb.
func (s *Store) before(ctx context.Context, verb, key string) ([]*rule, error) {
	var firing []*rule
	s.mu.Lock()
	for _, rule := range s.rules {
		if rule.fires(verb, key) {
			firing = append(firing, rule)
			s.fired++
		}
	}
	s.mu.Unlock()
	for _, rule := range firing {
		switch rule.action {
		case "fail":
			return nil, fmt.Errorf("%s %q: %w", verb, key, ErrInjected)
		case "unknown":
			return nil, fmt.Errorf("%s %q: injected: %w", verb, key, objectstore.ErrUnknown)
		case "slow":
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(rule.delay):
			}
		}
	}
	return firing, nil
}

type damaged struct {
	io.Reader
	io.Closer
}

// flipped flips the lowest bit of the byte after left others.
type flipped struct {
	in   io.Reader
	left int64
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.in.Read(p)
	if f.left >= 0 && f.left < int64(n) {
		p[f.left] ^= 1
	}
	f.left -= int64(n)
	return n, err
}
