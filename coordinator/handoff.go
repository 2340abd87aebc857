package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/internal/secure"
	"drumlin/peer"
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
	if c.o.Topics == nil {
		return c.noTopics("hand off supervisor " + id)
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

// unansweredFor is how many lives of a lease an owner that does not answer is asked again: when it is dead, others own what it
// owned long before.
const unansweredFor = 3

// lookAgainEvery is how soon a partition that nobody reads is looked at again where nothing tells that it has moved.
const lookAgainEvery = 200 * time.Millisecond

// handoffPartition has whoever reads the partition hand it off, and follows it when it moves meanwhile.
func (c *Coordinator) handoffPartition(ctx context.Context, key catalog.PartitionKey, upTo int64) (revision int64, err error) {
	var failingSince time.Time // of an owner that does not answer, or fails
	for {
		c.mu.Lock()
		moved := c.moved
		c.mu.Unlock()
		node := c.readerOf(key)
		switch {
		case node == "" && !c.anyReader():
			return 0, fmt.Errorf("%w: no process has the role %s", ErrElsewhere, RoleIngest)
		case node == "":
			err = errors.Join(errUnread, c.lastError(key))
		case node == c.o.Node.ID:
			revision, err = c.handoffHere(ctx, key, upTo)
		case c.o.Peers == nil:
			return 0, fmt.Errorf("%w: this one is read by %s", ErrElsewhere, node)
		default:
			revision, err = c.o.Peers.Handoff(ctx, node, key, upTo)
		}
		switch now := c.o.Now(); {
		case err == nil || decided(err):
			return revision, err
		case onTheMove(err):
			failingSince = time.Time{}
		case node == c.o.Node.ID && c.isRunning(key):
			return 0, err
		case failingSince.IsZero():
			failingSince = now
		case now.Sub(failingSince) > unansweredFor*c.o.LeaseTTL:
			return 0, err
		}
		if waitErr := waitMoved(ctx, moved); waitErr != nil {
			return 0, errors.Join(fmt.Errorf("the partition could not be handed off yet: %w", waitErr), err)
		}
	}
}

// errUnread: nobody reads the partition at this moment.
var errUnread = errors.New("nobody reads it now")

// handoffHere hands off what this process reads. ErrNotRunning: it reads it no longer, or not yet.
func (c *Coordinator) handoffHere(ctx context.Context, key catalog.PartitionKey, upTo int64) (revision int64, err error) {
	if c.o.Ingest == nil || !c.isRunning(key) {
		return 0, errors.Join(consumer.ErrNotRunning, c.lastError(key))
	}
	return c.o.Ingest.Handoff(ctx, key, upTo)
}

// waitMoved waits until something may have moved.
func waitMoved(ctx context.Context, moved <-chan struct{}) error {
	timer := time.NewTimer(lookAgainEvery)
	defer timer.Stop()
	select {
	case <-moved:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// decided says that a reader has answered, and that asking again gives the same answer.
func decided(err error) bool {
	for _, e := range []error{
		consumer.ErrHalted, consumer.ErrNotHalted, consumer.ErrOtherLoss, secure.ErrUnauthenticated, secure.ErrForbidden,
		peer.ErrPlainToken, peer.ErrMalformed, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// onTheMove says that the reader has stepped down, or is not there yet, and that there will be another.
func onTheMove(err error) bool {
	for _, e := range []error{catalog.ErrFenced, catalog.ErrConflict, catalog.ErrUnknown, consumer.ErrNotRunning, errUnread} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// anyReader says whether any process can read partitions.
func (c *Coordinator) anyReader() bool {
	if c.o.Ingest != nil {
		return true
	}
	for _, n := range c.o.Catalog.View().Nodes {
		if slices.Contains(n.Roles, RoleIngest) {
			return true
		}
	}
	return false
}

func (c *Coordinator) isRunning(key catalog.PartitionKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.partitions[key]
	return p != nil && p.running && !p.ended
}

func (c *Coordinator) lastError(key catalog.PartitionKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.partitions[key]; p != nil {
		return p.err
	}
	return nil
}
