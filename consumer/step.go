package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"drumlin/catalog"
	"drumlin/indexer"
	"drumlin/segment"
	"drumlin/spec"
)

// standing is where a partition stands in the catalog.
type standing struct {
	offset      catalog.Offset
	modRevision int64 // of the offset key
	revision    int64 // that a reader's view must reach to know of it
}

// step is one thing that moves a partition on in the catalog. Steps run one at a time, in order, beside the loop.
type step struct {
	run     func(ctx context.Context, now standing) (standing, error)
	then    func(standing) // in the loop, after success
	release func()         // in the end, whatever happened; may be nil
	holds   bool           // nothing is read until it is done
}

type stepResult struct {
	step *step
	now  standing
	err  error
}

// handoff is one commit's content: everything between two cuts.
type handoff struct {
	plan          *plan
	spec          *spec.Supervisor // whose limits are used: the newest
	from, to      int64
	data, rejects []segment.HotBatch
	rows, refused int64
	unparseable   int64 // of refused
	lost          int64
	leaderEpoch   int32
	clock         int64
	firstMillis   int64 // Kafka timestamp of the first record
	began         time.Time
}

func (h *handoff) release() {
	for _, list := range [][]segment.HotBatch{h.data, h.rejects} {
		for _, b := range list {
			b.Record.Release()
		}
	}
}

// commit builds the handoff's segments and makes them live. Failures that may pass are retried; readers and the loop go
// on meanwhile.
func (w *worker) commit(ctx context.Context, h *handoff, now standing) (standing, error) {
	if err := w.d.Failpoints.Hit("handoff.before_build"); err != nil {
		return now, err
	}
	r := indexer.Request{
		Datasource: h.plan.datasource, Schema: h.plan.schema, Incarnation: w.d.Incarnation, Epoch: w.owner.Epoch,
		Range: w.offsetRange(now.offset.Generation, h.from, h.to), Data: h.data, Rejects: h.rejects,
		MaxRowsPerSegment: h.spec.Tuning.MaxRowsPerSegment, Granularity: h.plan.granularity,
		RejectsFallback: h.plan.bucketOf(h.firstMillis),
	}
	result := &indexer.Result{}
	if len(h.data)+len(h.rejects) > 0 {
		err := w.retry(ctx, request{what: "make the segments of a handoff"}, func(ctx context.Context) (err error) {
			result, err = w.d.Builder.Build(ctx, r)
			return err
		})
		if err != nil {
			return now, err
		}
	}
	c := segment.Counters{
		Stored: result.Stored, Duplicates: result.Duplicates, Rejected: result.Rejected, Keyless: result.Keyless,
		Unparseable: h.unparseable,
		Lost:        h.lost, Skipped: h.to - h.from - h.rows - h.refused - h.lost,
	}
	if c.Stored+c.Duplicates != h.rows || c.Rejected != h.refused || c.Skipped < 0 {
		return now, fmt.Errorf("hand off %s offsets %d to %d: %w: %d rows and %d rejects were read, %+v were written",
			w.place(), h.from, h.to, errMiscounted, h.rows, h.refused, c)
	}
	return w.append(ctx, r.Range, h, c, result.Segments, now)
}

// errMiscounted: rows got lost or came up between memory and the segments. It must never happen.
var errMiscounted = errors.New("law 1 does not hold")

func (w *worker) append(ctx context.Context, r segment.OffsetRange, h *handoff, c segment.Counters,
	segments []segment.Meta, now standing,
) (standing, error) {
	next := now.offset
	next.Next, next.LeaderEpoch = h.to, h.leaderEpoch
	next.ClockMillis = max(next.ClockMillis, h.clock)
	next.Counters = next.Counters.Add(c)
	next.CommitMillis = time.Now().UnixMilli()
	appended := catalog.AppendRequest{
		Owner: w.owner, Prev: now.offset, PrevRevision: now.modRevision, Next: next,
		Commit: &catalog.Commit{
			UUID: uuid.NewString(), Datasource: h.plan.datasource.Name, Supervisor: w.key.Supervisor, Range: r,
			Epoch: w.owner.Epoch, Facts: now.offset.Facts, Counters: c,
			RejectsBucket: h.plan.bucketOf(h.firstMillis), Segments: segments,
		},
	}
	var revision int64
	err := w.retry(ctx, request{what: "commit a handoff", short: true}, func(ctx context.Context) (err error) {
		revision, err = w.d.Offsets.Append(ctx, appended)
		return err
	})
	if err != nil {
		return now, err
	}
	if err := w.d.Failpoints.Hit("handoff.after_commit"); err != nil {
		return now, err
	}
	w.log.Info("handed off", "from", h.from, "to", h.to, "stored", c.Stored, "duplicates", c.Duplicates, "rejected", c.Rejected,
		"skipped", c.Skipped, "lost", c.Lost, "segments", len(segments), "revision", revision, "took", time.Since(h.began))
	w.d.metrics.handedOff(w.key, c, segments, time.Since(h.began))
	w.d.advisor.advise(Advice{
		Spec: h.spec, Topic: w.key.Topic, Partition: w.key.Partition, Offset: next.Next, LeaderEpoch: next.LeaderEpoch,
	})
	return standing{offset: next, modRevision: revision, revision: revision}, nil
}

// acknowledge records that what follows is judged by these facts.
func (w *worker) acknowledge(ctx context.Context, facts segment.Facts, now standing) (standing, error) {
	var revision int64
	err := w.retry(ctx, request{what: "acknowledge a new spec or floor", short: true}, func(ctx context.Context) (err error) {
		revision, err = w.d.Offsets.Acknowledge(ctx, w.owner, now.modRevision, now.offset, facts)
		return err
	})
	if err != nil {
		return now, err
	}
	w.log.Info("reads by new facts", "from", now.offset.Next, "specVersion", facts.SpecVersion,
		"retentionFloor", facts.RetentionFloorMillis, "dedupFloor", facts.DedupFloorMillis, "revision", revision)
	now.offset.Facts = facts
	now.modRevision, now.revision = revision, revision
	return now, nil
}

func (w *worker) offsetRange(generation int32, from, to int64) segment.OffsetRange {
	return segment.OffsetRange{Topic: w.key.Topic, Generation: generation, Partition: w.key.Partition, From: from, To: to}
}

func (w *worker) place() string { return fmt.Sprintf("%s partition %d", w.key.Topic, w.key.Partition) }
