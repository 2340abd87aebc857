package api

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// timedBody is a request's body whose first read starts a deadline and whose end lifts it.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	started bool
	ended   bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	if !b.started {
		b.started = true
		if err := b.setDeadline(time.Now().Add(b.timeout)); err != nil {
			return 0, err
		}
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && !b.ended {
		b.ended = true
		if lift := b.setDeadline(time.Time{}); lift != nil {
			return n, lift
		}
	}
	return n, err
}

// setDeadline does nothing where there is no connection, as in tests.
func (b *timedBody) setDeadline(at time.Time) error {
	err := b.control.SetReadDeadline(at)
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
