package s3

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhoGivesUpIsToldWhatFailedBefore: that time has run out says nothing of what is wrong with the store.
func TestWhoGivesUpIsToldWhatFailedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{
			options: Options{MaxAttempts: 8, RequestTimeout: time.Minute}, place: "s3://bucket/prefix",
			budget: newBudget(time.Now()), log: slog.New(slog.DiscardHandler),
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		attempts := 0
		err := s.do(ctx, call{verb: "get", key: "data/x"}, func(ctx context.Context) error {
			if attempts++; attempts == 1 {
				<-time.After(time.Second)
				return context.DeadlineExceeded // of the attempt, for all that do can see: not sent, no reply
			}
			<-ctx.Done() // the second stands still
			return errors.New("operation error")
		})
		if attempts != 2 || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%d attempts, %v", attempts, err)
		}
		for _, part := range []string{`get "data/x" in s3://bucket/prefix`, "the attempt before:", "(2 attempts)"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %v", part, err)
			}
		}
	})
}
