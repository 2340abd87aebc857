package metamorphic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/consumer"
	"drumlin/spec"
)

var errInjected = errors.New("the test's failpoint")

// collectStep deletes what is dead, twice: what the first leaves for the second is gone then.
func (w *world) collectStep(*rand.Rand) (string, error) {
	text := ""
	for range 2 {
		report, err := w.collector.Collect(w.ctx, nil, 0)
		if err != nil {
			return "", err
		}
		w.activity.Deleted += int(report.Deleted)
		text += fmt.Sprintf(" %d deleted, %d commits reaped;", report.Deleted, report.Reaped)
	}
	return text, w.checkDead()
}

func (w *world) crashStep(r *rand.Rand) (string, error) {
	if err := w.crash(); err != nil {
		return "", err
	}
	w.activity.Restarts++
	if err := w.start(r); err != nil {
		return "", err
	}
	return "cache " + w.cacheDir[len(w.dir):], w.mend()
}

// zombieStep takes the ingesting process its ownership away while it still has rows to hand off.
func (w *world) zombieStep(r *rand.Rand) (string, error) {
	text, err := w.revealSome(r, 6)
	if err != nil {
		return text, err
	}
	stale := w.session
	if w.session, err = w.compactors[0].cat.Register(w.ctx, catalog.Node{ID: "ingest"}, time.Hour); err != nil {
		return text, err
	}
	for _, key := range w.keys() {
		if err := w.handoff(key); err != nil {
			w.activity.Fenced++
		}
		if err := w.manager.Stop(w.ctx, key, false); err != nil && !errors.Is(err, consumer.ErrNotRunning) {
			return text, err
		}
	}
	if err := stale.Close(w.ctx); err != nil {
		return text, err
	}
	return text, w.mend()
}

// faultStep lets one thing go wrong in the midst of a handoff or a compaction.
func (w *world) faultStep(r *rand.Rand) (string, error) {
	if r.IntN(2) == 0 {
		return w.handoffFault(r)
	}
	n, t := w.node(r), w.table(r)
	text := compactText(t, someInterval(r), pick(r, "", dayMore))
	point := pick(r, "compact.before_upload", "compact.after_upload", "catalog.swap.before_txn", "catalog.swap.after_txn", "")
	if point == "" {
		w.kv.loseReplies(1 + r.IntN(5))
		w.activity.LostReplies++
	} else {
		n.fail.Arm(point, 1+r.IntN(2), func(string) error { return errInjected })
	}
	task, _, err := spec.ParseTask([]byte(text))
	if err != nil {
		return text, err
	}
	// Whatever comes of it: the answers tell.
	if _, err := n.worker.Run(w.ctx, task, compaction.RunOptions{Claims: n.session}); err != nil {
		text += ": " + err.Error()
	}
	if point != "" {
		n.fail.Arm(point, 1, func(string) error { return nil })
	}
	w.kv.loseReplies(0)
	return point + " " + text, nil
}

func (w *world) handoffFault(r *rand.Rand) (string, error) {
	text, err := w.revealSome(r, 6)
	if err != nil {
		return text, err
	}
	keys := w.keys()
	key := keys[r.IntN(len(keys))]
	point := pick(r, "handoff.after_upload", "handoff.after_commit", "catalog.append.before_txn", "catalog.append.after_txn", "")
	if point == "" {
		w.kv.loseReplies(1 + r.IntN(5))
		w.activity.LostReplies++
	} else {
		w.fail.Arm(point, 1, func(string) error { return errInjected })
	}
	if err := w.handoff(key); err != nil {
		text += ": " + err.Error()
	}
	w.kv.loseReplies(0)
	if point != "" {
		w.fail.Arm(point, 1, func(string) error { return nil })
	}
	// A worker that steps down has let its waiters go before it has ended.
	if s, running := w.manager.Status(key); !running || s.Handoffs > 0 || s.HotRows > 0 {
		if err := w.manager.Stop(w.ctx, key, false); err != nil && !errors.Is(err, consumer.ErrNotRunning) {
			return text, err
		}
		if err := w.session.Release(w.ctx, w.owned[key]); err != nil {
			return text, err
		}
	}
	return fmt.Sprintf("%s of %v%s", point, key, text), w.mend()
}
