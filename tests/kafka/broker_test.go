package kafka

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/consumer"
	"drumlin/spec"
	"drumlin/tests/harness"
)

func offsetsOf(topic string, offset int64) kadm.Offsets {
	var out kadm.Offsets
	out.AddOffset(topic, 0, offset, -1)
	return out
}

// committed is the next offset of a partition by the catalog; 0 where it has none.
func (r *rig) committed(partition int32) int64 {
	r.t.Helper()
	off, _, found, err := r.cat.ReadOffset(r.t.Context(), r.key(partition))
	r.must(err)
	if !found {
		return 0
	}
	return off.Next
}

// waitPartitions waits until the topic is discovered with so many.
func (r *rig) waitPartitions(n int) {
	r.t.Helper()
	s, _, err := spec.Parse(r.sup.Spec)
	r.must(err)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		found, err := r.kafka.Discover(r.t.Context(), s)
		r.must(err)
		if len(found) == 1 && len(found[0].Partitions) == n {
			return
		}
	}
	r.t.Fatalf("the topic is not discovered with %d partitions", n)
}

// groups is what Kafka's own tool says of a group: CURRENT-OFFSET, LOG-END-OFFSET and LAG of partition 0 of the topic.
func (r *rig) groups(group string) (current, end, lag int64, ok bool) {
	r.t.Helper()
	out := r.broker.JavaTool(r.t, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--describe", "--group", group)
	line := regexp.MustCompile(regexp.QuoteMeta(group) + `\s+` + regexp.QuoteMeta(r.topic) + `\s+0\s+(?:-1\s+)?(\d+)\s+(\d+)\s+(\d+)`)
	m := line.FindStringSubmatch(out)
	if m == nil {
		r.t.Logf("the tool says:\n%s", out)
		return 0, 0, 0, false
	}
	var numbers [3]int64
	for i := range numbers {
		n, err := strconv.ParseInt(m[i+1], 10, 64)
		r.must(err)
		numbers[i] = n
	}
	return numbers[0], numbers[1], numbers[2], true
}

// testGroup: Kafka's own tool shows the committed offset and the lag.
func testGroup(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{own: map[string]string{"group.id": "lag-of-drumlin"}})
	r.produce(r.client, 0, 20)
	r.start(0)
	r.drain(0)
	r.produce(r.client, 0, 7)
	r.waitPosition(0, 27) // read, and not committed
	r.waitAdvice("lag-of-drumlin", 20)
	if current, end, lag, ok := r.groups("lag-of-drumlin"); !ok || current != 20 || end != 27 || lag != 7 {
		t.Errorf("the tool shows offset %d, end %d, lag %d (%t)", current, end, lag, ok)
	}
	fetched, err := r.admin.FetchOffsets(t.Context(), "lag-of-drumlin")
	r.must(err)
	if o, ok := fetched.Lookup(r.topic, 0); !ok || o.LeaderEpoch < 0 {
		t.Errorf("the offset goes without a leader epoch: %+v", o)
	}
}

func (r *rig) waitAdvice(group string, offset int64) {
	r.t.Helper()
	var last error // the broker's coordinator is made by the first who asks
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		fetched, err := r.admin.FetchOffsets(r.t.Context(), group)
		if o, ok := fetched.Lookup(r.topic, 0); err == nil && ok && o.At == offset {
			return
		}
		last = err
	}
	r.t.Fatalf("group %s did not come to offset %d: %v", group, offset, last)
}

// testGroupFails: a group that refuses commits, since another program has joined it, hurts nothing.
func testGroupFails(t *testing.T, k *harness.Kafka) {
	group := "taken"
	r := newRig(t, k, rigOptions{own: map[string]string{"group.id": group}})
	r.produce(r.client, 0, 5)
	member := r.newClient(kgo.ConsumerGroup(group), kgo.ConsumeTopics(r.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer member.Close()
	if fetches := member.PollFetches(t.Context()); len(fetches.Records()) == 0 {
		t.Fatalf("the other program reads nothing: %v", fetches.Err())
	}
	r.start(0)
	for range 5 {
		r.drain(0)
		r.produce(r.client, 0, 10)
	}
	if c := r.drain(0); c.Stored != 55 {
		t.Errorf("counters %+v", c)
	}
	if s := r.status(0); s.State != consumer.StateRunning || s.LastError != "" {
		t.Errorf("status %+v", s)
	}
}

// testRestarts: a broker that is stopped, or killed, and comes back is read on by itself, and nothing is lost or twice.
func testRestarts(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{partitions: 2, tuning: ", maxRowsInMemory: 300"})
	for p := range int32(2) {
		r.start(p)
	}
	producing := r.newClient(kgo.RequiredAcks(kgo.AllISRAcks())) // idempotent, as by default
	for i, end := range []func(testing.TB){k.Stop, k.Kill} {
		done := make(chan error, 1)
		go func() { done <- r.produceThrough(producing, 2000) }()
		r.waitPosition(0, int64(i*1000+50))
		end(t)
		k.Start(t)
		back := time.Now()
		r.must(<-done)
		for p := range int32(2) {
			end := r.end(p)
			r.waitFor(p, "lag 0", func(s consumer.PartitionStatus) bool {
				return s.Position >= end && s.Lag == 0 && s.LastError == ""
			})
			r.expectResent(p)
			r.drain(p)
		}
		t.Logf("lag 0 and all committed %s after the broker was back", time.Since(back).Round(time.Millisecond))
	}
	if len(r.ended) != 0 {
		t.Errorf("a worker stepped down: %v", <-r.ended)
	}
}

// expectResent: what was acknowledged is in the log where it was acknowledged; what else is there, since the producer wrote it
// once more when its broker had gone, is expected too.
func (r *rig) expectResent(partition int32) {
	r.t.Helper()
	there := map[int64]*kgo.Record{}
	for _, record := range r.log(partition) {
		there[record.Offset] = record
	}
	r.mu.Lock()
	for offset := range r.acked[partition] {
		if there[offset] == nil {
			r.t.Errorf("partition %d offset %d was acknowledged and is not in the log", partition, offset)
		}
	}
	resent := len(there) - len(r.acked[partition])
	r.mu.Unlock()
	for _, record := range there {
		r.expect(record)
	}
	r.t.Logf("partition %d holds %d records, %d of them resent", partition, len(there), resent)
}

// produceThrough writes records to two partitions, whatever the broker does meanwhile.
func (r *rig) produceThrough(client *kgo.Client, count int) error {
	failed := make(chan error, count)
	for i := range count {
		client.Produce(r.t.Context(), r.record(int32(i%2)), func(record *kgo.Record, err error) {
			if err == nil {
				r.expect(record)
			}
			failed <- err
		})
		if i%50 == 0 {
			time.Sleep(5 * time.Millisecond) // a steady rate, so that the broker ends in the midst of it
		}
	}
	for range count {
		if err := <-failed; err != nil {
			return fmt.Errorf("produce: %w", err)
		}
	}
	return nil
}

// testLostLog: a broker that has lost its disk comes back with an empty log of the same topic; what was committed is not there
// any more, and the partition halts instead of reading other records under the same offsets.
func testLostLog(t *testing.T, k *harness.Kafka) {
	r := newRig(t, k, rigOptions{})
	r.produce(r.client, 0, 50)
	r.start(0)
	r.drain(0)
	k.Stop(t)
	dirs, err := filepath.Glob(filepath.Join(k.DataDir, "log", r.topic+"-0"))
	r.must(err)
	if len(dirs) != 1 {
		t.Fatalf("the log of %s stands in %v", r.topic, dirs)
	}
	files, err := filepath.Glob(filepath.Join(dirs[0], "0000*"))
	r.must(err)
	files = append(files, filepath.Join(dirs[0], "leader-epoch-checkpoint"))
	for _, f := range files {
		if err := os.Remove(f); err != nil && !strings.Contains(f, "checkpoint") {
			t.Fatal(err)
		}
	}
	k.Start(t)
	fresh := r.newClient()
	for range 20 {
		r.must(fresh.ProduceSync(t.Context(), r.record(0)).FirstErr()) // under offsets that are committed already
	}
	if h := r.waitHalt(0); h.Reason != consumer.HaltTruncated {
		t.Errorf("halted %+v", h)
	}
	acked := maps.Clone(r.acked[0])
	if r.check(0, 50); len(acked) != 50 {
		t.Errorf("%d records were expected", len(acked))
	}
}
