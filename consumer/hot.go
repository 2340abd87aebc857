package consumer

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// hotLog holds the published batches of one partition: [from, to) of its log, of which everything below committed is
// in the catalog already and stays for readers with an older view. The worker's loop alone changes it; readers and the
// budget come from anywhere.
type hotLog struct {
	mem memory.Allocator

	mu         sync.Mutex
	topic      string
	partition  int32
	generation int32
	facts      segment.Facts
	begun      bool  // the partition's offset is known
	catchUp    int64 // end of the log when the partition was acquired
	halted     string
	closed     bool
	reading    string // names the rows of [from, to): they are never others under this name, only more

	from, to  int64
	committed int64
	revision  int64 // of the last commit or acknowledgement
	data      []*hotBatch
	rejects   []*hotBatch
	commits   []graceMark // ascending; commits whose rows are still here
}

// graceMark remembers when everything below next was committed.
type graceMark struct {
	next int64
	at   time.Time
}

func newHotLog(mem memory.Allocator, topic string, partition int32) *hotLog {
	return &hotLog{mem: mem, topic: topic, partition: partition, reading: newReading()}
}

// newReading is a name that no other reading has, in any process or epoch.
func newReading() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// begin states where the log starts; nothing is served before.
func (h *hotLog) begin(generation int32, next, revision, catchUp int64, facts segment.Facts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun, h.generation, h.facts, h.catchUp = true, generation, facts, catchUp
	h.from, h.to, h.committed, h.revision = next, next, next, revision
}

// publish makes everything below to readable. It takes over the batches' references; both may be nil. Small batches
// are joined with the ones before them, back to cutFrom where the next commit begins.
func (h *hotLog) publish(data, rejects *hotBatch, cutFrom, to int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.to = to
	var err error
	if h.data, err = appendJoined(h.mem, h.data, data, cutFrom); err != nil {
		return err
	}
	h.rejects, err = appendJoined(h.mem, h.rejects, rejects, cutFrom)
	return err
}

// appendJoined joins the newest batches while the older is at most twice as long, so that every row is copied a few
// times at most and few small batches remain.
func appendJoined(mem memory.Allocator, list []*hotBatch, b *hotBatch, cutFrom int64) ([]*hotBatch, error) {
	if b == nil {
		return list, nil
	}
	list = append(list, b)
	for len(list) > 1 {
		last, before := list[len(list)-1], list[len(list)-2]
		if before.FromOffset < cutFrom || before.rows() > 2*last.rows() ||
			before.rows()+last.rows() > maxBatchRows || before.bytes+last.bytes > maxBatchBytes {
			break
		}
		joined, err := joinBatches(mem, before, last)
		if err != nil {
			return list, err
		}
		before.Record.Release()
		last.Record.Release()
		list[len(list)-1] = nil
		list = list[:len(list)-1]
		list[len(list)-1] = joined
	}
	return list, nil
}

// take returns the batches of [from, to) with a reference to each.
func (h *hotLog) take(from, to int64) (data, rejects []segment.HotBatch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.data {
		if b.FromOffset >= from && b.ToOffset <= to {
			b.Record.Retain()
			data = append(data, b.HotBatch)
		}
	}
	for _, b := range h.rejects {
		if b.FromOffset >= from && b.ToOffset <= to {
			b.Record.Retain()
			rejects = append(rejects, b.HotBatch)
		}
	}
	return data, rejects
}

// committedTo notes that everything below next is in the catalog from the revision on.
func (h *hotLog) committedTo(next, revision int64, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.committed, h.revision = next, revision
	h.commits = append(h.commits, graceMark{next, now})
}

// restart drops everything and goes on at next, with these facts: after an acknowledgement, where rows judged by other
// facts must not be served, and after a gap.
func (h *hotLog) restart(next, revision int64, facts segment.Facts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropLocked(next)
	h.to, h.committed, h.revision, h.facts = next, next, revision, facts
	h.reading = newReading()
}

// expire drops rows that were committed longer than the grace ago; with a grace of 0, all committed rows.
func (h *hotLog) expire(now time.Time, grace time.Duration, maxBytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.committedBytesLocked()
	next := h.from
	for _, m := range h.commits {
		if now.Sub(m.at) < grace && kept <= maxBytes {
			break
		}
		kept -= h.bytesLocked(next, m.next)
		next = m.next
	}
	if next > h.from {
		h.dropLocked(next)
	}
}

func (h *hotLog) dropLocked(next int64) {
	h.data, h.rejects = dropBelow(h.data, next), dropBelow(h.rejects, next)
	for len(h.commits) > 0 && h.commits[0].next <= next {
		h.commits = h.commits[1:]
	}
	h.from = next
}

func dropBelow(list []*hotBatch, next int64) []*hotBatch {
	n := 0
	for n < len(list) && list[n].ToOffset <= next {
		list[n].Record.Release()
		list[n] = nil
		n++
	}
	return list[n:]
}

func (h *hotLog) committedBytesLocked() int64 { return h.bytesLocked(h.from, h.committed) }

func (h *hotLog) bytesLocked(from, to int64) int64 {
	var n int64
	for _, list := range [][]*hotBatch{h.data, h.rejects} {
		for _, b := range list {
			if b.FromOffset >= from && b.ToOffset <= to {
				n += b.bytes
			}
		}
	}
	return n
}

// size is how many rows wait for a commit, and how many bytes the whole log holds.
func (h *hotLog) size() (uncommittedRows, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, list := range [][]*hotBatch{h.data, h.rejects} {
		for _, b := range list {
			bytes += b.bytes
			if b.FromOffset >= h.committed {
				uncommittedRows += b.rows()
			}
		}
	}
	return uncommittedRows, bytes
}

func (h *hotLog) halt(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.halted = reason
}

// close drops everything; what readers have been given stays theirs.
func (h *hotLog) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, list := range [][]*hotBatch{h.data, h.rejects} {
		for _, b := range list {
			b.Record.Release()
		}
	}
	h.data, h.rejects, h.commits = nil, nil, nil
}

// read answers a reader, who then owns a reference to each batch; the error is a *segment.HotUnavailable.
func (h *hotLog) read(r segment.HotRequest) (*segment.HotRows, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.refuseLocked(r); err != nil {
		return nil, err
	}
	out := &segment.HotRows{OffsetRange: segment.OffsetRange{
		Topic: h.topic, Generation: h.generation, Partition: h.partition, From: r.From, To: h.to,
	}, Reading: h.reading}
	for _, b := range h.data {
		if b.FromOffset >= r.From {
			out.Data = append(out.Data, b.HotBatch)
			out.Counters.Stored += b.rows()
			out.Counters.Keyless += b.keyless
		}
	}
	for _, b := range h.rejects {
		if b.FromOffset >= r.From {
			out.Rejects = append(out.Rejects, b.HotBatch)
			out.Counters.Rejected += b.rows()
		}
	}
	for _, list := range [][]segment.HotBatch{out.Data, out.Rejects} {
		for _, b := range list {
			b.Record.Retain()
		}
	}
	out.Counters.Skipped = h.to - r.From - out.Counters.Stored - out.Counters.Rejected
	return out, nil
}

func (h *hotLog) refuseLocked(r segment.HotRequest) error {
	unavailable := func(status segment.HotStatus, format string, args ...any) error {
		detail := fmt.Sprintf("%s partition %d: ", h.topic, h.partition) + fmt.Sprintf(format, args...)
		return &segment.HotUnavailable{Status: status, Revision: max(h.revision, r.Revision), At: h.to, Detail: detail}
	}
	switch {
	case h.closed:
		return unavailable(segment.HotNotOwner, "this process does not own it any more")
	case !h.begun:
		return unavailable(segment.HotCatchingUp, "the owner is starting")
	case r.Generation != h.generation:
		return unavailable(segment.HotWrongGeneration, "generation %d was asked, %d is read", r.Generation, h.generation)
	case r.From > h.to:
		return unavailable(segment.HotNotOwner, "offset %d has been committed, but this process has read to %d only: "+
			"another process owns it", r.From, h.to)
	case r.Facts != h.facts:
		return unavailable(segment.HotStaleView, "rows have been read by spec version %d, the view is at version %d, or floors differ",
			h.facts.SpecVersion, r.Facts.SpecVersion)
	case r.From < h.from:
		return unavailable(segment.HotStaleView, "rows from offset %d on are committed as of revision %d", r.From, h.revision)
	case h.to < h.catchUp && h.halted != "":
		return unavailable(segment.HotHalted, "halted at offset %d, before the end of the log when it was acquired (%d): %s",
			h.to, h.catchUp, h.halted)
	case h.to < h.catchUp:
		return unavailable(segment.HotCatchingUp, "read to offset %d of %d", h.to, h.catchUp)
	case spans(h.data, r.From) || spans(h.rejects, r.From):
		return unavailable(segment.HotNotOwner, "offset %d is no commit of this process: another process owns it", r.From)
	}
	return nil
}

// spans says whether a batch lies on both sides of the offset, where no commit of this process ends.
func spans(list []*hotBatch, offset int64) bool {
	for _, b := range list {
		if b.FromOffset < offset && b.ToOffset > offset {
			return true
		}
	}
	return false
}
