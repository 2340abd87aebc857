package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/segment"
)

// nodesAtOnce bounds how many processes are asked for states at the same time.
const nodesAtOnce = 16

// Views gives the newest view of the catalog that this process has.
type Views interface {
	View() *catalog.View
}

// RouterOptions are what a Router stands on.
type RouterOptions struct {
	Views  Views
	Node   string // id of this process
	Local  Local  // nil: this process reads no partitions
	Client *Client
}

// Router asks whoever owns a partition, or the process that is named: this one without the wire, others through a client.
// It is safe for concurrent use.
type Router struct {
	o RouterOptions
}

// NewRouter returns a router; the client stays its owner's.
func NewRouter(o RouterOptions) *Router { return &Router{o: o} }

// unavailable is a refusal that the router itself makes: plan again, within the budget.
func unavailable(r segment.HotRequest, format string, args ...any) error {
	detail := fmt.Sprintf("%s partition %d: ", r.Topic, r.Partition) + fmt.Sprintf(format, args...)
	return &segment.HotUnavailable{Status: segment.HotNotOwner, Revision: r.Revision, Detail: detail}
}

// Hot returns the rows of a partition that a cut needs, from its owner by the newest view. What the caller can wait for is a
// *segment.HotUnavailable: refusals of the owner, no owner, and an owner that cannot be reached.
func (r *Router) Hot(ctx context.Context, request segment.HotRequest) (*segment.HotRows, error) {
	key := catalog.PartitionKey{Supervisor: request.Supervisor, Topic: request.Topic, Partition: request.Partition}
	view := r.o.Views.View()
	owner := ownerOf(view, key)
	switch {
	case owner == "":
		return nil, unavailable(request, "it has no owner")
	case owner == r.o.Node && r.o.Local == nil:
		return nil, unavailable(request, "its owner is this process (%s), which does not read it", owner)
	case owner == r.o.Node:
		return r.o.Local.Hot(ctx, request)
	}
	address, err := addressOf(view, owner)
	if err != nil {
		return nil, unavailable(request, "its owner cannot be asked: %v", err)
	}
	rows, err := r.o.Client.Hot(ctx, address, request)
	if errors.Is(err, ErrUnreachable) {
		return nil, unavailable(request, "its owner %s cannot be asked: %v", owner, err)
	}
	if err != nil {
		return nil, named(owner, err)
	}
	return rows, nil
}

// Status asks the owners of partitions for their states. Partitions without an owner, or which their owner does not read
// (yet), are missing; each error names a process that did not answer.
func (r *Router) Status(ctx context.Context, keys []catalog.PartitionKey) (map[catalog.PartitionKey]consumer.PartitionStatus, []error) {
	view := r.o.Views.View()
	byNode := map[string][]catalog.PartitionKey{}
	for _, key := range keys {
		if owner := ownerOf(view, key); owner != "" {
			byNode[owner] = append(byNode[owner], key)
		}
	}
	var mu sync.Mutex
	out, errs := map[catalog.PartitionKey]consumer.PartitionStatus{}, map[string]error{}
	var group errgroup.Group
	group.SetLimit(nodesAtOnce)
	for node, keys := range byNode {
		group.Go(func() error {
			states, err := r.statusOf(ctx, view, node, keys)
			mu.Lock()
			defer mu.Unlock()
			for key, state := range states {
				out[key] = state
			}
			if err != nil {
				errs[node] = err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil { // the functions above give none
		return out, []error{err}
	}
	return out, inOrder(errs)
}

func inOrder(byNode map[string]error) []error {
	var nodes []string
	for node := range byNode {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	var out []error
	for _, node := range nodes {
		out = append(out, byNode[node])
	}
	return out
}

func (r *Router) statusOf(ctx context.Context, view *catalog.View, node string, keys []catalog.PartitionKey) (map[catalog.PartitionKey]consumer.PartitionStatus, error) {
	if node != r.o.Node {
		address, err := addressOf(view, node)
		if err != nil {
			return nil, err
		}
		states, err := r.o.Client.Status(ctx, address, keys)
		return states, named(node, err)
	}
	out := map[catalog.PartitionKey]consumer.PartitionStatus{}
	for _, key := range keys {
		if r.o.Local == nil {
			break
		}
		if state, ok := r.o.Local.Status(key); ok {
			out[key] = state
		}
	}
	return out, nil
}

// Handoff lets the process commit everything of the partition below the offset, and returns the revision from which on it is in
// the catalog.
func (r *Router) Handoff(ctx context.Context, node string, key catalog.PartitionKey, upTo int64) (int64, error) {
	if node == r.o.Node {
		if r.o.Local == nil {
			return 0, r.notHere(key)
		}
		return r.o.Local.Handoff(ctx, key, upTo)
	}
	address, err := addressOf(r.o.Views.View(), node)
	if err != nil {
		return 0, err
	}
	revision, err := r.o.Client.Handoff(ctx, address, key, upTo)
	return revision, named(node, err)
}

// AcceptLoss lets the process go on behind the lost range [from, to) of a partition that it has halted.
func (r *Router) AcceptLoss(ctx context.Context, node string, key catalog.PartitionKey, from, to int64) error {
	if node == r.o.Node {
		if r.o.Local == nil {
			return r.notHere(key)
		}
		return r.o.Local.AcceptLoss(ctx, key, from, to)
	}
	address, err := addressOf(r.o.Views.View(), node)
	if err != nil {
		return err
	}
	return named(node, r.o.Client.AcceptLoss(ctx, address, key, from, to))
}

// TaskLog is the live log of a task that runs in another process. Logs of this process are its coordinator's.
func (r *Router) TaskLog(ctx context.Context, node, id string) ([]byte, error) {
	if node == r.o.Node {
		return nil, fmt.Errorf("task %s: the wire leads to other processes, and %s is this one: %w", id, node, ErrNoLog)
	}
	address, err := addressOf(r.o.Views.View(), node)
	if err != nil {
		return nil, err
	}
	text, err := r.o.Client.TaskLog(ctx, address, id)
	return text, named(node, err)
}

func (r *Router) notHere(key catalog.PartitionKey) error {
	return fmt.Errorf("supervisor %s, topic %s, partition %d: this process (%s) reads no partitions: %w",
		key.Supervisor, key.Topic, key.Partition, r.o.Node, consumer.ErrNotRunning)
}

// ownerOf is the node that owns the partition at the view; empty: nobody.
func ownerOf(view *catalog.View, key catalog.PartitionKey) string {
	s := view.Supervisors[key.Supervisor]
	if s == nil {
		return ""
	}
	if p := s.Partitions[key]; p != nil && p.Owner != nil {
		return p.Owner.Node
	}
	return ""
}

// addressOf is where a node is asked. An error is ErrUnreachable.
func addressOf(view *catalog.View, node string) (string, error) {
	n, ok := view.Nodes[node]
	switch {
	case !ok:
		return "", fmt.Errorf("%w: process %s is not registered (any more)", ErrUnreachable, node)
	case n.FlightAddress == "":
		return "", fmt.Errorf("%w: process %s (HTTP at %s) has no address for other processes", ErrUnreachable, node, n.Address)
	}
	return n.FlightAddress, nil
}

// named says whose error it is.
func named(node string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("process %s at %w", node, err)
}
