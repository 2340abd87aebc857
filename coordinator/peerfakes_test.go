package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/peer"
)

// fakeNet connects the processes of a world, as package peer does.
type fakeNet struct {
	mu   sync.Mutex
	away map[string]bool // nodes that do not answer
	at   map[string]*endpoint
}

type endpoint struct {
	ingest *fakeIngest // nil: reads nothing
	co     *Coordinator
}

func newFakeNet() *fakeNet { return &fakeNet{away: map[string]bool{}, at: map[string]*endpoint{}} }

func (n *fakeNet) join(node string, e *endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at[node] = e
}

func (n *fakeNet) cut(node string, away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away[node] = away
}

func (n *fakeNet) reach(node string) (*endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.at[node]; e != nil && !n.away[node] {
		return e, nil
	}
	return nil, fmt.Errorf("node %s: %w", node, peer.ErrUnreachable)
}

// fakePeers is one process's way to the others.
type fakePeers struct {
	net *fakeNet
	c   *catalog.Catalog
}

func (p *fakePeers) Status(_ context.Context, keys []catalog.PartitionKey) (map[catalog.PartitionKey]consumer.PartitionStatus, []error) {
	out := map[catalog.PartitionKey]consumer.PartitionStatus{}
	silent := map[string]error{}
	for _, k := range keys {
		owner := partitionOf(p.c.View(), k).Owner
		if owner == nil {
			continue
		}
		e, err := p.net.reach(owner.Node)
		if err != nil {
			silent[owner.Node] = err
			continue
		}
		if e.ingest == nil {
			continue
		}
		if s, ok := e.ingest.Status(k); ok {
			out[k] = s
		}
	}
	return out, slices.Collect(maps.Values(silent))
}

func (p *fakePeers) Handoff(ctx context.Context, node string, key catalog.PartitionKey, upTo int64) (int64, error) {
	e, err := p.net.reach(node)
	if err != nil {
		return 0, err
	}
	return e.ingest.Handoff(ctx, key, upTo)
}

func (p *fakePeers) AcceptLoss(ctx context.Context, node string, key catalog.PartitionKey, from, to int64) error {
	e, err := p.net.reach(node)
	if err != nil {
		return err
	}
	return e.ingest.AcceptLoss(ctx, key, from, to)
}

func (p *fakePeers) TaskLog(ctx context.Context, node, id string) ([]byte, error) {
	e, err := p.net.reach(node)
	if err != nil {
		return nil, err
	}
	return e.co.TaskLog(ctx, id)
}
