package consumer

import (
	"fmt"
	"math"
	"time"

	"drumlin/consumer/decode"
	"drumlin/segment"
	"drumlin/spec"
)

// The reasons for which a decoded record is rejected by its time; decode has the others.
const (
	ReasonBefore1970     = "before_1970"
	ReasonAheadOfKafka   = "ahead_of_kafka_timestamp" // more than maxAheadMillis, or past the year 9999
	ReasonLate           = "late_message"
	ReasonEarly          = "early_message"
	ReasonBelowRetention = "below_retention_floor"
	ReasonBeyondHorizon  = "beyond_dedup_horizon"
)

const (
	maxAheadMillis = 24 * 60 * 60 * 1000
	lastMillis     = 253402300799999 // 9999-12-31T23:59:59.999Z: the last instant that has a place in an object's path
)

// judge decides by event time, Kafka timestamp, the partition's clock and the recorded facts: nothing else, so that
// reading a record again gives the same verdict.
type judge struct {
	granularity spec.Granularity
	facts       segment.Facts
	io          spec.IOConfig
	dedup       *spec.DedupSpec
}

// verdict is what becomes of a decoded record.
type verdict struct {
	bucket  segment.Bucket
	keyless bool           // accepted beyond the horizon: unchecked, as a record without key
	reject  *decode.Reject // nil: accepted
}

// judge returns the verdict on a record with this event time. clock is the largest Kafka timestamp of the partition's
// records before this one, 0 where there is none; kafkaMillis below 0 means that the record has no Kafka timestamp, and
// the clock stands in for it.
func (j *judge) judge(eventMillis, kafkaMillis, clock int64) verdict {
	if eventMillis < 0 {
		return refuse(ReasonBefore1970, "event time %s lies before 1970", instant(eventMillis))
	}
	at := kafkaMillis
	if at < 0 {
		at = clock
	}
	blind := kafkaMillis < 0 && clock == 0 // nothing to judge by
	if blind {
		at = lastMillis
	}
	if eventMillis > lastMillis || eventMillis > addMillis(at, maxAheadMillis) {
		return refuse(ReasonAheadOfKafka, "event time %s is more than a day ahead of the record's Kafka timestamp %s, or past the year 9999",
			instant(eventMillis), instant(at))
	}
	if r := j.period(eventMillis, at, blind); r != nil {
		return verdict{reject: r}
	}
	start, end := j.granularity.Chunk(eventMillis)
	v := verdict{bucket: segment.Bucket{StartMillis: start, EndMillis: end}}
	if floor := j.facts.RetentionFloorMillis; floor != 0 && end <= floor {
		return refuse(ReasonBelowRetention, "event time %s lies below the retention floor %s", instant(eventMillis), instant(floor))
	}
	if !j.beyondHorizon(end, clock) {
		return v
	}
	if j.dedup.AcceptBeyondHorizon {
		v.keyless = true
		return v
	}
	return refuse(ReasonBeyondHorizon, "event time %s lies beyond the dedup horizon: copies of it can no longer be found",
		instant(eventMillis))
}

// period applies lateMessageRejectionPeriod, its start instant and earlyMessageRejectionPeriod. Blind, there is no
// timestamp that a record could be late by.
func (j *judge) period(eventMillis, at int64, blind bool) *decode.Reject {
	if p := j.io.LateRejectionMillis; p > 0 && !blind && eventMillis < addMillis(at, -p) {
		return refuse(ReasonLate, "event time %s is more than %d ms before the Kafka timestamp %s (lateMessageRejectionPeriod)",
			instant(eventMillis), p, instant(at)).reject
	}
	if s := j.io.LateRejectionStartMillis; s != nil && eventMillis < *s {
		return refuse(ReasonLate, "event time %s lies before lateMessageRejectionStartDateTime %s", instant(eventMillis), instant(*s)).reject
	}
	if p := j.io.EarlyRejectionMillis; p > 0 && eventMillis > addMillis(at, p) {
		return refuse(ReasonEarly, "event time %s is more than %d ms after the Kafka timestamp %s (earlyMessageRejectionPeriod)",
			instant(eventMillis), p, instant(at)).reject
	}
	return nil
}

func (j *judge) beyondHorizon(bucketEnd, clock int64) bool {
	if j.dedup == nil {
		return false
	}
	if floor := j.facts.DedupFloorMillis; floor != 0 && bucketEnd <= floor {
		return true
	}
	return j.dedup.HorizonMillis > 0 && addMillis(bucketEnd, j.dedup.HorizonMillis) < clock
}

func refuse(reason, format string, args ...any) verdict {
	return verdict{reject: &decode.Reject{Reason: reason, Message: fmt.Sprintf(format, args...)}}
}

// addMillis adds and stays within an int64: Kafka timestamps are whatever a producer wrote.
func addMillis(a, b int64) int64 {
	sum := a + b
	switch {
	case b > 0 && sum < a:
		return math.MaxInt64
	case b < 0 && sum > a:
		return math.MinInt64
	}
	return sum
}

func instant(millis int64) string {
	if millis < -lastMillis || millis > lastMillis {
		return fmt.Sprintf("%d ms", millis)
	}
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}

// clampMillis brings a Kafka timestamp into the range that rejects are kept under.
func clampMillis(millis int64) int64 { return min(max(millis, 0), lastMillis) }
