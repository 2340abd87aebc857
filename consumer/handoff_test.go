package consumer

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/catalog"
	"drumlin/indexer"
	"drumlin/internal/testkit"
	"drumlin/segment"
)

// The Wikipedia edits of one day in hour chunks of at most 1,000 rows are 51 segments: where every handoff is cut exactly
// where a segment is full, and where one handoff splits all of them.
func TestRowLimitMakesTheSameSegmentsHoweverItIsHandedOff(t *testing.T) {
	t.Run("by the row limit", func(t *testing.T) {
		b := &limitedBuilder{}
		r := newRig(t, func(o *Options) { b.Builder, o.Builder = o.Builder, b })
		r.handOffWikiticker("{type: kafka, maxRowsPerSegment: 1000}")
		if n := b.handoffs.Load(); n < 20 {
			t.Errorf("%d handoffs: the limit did not cut", n)
		}
	})
	t.Run("by one handoff", func(t *testing.T) {
		b := &limitedBuilder{maxRowsPerSegment: 1000} // the worker, without the limit, does not cut
		r := newRig(t, func(o *Options) { b.Builder, o.Builder = o.Builder, b })
		r.handOffWikiticker("{type: kafka}")
		if n := b.handoffs.Load(); n != 1 {
			t.Errorf("%d handoffs, want one", n)
		}
	})
}

// limitedBuilder counts handoffs, and sets their row limit where it has one.
type limitedBuilder struct {
	Builder
	maxRowsPerSegment int64
	handoffs          atomic.Int64
}

func (b *limitedBuilder) Build(ctx context.Context, r indexer.Request) (*indexer.Result, error) {
	b.handoffs.Add(1)
	if b.maxRowsPerSegment > 0 {
		r.MaxRowsPerSegment = b.maxRowsPerSegment
	}
	return b.Builder.Build(ctx, r)
}

// handOffWikiticker reads and hands off all of the data, and checks the commits.
func (r *rig) handOffWikiticker(tuning string) {
	r.t.Helper()
	lines := wikiticker(r.t)
	r.createTopic(1)
	var records []*kgo.Record
	for i, line := range lines {
		records = append(records, &kgo.Record{Topic: "t", Value: line, Timestamp: time.UnixMilli(baseMillis + int64(i))})
	}
	r.must(r.client.ProduceSync(r.t.Context(), records...).FirstErr())
	r.start(r.submit(`
type: kafka
spec:
  dataSchema: {dataSource: t, timestampSpec: {column: time, format: iso},
    dimensionsSpec: {dimensions: [channel, page, user, {name: added, type: long}, {name: deleted, type: long}]},
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}}
  ioConfig: {topic: t, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: ` + tuning + "\n"))
	r.handoff(int64(len(lines)))
	c := r.committed()
	if c.rows != 39244 || c.segments != 51 || c.rejects != 0 || c.offset.Counters.Stored != 39244 {
		r.t.Errorf("%d rows in %d segments, %+v", c.rows, c.segments, c.offset)
	}
}

func wikiticker(t *testing.T) [][]byte {
	t.Helper()
	f, err := os.Open(testkit.SharedData(t, "wikiticker-2015-09-12-sampled.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines = append(lines, append([]byte{}, s.Bytes()...))
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return lines
}

func TestRowsAndAgeTriggerHandoffs(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 25)
	r.start(r.submit(specText("", "", ", maxRowsInMemory: 10, intermediateHandoffPeriod: PT0.2S")))
	r.waitFor("the last rows, which are too few", func(s PartitionStatus) bool { return s.Committed == 25 })
	c := r.committed()
	// Where reading pauses for longer than the age, on a busy machine, it cuts earlier than the rows.
	if len(c.ranges) < 3 || c.rows != 25 || slices.ContainsFunc(c.ranges, func(r segment.OffsetRange) bool { return r.To-r.From > 10 }) {
		t.Errorf("committed %+v", c)
	}
}

// faultyBuilder fails as it is told.
type faultyBuilder struct {
	Builder
	fails atomic.Int64
	gate  chan struct{} // closed: builds go on
}

func (b *faultyBuilder) Build(ctx context.Context, r indexer.Request) (*indexer.Result, error) {
	if b.gate != nil {
		select {
		case <-b.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if b.fails.Add(-1) >= 0 {
		return nil, errors.New("503 slow down")
	}
	return b.Builder.Build(ctx, r)
}

func TestUploadFailuresAreRetriedWhileReadingGoesOn(t *testing.T) {
	b := &faultyBuilder{gate: make(chan struct{})}
	b.fails.Store(5)
	r := newRig(t, func(o *Options) { b.Builder = o.Builder; o.Builder = b })
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", ", maxRowsInMemory: 10")))
	r.waitFor("a handoff", func(s PartitionStatus) bool { return s.Handoffs > 0 })
	r.produceEvents(10, 5)
	r.waitPosition(15)
	h, err := r.manager.Hot(t.Context(), r.hotRequest())
	r.must(err)
	if h.To < 10 || len(hotOffsets(h)) < 10 {
		t.Errorf("rows of an unfinished handoff are not readable: %+v", h)
	}
	h.Release()
	close(b.gate)
	r.handoff(15)
	if c := r.committed(); c.rows != 15 || b.fails.Load() >= 0 {
		t.Errorf("committed %+v", c)
	}
}

// lossyOffsets loses the reply of an append after it has been applied, as a broken connection does.
type lossyOffsets struct {
	Offsets
	lose atomic.Bool
}

func (o *lossyOffsets) Append(ctx context.Context, r catalog.AppendRequest) (int64, error) {
	revision, err := o.Offsets.Append(ctx, r)
	if err == nil && o.lose.CompareAndSwap(true, false) {
		return 0, fmt.Errorf("commit: %w", catalog.ErrUnknown)
	}
	return revision, err
}

// An outcome that the catalog says cannot be known any more is another owner's business.
func TestUnknowableOutcomeStepsDownAndReloads(t *testing.T) {
	o := &lossyOffsets{}
	r := newRig(t, func(opts *Options) { o.Offsets = opts.Offsets; opts.Offsets = o })
	o.lose.Store(true)
	r.createTopic(1)
	r.produceEvents(0, 10)
	s := r.submit(specText("", "", ""))
	r.start(s)
	if _, err := r.manager.Handoff(t.Context(), testKey, 10); !errors.Is(err, catalog.ErrUnknown) {
		t.Errorf("handoff: %v", err)
	}
	if err := r.waitEnded(); !errors.Is(err, catalog.ErrUnknown) {
		t.Errorf("ended with %v", err)
	}
	r.must(r.session.Release(t.Context(), r.owner))
	r.produceEvents(10, 5)
	r.start(s)
	r.handoff(15)
	if c := r.committed(); c.rows != 15 || len(c.ranges) != 2 {
		t.Errorf("committed %+v", c)
	}
}

// Readers ask without a pause while rows arrive and are committed: whatever view they have, committed and hot rows
// together are a prefix of the log, each row once.
func TestHotAndCommittedAreOnePrefix(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.start(r.submit(specText("", "", ", maxRowsInMemory: 70")))
	const total = 2000
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var answers atomic.Int64
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				view := r.cat.View()
				if view.Supervisors["t"] == nil || view.Supervisors["t"].Partitions[testKey] == nil {
					continue
				}
				p := view.Supervisors["t"].Partitions[testKey]
				h, err := r.manager.Hot(ctx, requestAt(view))
				if err != nil {
					continue
				}
				var cold int64
				for _, b := range view.Datasources["t"].Buckets {
					for _, s := range b.Tail {
						cold += s.Rows
					}
				}
				if got := cold + h.Counters.Stored; got != h.To || p.Offset.Next != h.From {
					t.Errorf("%d cold and %d hot rows at cut %d (committed %d)", cold, h.Counters.Stored, h.To, p.Offset.Next)
				}
				for i, o := range hotOffsets(h) {
					if o != h.From+int64(i) {
						t.Errorf("offset %d where %d belongs", o, h.From+int64(i))
						break
					}
				}
				h.Release()
				answers.Add(1)
			}
		})
	}
	for i := 0; i < total; i += 40 {
		r.produceEvents(i, 40)
	}
	r.handoff(total)
	r.waitFor("some answers", func(PartitionStatus) bool { return answers.Load() >= 10 })
	cancel()
	readers.Wait()
	if c := r.committed(); c.rows != total {
		t.Errorf("committed %+v", c)
	}
}

func TestStopAllHandsOff(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(10)
	r.must(r.manager.StopAll(t.Context()))
	if c := r.committed(); c.rows != 10 {
		t.Errorf("committed %+v", c)
	}
	if err := r.manager.Start(t.Context(), Assignment{Owner: r.owner, Supervisor: catalog.Supervisor{ID: "t"}}); !errors.Is(err, ErrClosed) {
		t.Errorf("started after the end: %v", err)
	}
}

func TestStopGivesUpAtItsDeadline(t *testing.T) {
	b := &faultyBuilder{gate: make(chan struct{})}
	r := newRig(t, func(o *Options) { b.Builder = o.Builder; o.Builder = b })
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(10)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.manager.Stop(ctx, testKey, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	if c := r.committed(); c.rows != 0 || c.offset.Next != 0 {
		t.Errorf("committed %+v", c)
	}
}

func TestLatestOffsetAndLatePartition(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(2)
	r.produceEvents(0, 10)
	r.must(r.client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: 1, Value: []byte(event("x", 1, baseMillis))}).FirstErr())
	s := r.submit(replace(specText("", "", ""), "useEarliestOffset: true", "useEarliestOffset: false"))
	r.start(s)
	late := catalog.PartitionKey{Supervisor: "t", Topic: "t", Partition: 1}
	owner, err := r.session.Acquire(t.Context(), late)
	r.must(err)
	r.must(r.manager.Start(t.Context(), Assignment{Owner: owner, Supervisor: s, FromEarliest: true}))
	r.waitFor("the beginning", func(s PartitionStatus) bool { return s.State == StateRunning && s.Position == 10 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = r.manager.Handoff(ctx, late, 1)
	r.must(err)
	if c := r.committed(); c.rows != 1 || c.offset.Next != 10 {
		t.Errorf("committed %+v", c)
	}
}

func TestDiscoverAndWatermarks(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(2)
	r.must(r.cluster.CreateTopic("other", 1, nil))
	r.produceEvents(0, 3)
	plan, err := planFromText(specText("", "", ""))
	r.must(err)
	found, err := r.kafka.Discover(t.Context(), plan)
	r.must(err)
	if len(found) != 1 || found[0].Topic != "t" || len(found[0].Partitions) != 2 || len(found[0].TopicID) != 32 {
		t.Errorf("discovered %+v", found)
	}
	plan.IO.Topic, plan.IO.TopicPattern = "", "o.*"
	found, err = r.kafka.Discover(t.Context(), plan)
	r.must(err)
	if len(found) != 1 || found[0].Topic != "other" {
		t.Errorf("discovered by pattern %+v", found)
	}
	plan.IO.Topic, plan.IO.TopicPattern = "missing", ""
	if found, err = r.kafka.Discover(t.Context(), plan); err != nil || len(found) != 0 {
		t.Errorf("a missing topic: %+v, %v", found, err)
	}
	marks, err := r.kafka.HighWatermarks(t.Context(), plan, []string{"t"})
	r.must(err)
	if marks["t"][0] != 3 || marks["t"][1] != 0 {
		t.Errorf("watermarks %v", marks)
	}
}

func TestGroupOffsetIsAdvice(t *testing.T) {
	r := newRig(t, nil)
	r.createTopic(1)
	r.produceEvents(0, 7)
	r.start(r.submit(specText("", "", "")))
	r.handoff(7)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if info := r.cluster.GroupInfo("drumlin-t"); info != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no group offset was committed")
		}
	}
}
