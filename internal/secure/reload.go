package secure

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// reloaded is a value that is made of files, and made again once they have changed.
type reloaded[T any] struct {
	files  []string
	read   func() (T, error)
	report func(error) // nil: failures are only what they are, old values
	every  time.Duration

	mu      sync.Mutex
	value   T
	stamps  []stamp // of the files that value was made of
	checked time.Time
	failure string // the last that was reported
}

func newReloaded[T any](read func() (T, error), report func(error), files ...string) *reloaded[T] {
	return &reloaded[T]{files: files, read: read, report: report, every: recheckEvery}
}

// load reads the value for the first time, before others use it.
func (r *reloaded[T]) load() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reload()
}

// reload makes the value of the files as they are now, unless they are those that it was made of. The state of the
// files is taken first: a change while they are read is then seen the next time.
func (r *reloaded[T]) reload() error {
	r.checked = time.Now()
	stamps := make([]stamp, len(r.files))
	for i, name := range r.files {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("look whether a file has changed: %w", err)
		}
		stamps[i] = stamp{modified: info.ModTime(), size: info.Size()}
	}
	if slices.Equal(stamps, r.stamps) {
		return nil
	}
	value, err := r.read()
	if err != nil {
		return err
	}
	r.value, r.stamps = value, stamps
	return nil
}

// get returns the newest value that could be made. Files that are being replaced one by one do not fit each other for a
// moment: the old value stays until they do.
func (r *reloaded[T]) get() T {
	value, failed := r.refresh()
	if failed != nil && r.report != nil {
		r.report(failed)
	}
	return value
}

// refresh looks at the files where it is time to, and returns a failure that has not been reported yet.
func (r *reloaded[T]) refresh() (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < r.every {
		return r.value, nil
	}
	err := r.reload()
	if err == nil {
		r.failure = ""
		return r.value, nil
	}
	if err.Error() == r.failure {
		return r.value, nil
	}
	r.failure = err.Error()
	return r.value, fmt.Errorf("%w; the one that was read before stays in use", err)
}
