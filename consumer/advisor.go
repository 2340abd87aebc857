package consumer

import (
	"context"
	"log/slog"
	"sync"

	"drumlin/catalog"
)

// advisor tells the brokers committed offsets, so that people's lag tools work. It holds nothing up: of several
// offsets of one partition only the newest is told, and a failure is logged and forgotten.
type advisor struct {
	broker Broker
	log    *slog.Logger
	wake   chan struct{}

	mu      sync.Mutex
	waiting map[catalog.PartitionKey]Advice
}

func newAdvisor(broker Broker, log *slog.Logger) *advisor {
	return &advisor{broker: broker, log: log, wake: make(chan struct{}, 1), waiting: map[catalog.PartitionKey]Advice{}}
}

func (a *advisor) advise(advice Advice) {
	a.mu.Lock()
	a.waiting[catalog.PartitionKey{Supervisor: advice.Spec.ID, Topic: advice.Topic, Partition: advice.Partition}] = advice
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *advisor) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
			a.tell(ctx)
		}
	}
}

func (a *advisor) tell(ctx context.Context) {
	a.mu.Lock()
	waiting := a.waiting
	a.waiting = map[catalog.PartitionKey]Advice{}
	a.mu.Unlock()
	for _, advice := range waiting {
		if err := a.broker.Advise(ctx, advice); err != nil && ctx.Err() == nil {
			a.log.Warn("the group offset, which only lag tools read, could not be committed", "error", err)
		}
	}
}
