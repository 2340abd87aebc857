package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/peer"
)

// askWithin bounds how long a report waits for other processes.
const askWithin = time.Second

// remote is what other processes say of the partitions that they read.
type remote struct {
	workers map[catalog.PartitionKey]consumer.PartitionStatus
	silent  []error // one for each node that did not answer
}

// askPeers asks the owners of the supervisors' partitions that are not read here, each node once. It returns after a second at
// the latest, with what has come by then.
func (c *Coordinator) askPeers(ctx context.Context, sups ...*catalog.SupervisorView) remote {
	if c.o.Peers == nil {
		return remote{}
	}
	var keys []catalog.PartitionKey
	for _, v := range sups {
		for key, pv := range v.Partitions {
			if pv.Owner != nil && pv.Owner.Node != c.o.Node.ID {
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return remote{}
	}
	slices.SortFunc(keys, comparePartitions)
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	workers, silent := c.o.Peers.Status(ctx, keys)
	return remote{workers: workers, silent: silent}
}

// readerOf is the node that reads a partition, as far as is known here; empty: nobody does.
func (c *Coordinator) readerOf(key catalog.PartitionKey) string {
	c.mu.Lock()
	p := c.partitions[key]
	here := p != nil && p.running && !p.ended
	c.mu.Unlock()
	if here {
		return c.o.Node.ID
	}
	if pv := partitionOf(c.o.Catalog.View(), key); pv != nil && pv.Owner != nil {
		return pv.Owner.Node
	}
	return ""
}

// noTopics is ErrNoTopics, with the processes that could be asked instead.
func (c *Coordinator) noTopics(what string) error {
	view := c.o.Catalog.View()
	var able []string
	for _, id := range slices.Sorted(maps.Keys(view.Nodes)) {
		n := view.Nodes[id]
		if !n.Leaving && (slices.Contains(n.Roles, RoleCoordinate) || slices.Contains(n.Roles, RoleIngest)) {
			able = append(able, fmt.Sprintf("%s at %s", id, n.Address))
		}
	}
	ask := "none is registered now that has the role " + RoleCoordinate + " or " + RoleIngest
	if len(able) > 0 {
		ask = "ask one that has the role " + RoleCoordinate + " or " + RoleIngest + ": " + strings.Join(able, ", ")
	}
	return fmt.Errorf("%s: %w", what, &noTopicsError{ask})
}

// noTopicsError is also ErrElsewhere: another process can do what was asked for.
type noTopicsError struct{ ask string }

func (e *noTopicsError) Error() string { return ErrNoTopics.Error() + "; " + e.ask }

func (e *noTopicsError) Is(target error) bool { return target == ErrNoTopics || target == ErrElsewhere }

// TaskLog is the log of the attempt that runs in this process, for other processes; peer.ErrNoLog: none does.
func (c *Coordinator) TaskLog(_ context.Context, id string) ([]byte, error) {
	if text, ok := c.queue.liveLog(id); ok {
		return text, nil
	}
	return nil, fmt.Errorf("task %s on node %s: %w", id, c.o.Node.ID, peer.ErrNoLog)
}

// remoteLog asks the process that runs the task for its live log.
func (c *Coordinator) remoteLog(ctx context.Context, t *catalog.TaskView) ([]byte, error) {
	if c.o.Peers == nil || t.State != catalog.TaskRunning || t.Node == "" || t.Node == c.o.Node.ID {
		return nil, peer.ErrNoLog
	}
	ctx, cancel := context.WithTimeout(ctx, remoteLogWithin)
	defer cancel()
	return c.o.Peers.TaskLog(ctx, t.Node, t.ID)
}

// remoteLogWithin is longer than askWithin: a log has up to half a megabyte.
const remoteLogWithin = 5 * time.Second
