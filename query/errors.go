package query

import (
	"context"
	"errors"
	"fmt"
)

// Kind is what a caller decides by.
type Kind int

// The kinds of errors.
const (
	Internal      Kind = iota // our fault
	Invalid                   // the statement or its parameters cannot be accepted or run
	NotFound                  // a table is not known
	Forbidden                 // a statement, function or table that no query may use
	Timeout                   // the query's own time limit has passed
	Canceled                  // the caller has gone or cancelled
	OutOfMemory               // the query needs more memory or spill space than it may use
	LimitExceeded             // too many queries at once
	Unavailable               // rows of some partitions, or objects, cannot be had now
)

var kindNames = map[Kind]string{
	Internal: "internal", Invalid: "invalid", NotFound: "not_found", Forbidden: "forbidden", Timeout: "timeout",
	Canceled: "canceled", OutOfMemory: "out_of_memory", LimitExceeded: "limit_exceeded", Unavailable: "unavailable",
}

// String returns the kind in snake case.
func (k Kind) String() string { return kindNames[k] }

// Error is the only type of error that Engine.Query returns.
type Error struct {
	Kind    Kind
	Code    string   // Druid's errorCode, such as invalidInput
	Message string   // what is wrong, and where
	Hint    string   // what to do about it; may be empty
	Names   []string // near names, or partitions that cannot be had
	Err     error    // the cause; may be nil
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

var kindCodes = map[Kind]string{
	Internal: "general", Invalid: "invalidInput", NotFound: "invalidInput", Forbidden: "forbidden", Timeout: "timeout",
	Canceled: "canceled", OutOfMemory: "resourceLimit", LimitExceeded: "queryCapacityExceeded", Unavailable: "unavailable",
}

func newError(kind Kind, hint string, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: kindCodes[kind], Message: fmt.Sprintf(format, args...), Hint: hint}
}

func wrapError(kind Kind, err error, format string, args ...any) *Error {
	e := newError(kind, "", format, args...)
	e.Message += ": " + err.Error()
	e.Err = err
	return e
}

// asError makes an *Error of any error, keeping one that is there.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return wrapError(Internal, err, "query")
}

// contextError tells the query's own time limit from a caller who has gone.
func contextError(ctx context.Context) *Error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return newError(Timeout, `ask for less, or raise the context's "timeout" (milliseconds)`, "the query has run out of time")
	}
	return newError(Canceled, "", "the query was cancelled")
}

// during says what the query was waiting for when its time ran out.
func (e *Error) during(what string, details []string) *Error {
	if e.Kind == Timeout {
		e.Message += " while " + what + firstReasons(details)
	}
	return e
}
