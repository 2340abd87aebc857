package memkv

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"drumlin/catalog"
)

// Watch implements catalog.KV.
func (s *Store) Watch(ctx context.Context, prefix string, from int64) catalog.Watcher {
	out := make(chan catalog.WatchBatch)
	progress := make(chan struct{}, 1)
	w := &watch{s: s, prefix: prefix, next: from, out: out, progress: progress}
	go func() {
		defer close(out)
		w.run(ctx)
	}()
	return catalog.Watcher{Batches: out, RequestProgress: func(context.Context) error {
		select {
		case progress <- struct{}{}:
		default:
		}
		return nil
	}}
}

type watch struct {
	s        *Store
	prefix   string
	next     int64 // first revision that has not been delivered
	out      chan<- catalog.WatchBatch
	progress <-chan struct{}
}

func (w *watch) run(ctx context.Context) {
	report := false
	for {
		batch, changed, ok := w.collect(report)
		if ok {
			report = false
			select {
			case w.out <- batch:
			case <-ctx.Done():
				return
			}
			if batch.Err != nil {
				return
			}
			continue
		}
		select {
		case <-changed:
		case <-w.progress:
			report = true
		case <-ctx.Done():
			return
		}
	}
}

// collect takes what has happened since the last batch. ok is false where there is nothing to deliver.
func (w *watch) collect(report bool) (batch catalog.WatchBatch, changed <-chan struct{}, ok bool) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.next <= w.s.compacted {
		err := fmt.Errorf("watch from revision %d: %w: the oldest is %d", w.next, catalog.ErrKVCompacted, w.s.compacted)
		return catalog.WatchBatch{Err: err}, nil, true
	}
	log := w.s.log
	first := sort.Search(len(log), func(i int) bool { return log[i].ModRevision >= w.next })
	for _, e := range log[first:] {
		if strings.HasPrefix(e.Key, w.prefix) {
			batch.Events = append(batch.Events, e)
		}
	}
	batch.Revision = w.s.revision
	w.next = max(w.next, w.s.revision+1)
	return batch, w.s.changed, len(batch.Events) > 0 || report
}
