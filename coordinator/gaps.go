package coordinator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
)

// Gap is a partition that is halted: for offsets that the log no longer holds, which can be accepted, or for another reason.
type Gap struct {
	Supervisor string
	Topic      string
	Partition  int32
	Owner      string // the node that reads it
	Reason     string // one of consumer's Halt constants
	Message    string // what has happened, and what to do
	// From and To are the lost range [From, To), where Reason is consumer.HaltLostRange; else both are 0.
	From, To int64
	Since    time.Time // zero: not known
}

// Records is how many offsets are lost.
func (g Gap) Records() int64 { return g.To - g.From }

// UnansweredError names the processes that could not be asked; what the others say is there beside it.
type UnansweredError struct{ Errs []error }

func (e *UnansweredError) Error() string {
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return "not every process that reads partitions has answered: " + strings.Join(texts, "; ")
}

// Unwrap returns the errors of the single processes.
func (e *UnansweredError) Unwrap() []error { return e.Errs }

// Gaps lists a supervisor's halted partitions, in order. Beside an *UnansweredError the list holds what is known.
func (c *Coordinator) Gaps(ctx context.Context, supervisor string) ([]Gap, error) {
	v, err := c.supervisor(supervisor)
	if err != nil {
		return nil, err
	}
	others := c.askPeers(ctx, v)
	keys := map[catalog.PartitionKey]bool{}
	for key := range v.Partitions {
		keys[key] = true
	}
	gaps := []Gap{}
	for _, key := range sortedKeys(keys) {
		w, owner, ok := c.workerOf(key, others)
		if !ok || w.Halt == nil {
			continue
		}
		g := Gap{
			Supervisor: key.Supervisor, Topic: key.Topic, Partition: key.Partition, Owner: owner, Reason: w.Halt.Reason,
			Message: w.Halt.Message + whatToDo(w.Halt.Reason), Since: w.Halt.Since,
		}
		if g.Reason == consumer.HaltLostRange {
			g.From, g.To = w.Halt.From, w.Halt.To
		}
		gaps = append(gaps, g)
	}
	if len(others.silent) > 0 {
		return gaps, &UnansweredError{others.silent}
	}
	return gaps, nil
}

// whatToDo completes the messages of halts that do not say it themselves.
func whatToDo(reason string) string {
	if reason == consumer.HaltBatchTooLarge {
		return ". To go on behind it, delete the topic's records up to its end (kafka-delete-records.sh), suspend and resume the " +
			"supervisor, and accept the lost range"
	}
	return ""
}

// workerOf is what a partition's reader says, wherever it is.
func (c *Coordinator) workerOf(key catalog.PartitionKey, others remote) (w consumer.PartitionStatus, owner string, ok bool) {
	if c.o.Ingest != nil && c.isRunning(key) {
		w, ok = c.o.Ingest.Status(key)
		return w, c.o.Node.ID, ok
	}
	w, ok = others.workers[key]
	return w, c.readerOf(key), ok
}

// AcceptGap records the offsets [from, to) of a halted partition as lost, and returns once the newest view shows it. The range
// must be exactly the one that the partition is halted for (consumer.ErrOtherLoss, ErrNotHalted). Reading goes on behind it.
func (c *Coordinator) AcceptGap(ctx context.Context, supervisor, topic string, partition int32, from, to int64) error {
	v, err := c.supervisor(supervisor)
	if err != nil {
		return err
	}
	key := catalog.PartitionKey{Supervisor: supervisor, Topic: topic, Partition: partition}
	where := fmt.Sprintf("accept the loss of [%d, %d) of supervisor %s, topic %s, partition %d", from, to, supervisor, topic, partition)
	before := v.Partitions[key]
	if before == nil {
		return fmt.Errorf("%s: %w", where, ErrNoPartition)
	}
	if before.OffsetRevision > 0 && before.Offset.Next >= to {
		return fmt.Errorf("%s: %w: it is committed up to offset %d", where, consumer.ErrNotHalted, before.Offset.Next)
	}
	switch node := c.readerOf(key); {
	case node == "":
		err = fmt.Errorf("%w: %w; it is halted again once it is read", consumer.ErrNotRunning, errUnread)
	case node == c.o.Node.ID && c.o.Ingest != nil:
		err = c.o.Ingest.AcceptLoss(ctx, key, from, to)
	case c.o.Peers == nil:
		err = fmt.Errorf("%w: this one is read by %s", ErrElsewhere, node)
	default:
		err = c.o.Peers.AcceptLoss(ctx, node, key, from, to)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if err := c.waitRecorded(ctx, key, to); err != nil {
		return fmt.Errorf("%s: it was accepted, and is not recorded yet: %w", where, err)
	}
	c.o.Logger.Warn("a lost range was accepted", "supervisor", supervisor, "topic", topic, "partition", partition, "from", from, "to", to)
	return nil
}

// waitRecorded waits until the partition is committed up to the offset. A reader that goes before it has recorded the loss takes
// the acceptance with it: whoever reads next halts again.
func (c *Coordinator) waitRecorded(ctx context.Context, key catalog.PartitionKey, to int64) error {
	reader := c.readerOf(key)
	for {
		view := c.o.Catalog.View()
		pv := partitionOf(view, key)
		if pv != nil && pv.Offset.Next >= to {
			return nil
		}
		if now := c.readerOf(key); now != reader {
			return fmt.Errorf("%w: the partition has moved from %q to %q: look again", catalog.ErrConflict, reader, now)
		}
		changed, cancel := context.WithTimeout(ctx, askWithin)
		_, err := c.o.Catalog.WaitChange(changed, view.Revision)
		cancel()
		if err != nil && ctx.Err() != nil {
			return err
		}
	}
}
