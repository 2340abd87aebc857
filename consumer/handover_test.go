package consumer

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
)

// TestAHandoverWithoutItsHandoff: while the last handoff cannot be done the old owner goes on answering, and reads nothing new.
// When it is told to wait no longer, the next owner reads the same records again, and each is committed once, whatever the
// old one's last attempts come to.
func TestAHandoverWithoutItsHandoff(t *testing.T) {
	for _, away := range []string{"object store", "catalog"} {
		t.Run(away, func(t *testing.T) {
			r := newRig(t, nil)
			r.createTopic(1)
			s := r.submit(specText("", "", ""))
			r.start(s)
			r.produceEvents(0, 20)
			r.waitPosition(20)
			r.handoff(20)
			r.produceEvents(20, 30)
			r.waitPosition(50)
			view := r.hotRequest()
			random := rand.New(rand.NewPCG(1, 2))
			if away == "catalog" {
				r.kv.shake(random, 1)
			} else {
				r.store.shake(random, 1)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stopped := make(chan error, 1)
			go func() { stopped <- r.manager.Stop(ctx, testKey, true) }()
			st := r.waitFor("a failing handoff", func(s PartitionStatus) bool { return s.State == StateStopping && s.FailedAttempts > 0 })
			if st.FailingSince.IsZero() || st.Committed != 20 {
				t.Errorf("status %+v", st)
			}
			r.produceEvents(50, 10)
			h, err := r.manager.Hot(t.Context(), view)
			r.must(err)
			if h.From != 20 || h.To != 50 || h.Counters.Stored != 30 {
				t.Errorf("while it waits it answers for %+v", h.OffsetRange)
			}
			h.Release()
			cancel()
			if err := <-stopped; !errors.Is(err, context.Canceled) {
				t.Errorf("stopped with %v", err)
			}
			r.kv.shake(nil, 0)
			r.store.shake(nil, 0)
			r.must(r.waitEnded())
			r.must(r.session.Release(t.Context(), r.owner))
			r.start(s)
			r.handoff(60)
			if c := r.committed(); c.rows != 60 || c.offset.Next != 60 || c.offset.Counters.Stored != 60 {
				t.Errorf("60 records became %+v", c)
			}
		})
	}
}
