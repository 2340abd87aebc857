package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
	"drumlin/tests/oracle"
)

const (
	eventsSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: events
    timestampSpec: {column: timestamp, format: iso}
    dimensionsSpec: {dimensions: [event, type, userId, messageId]}
    dedupSpec: {key: messageId}
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}
  ioConfig: {topic: %s, inputFormat: {type: json}, useEarliestOffset: true}
`
	minutesSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: minutes
    timestampSpec: {column: timestamp, format: iso}
    dimensionsSpec: {dimensions: [event, type]}
    metricsSpec: [{type: count, name: events}]
    dedupSpec: {key: messageId}
    granularitySpec: {segmentGranularity: hour, queryGranularity: minute, rollup: true}
  ioConfig: {topic: %s, inputFormat: {type: json}, useEarliestOffset: true}
`
)

// newEventLog is the oracle's log of generated events.
func newEventLog() *oracle.Log {
	return oracle.NewLog(oracle.Rules{TimeField: "timestamp", KeyField: "messageId", Chunk: time.Hour}, "event", "type", "userId")
}

func byMinute(e oracle.Event) string {
	return e.Minute() + "|" + e.Text("event") + "|" + e.Text("type")
}

// eventQuestions are asked of the raw datasource.
func eventQuestions() []harness.Question {
	return []harness.Question{
		{
			SQL:     `SELECT event, type, COUNT(*) AS n FROM events GROUP BY 1, 2`,
			Columns: []string{"event", "type", "n"},
			Tally: func() oracle.Tally {
				return oracle.GroupBy(func(e oracle.Event) string { return e.Text("event") + "|" + e.Text("type") })
			},
		},
		{
			SQL:     `SELECT TIME_FLOOR(__time, 'PT1M') AS minute, COUNT(*) AS n FROM events GROUP BY 1`,
			Columns: []string{"minute", "n"},
			Tally:   func() oracle.Tally { return oracle.GroupBy(oracle.Event.Minute) },
		},
		{
			SQL:     `SELECT COUNT(DISTINCT userId) AS n FROM events WHERE userId IS NOT NULL`,
			Columns: []string{"n"},
			Tally: func() oracle.Tally {
				return users{oracle.GroupBy(func(e oracle.Event) string { return e.Text("userId") })}
			},
		},
	}
}

// users tallies distinct values that are not null.
type users struct{ *oracle.Groups }

func (u users) Add(e oracle.Event) {
	if e.Text("userId") != "null" {
		u.Groups.Add(e)
	}
}

func (u users) Remove(e oracle.Event) {
	if e.Text("userId") != "null" {
		u.Groups.Remove(e)
	}
}

func (u users) Lines() []string { return []string{fmt.Sprint(u.Len())} }

// minuteQuestions are asked of the rolled-up datasource. The last one counts its rows.
func minuteQuestions() []harness.Question {
	return []harness.Question{
		{
			SQL:     `SELECT event, type, SUM(events) AS n FROM minutes GROUP BY 1, 2`,
			Columns: []string{"event", "type", "n"},
			Tally: func() oracle.Tally {
				return oracle.GroupBy(func(e oracle.Event) string { return e.Text("event") + "|" + e.Text("type") })
			},
		},
		{
			SQL:     `SELECT COUNT(*) AS n FROM minutes`,
			Columns: []string{"n"},
			Tally:   func() oracle.Tally { return oracle.GroupCount{Groups: oracle.GroupBy(byMinute)} },
		},
	}
}

// begin starts supervisors over a topic of their own and returns its name. HANDOFF in a spec is the period of handoffs.
func begin(t *testing.T, c *harness.Cluster, partitions int32, specs ...string) string {
	t.Helper()
	topic := c.Topic("events")
	c.CreateTopic(t, topic, partitions)
	for _, spec := range specs {
		c.Apply(t, fmt.Appendf(nil, strings.ReplaceAll(spec, "HANDOFF", handoffPeriod()), topic))
	}
	return topic
}

func totalEvents() int64 {
	if long() {
		return 2_000_000
	}
	return 120_000
}

// TestEventsHotMixedColdRolledUp writes events by a producer with transactions, some of which it aborts, and by an
// idempotent one, and asks hot, mixed and cold, raw and rolled up, all the while and in between.
func TestEventsHotMixedColdRolledUp(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, binary, harness.ClusterOptions{})
	topic := begin(t, c, 4, eventsSpec, minutesSpec)
	log := newEventLog()
	raw := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions(), Every: 500 * time.Millisecond})
	rolled := c.StartChecker(t, harness.CheckerOptions{Datasource: "minutes", Questions: minuteQuestions(), Every: 500 * time.Millisecond})
	check := func(state string) {
		t.Helper()
		c.ReadLog(t, log, topic)
		took := c.WaitCut(t, "events", log.Ends(), time.Minute)
		c.WaitCut(t, "minutes", log.Ends(), time.Minute)
		c.CheckNow(t, log, "events", eventQuestions()...)
		c.CheckNow(t, log, "minutes", minuteQuestions()...)
		raw.WaitAnswers(t, 2, settle)
		rolled.WaitAnswers(t, 2, settle)
		t.Logf("%s: %d records, read to the end after %s", state, log.Len(), took.Round(time.Millisecond))
	}
	third := totalEvents() / 3
	write := func(seed uint64) {
		t.Helper()
		inTransactions := c.StartFeed(t, harness.FeedOptions{
			Topic: topic, Events: third / 2, Seed: seed, Late: 0.01, Transactions: true, AbortShare: 0.2, Compression: kgo.Lz4Compression(),
		})
		idempotent := c.StartFeed(t, harness.FeedOptions{
			Topic: topic, Events: third / 2, Seed: seed + 10, Late: 0.01, Compression: kgo.ZstdCompression(),
		})
		inTransactions.Wait(t)
		idempotent.Wait(t)
	}
	write(1)
	check("hot")
	c.Handoff(t, "events")
	c.Handoff(t, "minutes")
	write(2)
	check("mixed")
	c.Handoff(t, "events")
	c.Handoff(t, "minutes")
	for _, datasource := range []string{"events", "minutes"} {
		c.RunTask(t, `{"type":"compact","dataSource":"`+datasource+`","interval":"2000-01-01/2100-01-01"}`)
	}
	check("cold, compacted")
	write(1) // the same events again, in part: copies of what has been rolled up
	check("copies after the rollup")
	c.Handoff(t, "events")
	c.Handoff(t, "minutes")
	check("cold")
	c.StopAndCheck(t, raw, log, topic)
	c.StopAndCheck(t, rolled, log, topic)
}
