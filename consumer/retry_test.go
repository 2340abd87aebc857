package consumer

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"drumlin/indexer"
	"drumlin/internal/retrying"
	"drumlin/objectstore"
)

// stubbornObjects is a store whose put fails, and is tried again inside until the test lets it through.
type stubbornObjects struct {
	objectstore.Store
	failure error
	through chan struct{}
}

func (s *stubbornObjects) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error {
	select {
	case <-s.through:
	default:
		retrying.Failed(ctx, s.failure)
		select {
		case <-s.through:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Store.Put(ctx, key, body, size, sha256)
}

// TestAFailureShowsWhileItIsRepeated: a handoff whose first attempt has failed says so at once, however long the store goes
// on trying, and no longer once it has succeeded.
func TestAFailureShowsWhileItIsRepeated(t *testing.T) {
	stubborn := &stubbornObjects{failure: errors.New("503 slow down"), through: make(chan struct{})}
	r := newRig(t, func(o *Options) {
		ix, err := indexer.New(indexer.Options{Objects: stubborn, TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		o.Builder = ix
	})
	stubborn.Store = r.store
	r.createTopic(1)
	r.start(r.submit(specText("", "", ", maxRowsInMemory: 10")))
	begun := time.Now()
	r.produceEvents(0, 10)
	s := r.waitFor("the failure", func(s PartitionStatus) bool { return s.LastError != "" })
	if !strings.Contains(s.LastError, "make the segments of a handoff: ") || !strings.Contains(s.LastError, "503 slow down") ||
		s.FailedAttempts != 1 || s.FailingSince.Before(begun) || s.LastAt.Before(s.FailingSince) {
		t.Errorf("status %+v", s)
	}
	close(stubborn.through)
	s = r.waitFor("the commit", func(s PartitionStatus) bool { return s.Committed == 10 })
	if s.LastError != "" || s.FailedAttempts != 0 || !s.FailingSince.IsZero() {
		t.Errorf("status after it %+v", s)
	}
}

// TestALateAnswerShows: a commit that is not answered has not failed yet, and shows nevertheless.
func TestALateAnswerShows(t *testing.T) {
	w := &worker{}
	at := time.Now()
	for _, c := range []struct {
		what  string
		asked *asked
		after time.Duration
		shows bool
	}{
		{"nothing is asked", nil, time.Hour, false},
		{"just asked", &asked{request{"commit", true}, at}, promptness / 2, false},
		{"late", &asked{request{"commit", true}, at}, promptness, true},
		{"what takes long by its nature", &asked{request{"make segments", false}, at}, time.Hour, false},
	} {
		w.asking.Store(c.asked)
		got := w.ailing(at.Add(c.after))
		if (got != nil) != c.shows || got != nil && (!got.since.Equal(at) || !strings.Contains(got.err.Error(), "commit: no answer since")) {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
	w.troubled(request{"commit", true}, errors.New("one"))
	first := w.trouble.Load().since
	w.troubled(request{"commit", true}, errors.New("two"))
	if got := w.ailing(at); got.attempts != 2 || !got.since.Equal(first) || got.err.Error() != "commit: two" {
		t.Errorf("after two failures: %+v", got)
	}
}
