package query

import (
	"context"
	"sync"
	"time"
)

const (
	// lendAfter is how long a query keeps its turn while it waits for another process.
	lendAfter = 100 * time.Millisecond
	// maxLenders bounds the queries that wait without a turn; further ones keep theirs.
	maxLenders = 256
)

// turns bounds how many queries work at once. One that waits for owners or for the object store does no work, and may do so
// for long: it lends its turn to others, so that a part of the cluster that does not answer stops only those who need it.
type turns struct {
	slots   chan struct{}
	lenders chan struct{}
	// patience is how long a query waits for its turn.
	patience time.Duration
}

func newTurns(atOnce int, patience time.Duration) *turns {
	return &turns{slots: make(chan struct{}, atOnce), lenders: make(chan struct{}, maxLenders), patience: patience}
}

// enter waits for a turn; leave follows.
func (t *turns) enter(ctx context.Context) (*turn, *Error) {
	if err := t.take(ctx); err != nil {
		return nil, err
	}
	return &turn{of: t, held: true}, nil
}

func (t *turns) take(ctx context.Context) *Error {
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(t.patience)
	defer patience.Stop()
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-patience.C:
		return newError(LimitExceeded, "try again later", "%d queries run already, and none ended within %s", cap(t.slots), t.patience)
	case <-ctx.Done():
		return contextError(ctx)
	}
}

// turn is one query's. It is used by one goroutine, beside its own timer.
type turn struct {
	of *turns

	mu      sync.Mutex
	waiting bool
	held    bool
}

// resume has the turn again where a failure has left it lent.
func (t *turn) resume(ctx context.Context) *Error {
	t.mu.Lock()
	held := t.held
	t.mu.Unlock()
	if held {
		return nil
	}
	if err := t.of.take(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = true
	return nil
}

// leave gives the turn back for good.
func (t *turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held {
		t.held = false
		<-t.of.slots
	}
}

// whileWaiting runs f, which waits for others. Where that takes long the turn is lent, and had again before a success is
// returned; after a failure it stays lent.
func (t *turn) whileWaiting(ctx context.Context, f func() *Error) *Error {
	t.mu.Lock()
	t.waiting = true
	t.mu.Unlock()
	timer := time.AfterFunc(lendAfter, t.lend)
	err := f()
	timer.Stop()
	t.mu.Lock()
	t.waiting = false
	lent := !t.held
	t.mu.Unlock()
	if !lent {
		return err
	}
	<-t.of.lenders
	if err != nil {
		return err
	}
	return t.resume(ctx)
}

// lend gives the turn to others, unless too many have done so, or the waiting is over.
func (t *turn) lend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.waiting || !t.held {
		return
	}
	select {
	case t.of.lenders <- struct{}{}:
		t.held = false
		<-t.of.slots
	default:
	}
}
