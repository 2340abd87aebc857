package etcdkv

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drumlin/catalog"
)

// Watch implements catalog.KV. A member that has lost its leader ends the watch instead of falling silent. Watch returns at
// once; where no member can be reached nothing is delivered until one is.
func (s *Store) Watch(ctx context.Context, prefix string, from int64) catalog.Watcher {
	ctx = clientv3.WithRequireLeader(ctx)
	out := make(chan catalog.WatchBatch)
	go func() {
		defer close(out)
		// The client waits here until a member has taken the watch.
		in := s.client.Watch(ctx, s.prefix+prefix, clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithProgressNotify())
		s.forward(ctx, in, out)
	}()
	return catalog.Watcher{Batches: out, RequestProgress: s.requestProgress}
}

// requestProgress waits no longer for a member than other requests do. The client finds the stream by the context's
// metadata, which WithRequireLeader sets.
func (s *Store) requestProgress(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), s.timeout)
	defer cancel()
	if err := s.client.RequestProgress(ctx); err != nil {
		return s.readError("ask the watch for progress", err, &trace{})
	}
	return nil
}

// forward passes responses on until the watch ends. It reads the client's channel to its end.
func (s *Store) forward(ctx context.Context, in clientv3.WatchChan, out chan<- catalog.WatchBatch) {
	ended := false
	send := func(b catalog.WatchBatch) {
		select {
		case out <- b:
			ended = b.Err != nil
		case <-ctx.Done():
			ended = true
		}
	}
	for res := range in {
		if !ended {
			if b, ok := s.batch(&res); ok {
				send(b)
			}
		}
	}
	if !ended && ctx.Err() == nil {
		send(catalog.WatchBatch{Err: errors.New("etcd closed the watch")})
	}
}

func (s *Store) batch(res *clientv3.WatchResponse) (catalog.WatchBatch, bool) {
	if err := res.Err(); err != nil {
		if res.CompactRevision != 0 || errors.Is(err, rpctypes.ErrCompacted) {
			err = fmt.Errorf("%w: the oldest is %d", catalog.ErrKVCompacted, res.CompactRevision)
		}
		return catalog.WatchBatch{Err: err}, true
	}
	if res.Header != nil {
		if err := s.checkCluster(res.Header.ClusterId); err != nil {
			return catalog.WatchBatch{Err: err}, true
		}
	}
	if len(res.Events) == 0 {
		return catalog.WatchBatch{Revision: res.Header.GetRevision()}, res.IsProgressNotify()
	}
	b := catalog.WatchBatch{Events: make([]catalog.Event, len(res.Events))}
	for i, e := range res.Events {
		b.Events[i] = catalog.Event{Deleted: e.Type == clientv3.EventTypeDelete, KeyValue: s.keyValue(e.Kv)}
	}
	// The header's revision may lie ahead of events that are still to come; the last event's does not.
	b.Revision = b.Events[len(b.Events)-1].ModRevision
	return b, true
}
