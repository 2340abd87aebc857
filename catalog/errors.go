package catalog

import "errors"

// Errors that callers decide by; match them with errors.Is.
var (
	// ErrFenced: the caller is not the owner (or the claim's holder) any more. Step down, delete nothing.
	ErrFenced = errors.New("fenced: the epoch is over")
	// ErrConflict: the value has changed since it was read. Reload.
	ErrConflict = errors.New("the catalog has changed")
	// ErrUnknown: the transaction may or may not have taken effect. Step down, reload, clean nothing up.
	ErrUnknown = errors.New("outcome unknown")
	// ErrUnanswered goes with ErrUnknown where the store has not told the outcome, rather than told that it cannot be known
	// any more: the very same request may be made again until it is answered, and then finds its own work.
	ErrUnanswered = errors.New("the catalog store has not answered")
	// ErrOwned: another node owns the partition, or holds the claim.
	ErrOwned = errors.New("owned by another node")
	// ErrSessionLost: the session's lease is gone. Register again.
	ErrSessionLost = errors.New("session lost")
	// ErrNodeTaken: a living process has the node's id. Give this one another.
	ErrNodeTaken = errors.New("the node id is in use")
	// ErrInvalid: the request breaks a rule of the catalog; it has not been sent.
	ErrInvalid = errors.New("refused by the catalog")
	// ErrCorrupt: what the catalog or an object of it holds cannot be right.
	ErrCorrupt = errors.New("catalog is corrupt")
	// ErrFormat: the catalog's format does not admit this version of the program.
	ErrFormat = errors.New("catalog format does not admit this version")
	// ErrIncarnation: the store behind the catalog is not the one it was opened on, or has been set back.
	ErrIncarnation = errors.New("the catalog store was replaced")
	// ErrClosed: the catalog has been closed.
	ErrClosed = errors.New("catalog is closed")
)
