package consumer

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"drumlin/spec"
)

// renamingBroker says, from a moment on, that the topic has another id.
type renamingBroker struct {
	Broker
	renamed atomic.Bool
}

func (b *renamingBroker) Bounds(ctx context.Context, s *spec.Supervisor, topic string, partition int32) (Bounds, error) {
	bounds, err := b.Broker.Bounds(ctx, s, topic, partition)
	if err == nil && b.renamed.Load() {
		bounds.TopicID = strings.Repeat("f", 32)
		bounds.StableEnd += 1000
	}
	return bounds, err
}

// TestARecreatedTopicThatAProbeFinds: what was read of the old topic is handed off, since nobody can read it again, and the ends
// of the new one say nothing about it.
func TestARecreatedTopicThatAProbeFinds(t *testing.T) {
	broker := &renamingBroker{}
	r := newRig(t, func(o *Options) { broker.Broker, o.Broker = o.Broker, broker })
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(10)
	broker.renamed.Store(true)
	s := r.waitFor("a halt", func(s PartitionStatus) bool { return s.State == StateHalted && s.Committed == 10 })
	if s.Halt.Reason != HaltRecreated || s.HotRows != 0 || s.Lag != 0 {
		t.Errorf("status %+v", s)
	}
	if c := r.committed(); c.rows != 10 {
		t.Errorf("committed %+v", c)
	}
}
