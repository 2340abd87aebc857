package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"drumlin/catalog"
	"drumlin/consumer"
)

// Handoff commits everything that the brokers hold at this moment and returns when the newest view shows it: new topics and
// partitions are looked for first. Groups are partition numbers; none means all. It goes on as long as ctx allows: a
// partition that steps down meanwhile is asked again once it is read again.
func (c *Coordinator) Handoff(ctx context.Context, id string, groups []int) error {
	sup, err := c.supervisor(id)
	if err != nil {
		return err
	}
	if sup.Suspended {
		return fmt.Errorf("hand off supervisor %s: %w: it was handed off when it was suspended, and reads nothing: resume it first",
			id, ErrSuspended)
	}
	ends, err := c.ends(ctx, sup, groups)
	if err != nil {
		return fmt.Errorf("hand off supervisor %s: %w", id, err)
	}
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		errs     []error
		revision int64
	)
	for key, end := range ends {
		wg.Go(func() {
			rev, err := c.handoffPartition(ctx, key, end)
			mu.Lock()
			defer mu.Unlock()
			revision = max(revision, rev)
			if err != nil {
				errs = append(errs, fmt.Errorf("hand off supervisor %s, %s partition %d: %w", id, key.Topic, key.Partition, err))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if _, err := c.o.Catalog.WaitRevision(ctx, revision); err != nil {
		return fmt.Errorf("supervisor %s has been handed off, but it is not visible here yet: %w", id, err)
	}
	return nil
}

// ends asks the brokers how far each partition reaches now.
func (c *Coordinator) ends(ctx context.Context, sup *catalog.SupervisorView, groups []int) (map[catalog.PartitionKey]int64, error) {
	if err := c.discover(ctx, sup); err != nil {
		return nil, err
	}
	c.mu.Lock()
	d := c.found[sup.ID]
	var keys []catalog.PartitionKey
	var topics []string
	for key := range d.partitions {
		if len(groups) > 0 && !slices.Contains(groups, int(key.Partition)) {
			continue
		}
		keys = append(keys, key)
		if !slices.Contains(topics, key.Topic) {
			topics = append(topics, key.Topic)
		}
	}
	s := d.spec
	c.mu.Unlock()
	for _, g := range groups {
		if !slices.ContainsFunc(keys, func(k catalog.PartitionKey) bool { return int(k.Partition) == g }) {
			return nil, fmt.Errorf("%w: %d", ErrNoPartition, g)
		}
	}
	marks, err := c.o.Topics.HighWatermarks(ctx, s, topics)
	if err != nil {
		return nil, fmt.Errorf("ask how far the partitions reach: %w", err)
	}
	out := make(map[catalog.PartitionKey]int64, len(keys))
	for _, key := range keys {
		end, ok := marks[key.Topic][key.Partition]
		if !ok {
			return nil, fmt.Errorf("the brokers did not say how far %s partition %d reaches: does the topic still exist?",
				key.Topic, key.Partition)
		}
		out[key] = end
	}
	return out, nil
}

// handoffPartition waits until the partition is read here and hands it off.
func (c *Coordinator) handoffPartition(ctx context.Context, key catalog.PartitionKey, upTo int64) (revision int64, err error) {
	for {
		if err := c.waitRunning(ctx, key); err != nil {
			return 0, err
		}
		c.mu.Lock()
		moved := c.moved
		c.mu.Unlock()
		revision, err := c.o.Ingest.Handoff(ctx, key, upTo)
		if err == nil || !c.steppedDown(key, err) || ctx.Err() != nil {
			return revision, err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, errors.Join(err, ctx.Err())
		}
	}
}

// steppedDown tells a worker that has ended, and will be started again, from one that cannot hand off.
func (c *Coordinator) steppedDown(key catalog.PartitionKey, err error) bool {
	for _, end := range []error{catalog.ErrFenced, catalog.ErrConflict, catalog.ErrUnknown, consumer.ErrNotRunning} {
		if errors.Is(err, end) {
			return true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.partitions[key]
	return p == nil || !p.running || p.ended
}

// waitRunning waits until a worker reads the partition.
func (c *Coordinator) waitRunning(ctx context.Context, key catalog.PartitionKey) error {
	for {
		view := c.o.Catalog.View()
		c.mu.Lock()
		moved, p := c.moved, c.partitions[key]
		target, owners := c.targetLocked(view)
		c.mu.Unlock()
		if p != nil && c.isRunning(p) {
			return nil
		}
		if node := target[key]; node != c.o.Node.ID && owners[key] != c.o.Node.ID {
			if node == "" {
				node = "no process: none has the role " + RoleIngest
			}
			return fmt.Errorf("%w: this one is for %s", ErrElsewhere, node)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the partition is not read yet: %w", ctx.Err()), c.lastError(key))
		}
	}
}

func (c *Coordinator) isRunning(p *partition) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.running && !p.ended
}

func (c *Coordinator) lastError(key catalog.PartitionKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.partitions[key]; p != nil {
		return p.err
	}
	return nil
}
