package bench

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/consumer"
	"drumlin/internal/devbroker"
	"drumlin/internal/producer"
)

const kafkaPartitions = 2

// ingestScenes: writing a topic as drumlin generate does, and reading one until all rows can be queried. Floors are the
// Kafka client alone, as it comes, writing the same records and fetching them.
func ingestScenes() []scene {
	return []scene{
		{"events", func(tb testing.TB, rows int) []step {
			f := events(tb, rows, 0)
			return []step{produceStep(tb, f), ingestStep(tb, f)}
		}},
		{"edits", func(tb testing.TB, rows int) []step { return []step{ingestStep(tb, edits(tb, rows))} }},
	}
}

func startKafka(tb testing.TB) *devbroker.Broker {
	tb.Helper()
	b, err := devbroker.Start(devbroker.Options{
		Address: "127.0.0.1:0", DataDir: tb.TempDir(), DefaultPartitions: kafkaPartitions, MaxMessageBytes: 1 << 20,
		Logger: slog.New(slog.DiscardHandler),
	})
	must(tb, err)
	tb.Cleanup(b.Close)
	return b
}

func createTopic(tb testing.TB, b *devbroker.Broker, name string) {
	tb.Helper()
	topics, err := producer.OpenTopics(tb.Context(), map[string]string{"bootstrap.servers": b.Address()})
	must(tb, err)
	defer topics.Close()
	must(tb, topics.Create(tb.Context(), name, kafkaPartitions))
}

// records is a producer.Source.
type records struct {
	feed feed
	next int
}

func (r *records) Next() (producer.Record, bool, error) {
	if r.next == len(r.feed.records) {
		return producer.Record{}, false, nil
	}
	record := &r.feed.records[r.next]
	r.next++
	return producer.Record{Key: record.Key, Value: record.Value, Timestamp: time.UnixMilli(record.TimestampMillis)}, true, nil
}

func produce(tb testing.TB, b *devbroker.Broker, topic string, f feed) {
	tb.Helper()
	n, err := producer.Run(context.Background(), producer.Options{
		Properties: map[string]string{"bootstrap.servers": b.Address()}, Topic: topic, MaxMessageBytes: 1 << 20,
	}, &records{feed: f})
	must(tb, err)
	if n != int64(len(f.records)) {
		tb.Fatalf("%d of %d records were acknowledged", n, len(f.records))
	}
}

func produceStep(tb testing.TB, f feed) step {
	tb.Helper()
	b := startKafka(tb)
	createTopic(tb, b, "ours")
	createTopic(tb, b, "floor")
	return step{
		name: "produce", rows: len(f.records),
		run: func(tb testing.TB) { produce(tb, b, "ours", f) },
		floors: []floor{{"client", func(tb testing.TB) {
			client, err := kgo.NewClient(kgo.SeedBrokers(b.Address()), kgo.DefaultProduceTopic("floor"))
			must(tb, err)
			defer client.Close()
			for i := range f.records {
				r := &f.records[i]
				client.Produce(context.Background(), &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.TimestampMillis)}, nil)
			}
			must(tb, client.Flush(context.Background()))
		}}},
	}
}

func ingestStep(tb testing.TB, f feed) step {
	tb.Helper()
	b := startKafka(tb)
	topic := f.parse(tb).IO.Topic
	createTopic(tb, b, topic)
	produce(tb, b, topic, f)
	kafka, err := consumer.NewKafka(map[string]string{"bootstrap.servers": b.Address()})
	must(tb, err)
	tb.Cleanup(kafka.Close)
	p := newPipeline(tb, f, kafka, kafkaPartitions)
	return step{
		name: "to hot rows", rows: len(f.records),
		run: func(tb testing.TB) {
			p.start(tb)
			p.awaitHot(tb, len(f.records))
			p.stop(tb)
		},
		floors: []floor{{"fetch", func(tb testing.TB) { fetch(tb, b.Address(), topic, len(f.records)) }}},
	}
}

// fetch reads the topic and looks at no record.
func fetch(tb testing.TB, address, topic string, want int) {
	tb.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	must(tb, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for n := 0; n < want; {
		fetches := client.PollFetches(ctx)
		must(tb, fetches.Err())
		n += fetches.NumRecords()
	}
}
