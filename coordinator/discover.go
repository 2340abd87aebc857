package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/spec"
)

// discovery is what is known of one supervisor's topics.
type discovery struct {
	version int64            // of the spec that was asked for
	spec    *spec.Supervisor // of that version
	asking  bool             // a question of the loop's is under way
	asked   bool             // the loop has asked at least once
	done    bool             // the brokers have answered at least once
	err     error            // of the last question; nil: answered
	at      time.Time        // of the last answer
	// silentSince is when the first question was put that the brokers have not answered yet; zero: they answer. wholeSince is
	// since when those of every partition answer; it is asked while this process is unable to read.
	silentSince, wholeSince time.Time
	settled                 bool // this process has been able to read by this way
	// partitions only grow while the version stays: a topic that is missing from one answer is not given up, and its
	// worker notices by itself when the topic is gone for good.
	partitions map[catalog.PartitionKey]bool
	// begun holds the partitions that existed when the supervisor began, or turned to their topics. All others appeared
	// later and are read from their first record: nobody has seen it before.
	begun map[catalog.PartitionKey]bool
	// turned says that the spec has turned to other topics, and begun is yet to be found out.
	turned bool
}

// follow brings a discovery to the newest version of its supervisor. Called with mu held.
func (c *Coordinator) follow(v *catalog.SupervisorView) *discovery {
	d := c.found[v.ID]
	if d != nil && d.version >= v.Version {
		return d
	}
	next := &discovery{version: v.Version, partitions: map[catalog.PartitionKey]bool{}}
	next.spec, _, next.err = spec.Parse(v.Spec)
	if next.err != nil {
		next.err = fmt.Errorf("version %d of supervisor %s cannot be read by this program: %w", v.Version, v.ID, next.err)
	}
	if d != nil {
		next.begun, next.turned = d.begun, d.turned
		switch {
		case next.spec == nil || d.spec == nil:
		case sameTopics(next.spec, d.spec):
			next.partitions, next.done, next.at = d.partitions, d.done, d.at
			next.silentSince, next.wholeSince, next.settled = d.silentSince, d.wholeSince, d.settled
		default:
			next.begun, next.turned = nil, true
		}
	}
	c.found[v.ID] = next
	return next
}

func sameTopics(a, b *spec.Supervisor) bool {
	return a.IO.Topic == b.IO.Topic && a.IO.TopicPattern == b.IO.TopicPattern &&
		maps.Equal(a.IO.ConsumerProperties, b.IO.ConsumerProperties)
}

// discoverAll asks for the topics of every supervisor beside the caller, of each one question at a time: brokers that do
// not answer hold up no others.
func (c *Coordinator) discoverAll(ctx context.Context, wg *sync.WaitGroup) {
	view := c.o.Catalog.View()
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.found {
		if view.Supervisors[id] == nil {
			delete(c.found, id)
		}
	}
	for _, v := range view.Supervisors {
		if v.Suspended {
			continue
		}
		d := c.follow(v)
		if d.asking {
			continue
		}
		d.asking, d.asked = true, true
		if d.silentSince.IsZero() {
			d.silentSince = c.o.Now()
		}
		_, unable := c.ability.unable[v.ID]
		wg.Go(func() {
			err := c.discover(ctx, v) // kept in the discovery, for status and readiness
			whole := err == nil && unable && consumer.Answered(c.askEnds(ctx, v))
			c.mu.Lock()
			defer c.mu.Unlock()
			d.asking = false
			if ctx.Err() == nil {
				d.noteAnswer(c.o.Now(), err, whole)
			}
		})
	}
}

// askEnds asks the brokers of all partitions of a supervisor where they end, to see whether they answer.
func (c *Coordinator) askEnds(ctx context.Context, v *catalog.SupervisorView) error {
	c.mu.Lock()
	d := c.found[v.ID]
	topics := map[string]bool{}
	for key := range d.partitions {
		topics[key.Topic] = true
	}
	s := d.spec
	c.mu.Unlock()
	_, err := c.o.Topics.HighWatermarks(ctx, s, slices.Sorted(maps.Keys(topics)))
	return err
}

// discover asks for the topics of one supervisor.
func (c *Coordinator) discover(ctx context.Context, v *catalog.SupervisorView) error {
	c.mu.Lock()
	d := c.follow(v)
	c.mu.Unlock()
	if d.spec == nil {
		return d.err
	}
	topics, err := c.o.Topics.Discover(ctx, d.spec)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if d.err == nil || d.err.Error() != err.Error() {
			c.o.Logger.Warn("cannot list topics; trying again", "supervisor", v.ID, "error", err)
		}
		d.err = err
		c.changedLocked()
		return err
	}
	if c.took(d, v, topics) {
		c.changedLocked()
	}
	return nil
}

// took takes an answer over and says whether it brought anything new.
func (c *Coordinator) took(d *discovery, v *catalog.SupervisorView, topics []consumer.TopicPartitions) (news bool) {
	news = !d.done || d.err != nil
	d.done, d.err, d.at = true, nil, c.o.Now()
	for _, t := range topics {
		for _, p := range t.Partitions {
			key := catalog.PartitionKey{Supervisor: v.ID, Topic: t.Topic, Partition: p}
			if !d.partitions[key] {
				d.partitions[key], news = true, true
				c.o.Logger.Info("found a partition", "supervisor", v.ID, "topic", t.Topic, "partition", p)
			}
		}
	}
	if d.begun == nil {
		d.begun = d.firstPartitions(v)
		d.turned = false
	}
	return news
}

// firstPartitions are those that the spec's useEarliestOffset speaks of. After a start with offsets recorded there are none:
// a topic without any may have appeared while no process ran. After a turn to other topics they are those of topics
// that were never read.
func (d *discovery) firstPartitions(v *catalog.SupervisorView) map[catalog.PartitionKey]bool {
	read := map[string]bool{}
	for key, p := range v.Partitions {
		if p.OffsetRevision > 0 {
			read[key.Topic] = true
		}
	}
	first := map[catalog.PartitionKey]bool{}
	if len(read) > 0 && !d.turned {
		return first
	}
	for key := range d.partitions {
		if !read[key.Topic] {
			first[key] = true
		}
	}
	return first
}

// lost says whether a partition that has been read, and that the spec goes on reading, is missing from the brokers' answers.
func (d *discovery) lost(v *catalog.SupervisorView, key catalog.PartitionKey) bool {
	pv := v.Partitions[key]
	return d.done && d.spec != nil && !v.Suspended && !d.partitions[key] && pv != nil && pv.OffsetRevision > 0 && pv.Owner == nil &&
		d.spec.IO.ReadsTopic(key.Topic)
}
