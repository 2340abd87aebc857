package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/generate"
)

// FeedOptions say what is written. Events are those of drumlin generate, a tenth of them copies.
type FeedOptions struct {
	Topic       string
	Events      int64 // 0: until Stop
	PerSecond   int   // 0: as fast as the broker takes them
	Seed        uint64
	Duplicates  float64 // 0: a tenth; less than 0: none
	Late        float64
	Compression kgo.CompressionCodec // the zero value: none

	// Transactions of some hundred events each, an AbortShare of which is aborted. Without, the producer is idempotent.
	Transactions bool
	AbortShare   float64
}

// Feed writes events at a steady rate while a test does other things. It goes on through failures of the broker: what becomes
// of an event is told by the log alone.
type Feed struct {
	options FeedOptions
	client  *kgo.Client
	random  *rand.Rand // of the writing goroutine

	stop  context.CancelFunc
	done  chan struct{}
	err   error // valid when done is closed
	acked atomic.Int64
	ended sync.Once
}

// transactionBudget is how long the broker keeps a transaction whose producer is silent.
const transactionBudget = 30 * time.Second

// StartFeed begins to write. The feed is stopped at the test's end.
func (a *Asker) StartFeed(t testing.TB, o FeedOptions) *Feed {
	t.Helper()
	opts := []kgo.Opt{
		kgo.SeedBrokers(a.brokers), kgo.DefaultProduceTopic(o.Topic), kgo.ProducerLinger(5 * time.Millisecond),
		kgo.ProducerBatchCompression(o.Compression), kgo.MaxBufferedRecords(20_000), kgo.RecordRetries(1 << 30),
		kgo.UnknownTopicRetries(-1),
	}
	if o.Transactions {
		opts = append(opts, kgo.TransactionalID(fmt.Sprintf("%s-%d", o.Topic, o.Seed)), kgo.TransactionTimeout(transactionBudget))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Feed{
		options: o, client: client, random: rand.New(rand.NewPCG(o.Seed, 17)), stop: stop, done: make(chan struct{}),
	}
	go func() {
		defer close(f.done)
		f.err = f.write(ctx)
	}()
	t.Cleanup(f.end)
	return f
}

// Acknowledged is how many events the broker has taken, those of aborted transactions included.
func (f *Feed) Acknowledged() int64 { return f.acked.Load() }

// Wait waits until all Events are written.
func (f *Feed) Wait(t testing.TB) {
	t.Helper()
	select {
	case <-f.done:
	case <-time.After(10 * time.Minute):
		t.Fatalf("the feed to %s has not ended: %d events acknowledged", f.options.Topic, f.Acknowledged())
	}
	if f.err != nil {
		t.Fatalf("the feed to %s: %v", f.options.Topic, f.err)
	}
}

// Stop ends the writing after the event, or the transaction, that is on its way.
func (f *Feed) Stop(t testing.TB) {
	t.Helper()
	f.stop()
	f.Wait(t)
	f.end()
}

func (f *Feed) end() {
	f.ended.Do(func() {
		f.stop()
		<-f.done
		f.client.Close()
	})
}

func (f *Feed) write(ctx context.Context) error {
	events := f.options.Events
	if events == 0 {
		events = 1 << 40
	}
	duplicates := f.options.Duplicates
	if duplicates == 0 {
		duplicates = 0.1
	}
	source := generate.New(generate.Options{
		Events: events, Duplicates: max(duplicates, 0), Late: f.options.Late, Seed: f.options.Seed,
		// Behind the present: brokers delete records by their age.
		Start: time.Now().Add(-2 * time.Hour), RatePerSecond: 200,
	})
	if f.options.Transactions {
		return f.writeTransactions(ctx, source)
	}
	f.writeSome(ctx, source, events)
	return f.flush()
}

// flush waits for what was written, also after the feed was stopped.
func (f *Feed) flush() error {
	limited, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return f.client.Flush(limited)
}

// writeSome writes up to n events; false: there are no more.
func (f *Feed) writeSome(ctx context.Context, source *generate.Generator, n int64) bool {
	var pace *time.Ticker
	share := 0
	if f.options.PerSecond > 0 {
		pace = time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		share = max(1, f.options.PerSecond/100)
	}
	for i := range n {
		if pace != nil && i%int64(share) == 0 {
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return true
		}
		value, key, millis, ok := source.Next(nil)
		if !ok {
			return false
		}
		// The context is not the feed's: a record that was given to the client is written, or the producer's sequence breaks.
		f.client.Produce(context.Background(), &kgo.Record{Key: key, Value: value, Timestamp: time.UnixMilli(millis)}, func(_ *kgo.Record, err error) {
			if err == nil {
				f.acked.Add(1)
			}
		})
	}
	return true
}

// writeTransactions writes until there are no more events. A transaction that the broker gave up is over, and its
// records with it.
func (f *Feed) writeTransactions(ctx context.Context, source *generate.Generator) error {
	for more := true; more && ctx.Err() == nil; {
		if err := f.client.BeginTransaction(); err != nil {
			return fmt.Errorf("begin a transaction: %w", err)
		}
		more = f.writeSome(ctx, source, 100+f.random.Int64N(400))
		flushed := f.flush()
		commit := flushed == nil && f.random.Float64() >= f.options.AbortShare
		limited, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		err := f.client.EndTransaction(limited, kgo.TransactionEndTry(commit))
		if err != nil && commit {
			err = f.client.EndTransaction(limited, kgo.TryAbort)
		}
		cancel()
		if err = errors.Join(flushed, err); err != nil {
			return fmt.Errorf("end a transaction: %w", err)
		}
	}
	return nil
}
