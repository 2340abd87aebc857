package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Category is Druid's classification of errors; it decides the status code.
type Category string

// The categories in use.
const (
	InvalidInput       Category = "INVALID_INPUT"
	Unauthorized       Category = "UNAUTHORIZED"
	Forbidden          Category = "FORBIDDEN"
	NotFound           Category = "NOT_FOUND"
	Conflict           Category = "CONFLICT"
	CapacityExceeded   Category = "CAPACITY_EXCEEDED"
	Canceled           Category = "CANCELED"
	RuntimeFailure     Category = "RUNTIME_FAILURE"
	Timeout            Category = "TIMEOUT"
	ServiceUnavailable Category = "SERVICE_UNAVAILABLE"
)

// The persons that an error message is written for.
const (
	personaUser     = "USER"
	personaOperator = "OPERATOR"
)

// Error is an error that a caller is told about. Err, the cause, goes to the log only.
type Error struct {
	Category Category
	Code     string // errorCode, in Druid's lowerCamelCase: invalidInput, queryTimedOut, …
	Message  string
	Hint     string            // what to do next; shown as context.hint
	Context  map[string]string // further facts
	Problems []Problem         // every problem of a refused spec, in its order
	Status   int               // 0: the category's
	Err      error
}

// Problem is one thing wrong with a spec.
type Problem struct {
	Path    string // dotted path from the root of the spec
	Message string
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", strings.TrimSuffix(e.Message, "."), e.Err)
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// status is the HTTP status of the error.
func (e *Error) status() int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Category {
	case InvalidInput:
		return http.StatusBadRequest
	case Unauthorized:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case CapacityExceeded:
		return http.StatusTooManyRequests
	case Timeout:
		return http.StatusGatewayTimeout
	case ServiceUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// persona is who can act on the error.
func (e *Error) persona() string {
	switch e.Category {
	case RuntimeFailure, ServiceUnavailable:
		return personaOperator
	}
	return personaUser
}

// errorBody is Druid's error object.
type errorBody struct {
	Error        string            `json:"error"`
	ErrorCode    string            `json:"errorCode"`
	Persona      string            `json:"persona"`
	Category     Category          `json:"category"`
	ErrorMessage string            `json:"errorMessage"`
	Context      map[string]string `json:"context"`
}

// body renders the error. Problems stand in the message, one a line and in the spec's order, and in the context by
// path, since Druid's clients read a context as a map of strings.
func (e *Error) body() errorBody {
	facts := make(map[string]string, len(e.Context)+len(e.Problems)+1)
	for k, v := range e.Context {
		facts[k] = v
	}
	if e.Hint != "" {
		facts["hint"] = e.Hint
	}
	var message strings.Builder
	message.WriteString(e.Message)
	for _, p := range e.Problems {
		fmt.Fprintf(&message, "\n  %s: %s", p.Path, p.Message)
		if had, ok := facts[p.Path]; ok {
			facts[p.Path] = had + "; " + p.Message
		} else {
			facts[p.Path] = p.Message
		}
	}
	return errorBody{
		Error: "druidException", ErrorCode: e.Code, Persona: e.persona(), Category: e.Category,
		ErrorMessage: message.String(), Context: facts,
	}
}

// errorOf turns any error into one that can be told.
func errorOf(err error) *Error {
	var known *Error
	switch {
	case errors.As(err, &known) && known.Category != "":
		return known
	case known != nil:
		// An error of a kind that nobody has placed yet is ours.
		placed := *known
		placed.Category = RuntimeFailure
		return &placed
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Category: Timeout, Code: "timeout", Message: "The request ran out of time: " + err.Error(), Err: err}
	case errors.Is(err, context.Canceled):
		return &Error{Category: Canceled, Code: "canceled", Message: "The request was cancelled.", Err: err}
	}
	return &Error{Category: RuntimeFailure, Code: "internalError", Message: err.Error(), Err: err}
}

// invalidInput is a caller's mistake.
func invalidInput(format string, args ...any) *Error {
	return &Error{Category: InvalidInput, Code: "invalidInput", Message: fmt.Sprintf(format, args...)}
}

// writeError answers with the error. What is ours is logged by the middleware through noteError.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := errorOf(err)
	noteError(r.Context(), e)
	status := e.status()
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, r, status, e.body())
}

// writeJSON answers with one JSON value and a newline.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, value any) {
	body, err := marshal(value)
	if err != nil {
		noteError(r.Context(), fmt.Errorf("encode the answer: %w", err))
		http.Error(w, `{"error":"druidException","errorCode":"internalError","persona":"OPERATOR",`+
			`"category":"RUNTIME_FAILURE","errorMessage":"The answer cannot be encoded.","context":{}}`,
			http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		noteError(r.Context(), fmt.Errorf("send the answer: %w", err))
	}
}

// marshal encodes without the escapes that only HTML needs, and ends in a newline.
func marshal(value any) ([]byte, error) {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return []byte(out.String()), nil
}
