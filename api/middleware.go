package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// record is what one request's log line will say. One goroutine serves a request, so it needs no lock.
type record struct {
	caller  string // the name of the token; empty: none, or none was wanted
	queryID string
	rows    int64
	err     error
}

type recordKey struct{}

// note applies fn to the request's record where there is one.
func note(ctx context.Context, fn func(*record)) {
	if rec, ok := ctx.Value(recordKey{}).(*record); ok {
		fn(rec)
	}
}

func noteError(ctx context.Context, err error)  { note(ctx, func(r *record) { r.err = err }) }
func noteQuery(ctx context.Context, id string)  { note(ctx, func(r *record) { r.queryID = id }) }
func noteRows(ctx context.Context, count int64) { note(ctx, func(r *record) { r.rows = count }) }

// statusWriter remembers what was sent.
type statusWriter struct {
	http.ResponseWriter
	status int // 0: nothing yet
	bytes  int64
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe logs and measures every request and turns a panic into a 500, or, once bytes are out, into a cut connection.
func (s *server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		rec := &record{}
		sw := &statusWriter{ResponseWriter: w}
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		defer func() {
			abort := s.recovered(sw, r, rec, recover())
			s.finish(r, sw, rec, time.Since(started))
			if abort {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(sw, r)
	})
}

// recovered deals with a panic and says whether the connection must be cut.
func (s *server) recovered(w *statusWriter, r *http.Request, rec *record, value any) bool {
	switch {
	case value == nil:
		return false
	case value == http.ErrAbortHandler:
		return true
	}
	s.logger.Error("panic while serving a request", "method", r.Method, "path", r.URL.Path, "panic", value,
		"stack", string(debug.Stack()))
	rec.err = fmt.Errorf("panic: %v", value)
	if w.status != 0 {
		return true
	}
	for name := range w.Header() {
		w.Header().Del(name)
	}
	writeJSON(w, r, http.StatusInternalServerError, (&Error{
		Category: RuntimeFailure, Code: "internalError",
		Message: "The server failed on this request: a defect. Its log has the details.",
	}).body())
	return false
}

// finish writes the log line and the metrics. Polled paths are logged at debug level, our own failures as errors.
func (s *server) finish(r *http.Request, w *statusWriter, rec *record, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	s.metrics.observe(r, status, took)
	level := slog.LevelInfo
	switch {
	case ourFault(status, rec.err):
		level = slog.LevelError
	case polled(r):
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status),
		slog.Int64("bytes", w.bytes), slog.Duration("took", took), slog.String("remote", r.RemoteAddr),
	}
	if rec.caller != "" {
		attrs = append(attrs, slog.String("token", rec.caller))
	}
	if rec.queryID != "" {
		attrs = append(attrs, slog.String("query", rec.queryID), slog.Int64("rows", rec.rows))
	}
	if rec.err != nil {
		attrs = append(attrs, slog.String("error", rec.err.Error()))
	}
	s.logger.LogAttrs(r.Context(), level, "request", attrs...)
}

// ourFault tells a failure of the server from what a caller asked for or can wait out: a query that was cancelled, one
// that ran out of its own time, rows that cannot be had for a moment.
func ourFault(status int, err error) bool {
	var known *Error
	if errors.As(err, &known) {
		return known.Category == RuntimeFailure
	}
	return status >= http.StatusInternalServerError
}

func polled(r *http.Request) bool {
	path := r.URL.Path
	return r.Method == http.MethodGet && (path == "/metrics" || strings.HasPrefix(path, "/status") ||
		strings.HasPrefix(path, taskPath+"/") && strings.HasSuffix(path, "/status"))
}

// checkHost refuses requests that reached a loopback listener under another name: a web page can make its own name
// resolve to 127.0.0.1 and would then count as of the same origin.
func checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			writeError(w, r, &Error{
				Category: Forbidden, Code: "forbiddenHost",
				Message: fmt.Sprintf("This server listens on loopback only and does not answer to the host %q.", r.Host),
				Hint:    "Use localhost, 127.0.0.1 or [::1].",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackHost says whether a Host header, with or without a port, names this machine's loopback.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// LoopbackOnly says whether a listener's address can be reached from this machine only.
func LoopbackOnly(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// refuseCrossOrigin answers requests with which a browser acts for a page of another origin.
func refuseCrossOrigin(w http.ResponseWriter, r *http.Request) {
	writeError(w, r, &Error{
		Category: Forbidden, Code: "crossOrigin",
		Message: "A web page of another origin may not use this server.",
	})
}
