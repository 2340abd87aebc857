package s3

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	"drumlin/internal/retrying"
)

const (
	firstBackoff          = 50 * time.Millisecond
	firstThrottledBackoff = 250 * time.Millisecond
	maxBackoff            = 20 * time.Second
	// slowestBytesPerSecond is the rate at which an upload may go on without being given up.
	slowestBytesPerSecond = 512 << 10
)

// call describes a request with its retries.
type call struct {
	verb    string
	key     string
	bytes   int64     // of the content that the request carries
	changes bool      // it changes the store: an attempt that failed may have taken effect
	final   []outcome // are not tried again here, though another request might end otherwise
}

// do runs a request until it succeeds, fails for good, or is out of attempts. The request must end soon after its context.
// An error is a *failure.
func (s *Store) do(ctx context.Context, c call, request func(context.Context) error) error {
	maybeApplied := false
	var before error // of the attempt before: it says more than that the caller gave up
	for attempt := 1; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return s.fail(c, outcomeCancelled, attempt-1, maybeApplied, after(before, err))
		}
		result, sent, err := s.attempt(ctx, c, request)
		if err == nil {
			s.budget.succeeded()
			return nil
		}
		if c.changes && sent && result.applied() {
			maybeApplied = true
		}
		if !result.retried() || slices.Contains(c.final, result) || attempt == s.options.MaxAttempts {
			if result == outcomeCancelled {
				err = after(before, fmt.Errorf("%w: %w", ctx.Err(), err))
			}
			return s.fail(c, result, attempt, maybeApplied, err)
		}
		s.log.Debug("an object request failed: trying again", "verb", c.verb, "key", c.key, "attempt", attempt, "outcome", string(result), "error", err)
		retrying.Failed(ctx, fmt.Errorf("%s %s: %w", c.verb, c.key, err))
		if stopped := s.pause(ctx, c.verb, attempt, result, err); stopped != nil {
			if ctx.Err() != nil {
				result = outcomeCancelled
			}
			return s.fail(c, result, attempt, maybeApplied, fmt.Errorf("%w: %w", stopped, err))
		}
		before = err
	}
}

// after tells, with how a call ended, how the attempt before had failed; nil: there was none.
func after(before, err error) error {
	if before == nil {
		return err
	}
	return fmt.Errorf("%w; the attempt before: %v", err, before)
}

func (s *Store) fail(c call, result outcome, attempts int, maybeApplied bool, err error) error {
	return &failure{call: c, place: s.place, outcome: result, attempts: attempts, unknown: maybeApplied, err: err}
}

// attempt sends the request once.
func (s *Store) attempt(ctx context.Context, c call, request func(context.Context) error) (result outcome, sent bool, err error) {
	var connected atomic.Bool
	timeout := s.options.RequestTimeout + time.Duration(c.bytes/slowestBytesPerSecond)*time.Second
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	traced := httptrace.WithClientTrace(attempt, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	began := time.Now()
	err = request(traced)
	result = classify(err, ctx, attempt, connected.Load())
	s.metrics.request(c.verb, result, time.Since(began))
	if err == nil {
		s.metrics.written(c.bytes)
	}
	return result, connected.Load(), err
}

// pause waits before the next attempt: with full jitter, at least as long as the service asks for and the budget wants. It
// fails where the context ends or the budget is used up.
func (s *Store) pause(ctx context.Context, verb string, attempt int, result outcome, cause error) error {
	first := firstBackoff
	if result == outcomeThrottled {
		first = firstThrottledBackoff
	}
	budgeted, err := s.budget.retry(time.Now())
	if err != nil {
		return err
	}
	s.metrics.retry(verb)
	timer := time.NewTimer(max(jitter(first, attempt), retryAfter(cause), budgeted))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// jitter is a random time below an end that doubles with every attempt.
func jitter(first time.Duration, attempt int) time.Duration {
	end := maxBackoff
	if doublings := attempt - 1; doublings < 16 {
		end = min(first<<doublings, maxBackoff)
	}
	return rand.N(end)
}
