package harness

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/oracle"
)

// ReadLog reads what the broker serves of the topics in read_committed mode, as far as no transaction is open, and adds it to
// the log, from where the log ends on. No transaction may be open for longer than the call may take.
func (a *Asker) ReadLog(t testing.TB, log *oracle.Log, topics ...string) {
	t.Helper()
	if err := readLog(a.brokers, log, topics); err != nil {
		t.Fatalf("read the log of %v: %v", topics, err)
	}
}

// slowest is how many records a second are read at least, however busy the machine.
const slowest = 1000

func readLog(brokers string, log *oracle.Log, topics []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), askBudget)
	defer cancel()
	admin, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		return err
	}
	defer admin.Close()
	ends, err := kadm.NewClient(admin).ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	if err := ends.Error(); err != nil {
		return err
	}
	from, missing := map[string]map[int32]kgo.Offset{}, map[string]map[int32]int64{} // missing: the end to reach
	known, records := log.Ends(), int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		log.Known(end.Topic, end.Partition, 0)
		if at := known[end.Topic][end.Partition]; at < end.Offset {
			put(from, end.Topic, end.Partition, kgo.NewOffset().At(at))
			put(missing, end.Topic, end.Partition, end.Offset)
			records += end.Offset - at
		}
	})
	if len(missing) == 0 {
		return nil
	}
	// Control records are asked for: the last offset below a committed end may hold nothing else.
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumePartitions(from), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	reading, cancelReading := context.WithTimeout(context.Background(), askBudget+time.Duration(records)*time.Second/slowest)
	defer cancelReading()
	for len(missing) > 0 {
		fetches := client.PollFetches(reading)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%w; these ends were not reached: %v", err, missing)
		}
		if err := addFetched(log, missing, fetches); err != nil {
			return err
		}
	}
	return nil
}

// addFetched adds records below the ends that are to be reached, and forgets the ends that are.
func addFetched(log *oracle.Log, missing map[string]map[int32]int64, fetches kgo.Fetches) error {
	var failure error
	fetches.EachRecord(func(r *kgo.Record) {
		end, wanted := missing[r.Topic][r.Partition]
		if failure != nil || !wanted {
			return
		}
		if r.Offset < end && !r.Attrs.IsControl() {
			failure = log.Add(Acknowledged(r))
		}
		if r.Offset >= end-1 {
			log.Known(r.Topic, r.Partition, end)
			delete(missing[r.Topic], r.Partition)
			if len(missing[r.Topic]) == 0 {
				delete(missing, r.Topic)
			}
		}
	})
	return failure
}

func put[V any](m map[string]map[int32]V, topic string, partition int32, v V) {
	if m[topic] == nil {
		m[topic] = map[int32]V{}
	}
	m[topic][partition] = v
}
