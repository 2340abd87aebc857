package devbroker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Options say where the broker listens and what it accepts.
type Options struct {
	Address           string // host:port to listen on; port 0 takes a free one
	DataDir           string
	DefaultPartitions int // of topics created by use
	MaxMessageBytes   int // of one produced batch
	Logger            *slog.Logger
}

// Broker is a running broker. It owns its goroutines until Close.
type Broker struct {
	cluster *kfake.Cluster
	logger  *slog.Logger
}

// Start opens the data directory and begins to serve.
func Start(o Options) (*Broker, error) {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, o.Address) }),
		kfake.DataDir(o.DataDir),
		kfake.ClusterID("drumlin-dev"),
		kfake.DefaultNumPartitions(o.DefaultPartitions),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes": strconv.Itoa(o.MaxMessageBytes),
			"log.retention.ms":  "-1", // generated and replayed records have old timestamps
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker on %s with data in %s: %w", o.Address, o.DataDir, err)
	}
	b := &Broker{cluster: cluster, logger: o.Logger}
	cluster.ControlKey(int16(kmsg.Metadata), b.createOnFirstUse)
	return b, nil
}

// Address is the host:port that clients bootstrap from.
func (b *Broker) Address() string { return b.cluster.ListenAddrs()[0] }

// Close stops the broker, having written its state.
func (b *Broker) Close() { b.cluster.Close() }

// createOnFirstUse creates the topics that a metadata request may create, and leaves the answer to the broker.
func (b *Broker) createOnFirstUse(req kmsg.Request) (kmsg.Response, error, bool) {
	metadata, ok := req.(*kmsg.MetadataRequest)
	if !ok || !metadata.AllowAutoTopicCreation {
		return nil, nil, false
	}
	for _, topic := range metadata.Topics {
		if topic.Topic == nil || b.cluster.TopicInfo(*topic.Topic) != nil {
			continue
		}
		err := b.cluster.CreateTopic(*topic.Topic, 0, nil)
		// The broker itself refuses what cannot be created: the request is answered with an unknown topic.
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			b.logger.Warn("topic not created on first use", "topic", *topic.Topic, "error", err)
		}
	}
	return nil, nil, false
}
