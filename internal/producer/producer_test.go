package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drumlin/internal/devbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type counted struct{ next, total int }

func (c *counted) Next() (Record, bool, error) {
	if c.next == c.total {
		return Record{}, false, nil
	}
	c.next++
	return Record{Value: fmt.Appendf(nil, "%d", c.next), Timestamp: time.UnixMilli(int64(c.next))}, true, nil // long ago
}

func startBroker(t *testing.T) string {
	t.Helper()
	b, err := devbroker.Start(devbroker.Options{
		Address: "127.0.0.1:0", DataDir: t.TempDir(), DefaultPartitions: 3, MaxMessageBytes: 1 << 20,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b.Address()
}

func at(address string) map[string]string { return map[string]string{"bootstrap.servers": address} }

func TestEveryRecordIsAcknowledgedAndCounted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	address := startBroker(t)
	var last int64
	n, err := Run(ctx, Options{
		Properties: at(address), Topic: "by-use", MaxMessageBytes: 1 << 20, OnProgress: func(n int64) { last = n },
	}, &counted{total: 5000})
	if err != nil || n != 5000 || last != 5000 {
		t.Fatalf("acknowledged %d, last progress %d, error %v", n, last, err)
	}
	topics, err := OpenTopics(ctx, at(address))
	if err != nil {
		t.Fatal(err)
	}
	defer topics.Close()
	got, err := topics.Describe(ctx, "by-use")
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, p := range got[0].Partitions {
		sum += p.End - p.Start
	}
	if len(got[0].Partitions) != 3 || sum != 5000 {
		t.Fatalf("got %+v", got)
	}
}

func TestCreatingATopicTwiceIsSaid(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	topics, err := OpenTopics(ctx, at(startBroker(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer topics.Close()
	if err := topics.Create(ctx, "one", 4); err != nil {
		t.Fatal(err)
	}
	if err := topics.Create(ctx, "one", 4); !errors.Is(err, errTopicExists) {
		t.Fatalf("got %v", err)
	}
}

func TestRateIsKept(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	begin := time.Now()
	if _, err := Run(ctx, Options{
		Properties: at(startBroker(t)), Topic: "slow", MaxMessageBytes: 1 << 20, PerSecond: 1000,
	}, &counted{total: 300}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 290*time.Millisecond {
		t.Fatalf("300 records at 1000/s in %s", took)
	}
}
