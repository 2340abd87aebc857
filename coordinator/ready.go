package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"drumlin/catalog"
	"drumlin/consumer"
)

// Ready returns nil once this process is registered, has asked the brokers for the topics of every supervisor, and can
// answer for every partition that it reads up to the end that the partition had when it was acquired; else it says what is
// missing. A halted partition does not hold it up: its supervisor is unhealthy, and waiting would not help. Once ready, it
// stays so: a supervisor that comes later, or fails, is told by its own status and does not take the whole process away.
func (c *Coordinator) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	view := c.o.Catalog.View()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready {
		return nil
	}
	err := c.readyLocked(view)
	c.ready = err == nil
	return err
}

func (c *Coordinator) readyLocked(view *catalog.View) error {
	if c.session == nil {
		return errors.New("this node is not registered in the catalog yet")
	}
	for id, v := range view.Supervisors {
		if v.Suspended || c.o.Topics == nil {
			continue
		}
		switch d := c.found[id]; {
		case d == nil || d.version < v.Version:
			return fmt.Errorf("supervisor %s: its topics have not been asked for yet", id)
		case !d.done && d.err != nil:
			return fmt.Errorf("supervisor %s: %w", id, d.err)
		case !d.done:
			return fmt.Errorf("supervisor %s: its topics have not been asked for yet", id)
		}
	}
	target, _ := c.targetLocked(view)
	var errs []error
	for _, key := range sortedKeys(target) {
		if target[key] == c.o.Node.ID {
			errs = append(errs, c.partitionReadyLocked(key))
		}
	}
	return errors.Join(errs...)
}

func (c *Coordinator) partitionReadyLocked(key catalog.PartitionKey) error {
	where := fmt.Sprintf("supervisor %s, topic %s, partition %d", key.Supervisor, key.Topic, key.Partition)
	p := c.partitions[key]
	if p == nil || !p.running || p.ended {
		if p != nil && p.err != nil {
			return fmt.Errorf("%s: not read yet: %w", where, p.err)
		}
		return fmt.Errorf("%s: not read yet", where)
	}
	s, ok := c.o.Ingest.Status(key)
	switch {
	case !ok:
		return fmt.Errorf("%s: not read yet", where)
	case s.Halt != nil || s.CaughtUp():
		return nil
	case s.State == consumer.StateStarting && s.LastError != "":
		return fmt.Errorf("%s: cannot begin to read: %s", where, s.LastError)
	}
	return fmt.Errorf("%s: read to offset %d of %d", where, s.Position, s.CatchUp)
}

func sortedKeys[V any](m map[catalog.PartitionKey]V) []catalog.PartitionKey {
	keys := make([]catalog.PartitionKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, comparePartitions)
	return keys
}
