package duckdb

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

var (
	// ErrInterrupted says that a statement was stopped because its context ended. It is joined with the context's error.
	ErrInterrupted = errors.New("the statement was interrupted")
	// ErrOutOfMemory says that a statement needed more memory or temporary disk space than the database may use.
	ErrOutOfMemory = errors.New("the statement needs more memory than the database may use")
	// ErrFatal says that the database has declared itself invalid: every later statement fails. Close it and open another.
	ErrFatal = errors.New("the database is no longer usable and must be opened again")
	// ErrReasonLost says that a statement failed and that DuckDB did not keep why: it stops a failing statement's other
	// threads before it stores the error, and one of them may report the stop first.
	ErrReasonLost = errors.New("the statement failed and the database did not keep the reason; ask again")
	// ErrClosed says that the session or the database is closed.
	ErrClosed = errors.New("the database or session is closed")
)

// ErrorKind says which part of DuckDB refused a statement.
type ErrorKind string

// The kinds that callers tell apart; others carry DuckDB's own name in lower case.
const (
	KindParser      ErrorKind = "parser"
	KindBinder      ErrorKind = "binder"
	KindCatalog     ErrorKind = "catalog"
	KindConversion  ErrorKind = "conversion"
	KindOutOfRange  ErrorKind = "out of range"
	KindInput       ErrorKind = "invalid input"
	KindNotImpl     ErrorKind = "not implemented"
	KindPermission  ErrorKind = "permission"
	KindIO          ErrorKind = "io"
	KindInternal    ErrorKind = "internal"
	KindParameters  ErrorKind = "parameters"
	KindUnsupported ErrorKind = "unsupported type"
	KindSketch      ErrorKind = "sketch" // a value is no sketch of the kind that is read
)

// SQLError is a statement that DuckDB refused, or that failed while it ran.
type SQLError struct {
	Kind       ErrorKind
	Message    string   // without the kind and without the excerpt
	Excerpt    string   // the line of the statement that is meant, with a caret below; may be empty
	Candidates []string // names that DuckDB suggests instead; may be empty
	Position   int      // byte offset in the statement that is meant; −1: unknown
}

func (e *SQLError) Error() string { return string(e.Kind) + " error: " + e.Message }

var (
	errorPrefix = regexp.MustCompile(`^([A-Z][A-Za-z]*(?: [A-Za-z]+){0,3}?) (?:Error|Exception): `)
	quotedName  = regexp.MustCompile(`"((?:[^"]|"")*)"`)
)

// newError makes the error that a message of DuckDB stands for. kind is what the library reported beside it, or
// ErrorTypeInvalid where it reports none (prepare).
func newError(kind bindings.ErrorType, text string) error {
	name, message := splitPrefix(text)
	switch {
	case kind == bindings.ErrorTypeFatal || name == "FATAL":
		return fmt.Errorf("%w: %s", ErrFatal, text)
	case kind == bindings.ErrorTypeInterrupt || name == "INTERRUPT":
		return ErrInterrupted
	case kind == bindings.ErrorTypeOutOfMemory || name == "Out of Memory":
		return fmt.Errorf("%w: %s", ErrOutOfMemory, firstLine(message))
	}
	if strings.HasPrefix(message, sketchMemoryError) {
		return fmt.Errorf("%w: %s", ErrOutOfMemory, message)
	}
	e := &SQLError{Kind: kindOf(kind, name), Position: -1}
	if rest, ok := strings.CutPrefix(message, sketchErrorPrefix); ok {
		e.Kind, message = KindSketch, rest
	}
	e.Message, e.Excerpt = splitExcerpt(message)
	e.Message, e.Candidates = splitCandidates(e.Message)
	return e
}

func splitPrefix(text string) (name, rest string) {
	m := errorPrefix.FindStringSubmatch(text)
	if m == nil {
		return "", text
	}
	return m[1], text[len(m[0]):]
}

func kindOf(kind bindings.ErrorType, name string) ErrorKind {
	switch {
	case name == "Parser" || name == "Syntax" || kind == bindings.ErrorTypeParser:
		return KindParser
	case name == "INTERNAL" || kind == bindings.ErrorTypeInternal:
		return KindInternal
	case name == "":
		return ErrorKind(fmt.Sprintf("type %d", int(kind)))
	}
	return ErrorKind(strings.ToLower(name))
}

// splitExcerpt takes the "LINE 1: …" part off the message.
func splitExcerpt(message string) (text, excerpt string) {
	at := strings.Index(message, "\n\nLINE ")
	if at < 0 {
		if at = strings.Index(message, "\nLINE "); at < 0 {
			return strings.TrimSpace(message), ""
		}
	}
	return strings.TrimSpace(message[:at]), strings.Trim(message[at:], "\n")
}

// splitCandidates takes `Did you mean "a"` and `Candidate bindings: "a", "b"` off the message and reads the names.
func splitCandidates(message string) (text string, names []string) {
	for _, intro := range []string{"\nDid you mean ", "\nCandidate bindings: "} {
		before, rest, found := strings.Cut(message, intro)
		if !found {
			continue
		}
		for _, m := range quotedName.FindAllStringSubmatch(rest, -1) {
			names = append(names, strings.ReplaceAll(m[1], `""`, `"`))
		}
		return strings.TrimSpace(before), names
	}
	return message, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
