package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
)

// gate answers 503 until the real handler is there, and closes again when the process stops.
type gate struct {
	handler  atomic.Pointer[http.Handler]
	waiting  atomic.Pointer[string] // what the start waits for
	server   *http.Server
	loopback bool

	requests context.Context // parent of every request's context; ends when draining has taken too long
	abort    context.CancelFunc
}

func newGate() *gate {
	requests, abort := context.WithCancel(context.Background())
	return &gate{requests: requests, abort: abort}
}

// waitFor tells those who ask why the server is not up yet.
func (g *gate) waitFor(what string) { g.waiting.Store(&what) }

func (g *gate) open(h http.Handler) { g.handler.Store(&h) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := g.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	message := "The server is starting."
	if waiting := g.waiting.Load(); waiting != nil {
		message = "The server is starting: " + *waiting
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	// A client that has gone does not need to be told.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": "druidException", "errorCode": "starting", "persona": "OPERATOR", "category": "SERVICE_UNAVAILABLE",
		"errorMessage": message, "context": map[string]string{},
	})
}

// drain takes no new requests and lets running ones end; what runs for too long is cancelled.
func (g *gate) drain(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	err := g.server.Shutdown(limited)
	g.abort()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // the cancelled requests end by themselves; the listener's stop closes their connections
	}
	return err
}
