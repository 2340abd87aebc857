package consumer

import (
	"context"
	"errors"
	"fmt"
)

// fetcher polls one source into a channel until an error, which it sends last. Because the channel holds nothing, at
// most two polls' records are alive: those that the loop works on and those that wait to be received.
type fetcher struct {
	out    chan polled
	cancel context.CancelFunc
	done   chan struct{}
}

// polled is one poll's outcome. With ErrOutOfRange come the log's bounds, asked after it.
type polled struct {
	Fetch
	err    error
	bounds Bounds
}

var errRecreated = errors.New("the topic has been deleted and created again")

// startFetcher opens a source at the request's place. topicID is the id that the records must belong to.
func startFetcher(ctx context.Context, broker Broker, r OpenRequest, topicID string) *fetcher {
	ctx, cancel := context.WithCancel(ctx)
	f := &fetcher{out: make(chan polled), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		defer cancel()
		f.run(ctx, broker, r, topicID)
	}()
	return f
}

// close ends the polling and waits for it.
func (f *fetcher) close() {
	f.cancel()
	<-f.done
}

func (f *fetcher) run(ctx context.Context, broker Broker, r OpenRequest, topicID string) {
	source, err := broker.Open(ctx, r)
	if err != nil {
		f.send(ctx, polled{err: err})
		return
	}
	defer source.Close()
	for {
		var p polled
		p.Fetch, p.err = source.Poll(ctx)
		if p.err == nil && p.TopicID != topicID {
			p.err = fmt.Errorf("%w: its id was %s, now it is %s", errRecreated, topicID, p.TopicID)
		}
		if errors.Is(p.err, ErrOutOfRange) {
			bounds, err := broker.Bounds(ctx, r.Spec, r.Topic, r.Partition)
			if err != nil {
				p.err = err
			}
			p.bounds = bounds
		}
		if !f.send(ctx, p) || p.err != nil {
			return
		}
	}
}

func (f *fetcher) send(ctx context.Context, p polled) bool {
	select {
	case f.out <- p:
		return true
	case <-ctx.Done():
		return false
	}
}
