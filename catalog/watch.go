package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

// follow keeps the view up to date until ctx ends: it watches from the state on, and loads the state again whenever
// the watch breaks, is compacted, or proves to have left something out.
func (c *Catalog) follow(ctx context.Context, s *state) {
	backoff := firstBackoff
	for ctx.Err() == nil {
		before := s.revision
		err := c.watchFrom(ctx, s)
		if ctx.Err() != nil {
			return
		}
		if s.revision > before {
			backoff = firstBackoff
		}
		if errors.Is(err, errSilent) {
			// What was seen is right, and nothing says that it leaves something out: another member may tell what follows.
			c.o.Logger.Warn("the catalog's watch is silent; watching anew", "revision", s.revision, "silent", c.o.WatchSilence)
			continue
		}
		c.o.Logger.Warn("the catalog's watch ended; loading the view again", "revision", s.revision, "error", err)
		next, err := c.reload(ctx, s, &backoff)
		if err != nil {
			if ctx.Err() == nil {
				c.o.Logger.Error("the catalog cannot be followed any more", "error", err)
				c.fail(err)
			}
			return
		}
		s = next
	}
}

// reload loads the state until that succeeds. It returns an error only where no later attempt can succeed.
func (c *Catalog) reload(ctx context.Context, old *state, backoff *time.Duration) (*state, error) {
	c.mu.Lock()
	c.resyncs++
	c.mu.Unlock()
	for {
		next, err := c.load(ctx, old)
		if err == nil {
			err = c.publish(next)
		}
		switch {
		case err == nil:
			return next, nil
		case errors.Is(err, ErrIncarnation), errors.Is(err, ErrFormat):
			return nil, err
		}
		c.o.Logger.Warn("loading the catalog's view failed; trying again", "wait", *backoff, "error", err)
		if err := sleep(ctx, *backoff); err != nil {
			return nil, err
		}
		*backoff = min(2**backoff, lastBackoff)
	}
}

// loadRetrying loads the first state. An object that is missing belongs to a commit that was absorbed meanwhile, and a
// compacted revision to a slow read: a newer revision helps.
func (c *Catalog) loadRetrying(ctx context.Context) (*state, error) {
	const attempts = 4
	for attempt := 1; ; attempt++ {
		s, err := c.load(ctx, nil)
		if err == nil || attempt == attempts || errors.Is(err, ErrFormat) {
			return s, err
		}
		if err := sleep(ctx, time.Duration(attempt)*putBackoff); err != nil {
			return nil, err
		}
	}
}

// load reads everything at one revision.
func (c *Catalog) load(ctx context.Context, old *state) (*state, error) {
	return c.loadKnowing(ctx, old, old.contents())
}

// loadKnowing reads everything at one revision, but not the objects that are known.
func (c *Catalog) loadKnowing(ctx context.Context, old *state, known contents) (*state, error) {
	res, err := c.rangeAll(ctx, RangeOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	if old != nil && res.Revision < old.revision {
		return nil, fmt.Errorf("read the catalog: revision %d is older than %d, which was seen already: a stale member or "+
			"an old backup", res.Revision, old.revision)
	}
	s, err := c.stateOf(ctx, res, known)
	if err != nil {
		return nil, err
	}
	if old != nil && s.incarnation != old.incarnation {
		return nil, fmt.Errorf("%w: incarnation %s became %q; restart this process", ErrIncarnation, old.incarnation,
			s.incarnation)
	}
	return s, nil
}

// stateOf folds one consistent read.
func (c *Catalog) stateOf(ctx context.Context, res *RangeResult, known contents) (*state, error) {
	objects, err := c.fetcher.fetch(ctx, res.KVs, known)
	if err != nil {
		return nil, err
	}
	s := newState()
	for _, kv := range res.KVs {
		s.set(kv)
		if err := s.put(kv, objects); err != nil {
			return nil, err
		}
	}
	s.revision = res.Revision
	if s.incarnation == "" || s.formatMod == 0 {
		return nil, corruptf("key format or incarnation is missing")
	}
	return s, nil
}

// errSilent: the watch was asked for progress and has delivered nothing.
var errSilent = errors.New("the watch is silent")

// watchFrom applies the watch until it ends. It returns why.
func (c *Catalog) watchFrom(ctx context.Context, s *state) error {
	watchCtx, cancel := context.WithCancel(ctx)
	w := c.o.KV.Watch(watchCtx, "", s.revision+1)
	defer func() {
		cancel()
		for range w.Batches { // the channel closes once the backend has let go
		}
	}()
	var check <-chan time.Time
	if c.o.CheckEvery > 0 {
		ticker := time.NewTicker(c.o.CheckEvery)
		defer ticker.Stop()
		check = ticker.C
	}
	var overdue <-chan time.Time // nil: no request for progress is unanswered
	for {
		select {
		case b, ok := <-w.Batches:
			overdue = nil
			if !ok {
				return errors.New("the watch was closed")
			}
			if b.Err != nil {
				return b.Err
			}
			if err := c.apply(ctx, s, b); err != nil {
				return err
			}
		case <-c.wantFresh:
			if err := w.RequestProgress(watchCtx); err != nil {
				return fmt.Errorf("ask for progress: %w", err)
			}
			if overdue == nil {
				overdue = time.After(c.o.WatchSilence)
			}
		case <-overdue:
			return errSilent
		case <-check:
			if err := c.compareWithStore(ctx, s); err != nil {
				return err
			}
		case <-c.wantResync:
			return errors.New("a new load was asked for")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// apply folds a batch in and publishes the view of its revision.
func (c *Catalog) apply(ctx context.Context, s *state, b WatchBatch) error {
	puts := make([]KeyValue, 0, len(b.Events))
	for _, e := range b.Events {
		if !e.Deleted && e.ModRevision > s.keys[e.Key].mod {
			puts = append(puts, e.KeyValue)
		}
	}
	objects, err := c.fetcher.fetch(ctx, puts, contents{})
	if err != nil {
		return err
	}
	for rest := b.Events; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].ModRevision == rest[0].ModRevision {
			n++
		}
		if err := s.applyRevision(rest[:n], objects); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if b.Revision > s.revision {
		s.revision = b.Revision
	}
	return c.publish(s)
}

// applyRevision folds in the changes of one revision.
func (s *state) applyRevision(events []Event, objects contents) error {
	before := map[PartitionKey]*Offset{}
	var commits []*Commit
	for _, e := range events {
		skip, err := s.note(e)
		if err != nil {
			return err
		}
		if skip {
			continue
		}
		if e.Deleted {
			if err := s.remove(e.Key); err != nil {
				return err
			}
			continue
		}
		if k, err := parsePartitionKey(e.Key, prefixOffset); err == nil {
			before[k] = s.offset(k)
		}
		if err := s.put(e.KeyValue, objects); err != nil {
			return err
		}
		if c := s.commitAt(e.Key); c != nil {
			commits = append(commits, c)
		}
	}
	s.revision = max(s.revision, events[0].ModRevision)
	return s.checkTiling(before, commits)
}

// offset is the partition's offset as it stands now; nil: none. A later put makes another.
func (s *state) offset(k PartitionKey) *Offset {
	if sup := s.supervisors[k.Supervisor]; sup != nil && sup.partitions[k] != nil && sup.partitions[k].OffsetRevision != 0 {
		return &sup.partitions[k].Offset
	}
	return nil
}

func (s *state) commitAt(key string) *Commit {
	for _, d := range s.datasources {
		if ref := d.commits[key]; ref != nil {
			return ref.Commit
		}
	}
	return nil
}

// checkTiling holds the commits of one revision against the offsets that it moved: each commit begins where its
// partition stood, ends where it stands now, and no offset moves within a generation without one.
func (s *state) checkTiling(before map[PartitionKey]*Offset, commits []*Commit) error {
	moved := map[PartitionKey]bool{}
	for _, c := range commits {
		k := PartitionKey{Supervisor: c.Supervisor, Topic: c.Range.Topic, Partition: c.Range.Partition}
		was, now := before[k], s.offset(k)
		if was == nil || now == nil {
			return gapf("commit %s came without the partition's offset", commitKey(c.Supervisor, c.Range))
		}
		if was.Generation != c.Range.Generation || was.Next != c.Range.From || now.Next != c.Range.To {
			return gapf("commit %s does not fit the partition's offset, which went from %d to %d",
				commitKey(c.Supervisor, c.Range), was.Next, now.Next)
		}
		moved[k] = true
	}
	for k, was := range before {
		now := s.offset(k)
		if was != nil && now.Generation == was.Generation && now.Next != was.Next && !moved[k] {
			return gapf("offset of %+v went from %d to %d without a commit", k, was.Next, now.Next)
		}
	}
	return nil
}

// compareWithStore reads the keys at the view's revision and compares: what a watch may lose without a trace.
func (c *Catalog) compareWithStore(ctx context.Context, s *state) error {
	err := c.compareKeys(ctx, s.revision, len(s.keys), s.hash)
	if errors.Is(err, ErrKVCompacted) || errors.Is(err, ErrKVUnavailable) || errors.Is(err, ErrKVUnknown) {
		c.o.Logger.Info("the view was not compared with the store", "revision", s.revision, "error", err)
		return nil
	}
	return err
}

// compareKeys says whether the store has exactly these keys at the revision.
func (c *Catalog) compareKeys(ctx context.Context, revision int64, keys int, hash uint64) error {
	res, err := c.rangeAll(ctx, RangeOptions{Revision: revision, KeysOnly: true})
	if err != nil {
		return fmt.Errorf("compare the view with the store: %w", err)
	}
	var sum uint64
	for _, kv := range res.KVs {
		sum ^= keyHash(kv.Key, kv.ModRevision)
	}
	if sum != hash || len(res.KVs) != keys {
		return gapf("at revision %d the store has %d keys, the view %d, or their revisions differ", revision,
			len(res.KVs), keys)
	}
	return nil
}
