package api

import (
	"context"
	"errors"
	"sync"

	"drumlin/internal/secure"
)

var (
	// errCancelled is the cause of a context that a DELETE has cancelled.
	errCancelled = errors.New("cancelled by request")
	// errNotRunning says that no query has the id.
	errNotRunning = errors.New("no such query is running")
)

// running knows the queries in flight by id. Ids need not be unique: a cancellation reaches all of an id that its sender
// may end.
type running struct {
	mu  sync.Mutex
	ids map[string]map[*inFlight]struct{}
}

// inFlight is one query.
type inFlight struct {
	owner  string // name of the token that asked
	cancel context.CancelCauseFunc
}

// add returns a context that cancel(id) ends; the caller calls done once.
func (r *running) add(ctx context.Context, id string) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	q := &inFlight{owner: callerOf(ctx).Name, cancel: cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids = make(map[string]map[*inFlight]struct{})
	}
	if r.ids[id] == nil {
		r.ids[id] = make(map[*inFlight]struct{}, 1)
	}
	r.ids[id][q] = struct{}{}
	return ctx, func() {
		cancel(nil)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.ids[id], q)
		if len(r.ids[id]) == 0 {
			delete(r.ids, id)
		}
	}
}

// cancel ends the queries of the id that the caller may end: errNotRunning where the id has none at all, an *Error where
// all are of others.
func (r *running) cancel(id string, who secure.Identity) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ids[id]) == 0 {
		return errNotRunning
	}
	ended := 0
	for q := range r.ids[id] {
		if mayCancel(who, q.owner) {
			q.cancel(errCancelled)
			ended++
		}
	}
	if ended > 0 {
		return nil
	}
	return forbidden(&secure.Denied{Name: who.Name, Has: who.Role, Need: secure.RoleWrite}, "Ending a query of another token")
}
