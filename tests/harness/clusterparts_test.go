package harness

import (
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/oracle"
)

func TestMain(m *testing.M) { os.Exit(withSharedParts(m.Run)) }

// TestPartsCarryAFeed writes a feed with aborted transactions and reads the log back.
func TestPartsCarryAFeed(t *testing.T) {
	begin := time.Now()
	parts := SharedParts(t)
	t.Logf("the parts stand after %s", time.Since(begin).Round(time.Millisecond))
	if SharedParts(t) != parts {
		t.Fatal("a second test would start parts of its own")
	}
	a := Asker{brokers: parts.Kafka.Address()}
	a.CreateTopic(t, "fed", 3)
	log := oracle.NewLog(oracle.Rules{TimeField: "timestamp", KeyField: "messageId", Chunk: time.Hour}, "event")
	rest := a.StartFeed(t, FeedOptions{Topic: "fed", Events: 3000, Seed: 1, Compression: kgo.ZstdCompression()})
	rest.Wait(t)
	a.ReadLog(t, log, "fed")
	if log.Len() != 3000 || rest.Acknowledged() != 3000 {
		t.Fatalf("%d records in the log, %d acknowledged, want 3000", log.Len(), rest.Acknowledged())
	}
	feed := a.StartFeed(t, FeedOptions{
		Topic: "fed", Events: 20_000, Seed: 2, Transactions: true, AbortShare: 0.3, Compression: kgo.Lz4Compression(),
	})
	feed.Wait(t)
	a.ReadLog(t, log, "fed")
	if log.Len() <= 8000 || log.Len() >= 22_000 {
		t.Fatalf("%d records in the log of 23,000 of which some were aborted", log.Len())
	}
	offsets := int64(0)
	for _, end := range log.Ends()["fed"] {
		offsets += end
	}
	if offsets <= 23_000 {
		t.Fatalf("the offsets add up to %d: there are no control records", offsets)
	}
	walk := log.Walk()
	if err := walk.Advance(log.Ends()); err != nil {
		t.Fatal(err)
	}
	if walk.Duplicates < 1000 || walk.Rejected != 0 {
		t.Errorf("%d duplicates, %d rejected", walk.Duplicates, walk.Rejected)
	}
	slow := a.StartFeed(t, FeedOptions{Topic: "fed", PerSecond: 1000, Seed: 3})
	for end := time.Now().Add(startBudget); slow.Acknowledged() < 500; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d events after %s", slow.Acknowledged(), startBudget)
		}
	}
	slow.Stop(t)
	before := log.Len()
	a.ReadLog(t, log, "fed")
	if got := int64(log.Len() - before); got != slow.Acknowledged() {
		t.Errorf("the log grew by %d, %d were acknowledged", got, slow.Acknowledged())
	}
}
