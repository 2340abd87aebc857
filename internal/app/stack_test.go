package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestPartsStopInTheReverseOrderWhateverFails(t *testing.T) {
	s := stack{logger: slog.New(slog.DiscardHandler)}
	var stopped []string
	broken := errors.New("broken")
	for _, name := range []string{"lock", "broker", "catalog", "http"} {
		s.started(name, func(context.Context) error {
			stopped = append(stopped, name)
			if name == "catalog" {
				return broken
			}
			return nil
		})
	}
	err := s.stop(t.Context())
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "stop catalog") {
		t.Errorf("got %v", err)
	}
	if want := []string{"http", "catalog", "broker", "lock"}; !slices.Equal(stopped, want) {
		t.Errorf("stopped %v, want %v", stopped, want)
	}
	if err := s.stop(t.Context()); err != nil || len(stopped) != 4 {
		t.Errorf("a second stop: %v, stopped %v", err, stopped)
	}
}
