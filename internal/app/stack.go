package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// stack stops what was started, in the reverse order. It is used by one goroutine.
type stack struct {
	logger *slog.Logger
	parts  []part
}

type part struct {
	name string
	stop func(ctx context.Context) error
}

// started puts a running part on top. Its stop is called once.
func (s *stack) started(name string, stop func(ctx context.Context) error) {
	s.logger.Debug("started", "part", name)
	s.parts = append(s.parts, part{name, stop})
}

// stop stops every part, from the top down, whatever errors come on the way.
func (s *stack) stop(ctx context.Context) error {
	var errs []error
	for len(s.parts) > 0 {
		top := s.parts[len(s.parts)-1]
		s.parts = s.parts[:len(s.parts)-1]
		if err := top.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", top.name, err))
		}
		s.logger.Debug("stopped", "part", top.name)
	}
	return errors.Join(errs...)
}
