package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is one record to write. Its slices stay untouched until it is acknowledged.
type Record struct {
	Key, Value []byte
	Timestamp  time.Time // zero: the time of sending
}

// Source yields the records; ok is false at the end.
type Source interface {
	Next() (record Record, ok bool, err error)
}

// Options say where and how fast to write.
type Options struct {
	Properties      map[string]string // of a Java client: bootstrap.servers at least
	Topic           string
	PerSecond       float64     // 0: as fast as acknowledged
	MaxMessageBytes int32       // of one batch
	OnProgress      func(int64) // called with the number of acknowledged records; may be nil
}

// recordRetries bounds how often a record is sent again. A time limit would not do: it is measured from the record's own
// timestamp, which may lie in the past.
const recordRetries = 10

// progressEvery is how many records are sent between two calls of OnProgress.
const progressEvery = 1000

// Run writes every record of the source and returns how many were acknowledged, also beside an error.
func Run(ctx context.Context, o Options, source Source) (acknowledged int64, err error) {
	client, brokers, err := connect(
		ctx, o.Properties, "drumlin-produce", kgo.DefaultProduceTopic(o.Topic), kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchMaxBytes(o.MaxMessageBytes), kgo.ProducerLinger(5*time.Millisecond),
		kgo.UnknownTopicRetries(5), kgo.RecordRetries(recordRetries),
	)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	run := &run{client: client, options: o, brokers: brokers}
	sendErr := run.send(ctx, source)
	if err := client.Flush(ctx); err != nil && sendErr == nil {
		sendErr = fmt.Errorf("wait for the last acknowledgements of topic %s: %w", o.Topic, err)
	}
	acknowledged = run.acknowledged.Load()
	if o.OnProgress != nil {
		o.OnProgress(acknowledged)
	}
	return acknowledged, errors.Join(run.failure(), sendErr)
}

type run struct {
	client       *kgo.Client
	options      Options
	brokers      []string
	acknowledged atomic.Int64

	mu    sync.Mutex
	first error // the first record that was not acknowledged
}

func (r *run) send(ctx context.Context, source Source) error {
	begin := time.Now()
	for sent := int64(0); ; sent++ {
		record, ok, err := source.Next()
		if err != nil || !ok {
			return err
		}
		if r.failure() != nil {
			return nil
		}
		if err := r.pace(ctx, begin, sent); err != nil {
			return err
		}
		r.client.Produce(ctx, &kgo.Record{Key: record.Key, Value: record.Value, Timestamp: record.Timestamp}, r.acknowledge)
		if sent%progressEvery == 0 && r.options.OnProgress != nil {
			r.options.OnProgress(r.acknowledged.Load())
		}
	}
}

// pace waits until the given rate allows the next record.
func (r *run) pace(ctx context.Context, begin time.Time, sent int64) error {
	if r.options.PerSecond <= 0 {
		return nil
	}
	due := begin.Add(time.Duration(float64(sent) / r.options.PerSecond * float64(time.Second)))
	wait := time.Until(due)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) acknowledge(_ *kgo.Record, err error) {
	if err == nil {
		r.acknowledged.Add(1)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		r.first = explain(err, r.options.Topic, r.brokers)
	}
}

func (r *run) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}
