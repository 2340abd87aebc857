package segment

import (
	"errors"
	"fmt"
)

// ErrCorrupt: bytes are not what was written. Another copy may be good; these are not used. Match it with errors.Is.
var ErrCorrupt = errors.New("corrupt")

// corrupt says what is wrong with which object.
func corrupt(name, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", name, ErrCorrupt, fmt.Sprintf(format, args...))
}

// guard runs fn on bytes from outside and makes ErrCorrupt of a panic: the Parquet library checks much, not all.
func guard(name string, fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = corrupt(name, "%v", p)
		}
	}()
	return fn()
}
