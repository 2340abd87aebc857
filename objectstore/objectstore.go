package objectstore

import (
	"context"
	"errors"
	"io"
)

// Errors that callers decide by; match them with errors.Is.
var (
	// ErrNotFound: no object has this key.
	ErrNotFound = errors.New("object not found")
	// ErrExists: another object has this key already; it is left as it was.
	ErrExists = errors.New("object exists with other content")
	// ErrUnknown: the request may or may not have taken effect. Read back; never clean up after it.
	ErrUnknown = errors.New("outcome unknown")
)

// Info describes an object.
type Info struct {
	Key   string
	Bytes int64
}

// Store holds immutable objects. Keys are slash-separated relative paths of printable ASCII without empty, "." or ".."
// parts. An object appears whole or not at all. A store is safe for concurrent use.
type Store interface {
	// Put creates the object of exactly size bytes with this SHA-256 (lower-case hex). Putting the same content again
	// succeeds, so that a lost reply can be retried; other content under an existing key is ErrExists.
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error
	// Get opens length bytes from offset; length −1 means to the end. The caller closes the reader.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Head describes the object.
	Head(ctx context.Context, key string) (Info, error)
	// List calls fn for every object whose key begins with prefix, in key order, until fn returns false.
	List(ctx context.Context, prefix string, fn func(Info) bool) error
	// Delete removes the object; deleting what is not there succeeds.
	Delete(ctx context.Context, key string) error
}
