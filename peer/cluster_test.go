package peer

import (
	"errors"
	"strings"
	"testing"

	"drumlin/catalog"
	"drumlin/segment"
)

// A process dies, and one of another cluster takes its port before its lease is over: it reads a topic of the same name, by a
// spec of the same version, from another Kafka. Its rows are not those that were asked for, and it takes no orders.
func TestProcessOfAnotherClusterIsNotAsked(t *testing.T) {
	ours, theirs := newOwner(t), newOwner(t)
	ours.produce(0, 10)
	theirs.produce(0, 20)
	address := serve(t, ServerOptions{Local: theirs.manager, Cluster: theirs.catalog.Incarnation()})
	c := ask(t, ClientOptions{Cluster: ours.catalog.Incarnation()})
	view := viewOf(map[int32]string{0: "dead"}, map[string]string{"dead": address})
	r := NewRouter(RouterOptions{Views: view, Node: "here", Client: c})
	rows, err := r.Hot(t.Context(), ours.request())
	var refused *segment.HotUnavailable
	if err == nil {
		rows.Release()
		t.Errorf("%d rows of another cluster came as an answer", rows.Counters.Stored)
	} else if !errors.As(err, &refused) || refused.Status != segment.HotNotOwner || !strings.Contains(refused.Detail, "another cluster") {
		t.Errorf("%v", err)
	}
	for what, err := range map[string]error{
		"handoff":     func() error { _, err := r.Handoff(t.Context(), "dead", ours.key, 5); return err }(),
		"accept loss": r.AcceptLoss(t.Context(), "dead", ours.key, 0, 5),
		"status":      func() error { _, err := c.Status(t.Context(), address, []catalog.PartitionKey{ours.key}); return err }(),
	} {
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, ErrOtherCluster) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s, _ := theirs.manager.Status(theirs.key); s.Committed != 0 {
		t.Errorf("the order was carried out: %+v", s)
	}
	for _, cluster := range []string{"", theirs.catalog.Incarnation()} { // who does not say, and who means it
		rows, err := ask(t, ClientOptions{Cluster: cluster}).Hot(t.Context(), address, theirs.request())
		if err != nil {
			t.Fatalf("cluster %q: %v", cluster, err)
		}
		rows.Release()
	}
}
