package consumer

import (
	"context"
	"fmt"
	"sort"

	"github.com/twmb/franz-go/pkg/kmsg"

	"drumlin/spec"
)

// TopicPartitions is one topic as the brokers describe it.
type TopicPartitions struct {
	Topic      string
	TopicID    string // 32 hex digits
	Partitions []int32
}

// Discover lists the topics that the spec reads: its topic, or all whose whole name matches its pattern (internal
// topics are left out). A topic that does not exist is no error and not in the list.
func (k *Kafka) Discover(ctx context.Context, s *spec.Supervisor) ([]TopicPartitions, error) {
	admin, err := k.admin(s)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, k.requestTimeout)
	defer cancel()
	var names []string
	match := func(string) bool { return true }
	if s.IO.TopicPattern != "" {
		re, err := spec.CompileTopicPattern(s.IO.TopicPattern)
		if err != nil {
			return nil, fmt.Errorf("supervisor %s: topicPattern: %w", s.ID, err)
		}
		match = re.MatchString
	} else {
		names = []string{s.IO.Topic}
	}
	if err := k.forgetMetadata(ctx, s, names); err != nil {
		return nil, fmt.Errorf("list the topics of supervisor %s: %w", s.ID, brokerError(err))
	}
	details, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list the topics of supervisor %s: %w", s.ID, brokerError(err))
	}
	var out []TopicPartitions
	for _, d := range details.Sorted() {
		if !match(d.Topic) || len(d.Partitions) == 0 {
			continue
		}
		t := TopicPartitions{Topic: d.Topic, TopicID: hexID(d.ID), Partitions: d.Partitions.Numbers()}
		sort.Slice(t.Partitions, func(i, j int) bool { return t.Partitions[i] < t.Partitions[j] })
		out = append(out, t)
	}
	return out, nil
}

// forgetMetadata asks the brokers anew for the named topics, or for all: the client answers from what it has seen lately
// otherwise, and a topic or partition made a moment ago would be missing.
func (k *Kafka) forgetMetadata(ctx context.Context, s *spec.Supervisor, names []string) error {
	client, err := k.client(s)
	if err != nil {
		return err
	}
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	_, err = request.RequestWith(ctx, client)
	return err
}

// HighWatermarks returns, per topic and partition, the end of what a read_committed reader can see: the last stable
// offset. Partitions that cannot be asked fail the whole call.
func (k *Kafka) HighWatermarks(ctx context.Context, s *spec.Supervisor, topics []string) (map[string]map[int32]int64, error) {
	out := map[string]map[int32]int64{}
	if len(topics) == 0 {
		return out, nil
	}
	admin, err := k.admin(s)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, k.requestTimeout)
	defer cancel()
	listed, err := admin.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list the stable offsets of supervisor %s: %w", s.ID, brokerError(err))
	}
	for topic, partitions := range listed {
		out[topic] = map[int32]int64{}
		for p, o := range partitions {
			out[topic][p] = o.Offset
		}
	}
	return out, nil
}
