package consumer

import (
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/kafkaprops"
	"drumlin/spec"
)

// Limits of one partition's fetching.
const (
	fetchMaxBytes            = 4 << 20   // compressed; a single larger batch is still fetched
	maxDecompressedBatchByte = 256 << 20 // a batch that would grow past it halts its partition
	brokerMaxReadBytes       = 128 << 20
)

// checkServerProperties refuses defaults that no spec could use.
func checkServerProperties(properties map[string]string) error {
	if _, given := properties["group.id"]; given {
		return fmt.Errorf("the server's Kafka properties: group.id belongs into a spec: supervisors that share a group overwrite each other's offsets")
	}
	if properties["bootstrap.servers"] == "" {
		return nil // then every spec names its own
	}
	if _, err := kafkaprops.Options(properties, os.ReadFile); err != nil {
		return fmt.Errorf("the server's Kafka properties: %w", err)
	}
	return nil
}

// clientOptions are those of every client for this spec: its consumerProperties over the server's own.
func (k *Kafka) clientOptions(s *spec.Supervisor) ([]kgo.Opt, error) {
	opts, err := kafkaprops.Options(kafkaprops.Merge(k.server, s.IO.ConsumerProperties), kafkaprops.Lent(k.server, os.ReadFile))
	if err != nil {
		return nil, fmt.Errorf("consumerProperties of supervisor %s, with the server's own: %w", s.ID, err)
	}
	return append(opts,
		kgo.MaxDecompressBatchBytes(maxDecompressedBatchByte),
		kgo.BrokerMaxReadBytes(brokerMaxReadBytes),
		kgo.DisableClientMetrics(),
	), nil
}
