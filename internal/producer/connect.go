package producer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/kafkaprops"
)

// dialTimeout is how long the first answer of a broker may take.
const dialTimeout = 5 * time.Second

// connect returns a client of the brokers that the properties name, and their addresses, once one of them has answered:
// nothing is sent, and retried, before.
func connect(ctx context.Context, properties map[string]string, id string, more ...kgo.Opt) (*kgo.Client, []string, error) {
	opts, err := kafkaprops.Options(properties, os.ReadFile)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	brokers, err := kafkaprops.Brokers(properties)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	if properties["client.id"] == "" {
		opts = append(opts, kgo.ClientID(id))
	}
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to Kafka at %v: %w", brokers, err)
	}
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := client.Ping(limited); err != nil {
		client.Close()
		return nil, nil, unreachable(err, brokers)
	}
	return client, brokers, nil
}

// unreachable says why no broker answers, as far as that can be told.
func unreachable(err error, brokers []string) error {
	if reason := kafkaprops.Reason(err); reason != "" {
		return fmt.Errorf("connect to Kafka at %v: %s: %w", brokers, reason, err)
	}
	return fmt.Errorf("no broker answers at %v; is drumlin dev, or Kafka, running there? %w", brokers, err)
}

// explain says what to do about a record that was not acknowledged.
func explain(err error, topic string, brokers []string) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("topic %s does not exist and the brokers do not create it by use: drumlin topic create %s: %w", topic, topic, err)
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("a record of topic %s is larger than the brokers accept: %w", topic, err)
	case errors.Is(err, kgo.ErrRecordRetries), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no broker at %v acknowledges records; are the brokers running? %w", brokers, err)
	default:
		return fmt.Errorf("write to topic %s at %v: %w", topic, brokers, err)
	}
}
