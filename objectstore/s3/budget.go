package s3

import (
	"errors"
	"sync"
	"time"
)

// The budget of retries over all requests of a store: so many at once, then so many a second, and some for every request
// that succeeds. So a service that fails now and then costs little time, and one that is down gets a trickle instead of
// every request times the attempts.
const (
	budgetRetries          = 100.0
	budgetRetriesPerSecond = 10.0
	budgetRetriesOfSuccess = 0.5
)

var errBudget = errors.New("the object store fails so often that the budget of retries is used up for now")

// budget is a bucket of tokens that may be overdrawn by what comes in within maxBackoff.
type budget struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time // when tokens was true
}

func newBudget(now time.Time) *budget { return &budget{tokens: budgetRetries, at: now} }

// retry takes one retry and says how long to wait for it.
func (b *budget) retry(now time.Time) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(now.Sub(b.at).Seconds() * budgetRetriesPerSecond)
	b.at = now
	wait := time.Duration(max(0, 1-b.tokens) / budgetRetriesPerSecond * float64(time.Second))
	if wait > maxBackoff {
		return 0, errBudget
	}
	b.tokens--
	return wait, nil
}

func (b *budget) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(budgetRetriesOfSuccess)
}

func (b *budget) add(tokens float64) { b.tokens = min(budgetRetries, b.tokens+max(0, tokens)) }
