package app

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
)

// gate answers 503 until the real handler is there, and closes again when the process stops.
type gate struct {
	handler  atomic.Pointer[http.Handler]
	server   *http.Server
	loopback bool

	requests context.Context // parent of every request's context; ends when draining has taken too long
	abort    context.CancelFunc
}

func newGate() *gate {
	requests, abort := context.WithCancel(context.Background())
	return &gate{requests: requests, abort: abort}
}

func (g *gate) open(h http.Handler) { g.handler.Store(&h) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := g.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	// A client that has gone does not need to be told.
	_, _ = w.Write([]byte(`{"error":"druidException","errorCode":"starting","persona":"OPERATOR","category":"SERVICE_UNAVAILABLE",` +
		`"errorMessage":"The server is starting.","context":{}}` + "\n"))
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
