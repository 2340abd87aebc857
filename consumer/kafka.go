package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"drumlin/consumer/decode"
	"drumlin/internal/kafkaprops"
	"drumlin/spec"
)

// usualRequestTimeout bounds every request but fetches; the caller tries again.
const usualRequestTimeout = 10 * time.Second

// Kafka reads topics with franz-go. It keeps one client per set of brokers for questions, and opens one client per
// partition that is read: a partition's buffers, pauses, errors and topic id are then its own, and closing the source
// ends all of it.
type Kafka struct {
	server         map[string]string // Java client properties, which a spec's own override
	requestTimeout time.Duration

	mu      sync.Mutex
	clients map[string]*kgo.Client
	closed  bool
}

var _ Broker = (*Kafka)(nil)

// NewKafka returns a Kafka whose clients have these Java properties, the server's own, and over them those of the spec that
// they work for (see kafkaprops.Merge). The caller closes it after every source has been closed.
func NewKafka(properties map[string]string) (*Kafka, error) {
	if err := checkServerProperties(properties); err != nil {
		return nil, err
	}
	return &Kafka{server: maps.Clone(properties), requestTimeout: usualRequestTimeout, clients: map[string]*kgo.Client{}}, nil
}

// Close ends all clients.
func (k *Kafka) Close() {
	k.mu.Lock()
	clients := maps.Clone(k.clients)
	k.clients, k.closed = nil, true
	k.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
}

// admin returns the shared client for questions about the spec's brokers.
func (k *Kafka) admin(s *spec.Supervisor) (*kadm.Client, error) {
	c, err := k.client(s)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(c), nil
}

func (k *Kafka) client(s *spec.Supervisor) (*kgo.Client, error) {
	key := kafkaprops.Key(s.IO.ConsumerProperties)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errors.New("the Kafka client is closed")
	}
	c := k.clients[key]
	if c == nil {
		opts, err := k.clientOptions(s)
		if err != nil {
			return nil, err
		}
		if c, err = kgo.NewClient(append(opts, kgo.RetryTimeout(k.requestTimeout), kgo.MetadataMinAge(100*time.Millisecond))...); err != nil {
			return nil, fmt.Errorf("make a Kafka client: %w", err)
		}
		k.clients[key] = c
	}
	return c, nil
}

// Open implements Broker.
func (k *Kafka) Open(_ context.Context, r OpenRequest) (Source, error) {
	opts, err := k.clientOptions(r.Spec)
	if err != nil {
		return nil, err
	}
	offset := kgo.NewOffset().At(r.Offset).WithEpoch(r.LeaderEpoch)
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: {r.Partition: offset}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(fetchMaxBytes), kgo.FetchMaxPartitionBytes(fetchMaxBytes),
		kgo.FetchMaxWait(500*time.Millisecond),
	)...)
	if err != nil {
		return nil, fmt.Errorf("read %s partition %d: make a Kafka client: %w", r.Topic, r.Partition, err)
	}
	return &kafkaSource{client: client, topic: r.Topic, partition: r.Partition}, nil
}

// Bounds implements Broker.
func (k *Kafka) Bounds(ctx context.Context, s *spec.Supervisor, topic string, partition int32) (Bounds, error) {
	client, err := k.client(s)
	if err != nil {
		return Bounds{}, err
	}
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(ctx, k.requestTimeout)
	defer cancel()
	fail := func(what string, err error) (Bounds, error) {
		return Bounds{}, fmt.Errorf("%s of %s partition %d: %w", what, topic, partition, brokerError(err))
	}
	before, err := topicID(ctx, client, topic)
	if err != nil {
		return fail("topic id", err)
	}
	out := Bounds{TopicID: before}
	for _, q := range []struct {
		what string
		list func(context.Context, ...string) (kadm.ListedOffsets, error)
		to   *int64
	}{
		{"first offset", admin.ListStartOffsets, &out.LogStart},
		{"stable offset", admin.ListCommittedOffsets, &out.StableEnd},
		{"end offset", admin.ListEndOffsets, &out.End},
	} {
		listed, err := q.list(ctx, topic)
		if err != nil {
			return fail(q.what, err)
		}
		o, ok := listed.Lookup(topic, partition)
		if !ok {
			return fail(q.what, ErrNoTopic)
		}
		if o.Err != nil {
			return fail(q.what, o.Err)
		}
		*q.to = o.Offset
	}
	after, err := topicID(ctx, client, topic)
	if err != nil {
		return fail("topic id", err)
	}
	if after != before {
		return Bounds{}, fmt.Errorf("bounds of %s partition %d: the topic was recreated meanwhile", topic, partition)
	}
	return out, nil
}

// topicID asks the brokers. kadm's own questions may be answered from a cache that is seconds old, in which a topic that
// has just been recreated still has its old id.
func topicID(ctx context.Context, client *kgo.Client, topic string) (string, error) {
	response, err := metadataRequest(topic).RequestWith(ctx, client)
	if err != nil {
		return "", err
	}
	return idIn(response, topic)
}

func metadataRequest(topic string) *kmsg.MetadataRequest {
	r := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	r.Topics = append(r.Topics, t)
	return r
}

func idIn(r *kmsg.MetadataResponse, topic string) (string, error) {
	for _, t := range r.Topics {
		if t.Topic != nil && *t.Topic == topic {
			return hexID(t.TopicID), kerr.ErrorForCode(t.ErrorCode)
		}
	}
	return "", ErrNoTopic
}

func hexID(id [16]byte) string { return fmt.Sprintf("%x", id[:]) }

func brokerError(err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
		return fmt.Errorf("%w (%w)", ErrNoTopic, err)
	}
	if reason := kafkaprops.Reason(err); reason != "" {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return err
}

// Advise implements Broker.
func (k *Kafka) Advise(ctx context.Context, list []Advice) error {
	if len(list) == 0 {
		return nil
	}
	s := list[0].Spec
	admin, err := k.admin(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.requestTimeout)
	defer cancel()
	group := s.IO.ConsumerProperties["group.id"]
	if group == "" {
		group = "drumlin-" + s.ID
	}
	var offsets kadm.Offsets
	for _, a := range list {
		offsets.AddOffset(a.Topic, a.Partition, a.Offset, a.LeaderEpoch)
	}
	if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("commit the offsets of %d partitions to group %s: %w", len(list), group, brokerError(err))
	}
	return nil
}

// kafkaSource is one client that reads one partition.
type kafkaSource struct {
	client    *kgo.Client
	topic     string
	partition int32
	buffers   [2][]Record // used in turn
	polls     int
	topicID   string
	failed    error // came together with records: the next poll returns it
}

// Close implements Source.
func (s *kafkaSource) Close() { s.client.Close() }

// Poll implements Source.
func (s *kafkaSource) Poll(ctx context.Context) (Fetch, error) {
	out := Fetch{LogStart: -1, StableEnd: -1, End: -1}
	if s.failed != nil {
		return out, s.failed
	}
	fetches := s.client.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return out, err
	}
	s.polls++
	records := s.buffers[s.polls%2][:0]
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if p.Err != nil {
			s.failed = s.sourceError(p.Err)
			return
		}
		out.LogStart, out.StableEnd, out.End = p.LogStartOffset, p.LastStableOffset, p.HighWatermark
		for _, r := range p.Records {
			records = append(records, convertRecord(r))
		}
	})
	s.buffers[s.polls%2], out.Records = records, records
	_, truncated := errors.AsType[*TruncatedError](s.failed)
	if s.failed != nil && (truncated || len(out.Records) == 0) {
		return out, s.failed
	}
	if err := s.findTopicID(ctx); err != nil {
		return out, err
	}
	out.TopicID = s.topicID
	return out, nil
}

// findTopicID takes the topic's id from what this client itself has learnt from the brokers. A client goes on asking for
// the first id that it learnt, and what is remembered here is that one or, after it, another that will not fit the
// partition's: so an id that fits is the id of these records.
func (s *kafkaSource) findTopicID(ctx context.Context) error {
	if s.topicID != "" {
		return nil
	}
	response, err := s.client.RequestCachedMetadata(ctx, metadataRequest(s.topic), time.Hour)
	if err == nil {
		s.topicID, err = idIn(response, s.topic)
	}
	if err != nil {
		return fmt.Errorf("find the id of topic %s: %w", s.topic, brokerError(err))
	}
	return nil
}

func (s *kafkaSource) sourceError(err error) error {
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return fmt.Errorf("read %s partition %d: %w", s.topic, s.partition, ErrOutOfRange)
	}
	if lost, ok := errors.AsType[*kgo.ErrDataLoss](err); ok {
		return &TruncatedError{ConsumedTo: lost.ConsumedTo, ResetTo: lost.ResetTo, ResetToEpoch: lost.ResetToEpoch}
	}
	if _, ok := errors.AsType[*kgo.ErrDecompressTooLarge](err); ok {
		return fmt.Errorf("read %s partition %d: %w (limit %d bytes): %w", s.topic, s.partition, ErrBatchTooLarge, maxDecompressedBatchByte, err)
	}
	return fmt.Errorf("read %s partition %d: %w", s.topic, s.partition, brokerError(err))
}

func convertRecord(r *kgo.Record) Record {
	out := Record{
		Record: decode.Record{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, TimestampMillis: r.Timestamp.UnixMilli(),
			Key: r.Key, Value: r.Value,
		},
		LeaderEpoch: r.LeaderEpoch, Control: r.Attrs.IsControl(),
	}
	if r.Attrs.TimestampType() < 0 {
		out.TimestampMillis = -1
	}
	if len(r.Headers) > 0 {
		out.Headers = make([]decode.Header, len(r.Headers))
		for i, h := range r.Headers {
			out.Headers[i] = decode.Header{Key: h.Key, Value: h.Value}
		}
	}
	return out
}
