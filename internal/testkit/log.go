package testkit

import (
	"log/slog"
	"os"
	"testing"
)

// Log is where a test lets the product write: standard error where tests are verbose, else nowhere.
func Log() *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}
