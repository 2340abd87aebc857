package client

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Error is what the server said about a request that it refused or failed.
type Error struct {
	Status   int // HTTP status
	Code     string
	Persona  string
	Category string
	Message  string
	Context  map[string]string
}

// Error returns the message, and below it the hint where there is one.
func (e *Error) Error() string {
	var out strings.Builder
	out.WriteString(e.Message)
	if hint := e.Context["hint"]; hint != "" {
		out.WriteString("\nhint: " + hint)
	}
	return out.String()
}

// Unreachable says that no server answered.
type Unreachable struct {
	URL string
	Err error
}

func (e *Unreachable) Error() string {
	return fmt.Sprintf("no server answers at %s: %v", e.URL, e.Err)
}

// Unwrap returns the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// Untrusted says that there is a server, whose certificate was not accepted.
func (e *Unreachable) Untrusted() bool {
	var refused *tls.CertificateVerificationError
	return errors.As(e.Err, &refused)
}

// Truncated says that an answer ended before its end.
type Truncated struct {
	Err error // nil where only the closing mark is missing
}

func (e *Truncated) Error() string {
	if e.Err == nil {
		return "the answer was cut off: its closing mark is missing; run the query again"
	}
	return fmt.Sprintf("the answer was cut off: %v; run the query again", e.Err)
}

// Unwrap returns the cause.
func (e *Truncated) Unwrap() error { return e.Err }

// maxErrorBytes bounds how much of an error's body is read, maxShownBytes how much of one that is not ours is shown.
const (
	maxErrorBytes = 4 << 20
	maxShownBytes = 300
)

// errorOf reads an error's body. What is not a Druid error object is shown as it is, shortened.
func errorOf(status int, body []byte) *Error {
	var object struct {
		Error        string         `json:"error"`
		ErrorCode    string         `json:"errorCode"`
		Persona      string         `json:"persona"`
		Category     string         `json:"category"`
		ErrorMessage string         `json:"errorMessage"`
		Context      map[string]any `json:"context"`
	}
	if err := json.Unmarshal(body, &object); err == nil && object.ErrorMessage != "" {
		e := &Error{
			Status: status, Code: object.ErrorCode, Persona: object.Persona, Category: object.Category,
			Message: object.ErrorMessage, Context: make(map[string]string, len(object.Context)),
		}
		for name, value := range object.Context {
			e.Context[name] = fmt.Sprint(value)
		}
		return e
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(body), "\uFFFD"))
	if len(text) > maxShownBytes {
		text = strings.ToValidUTF8(text[:maxShownBytes], "") + "…"
	}
	return &Error{
		Status:  status,
		Message: fmt.Sprintf("the server answered %d %s, not as a Drumlin server does: %s", status, http.StatusText(status), text),
	}
}
