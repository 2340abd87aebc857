package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"drumlin/catalog"
)

const (
	adviceEvery      = time.Second      // between two commits of group offsets: what came meanwhile goes together
	adviceRetryMost  = time.Minute      // between two attempts while they fail
	lastAdviceBudget = time.Second      // of the commit when the process ends
	adviceQuiet      = 10 * time.Minute // between two lines of the log about a group that goes on failing
)

// advisor tells the brokers committed offsets, so that people's lag tools work. It holds nothing up: of several offsets of one
// partition only the newest is told, those of a supervisor go together, and what failed is told again later.
type advisor struct {
	broker Broker
	log    *slog.Logger
	reads  func(catalog.PartitionKey) bool
	wake   chan struct{}
	groups map[string]*groupState // by supervisor; the loop's alone

	mu      sync.Mutex
	waiting map[catalog.PartitionKey]Advice
}

// groupState is how telling one supervisor's offsets fails.
type groupState struct {
	notBefore time.Time
	pause     time.Duration
	said      time.Time // that it fails
}

func newAdvisor(broker Broker, log *slog.Logger, reads func(catalog.PartitionKey) bool) *advisor {
	return &advisor{
		broker: broker, log: log, reads: reads, wake: make(chan struct{}, 1), waiting: map[catalog.PartitionKey]Advice{}, groups: map[string]*groupState{},
	}
}

func (a *advisor) advise(advice Advice) {
	a.mu.Lock()
	a.waiting[advice.key()] = advice
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run tells what has been advised until ctx ends, and the rest after it.
func (a *advisor) run(ctx context.Context) {
	for {
		if a.idle() {
			select {
			case <-a.wake:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		a.tell(ctx, time.Now())
		if sleep(ctx, adviceEvery) != nil { // more comes while others hand off
			break
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAdviceBudget)
	defer cancel()
	a.tell(last, time.Time{})
}

func (a *advisor) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting) == 0
}

// tell commits what waits; before a group's next attempt is due its advice goes on waiting. A zero time means: all of it.
func (a *advisor) tell(ctx context.Context, now time.Time) {
	for supervisor, list := range a.due(now) {
		if ctx.Err() != nil {
			return
		}
		group := a.groups[supervisor]
		err := a.broker.Advise(ctx, list)
		if err == nil {
			delete(a.groups, supervisor)
			continue
		}
		a.putBack(list)
		if group == nil {
			group = &groupState{}
			a.groups[supervisor] = group
		}
		group.pause = min(max(2*group.pause, adviceEvery), adviceRetryMost)
		group.notBefore = time.Now().Add(group.pause)
		if time.Since(group.said) >= adviceQuiet && ctx.Err() == nil {
			group.said = time.Now()
			a.log.Warn("the group offsets, which only lag tools read, could not be committed; it is tried again",
				"supervisor", supervisor, "error", err)
		}
	}
}

// due takes out what is to be told now, by supervisor.
func (a *advisor) due(now time.Time) map[string][]Advice {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string][]Advice{}
	for key, advice := range a.waiting {
		if group := a.groups[key.Supervisor]; group != nil && !now.IsZero() && now.Before(group.notBefore) {
			continue
		}
		out[key.Supervisor] = append(out[key.Supervisor], advice)
		delete(a.waiting, key)
	}
	return out
}

// putBack keeps what failed, unless something newer waits already, or the partition has gone to another process, which
// tells its own offsets.
func (a *advisor) putBack(list []Advice) {
	for _, advice := range list {
		if !a.reads(advice.key()) {
			continue
		}
		a.mu.Lock()
		if _, newer := a.waiting[advice.key()]; !newer {
			a.waiting[advice.key()] = advice
		}
		a.mu.Unlock()
	}
}
