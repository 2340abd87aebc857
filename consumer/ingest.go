package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"drumlin/consumer/decode"
)

// backoff spaces attempts, with full jitter.
type backoff struct {
	at    time.Time
	pause time.Duration
}

func (b *backoff) failed(limit time.Duration) {
	b.pause = min(max(2*b.pause, 20*time.Millisecond), limit)
	b.at = time.Now().Add(rand.N(b.pause) + time.Millisecond)
}

func (b *backoff) succeeded() { b.pause = 0 }

func (w *worker) startFetching(ctx context.Context, now time.Time) {
	if w.fetcher != nil || w.halted != nil || w.stopped || w.holding > 0 || len(w.pending) > 0 || now.Before(w.reopen.at) {
		return
	}
	w.fetcher = startFetcher(ctx, w.d.Broker, OpenRequest{
		Spec: w.target.spec, Topic: w.key.Topic, Partition: w.key.Partition, Offset: w.next, LeaderEpoch: w.leaderEpoch,
	}, w.standing.offset.TopicID)
}

// closeFetcher ends fetching; what was fetched and not read is forgotten.
func (w *worker) closeFetcher() {
	w.pending = nil
	if w.fetcher != nil {
		w.fetcher.close()
		w.fetcher = nil
	}
}

func (w *worker) polled(p polled) error {
	w.heard(time.Now(), p.err)
	if p.err != nil {
		w.closeFetcher()
		return w.fetchFailed(p)
	}
	w.reopen.succeeded()
	w.failing(nil)
	w.learnEnds(p.StableEnd, p.End)
	if len(p.Records) == 0 {
		return nil
	}
	first := p.Records[0].Offset
	if p.LogStart > w.next && first > w.next {
		w.closeFetcher()
		return w.lose(w.next, min(p.LogStart, first))
	}
	w.pending = p.Records
	return w.read()
}

func (w *worker) fetchFailed(p polled) error {
	truncated, isTruncated := errors.AsType[*TruncatedError](p.err)
	switch {
	case errors.Is(p.err, errRecreated):
		w.halt(Halt{Reason: HaltRecreated, Message: fmt.Sprintf("topic %s: %v. What was committed stays. Submit "+
			"a spec with another dataSource to read the new topic", w.key.Topic, p.err)})
	case errors.Is(p.err, ErrBatchTooLarge):
		w.halt(Halt{Reason: HaltBatchTooLarge, Message: fmt.Sprintf("%s at offset %d: %v", w.place(), w.next, p.err)})
	case errors.Is(p.err, ErrOutOfRange):
		if err := w.examine(p.bounds); err != nil {
			return err
		}
	case isTruncated && truncated.ResetTo < w.standing.offset.Next:
		w.halt(Halt{Reason: HaltTruncated, Message: fmt.Sprintf("%s: %v. Rows up to offset %d are committed. "+
			"Submit a spec with another dataSource to read the topic anew", w.place(), truncated, w.standing.offset.Next)})
	case isTruncated && truncated.ResetTo < w.next:
		return fmt.Errorf("%s: %w: %w", w.place(), errDiverged, truncated)
	case isTruncated:
		w.leaderEpoch = truncated.ResetToEpoch
	}
	if w.halted != nil || w.holding > 0 {
		return w.cut() // it is halted, or a gap is being committed
	}
	w.failing(p.err)
	w.reopen.failed(w.d.Backoff)
	return nil
}

// halt stops reading until a person, a policy or a new spec decides. What has been read stays, and is handed off.
func (w *worker) halt(h Halt) {
	h.Since = time.Now()
	w.halted = &h
	w.closeFetcher()
	w.hot.halt(h.Message)
	w.log.Error("partition halted", "reason", h.Reason, "message", h.Message, "position", w.next)
}

func (w *worker) resume() {
	w.halted = nil
	w.hot.halt("")
	w.reopen = backoff{}
}

// read works on a part of the pending records: a small one where they fill memory up to the limit from which on it pauses.
func (w *worker) read() error {
	n := min(len(w.pending), chunkRecords)
	rejects := w.rejectedTotal
	var rows int64
	for i := range w.pending[:n] {
		stop, isRow, err := w.readRecord(&w.pending[i])
		if err != nil {
			return err
		}
		if isRow {
			rows++
		}
		if stop {
			n = i
			break
		}
		if w.memoryFull() {
			n = i + 1
			break
		}
	}
	w.d.metrics.read(w.key, rows, w.rejectedTotal-rejects)
	if len(w.pending) > 0 {
		w.pending = w.pending[n:] // a halt has emptied it
	}
	if w.halted != nil {
		return w.cut()
	}
	w.schedulePublish()
	return nil
}

// readRecord takes one record in. stop says that reading must not go on, with this record still to be read.
func (w *worker) readRecord(r *Record) (stop, isRow bool, err error) {
	if r.Offset < w.next {
		return false, false, fmt.Errorf("%s: %w: %d came where %d was next", w.place(), errOrder, r.Offset, w.next)
	}
	if w.rangeBegan.IsZero() {
		w.rangeBegan, w.rangeFirst = time.Now(), r.TimestampMillis
	}
	w.unpublished = true
	if !r.Control {
		halted, row, err := w.takeIn(r)
		if halted || err != nil {
			return halted, false, err
		}
		isRow = row
	}
	w.next, w.leaderEpoch = r.Offset+1, r.LeaderEpoch
	return false, isRow, w.checkLimits()
}

// takeIn decodes and judges a record and appends it to the rows or the rejects. The order is: reject, the spec's filter, and
// then, by whoever compares rows, dedup.
func (w *worker) takeIn(r *Record) (halted, isRow bool, err error) {
	row, reject := w.plan.decoder.Decode(&r.Record)
	var v verdict
	unparseable := reject != nil
	if !unparseable {
		v = w.plan.judge.judge(row.TimeMillis, r.TimestampMillis, w.clock)
		reject = v.reject
	}
	if reject == nil && row.Filtered {
		w.clock = max(w.clock, r.TimestampMillis)
		return false, false, nil // counted as skipped: every offset without a row or a reject is
	}
	if reject == nil {
		w.batches.rows.append(row, r.Offset, v)
		w.rangeRows++
		w.rangeBuckets[v.bucket.StartMillis]++
		w.clock = max(w.clock, r.TimestampMillis)
		if limit := w.target.spec.Tuning.MaxRowsPerSegment; limit > 0 && w.rangeBuckets[v.bucket.StartMillis] >= limit {
			w.next, w.leaderEpoch = r.Offset+1, r.LeaderEpoch
			return false, true, w.cut()
		}
		return false, true, nil
	}
	if limit := w.target.spec.Tuning.MaxParseExceptions; unparseable && limit >= 0 && w.unparseableTotal+1 > limit {
		w.next = r.Offset
		w.halt(Halt{Reason: HaltParseErrors, Message: fmt.Sprintf("%s: record %d would be number %d that cannot be read, and "+
			"maxParseExceptions is %d (%s: %s). Raise the limit or mend the spec", w.place(), r.Offset, w.unparseableTotal+1, limit, reject.Reason, reject.Message)})
		return true, false, nil
	}
	w.rejectRecord(r, reject)
	if unparseable {
		w.rangeUnparseable++
		w.unparseableTotal++
	}
	return false, false, nil
}

func (w *worker) rejectRecord(r *Record, reject *decode.Reject) {
	at := r.TimestampMillis
	if at < 0 {
		at = w.clock
	}
	w.batches.rejects.append(&r.Record, at, reject, w.plan.bucketOf(at))
	w.rangeRejects++
	w.rejectedTotal++
	w.clock = max(w.clock, r.TimestampMillis)
}

// checkLimits publishes a full batch and cuts where a limit of the partition is reached.
func (w *worker) checkLimits() error {
	if w.batches.rows.full() || w.batches.rejects.full() {
		if err := w.publish(); err != nil {
			return err
		}
	}
	t := w.target.spec.Tuning
	switch {
	case t.MaxRowsInMemory > 0 && w.rangeRows+w.rangeRejects >= t.MaxRowsInMemory,
		t.MaxTotalRows > 0 && w.rangeRows >= t.MaxTotalRows,
		t.MaxBytesInMemory > 0 && w.rangeBytes >= t.MaxBytesInMemory:
		return w.cut()
	}
	return nil
}

// schedulePublish decides when readers see what has been read: soon where nothing more is waiting, else within
// PublishEvery of the first unpublished row.
func (w *worker) schedulePublish() {
	if !w.unpublished {
		w.publishAt = time.Time{}
		return
	}
	now := time.Now()
	if w.publishAt.IsZero() {
		w.publishAt = now.Add(w.d.PublishEvery)
	}
	if len(w.pending) == 0 {
		if dry := w.lastPublished.Add(min(dryPublishEvery, w.d.PublishEvery)); dry.Before(w.publishAt) {
			w.publishAt = dry
		}
	}
}

// publish makes what has been read readable.
func (w *worker) publish() error {
	data, rejects := w.batches.finish(w.d.memory)
	for _, b := range []*hotBatch{data, rejects} {
		if b != nil {
			w.rangeBytes += b.bytes
			w.uncut.Add(b.bytes)
		}
	}
	w.unpublished, w.publishAt, w.lastPublished = false, time.Time{}, time.Now()
	if err := w.hot.publish(data, rejects, w.cutFrom, w.next); err != nil {
		return fmt.Errorf("%s: %w", w.place(), err)
	}
	w.newestMillis.Store(w.clock)
	if w.d.memory.used.Load() >= w.d.MaxHotBytes/100*handoffFrom {
		w.d.budget.look()
	}
	return nil
}

// cut ends the range that the next commit covers at the position, and queues its handoff.
func (w *worker) cut() error {
	if err := w.publish(); err != nil {
		return err
	}
	if w.next == w.cutFrom {
		w.rangeFirst, w.rangeBegan = 0, time.Time{} // of a record that halted the partition
		return nil
	}
	first := w.rangeFirst
	if w.rangeBegan.IsZero() || first < 0 {
		first = w.clock
	}
	h := &handoff{
		plan: w.plan, spec: w.target.spec, from: w.cutFrom, to: w.next, rows: w.rangeRows, refused: w.rangeRejects,
		unparseable: w.rangeUnparseable,
		leaderEpoch: w.leaderEpoch, clock: w.clock, firstMillis: first, began: time.Now(),
	}
	h.data, h.rejects = w.hot.take(h.from, h.to)
	bytes := w.rangeBytes
	w.draining.Add(bytes)
	w.uncut.Store(0)
	w.queue(&step{
		run:     func(ctx context.Context, now standing) (standing, error) { return w.commit(ctx, h, now) },
		release: func() { h.release(); w.draining.Add(-bytes) },
		then:    w.committed,
	})
	w.cutFrom, w.rangeRows, w.rangeRejects, w.rangeUnparseable, w.rangeBytes = w.next, 0, 0, 0, 0
	w.rangeFirst, w.rangeBegan = 0, time.Time{}
	clear(w.rangeBuckets)
	return nil
}

func (w *worker) committed(now standing) {
	w.hot.committedTo(now.offset.Next, now.revision, time.Now())
}

// adoptIfDue changes to the newest facts: at the end of the hot rows, once everything that the log held when the
// partition was acquired has been read and is queued for its commit.
func (w *worker) adoptIfDue() error {
	if w.adopting || w.stopped || w.target.facts == w.plan.facts || w.next < w.catchUp {
		return nil
	}
	if err := w.cut(); err != nil {
		return err
	}
	w.adopting = true
	target := w.target
	batches, err := newBuilders(target)
	if err != nil {
		return err
	}
	w.queue(&step{
		holds: true,
		run: func(ctx context.Context, now standing) (standing, error) {
			return w.acknowledge(ctx, target.facts, now)
		},
		then: func(now standing) {
			w.plan, w.batches, w.adopting = target, batches, false
			w.hot.restart(now.offset.Next, now.revision, target.facts)
		},
	})
	return nil
}

// aim sets the newest plan; it takes effect when adoptIfDue allows it.
func (w *worker) aim(target *plan) error {
	moved := !maps.Equal(w.target.spec.IO.ConsumerProperties, target.spec.IO.ConsumerProperties)
	w.target = target
	if moved {
		w.closeFetcher()
	}
	h := w.halted
	switch {
	case h == nil:
	case h.Reason == HaltParseErrors:
		w.resume() // it halts again at once if the new limit is no higher
	case h.Reason == HaltLostRange && target.spec.Tuning.ResetOffsetAutomatically:
		return w.acceptLoss()
	}
	return nil
}

// acceptLoss commits the lost range as lost, after what is in hand, and goes on behind it.
func (w *worker) acceptLoss() error {
	if err := w.cut(); err != nil {
		return err
	}
	lost := *w.halted
	w.resume()
	h := &handoff{
		plan: w.plan, spec: w.target.spec, from: lost.From, to: lost.To, lost: lost.To - lost.From, leaderEpoch: -1,
		clock: w.clock, firstMillis: w.clock, began: time.Now(),
	}
	w.queue(&step{
		holds: true,
		run:   func(ctx context.Context, now standing) (standing, error) { return w.commit(ctx, h, now) },
		then: func(now standing) {
			w.next, w.cutFrom, w.leaderEpoch = lost.To, lost.To, -1
			w.hot.restart(lost.To, now.revision, now.offset.Facts)
		},
	})
	return nil
}

// serveWaiters cuts for those whose offset has been reached and answers those whose rows are committed.
func (w *worker) serveWaiters() error {
	left := w.waiters[:0]
	for _, h := range w.waiters {
		if h.left.Load() {
			continue
		}
		if h.cutAt < 0 && w.next >= h.upTo {
			if err := w.cut(); err != nil {
				return err
			}
			h.cutAt = w.next
		}
		switch {
		case h.cutAt >= 0 && w.standing.offset.Next >= h.cutAt:
			h.result <- handoffResult{revision: w.standing.revision}
		case h.cutAt < 0 && w.halted != nil:
			h.result <- handoffResult{err: fmt.Errorf("cannot read to offset %d: %w: %s", h.upTo, ErrHalted, w.halted.Message)}
		default:
			left = append(left, h)
		}
	}
	w.waiters = left
	return nil
}
