package s3

import (
	"errors"
	"fmt"
	"io"
)

// reader reads a range of an object over as many downloads as it takes. It is not safe for concurrent use.
type reader struct {
	store   *Store
	key     string
	stream  *stream // nil between two downloads, and after Close
	size    int64   // of the whole object
	at, end int64
	failed  int // downloads that broke since the last byte
	reopen  func(at int64) (*stream, error)
	pause   func(failed int, err error) error
}

// Read is io.Reader's. A download that ends early is never taken for the end.
func (r *reader) Read(p []byte) (int, error) {
	for r.at < r.end {
		if r.stream == nil {
			return 0, fmt.Errorf("get %q: read after Close", r.key)
		}
		if len(p) == 0 {
			return 0, nil
		}
		n, err := r.stream.read(p[:min(int64(len(p)), r.end-r.at)])
		if n > 0 {
			r.at += int64(n)
			r.failed = 0
			r.store.metrics.read(int64(n))
			return n, nil // an error comes again
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err := r.resume(err); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

// resume opens another download of what is left, after the one that failed with the cause.
func (r *reader) resume(cause error) error {
	cause = fmt.Errorf("get %q in %s: the download broke at %d of %d: %w", r.key, r.store.place, r.at, r.end, cause)
	broken := r.stream
	r.stream = nil
	if r.failed++; r.failed >= r.store.options.MaxAttempts {
		return errors.Join(cause, broken.close())
	}
	broken.close() //nolint:errcheck // it is broken: the cause tells why
	if err := r.pause(r.failed, cause); err != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	next, err := r.reopen(r.at)
	if err != nil {
		return fmt.Errorf("%w; and going on: %w", cause, err)
	}
	if next.size != r.size {
		return errors.Join(fmt.Errorf("%w; and then the object had %d bytes", cause, next.size), next.close())
	}
	r.stream = next
	return nil
}

// Close is io.Closer's.
func (r *reader) Close() error {
	if r.stream == nil {
		return nil
	}
	open := r.stream
	r.stream = nil
	return open.close()
}
