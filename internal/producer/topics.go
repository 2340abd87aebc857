package producer

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is one topic as the brokers tell it. Internal topics are left out of lists.
type Topic struct {
	Name       string
	ID         string
	Partitions []Partition
}

// Partition is one partition's offsets, from the oldest kept record to the end.
type Partition struct {
	Partition int32
	Leader    int32
	Start     int64
	End       int64
}

// Topics creates, lists and describes topics.
type Topics struct {
	client  *kgo.Client
	admin   *kadm.Client
	brokers []string
}

// OpenTopics connects to the brokers that the properties, those of a Java client, name. Close it.
func OpenTopics(ctx context.Context, properties map[string]string) (*Topics, error) {
	client, brokers, err := connect(ctx, properties, "drumlin-topic")
	if err != nil {
		return nil, err
	}
	return &Topics{client: client, admin: kadm.NewClient(client), brokers: brokers}, nil
}

// Close ends the connection.
func (t *Topics) Close() { t.client.Close() }

// errTopicExists is what Create returns where the topic is there already.
var errTopicExists = errors.New("the topic exists already")

// Create makes a topic with the given number of partitions and the brokers' default replication.
func (t *Topics) Create(ctx context.Context, name string, partitions int32) error {
	_, err := t.admin.CreateTopic(ctx, partitions, -1, nil, name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", name, errTopicExists)
	}
	if err != nil {
		return fmt.Errorf("create topic %s at %v: %w", name, t.brokers, err)
	}
	return nil
}

// Describe returns the named topics, or all of them where none is named, by name.
func (t *Topics) Describe(ctx context.Context, names ...string) ([]Topic, error) {
	details, err := t.admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list the topics at %v: %w", t.brokers, err)
	}
	var out []Topic
	for _, detail := range details.Sorted() {
		if detail.Err != nil {
			return nil, fmt.Errorf("describe topic %s: %w", detail.Topic, detail.Err)
		}
		topic := Topic{Name: detail.Topic, ID: detail.ID.String()}
		for _, p := range detail.Partitions.Sorted() {
			topic.Partitions = append(topic.Partitions, Partition{Partition: p.Partition, Leader: p.Leader})
		}
		out = append(out, topic)
	}
	return out, t.fillOffsets(ctx, out)
}

func (t *Topics) fillOffsets(ctx context.Context, topics []Topic) error {
	var names []string
	for _, topic := range topics {
		names = append(names, topic.Name)
	}
	if len(names) == 0 {
		return nil
	}
	starts, err := t.admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return fmt.Errorf("read the start offsets at %v: %w", t.brokers, err)
	}
	ends, err := t.admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return fmt.Errorf("read the end offsets at %v: %w", t.brokers, err)
	}
	for _, topic := range topics {
		for i := range topic.Partitions {
			p := &topic.Partitions[i]
			start, _ := starts.Lookup(topic.Name, p.Partition)
			end, _ := ends.Lookup(topic.Name, p.Partition)
			if err := errors.Join(start.Err, end.Err); err != nil {
				return fmt.Errorf("read the offsets of %s/%d: %w", topic.Name, p.Partition, err)
			}
			p.Start, p.End = start.Offset, end.Offset
		}
	}
	return nil
}
