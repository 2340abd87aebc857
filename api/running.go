package api

import (
	"context"
	"errors"
	"sync"
)

// errCancelled is the cause of a context that a DELETE has cancelled.
var errCancelled = errors.New("cancelled by request")

// running knows the queries in flight by id. Ids need not be unique: a cancellation reaches all of an id.
type running struct {
	mu  sync.Mutex
	ids map[string]map[*int]context.CancelCauseFunc
}

// add returns a context that cancel(id) ends; the caller calls done once.
func (r *running) add(ctx context.Context, id string) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	token := new(int)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids = make(map[string]map[*int]context.CancelCauseFunc)
	}
	if r.ids[id] == nil {
		r.ids[id] = make(map[*int]context.CancelCauseFunc, 1)
	}
	r.ids[id][token] = cancel
	return ctx, func() {
		cancel(nil)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.ids[id], token)
		if len(r.ids[id]) == 0 {
			delete(r.ids, id)
		}
	}
}

// cancel ends every query of the id and says whether there was one.
func (r *running) cancel(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cancel := range r.ids[id] {
		cancel(errCancelled)
	}
	return len(r.ids[id]) > 0
}
