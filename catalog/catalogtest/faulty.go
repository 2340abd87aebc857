package catalogtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"drumlin/catalog"
)

// TxnFault is what happens to a transaction.
type TxnFault int

// The faults of transactions.
const (
	LoseReply   TxnFault = iota + 1 // applied, but the caller hears ErrKVUnknown
	LoseRequest                     // not applied, and the caller hears ErrKVUnknown
	Refuse                          // not applied: ErrKVUnavailable
)

// Faulty wraps a backend and injects faults. It is safe for concurrent use.
type Faulty struct {
	catalog.Backend

	mu      sync.Mutex
	queue   []TxnFault
	random  *rand.Rand
	rate    float64
	onBatch func(catalog.WatchBatch) []catalog.WatchBatch
	onTxn   func() // runs before the next transaction, once
	fired   int
	silent  bool // leases are not answered for
	watches int  // that were begun
	hung    int  // the first ones of them deliver nothing any more
}

// NewFaulty wraps the backend; nothing fails until it is told to.
func NewFaulty(kv catalog.Backend) *Faulty { return &Faulty{Backend: kv} }

// Next makes the next transactions meet these faults, one each; 0 lets one pass.
func (f *Faulty) Next(faults ...TxnFault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, faults...)
}

// Randomly makes each transaction fail at this rate, each way as often.
func (f *Faulty) Randomly(r *rand.Rand, rate float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.random, f.rate = r, rate
}

// BeforeTxn runs fn before the next transaction.
func (f *Faulty) BeforeTxn(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onTxn = fn
}

// OnBatch passes every batch of watches that begin from now on through fn; nil: as they are.
func (f *Faulty) OnBatch(fn func(catalog.WatchBatch) []catalog.WatchBatch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onBatch = fn
}

// HangWatches makes the watches that run now deliver nothing any more, as from a member that hangs. Later ones work.
func (f *Faulty) HangWatches() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hung = f.watches
}

// SilenceLeases lets requests about leases go unanswered, as by a store that has no quorum, or answers again.
func (f *Faulty) SilenceLeases(silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = silent
}

// KeepAlive implements catalog.Leases.
func (f *Faulty) KeepAlive(ctx context.Context, lease int64) error {
	f.mu.Lock()
	silent := f.silent
	if silent {
		f.fired++
	}
	f.mu.Unlock()
	if silent {
		<-ctx.Done()
		return fmt.Errorf("injected: %w", catalog.ErrKVUnavailable)
	}
	return f.Backend.KeepAlive(ctx, lease)
}

// Fired counts the faults that happened.
func (f *Faulty) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

func (f *Faulty) draw() (fault TxnFault, before func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, f.onTxn = f.onTxn, nil
	switch {
	case len(f.queue) > 0:
		fault, f.queue = f.queue[0], f.queue[1:]
	case f.random != nil && f.random.Float64() < f.rate:
		fault = TxnFault(1 + f.random.IntN(3))
	}
	if fault != 0 {
		f.fired++
	}
	return fault, before
}

// Txn implements catalog.KV.
func (f *Faulty) Txn(ctx context.Context, t catalog.Txn) (*catalog.TxnResult, error) {
	fault, before := f.draw()
	if before != nil {
		before()
	}
	switch fault {
	case Refuse:
		return nil, fmt.Errorf("injected: %w", catalog.ErrKVUnavailable)
	case LoseRequest:
		return nil, fmt.Errorf("injected: %w", catalog.ErrKVUnknown)
	case LoseReply:
		if _, err := f.Backend.Txn(ctx, t); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("injected: %w", catalog.ErrKVUnknown)
	}
	return f.Backend.Txn(ctx, t)
}

// Watch implements catalog.KV.
func (f *Faulty) Watch(ctx context.Context, prefix string, from int64) catalog.Watcher {
	in := f.Backend.Watch(ctx, prefix, from)
	out := make(chan catalog.WatchBatch)
	f.mu.Lock()
	f.watches++
	number := f.watches
	f.mu.Unlock()
	go func() {
		defer close(out)
		for b := range in.Batches {
			f.mu.Lock()
			fn, hangs := f.onBatch, number <= f.hung
			f.mu.Unlock()
			if hangs {
				continue
			}
			batches := []catalog.WatchBatch{b}
			if fn != nil {
				batches = fn(b)
			}
			for _, b := range batches {
				select {
				case out <- b:
				case <-ctx.Done():
				}
			}
		}
	}()
	return catalog.Watcher{Batches: out, RequestProgress: in.RequestProgress}
}
