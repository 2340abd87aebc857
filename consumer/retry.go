package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"drumlin/catalog"
	"drumlin/internal/retrying"
)

const (
	quietFor   = 30 * time.Second // between two lines of the log about a failure that goes on
	promptness = 2 * time.Second  // a short request that is not answered for so long shows in the status
)

// request is what a step asks of the catalog or the object store.
type request struct {
	what  string
	short bool // it is answered soon where all is well, unlike the making of large segments
}

// trouble is a failure of a step that is being repeated.
type trouble struct {
	err       error
	since, at time.Time // of the first and of the newest failed attempt
	attempts  int       // failed in a row
}

// asked is a request under way.
type asked struct {
	request
	at time.Time
}

// retry repeats what may succeed later, with full jitter, for as long as it takes: while the catalog or the object store do
// not answer, the rows wait in hot memory, until its budget pauses the reading. A request whose outcome is not known is
// made again as it was, and then finds its own work. What retry returns means that the worker must step down.
//
// Whatever fails inside a try, and is repeated there, shows in the status at once: a try may take long to give up.
func (w *worker) retry(ctx context.Context, r request, try func(context.Context) error) error {
	defer w.asking.Store(nil)
	watched := retrying.Watch(ctx, func(err error) { w.troubled(r, err) })
	pause := 20 * time.Millisecond
	var said time.Time
	for {
		began := time.Now()
		w.asking.Store(&asked{r, began})
		err := try(watched)
		if err == nil {
			w.trouble.Store(nil)
		}
		if err == nil || final(err) || ctx.Err() != nil {
			return err
		}
		w.d.metrics.failedHandoff(w.key)
		w.troubled(r, err)
		if time.Since(said) >= quietFor {
			said = time.Now()
			w.log.Warn("retrying", "what", r.what, "error", err)
		}
		if err := sleep(ctx, rand.N(pause)+time.Millisecond); err != nil {
			return err
		}
		// An attempt that takes long, such as making large segments, is repeated less often.
		pause = min(2*pause, max(w.d.Backoff, 2*time.Since(began)))
	}
}

// troubled notes a failed attempt of the running step. Several requests of it may fail at the same time.
func (w *worker) troubled(r request, err error) {
	now := time.Now()
	for {
		before := w.trouble.Load()
		t := &trouble{err: fmt.Errorf("%s: %w", r.what, err), since: now, at: now, attempts: 1}
		if before != nil {
			t.since, t.attempts = before.since, before.attempts+1
		}
		if w.trouble.CompareAndSwap(before, t) {
			return
		}
	}
}

// ailing is what the running step suffers from: failed attempts, or a request that ought to have been answered; nil: nothing.
func (w *worker) ailing(now time.Time) *trouble {
	if t := w.trouble.Load(); t != nil {
		return t
	}
	a := w.asking.Load()
	if a == nil || !a.short || now.Sub(a.at) < promptness {
		return nil
	}
	return &trouble{err: fmt.Errorf("%s: no answer since %s", a.what, a.at.UTC().Format(time.RFC3339)), since: a.at, at: now}
}

// final says that trying again cannot help: the partition belongs to someone else, what became of a request can no longer
// be found out, or the request itself is wrong.
func final(err error) bool {
	if errors.Is(err, catalog.ErrUnanswered) && !errors.Is(err, catalog.ErrIncarnation) {
		return false
	}
	for _, e := range []error{
		catalog.ErrFenced, catalog.ErrConflict, catalog.ErrUnknown, catalog.ErrInvalid, catalog.ErrCorrupt,
		catalog.ErrFormat, catalog.ErrIncarnation, catalog.ErrClosed, errMiscounted,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
