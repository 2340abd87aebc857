package consumer

import (
	"math"
	"testing"

	"drumlin/segment"
	"drumlin/spec"
)

func TestJudge(t *testing.T) {
	const hour, day = int64(3_600_000), int64(86_400_000)
	const kafka = int64(baseMillis)
	start := kafka - 10*hour
	granularity, err := spec.ParseGranularity("hour")
	if err != nil {
		t.Fatal(err)
	}
	horizon := &spec.DedupSpec{Key: "id", HorizonMillis: day}
	accepting := &spec.DedupSpec{Key: "id", HorizonMillis: day, AcceptBeyondHorizon: true}
	cases := []struct {
		name         string
		judge        judge
		event, kafka int64
		clock        int64
		reason       string
		keyless      bool
	}{
		{name: "epoch", event: 0, kafka: kafka},
		{name: "before the epoch", event: -1, kafka: kafka, reason: ReasonBefore1970},
		{name: "a day ahead", event: kafka + day, kafka: kafka},
		{name: "more than a day ahead", event: kafka + day + 1, kafka: kafka, reason: ReasonAheadOfKafka},
		{name: "no Kafka timestamp: the clock", event: kafka + day + 1, kafka: -1, clock: kafka, reason: ReasonAheadOfKafka},
		{name: "no Kafka timestamp, no clock", event: kafka + 100*day, kafka: -1},
		{
			name: "no Kafka timestamp, no clock, a period", judge: judge{io: spec.IOConfig{LateRejectionMillis: hour, EarlyRejectionMillis: hour}},
			event: kafka, kafka: -1,
		},
		{
			name: "no Kafka timestamp, a period by the clock", judge: judge{io: spec.IOConfig{LateRejectionMillis: hour}},
			event: kafka - hour - 1, kafka: -1, clock: kafka, reason: ReasonLate,
		},
		{name: "absurd Kafka timestamp", event: lastMillis + 1, kafka: math.MaxInt64, reason: ReasonAheadOfKafka},
		{name: "last instant", event: lastMillis, kafka: math.MaxInt64},
		{name: "late", judge: judge{io: spec.IOConfig{LateRejectionMillis: hour}}, event: kafka - hour - 1, kafka: kafka, reason: ReasonLate},
		{name: "just not late", judge: judge{io: spec.IOConfig{LateRejectionMillis: hour}}, event: kafka - hour, kafka: kafka},
		{name: "early", judge: judge{io: spec.IOConfig{EarlyRejectionMillis: hour}}, event: kafka + hour + 1, kafka: kafka, reason: ReasonEarly},
		{name: "before the start", judge: judge{io: spec.IOConfig{LateRejectionStartMillis: &start}}, event: start - 1, kafka: kafka, reason: ReasonLate},
		{name: "below retention", judge: judge{facts: segment.Facts{RetentionFloorMillis: kafka}}, event: kafka - 1, kafka: kafka, reason: ReasonBelowRetention},
		{name: "at retention", judge: judge{facts: segment.Facts{RetentionFloorMillis: kafka}}, event: kafka, kafka: kafka},
		{name: "below the dedup floor", judge: judge{facts: segment.Facts{DedupFloorMillis: kafka}, dedup: horizon}, event: kafka - 1, kafka: kafka, reason: ReasonBeyondHorizon},
		{name: "a floor without dedup", judge: judge{facts: segment.Facts{DedupFloorMillis: kafka}}, event: kafka - 1, kafka: kafka},
		{name: "at the horizon", judge: judge{dedup: horizon}, event: kafka - 1, kafka: kafka, clock: kafka + day},
		{name: "beyond the horizon", judge: judge{dedup: horizon}, event: kafka - 1, kafka: kafka, clock: kafka + day + 1, reason: ReasonBeyondHorizon},
		{name: "beyond and accepted", judge: judge{dedup: accepting}, event: kafka - 1, kafka: kafka, clock: kafka + day + 1, keyless: true},
		{name: "the record's own timestamp does not count", judge: judge{dedup: horizon}, event: kafka - 1, kafka: kafka + 9*day, clock: kafka},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.judge.granularity = granularity
			v := c.judge.judge(c.event, c.kafka, c.clock)
			reason := ""
			if v.reject != nil {
				reason = v.reject.Reason
			}
			if reason != c.reason || v.keyless != c.keyless {
				t.Errorf("%q keyless=%v, want %q keyless=%v", reason, v.keyless, c.reason, c.keyless)
			}
			if reason == "" && (c.event < v.bucket.StartMillis || c.event >= v.bucket.EndMillis) {
				t.Errorf("event %d is not in its bucket %+v", c.event, v.bucket)
			}
		})
	}
}
