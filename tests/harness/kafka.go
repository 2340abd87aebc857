package harness

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/oracle"
)

// Client connects to the broker, with manual choice of partitions. It is closed at the test's end.
func (a *Asker) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	base := []kgo.Opt{
		kgo.SeedBrokers(a.brokers), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(15 << 20), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(-1), // a busy broker tells of new topics late
	}
	client, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// CreateTopic makes a topic on the broker.
func (a *Asker) CreateTopic(t testing.TB, name string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), askBudget)
	defer cancel()
	if _, err := kadm.NewClient(a.Client(t)).CreateTopic(ctx, partitions, 1, nil, name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
}

// Produce writes records and returns them as acknowledged, in order, with their positions.
func Produce(t testing.TB, client *kgo.Client, records ...*kgo.Record) []oracle.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), askBudget)
	defer cancel()
	results := client.ProduceSync(ctx, records...)
	if err := results.FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	out := make([]oracle.Record, len(results))
	for i, r := range results {
		out[i] = Acknowledged(r.Record)
	}
	return out
}

// Acknowledged is a record, as the broker acknowledged or served it, for the ledger.
func Acknowledged(r *kgo.Record) oracle.Record {
	return oracle.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Value: r.Value}
}
