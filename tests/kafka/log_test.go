package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/consumer"
	"drumlin/tests/harness"
)

func testCodecs(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{})
	r.start(0)
	for _, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		r.produce(r.newClient(kgo.ProducerBatchCompression(codec)), 0, 1000)
	}
	if c := r.drain(0); c.Stored != 5000 || c.Sum() != 5000 {
		t.Errorf("counters %+v", c)
	}
}

// transact writes one transaction of n records and ends it.
func (r *rig) transact(tx *kgo.Client, n int, end kgo.TransactionEndTry) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	r.must(tx.BeginTransaction())
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = r.record(0)
	}
	results := tx.ProduceSync(ctx, records...)
	r.must(results.FirstErr())
	r.must(tx.EndTransaction(ctx, end))
	for _, result := range results {
		if end == kgo.TryCommit {
			r.expect(result.Record)
		}
	}
}

func testTransactions(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{tuning: ", maxRowsInMemory: 25"})
	r.start(0)
	tx := r.newClient(kgo.TransactionalID(r.topic), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	for i := range 20 {
		r.transact(tx, 10, kgo.TransactionEndTry(i%3 != 0))
		r.produce(r.client, 0, 3) // between transactions, without one
	}
	r.waitEnd(20 * 14)
	if c := r.drain(0); c.Stored != 13*10+20*3 || c.Skipped != 7*10+20 {
		t.Errorf("counters %+v", c)
	}
}

// testOpenTransaction: nothing behind the first record of an open transaction is read before it has ended.
func testOpenTransaction(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{})
	r.produce(r.client, 0, 5)
	r.start(0)
	r.waitPosition(0, 5)
	tx := r.newClient(kgo.TransactionalID(r.topic))
	r.must(tx.BeginTransaction())
	hung := r.record(0)
	r.must(tx.ProduceSync(t.Context(), hung).FirstErr())
	r.produce(r.client, 0, 7)
	r.waitFor(0, "two looks at the log", func(s consumer.PartitionStatus) bool { return s.StableEnd == 5 && r.end(0) == 13 })
	if s := r.status(0); s.Position != 5 || s.Lag != 0 || s.State != consumer.StateRunning {
		t.Errorf("status %+v", s)
	}
	r.must(tx.EndTransaction(t.Context(), kgo.TryAbort))
	r.waitEnd(14) // the broker writes the marker after it has answered
	if c := r.drain(0); c.Stored != 12 || c.Skipped != 2 {
		t.Errorf("counters %+v", c)
	}
}

func (r *rig) waitEnd(n int64) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); r.end(0) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("the log ends at %d, not at %d", r.end(0), n)
		}
	}
}

func testLargeRecords(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{configs: map[string]string{"max.message.bytes": "16777216"}})
	r.start(0)
	client := r.newClient(kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range 3 {
		large := r.record(0)
		large.Value = append(bytes.TrimSuffix(large.Value, []byte("}")), fmt.Appendf(nil, `,"pad":%q}`, strings.Repeat("x", 6<<20))...)
		r.write(client, large)
		r.produce(client, 0, 2)
	}
	if c := r.drain(0); c.Stored != 9 {
		t.Errorf("counters %+v", c)
	}
}

// testBomb: a batch of a few kilobytes that would become more than what is allowed halts its partition, and no memory goes.
func testBomb(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{configs: map[string]string{"max.message.bytes": "16777216"}})
	client := r.newClient(
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(300<<20), kgo.ManualFlushing(),
		kgo.MaxBufferedBytes(400<<20), kgo.BrokerMaxWriteBytes(400<<20),
	)
	r.produce(r.client, 0, 5)
	zeros := make([]byte, 10<<20)
	for range 28 {
		client.Produce(t.Context(), &kgo.Record{Topic: r.topic, Value: zeros}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	r.must(client.Flush(t.Context()))
	r.start(0)
	if h := r.waitHalt(0); h.Reason != consumer.HaltBatchTooLarge {
		t.Errorf("halted %+v", h)
	}
	r.check(0, 5)
}

// testCompacted: the holes of a compacted topic are passed and counted.
func testCompacted(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{configs: map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.001", "segment.ms": "100", "max.compaction.lag.ms": "100",
	}})
	const rounds = 40
	var last []*kgo.Record
	for range rounds {
		last = nil
		for i := range 10 {
			record := r.record(0)
			record.Key = fmt.Appendf(nil, "key-%d", i)
			last = append(last, record)
		}
		r.must(r.client.ProduceSync(t.Context(), last...).FirstErr())
	}
	// The newest segment is never cleaned: another record rolls it, and what the cleaner left is asked of the broker.
	r.waitCleaned(10 * rounds)
	r.stopCleaning()
	r.expectLog()
	r.start(0)
	if c := r.drain(0); c.Skipped == 0 || c.Stored+c.Skipped != r.end(0) {
		t.Errorf("counters %+v", c)
	}
}

// waitCleaned waits until the log holds fewer records than were written.
func (r *rig) waitCleaned(written int) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		tick := r.record(0)
		tick.Key = []byte("tick")
		r.must(r.client.ProduceSync(r.t.Context(), tick).FirstErr())
		time.Sleep(150 * time.Millisecond) // older than segment.ms, so that the next record rolls the segment
		if len(r.log(0)) < written/2 {
			return
		}
	}
	r.t.Fatal("the log was not cleaned")
}

// stopCleaning leaves the log as it is: a cleaner that went on would take records away between two looks at them.
func (r *rig) stopCleaning() {
	r.t.Helper()
	policy := "delete"
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	answers, err := r.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}, r.topic)
	r.must(err)
	for _, answer := range answers {
		r.must(answer.Err)
	}
}

// log reads a partition from its beginning to its end, as it is now.
func (r *rig) log(partition int32) []*kgo.Record {
	r.t.Helper()
	end := r.end(partition)
	client := r.newClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: {partition: kgo.NewOffset().AtStart()}}))
	defer client.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var out []*kgo.Record
	for len(out) == 0 || out[len(out)-1].Offset < end-1 {
		fetches := client.PollFetches(ctx)
		r.must(fetches.Err())
		out = append(out, fetches.Records()...)
	}
	return out
}

// expectLog expects what the log holds now. A cleaner that was stopped may still end what it has begun: so only once nothing more
// goes.
func (r *rig) expectLog() {
	r.t.Helper()
	for before := -1; ; {
		log := r.log(0)
		if len(log) == before {
			for _, record := range log {
				r.expect(record)
			}
			return
		}
		before = len(log)
		time.Sleep(time.Second) // several times what the cleaner sleeps and works, on a busy machine too
	}
}

func testDeletedRecords(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{})
	r.produce(r.client, 0, 20)
	r.start(0)
	r.drain(0)
	r.stop(0)
	r.produce(r.client, 0, 30)
	r.deleteBelow(40)
	r.start(0)
	h := r.waitHalt(0)
	if h.Reason != consumer.HaltLostRange || h.From != 20 || h.To != 40 {
		t.Fatalf("halted %+v", h)
	}
	if err := r.manager.AcceptLoss(t.Context(), r.key(0), 20, 39); !errors.Is(err, consumer.ErrOtherLoss) {
		t.Errorf("another range was accepted: %v", err)
	}
	r.must(r.manager.AcceptLoss(t.Context(), r.key(0), 20, 40))
	r.produce(r.client, 0, 5)
	if c := r.drain(0); c.Stored != 35 || c.Lost != 20 {
		t.Errorf("counters %+v", c)
	}
}

// deleteBelow deletes records as an administrator does; what was acknowledged and is gone is not expected any more.
func (r *rig) deleteBelow(offset int64) {
	r.t.Helper()
	client := r.admin
	deleted, err := client.DeleteRecords(r.t.Context(), offsetsOf(r.topic, offset))
	r.must(err)
	r.must(deleted.Error())
	r.forget(offset)
}

// forget stops expecting what nobody has committed and the log no longer holds.
func (r *rig) forget(below int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	committed := r.committed(0)
	for offset := range r.acked[0] {
		if offset >= committed && offset < below {
			delete(r.acked[0], offset)
		}
	}
}

// testRetention: what retention took away while nobody read halts the partition, with the exact range.
func testRetention(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{configs: map[string]string{"segment.bytes": "1048576", "retention.bytes": "2097152"}})
	r.produce(r.client, 0, 20)
	r.start(0)
	r.drain(0)
	r.stop(0)
	client := r.newClient(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(100<<10))
	pad := strings.Repeat("x", 1000)
	for range 5 {
		var records []*kgo.Record
		for range 1000 {
			record := r.record(0)
			record.Timestamp = time.Time{}
			record.Value = append(bytes.TrimSuffix(record.Value, []byte("}")), fmt.Appendf(nil, `,"pad":%q}`, pad)...)
			records = append(records, record)
		}
		r.write(client, records...)
	}
	start := r.waitLogStart(20)
	r.forget(start)
	r.start(0)
	h := r.waitHalt(0)
	if h.Reason != consumer.HaltLostRange || h.From != 20 || h.To != start {
		t.Fatalf("halted %+v, the log starts at %d", h, start)
	}
	r.must(r.manager.AcceptLoss(t.Context(), r.key(0), h.From, h.To))
	if c := r.drain(0); c.Lost != start-20 || c.Sum() != r.end(0) {
		t.Errorf("counters %+v", c)
	}
}

// waitLogStart waits until retention has taken away what lies above the offset, and has come to rest.
func (r *rig) waitLogStart(above int64) int64 {
	r.t.Helper()
	before, same := int64(-1), 0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(1200 * time.Millisecond) { // two checks of the broker's
		listed, err := r.admin.ListStartOffsets(r.t.Context(), r.topic)
		r.must(err)
		o, _ := listed.Lookup(r.topic, 0)
		if same++; o.Offset != before {
			before, same = o.Offset, 0
		}
		if o.Offset > above && same == 2 { // a busy broker may leave one of its checks out
			return o.Offset
		}
	}
	r.t.Fatalf("the log starts at %d", before)
	return 0
}

func testRecreated(t *testing.T, k *harness.Kafka) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running=%t", running), func(t *testing.T) {
			r := newRig(t, k, rigOptions{})
			r.produce(r.client, 0, 20)
			r.start(0)
			r.drain(0)
			if !running {
				r.stop(0)
			}
			_, err := r.admin.DeleteTopic(t.Context(), r.topic)
			r.must(err)
			r.createAgain()
			other := r.newClient()
			for range 30 {
				r.must(other.ProduceSync(t.Context(), r.record(0)).FirstErr()) // of another topic: never expected
			}
			if !running {
				r.start(0)
			}
			if h := r.waitHalt(0); h.Reason != consumer.HaltRecreated {
				t.Errorf("halted %+v", h)
			}
			r.check(0, 20)
		})
	}
}

// createAgain creates the topic as soon as its deletion is done.
func (r *rig) createAgain() {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := r.admin.CreateTopic(r.t.Context(), 1, 1, nil, r.topic); err == nil {
			return
		}
	}
	r.t.Fatal("the topic could not be created again")
}

func testPartitionsAdded(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{partitions: 4})
	for p := range int32(4) {
		r.produce(r.client, p, 10)
		r.start(p)
	}
	_, err := r.admin.UpdatePartitions(t.Context(), 7, r.topic)
	r.must(err)
	r.waitPartitions(7)
	late := r.newClient() // knows of them at once
	for p := range int32(7) {
		r.produce(late, p, 10)
	}
	for p := int32(4); p < 7; p++ {
		r.start(p)
	}
	for p := range int32(7) {
		r.drain(p)
	}
}
