package consumer

import (
	"context"
	"time"
)

func (w *worker) startProbe(ctx context.Context, now time.Time) {
	if w.probing || now.Before(w.probeAt) {
		return
	}
	w.probing = true
	s := w.target.spec
	w.stepWG.Add(1)
	go func() {
		defer w.stepWG.Done()
		asked := time.Now()
		b, err := w.d.Broker.Bounds(ctx, s, w.key.Topic, w.key.Partition)
		w.probed <- probeResult{b, err, asked}
	}()
}

func (w *worker) finishProbe(r probeResult) error {
	w.probing, w.probeAt = false, time.Now().Add(w.d.ProbeEvery)
	w.heard(r.asked, r.err)
	if r.err != nil {
		w.failing(r.err)
		return nil
	}
	w.failing(nil)
	if r.bounds.TopicID != w.standing.offset.TopicID { // the ends are those of another topic
		if w.halted != nil {
			return nil
		}
		if err := w.examine(r.bounds); err != nil {
			return err
		}
		return w.cut()
	}
	// The log's start is compared where records arrive: what has been fetched already may lie below it.
	w.learnEnds(r.bounds.StableEnd, r.bounds.End)
	return nil
}

// learnEnds takes ends that are known now: of what is decided, and of all. −1: unknown.
func (w *worker) learnEnds(stable, end int64) {
	if stable > w.stableEnd {
		w.stableEnd, w.stableSince = stable, time.Now()
	}
	w.end = max(w.end, end)
}
