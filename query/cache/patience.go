package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrSilent: nothing of an object has come from the object store for as long as anybody waits for that.
var ErrSilent = errors.New("the object store does not answer")

// patience ends a fetch of which nothing comes any more. It is used by one goroutine, beside its own timer.
type patience struct {
	budget time.Duration // 0: endless
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// withPatience returns a context that ends once the budget has passed without a sign of life; stop follows.
func withPatience(ctx context.Context, budget time.Duration) (context.Context, *patience) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &patience{budget: budget, cancel: cancel}
	if budget > 0 {
		p.timer = time.AfterFunc(budget, func() { cancel(fmt.Errorf("%w: nothing has come for %s", ErrSilent, budget)) })
	}
	return ctx, p
}

func (p *patience) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.cancel(nil)
}

// read passes bytes on: each is a sign of life.
func (p *patience) read(from io.Reader) io.Reader {
	if p.timer == nil {
		return from
	}
	return readerFunc(func(b []byte) (int, error) {
		n, err := from.Read(b)
		if n > 0 {
			p.timer.Reset(p.budget)
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// silent puts ErrSilent before the error of a fetch that was ended for it.
func silent(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrSilent) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
