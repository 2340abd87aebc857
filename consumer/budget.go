package consumer

import (
	"context"
	"time"
)

// Shares of MaxHotBytes, in percent.
const (
	handoffFrom = 70 // from here on the biggest partition hands off early
	pauseFrom   = 85 // from here on nothing is fetched
	resumeBelow = 80
	leastCut    = 1 // what an early handoff must hold at least, below pauseFrom
)

// budget keeps the hot rows of all partitions of the process within bounds: committed rows go first, then the biggest
// partition hands off.
type budget struct {
	maxBytes int64
	memory   *meter
	wake     chan struct{}
}

func newBudget(maxBytes int64, memory *meter) *budget {
	return &budget{maxBytes: maxBytes, memory: memory, wake: make(chan struct{}, 1)}
}

// look asks the budget to compare what is used with what is allowed.
func (b *budget) look() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *budget) run(ctx context.Context, workers func() []*worker) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
			b.relieve(workers())
		}
	}
}

func (b *budget) relieve(workers []*worker) {
	percent := func(n int64) int64 { return b.maxBytes / 100 * n }
	if b.memory.used.Load() < percent(handoffFrom) {
		return
	}
	var draining int64
	var biggest *worker
	for _, w := range workers {
		w.hot.expire(time.Now(), 0, 0)
		draining += w.draining.Load()
		if biggest == nil || w.uncut.Load() > biggest.uncut.Load() {
			biggest = w
		}
	}
	left := b.memory.used.Load() - draining
	if biggest == nil || left < percent(handoffFrom) {
		return
	}
	if size := biggest.uncut.Load(); size == 0 || (left < percent(pauseFrom) && size < percent(leastCut)) {
		return
	}
	select {
	case biggest.pressure <- struct{}{}:
	default:
	}
}
