package compaction

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// Attempt is what is remembered of a chunk's automatic compactions.
type Attempt struct {
	Failures   int   // in a row
	LastMillis int64 // when the newest one ended
	Error      string
}

// Waiting times after failures: they double from the first to the last.
const (
	firstBackoffMillis = 60_000
	maxBackoffMillis   = 6 * 3_600_000
)

// Decision is what a policy makes of one chunk, with the reason.
type Decision struct {
	Interval spec.Interval
	Buckets  []segment.Bucket
	Chosen   bool
	// Skipped: a rule, a failure or a refusal holds it back. A chunk that is neither chosen nor skipped is compacted.
	Skipped  bool
	Mode     Mode // of a chosen one
	Reason   string
	Segments int
	Bytes    int64
	Rows     int64
	TailRows int64 // of Rows: not compacted with the others
}

// Decide says for every chunk of the datasource whether the policy would compact it now, and why or why not, in the order of
// preference: the newest chunk first (recent), or the oldest (historical). It is a pure function; what it chooses, PlanTask
// plans again on a newer view.
//
// The offsets of the config hold the historical policy back only: its work would soon be done again. What the recent policy
// does is cheap, and neither ever stands in the way of ingestion.
func Decide(ds *catalog.DatasourceView, c *spec.AutoCompaction, p Policy, nowMillis int64, history map[spec.Interval]Attempt) []Decision {
	if ds.Schema == nil {
		return nil
	}
	r, problems := newRequest(ds, c.Change, c.Tuning)
	everything := []spec.Interval{always()}
	var chunks []*chunk
	refused := len(problems) > 0
	if refused {
		chunks = existingChunks(ds, everything, always())
	} else {
		r.policy, r.allowUnaligned, r.keepPartition = p, true, true
		if p == PolicyRecent {
			r.keepAll()
		}
		chunks, _ = r.chunks(ds, everything, always()) // every interval is aligned with everything: problems are the chunks'
	}
	held := newHold(ds, c, p, nowMillis, history)
	out := make([]Decision, 0, len(chunks))
	for _, chunk := range chunks {
		d := decisionOf(chunk)
		if refused {
			d.Skipped, d.Reason = true, (ChunkPlan{Problems: problems}).refused().Reason
		} else {
			d.choose(r.planChunk(ds, chunk), held)
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Decision) int {
		if p == PolicyRecent {
			a, b = b, a
		}
		return cmp.Compare(a.Interval.StartMillis, b.Interval.StartMillis)
	})
	return out
}

func decisionOf(c *chunk) Decision {
	s := sizesOf(c.pieces)
	return Decision{
		Interval: c.interval, Buckets: c.buckets, Segments: s.settled.segments + s.tail.segments,
		Bytes: s.settled.bytes + s.tail.bytes, Rows: s.settled.rows + s.tail.rows, TailRows: s.tail.rows,
	}
}

// choose takes the plan's word, unless something holds the chunk back.
func (d *Decision) choose(p ChunkPlan, h *hold) {
	d.Reason = p.Reason
	if p.Job == nil {
		d.Skipped = len(p.Problems) > 0
		return
	}
	if reason := h.reason(d, p.Job); reason != "" {
		d.Skipped, d.Reason = true, reason+" (otherwise: "+p.Reason+")"
		return
	}
	d.Chosen, d.Mode = true, p.Job.Mode
}

// hold is what holds chunks back: the config's rules, and failures.
type hold struct {
	config    *spec.AutoCompaction
	policy    Policy
	nowMillis int64
	history   map[spec.Interval]Attempt
	// limitMillis: chunks that end later are too new; limitReason says why.
	limitMillis int64
	limitReason string
}

func newHold(ds *catalog.DatasourceView, c *spec.AutoCompaction, p Policy, nowMillis int64, history map[spec.Interval]Attempt) *hold {
	h := &hold{config: c, policy: p, nowMillis: nowMillis, history: history, limitMillis: math.MaxInt64}
	if p == PolicyRecent {
		return h
	}
	if c.SkipOffsetFromNowMillis != nil {
		offset := *c.SkipOffsetFromNowMillis
		h.limitMillis = nowMillis - offset
		h.limitReason = fmt.Sprintf("skipOffsetFromNow is %s", showMillis(offset))
		return h
	}
	for _, piece := range ds.Buckets {
		if !piece.Dropped() && len(piece.Settled)+len(piece.Tail) > 0 {
			h.limitMillis = piece.Bucket.EndMillis - c.SkipOffsetFromLatestMillis // buckets ascend: the last one stays
			h.limitReason = fmt.Sprintf("the newest chunk ends at %s, and skipOffsetFromLatest is %s", spec.FormatInstant(piece.Bucket.EndMillis),
				showMillis(c.SkipOffsetFromLatestMillis))
		}
	}
	return h
}

// reason is empty where nothing holds the chunk back.
func (h *hold) reason(d *Decision, job *Job) string {
	attempt := h.history[d.Interval]
	retry := attempt.LastMillis + backoffMillis(attempt.Failures)
	bytes := d.Bytes
	if h.policy == PolicyRecent {
		bytes = job.inputBytes()
	}
	switch {
	case h.policy == PolicyRecent && !h.config.Recent, h.policy == PolicyHistorical && !h.config.Historical:
		return fmt.Sprintf("the policy %s is off", h.policy)
	case d.Interval.EndMillis > h.limitMillis:
		return "it is too new: " + h.limitReason
	case h.config.InputSegmentSizeBytes > 0 && bytes > h.config.InputSegmentSizeBytes:
		return fmt.Sprintf("it has %d bytes, more than inputSegmentSizeBytes %d", bytes, h.config.InputSegmentSizeBytes)
	case attempt.Failures > 0 && h.nowMillis < retry:
		return fmt.Sprintf("it has failed %s in a row, and is tried again at %s: %s", count(attempt.Failures, "time"), spec.FormatInstant(retry),
			attempt.Error)
	}
	return ""
}

// inputBytes are those of the segments that the job reads.
func (j *Job) inputBytes() int64 {
	var n int64
	for i := range j.Settled {
		n += j.Settled[i].Bytes
	}
	for i := range j.Tail {
		n += j.Tail[i].Bytes
	}
	return n
}

func backoffMillis(failures int) int64 {
	if failures <= 0 {
		return 0
	}
	const doublings = 16 // past the limit by far
	return min(int64(firstBackoffMillis)<<min(failures-1, doublings), maxBackoffMillis)
}

func showMillis(millis int64) string { return spec.Period{Millis: millis}.String() }
