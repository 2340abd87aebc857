package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

// specFor is a supervisor spec with one long and one string dimension; topic is a line such as "topic: a".
func specFor(datasource, topic, granularity string, moreDimensions ...string) []byte {
	dimensions := strings.Join(append([]string{"name", "{type: long, name: value}"}, moreDimensions...), ", ")
	return fmt.Appendf(nil, `
type: kafka
spec:
  dataSchema:
    dataSource: %s
    timestampSpec: {column: t, format: millis}
    dimensionsSpec: {dimensions: [%s]}
    granularitySpec: {segmentGranularity: %s, queryGranularity: none, rollup: false}
  ioConfig:
    %s
    inputFormat: {type: json}
    useEarliestOffset: true
`, datasource, dimensions, granularity, topic)
}

func numbered(topic string, partitions int32, from, to int, at func(i int) int64) []*kgo.Record {
	var out []*kgo.Record
	for i := from; i < to; i++ {
		value := fmt.Appendf(nil, `{"t":%d,"name":"n%d","value":%d,"extra":"x%d"}`, at(i), i%7, i, i%3)
		out = append(out, &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: value})
	}
	return out
}

func always(millis int64) func(int) int64 { return func(int) int64 { return millis } }

// settle is for what must come about, however busy the machine.
const settle = time.Minute

func TestTwoSupervisorsOnOneTopicAndOneOnTwo(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "left", 2)
	d.CreateTopic(t, "right", 2)
	d.Apply(t, specFor("first", "topic: left", "hour"))
	d.Apply(t, specFor("second", "topic: left", "day"))
	d.Apply(t, specFor("union_of_two", "topicPattern: 'left|right'", "hour"))
	client := d.Client(t)
	now := time.Now().UnixMilli()
	harness.Produce(t, client, numbered("left", 2, 0, 500, always(now))...)
	harness.Produce(t, client, numbered("right", 2, 500, 1100, always(now))...)
	check := func() {
		t.Helper()
		d.WaitSQL(t, `SELECT COUNT(*) AS n FROM first`, 500, settle)
		d.WaitSQL(t, `SELECT COUNT(*) AS n FROM second`, 500, settle)
		d.WaitSQL(t, `SELECT SUM(value) AS n FROM union_of_two`, 1100*1099/2, settle)
	}
	check()
	d.Handoff(t, "second")
	check()
	d.Handoff(t, "union_of_two")
	check()
	joined := d.SQL(t, `SELECT COUNT(*) AS n FROM first JOIN union_of_two USING (value)`)
	if n := joined.Int(t, "n"); n != 500 {
		t.Errorf("hot joined with cold: %d rows, want 500", n)
	}
}

func TestTopicThatComesLaterPartitionsAddedAndEmptyTopic(t *testing.T) {
	d := harness.Started(t, binary)
	d.Apply(t, specFor("later", "topic: later", "hour"))
	d.CreateTopic(t, "nothing", 2)
	d.Apply(t, specFor("nothing", "topic: nothing", "hour"))
	for _, name := range []string{"later", "nothing"} {
		if n := d.SQL(t, `SELECT COUNT(*) AS n FROM `+name).Int(t, "n"); n != 0 {
			t.Errorf("%s: %d rows", name, n)
		}
		d.Handoff(t, name)
	}
	now := time.Now().UnixMilli()
	d.CreateTopic(t, "later", 2)
	client := d.Client(t)
	harness.Produce(t, client, numbered("later", 2, 0, 100, always(now))...)
	d.Handoff(t, "later") // finds the topic by itself
	if n := d.SQL(t, `SELECT COUNT(*) AS n FROM later`).Int(t, "n"); n != 100 {
		t.Errorf("%d rows after the handoff that found the topic, want 100", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	if _, err := kadm.NewClient(client).UpdatePartitions(ctx, 5, "later"); err != nil {
		t.Fatal(err)
	}
	grown := d.Client(t)
	harness.Produce(t, grown, numbered("later", 5, 100, 200, always(now))...)
	d.WaitSQL(t, `SELECT SUM(value) AS n FROM later`, 200*199/2, settle)
	d.Handoff(t, "later")
	d.WaitSQL(t, `SELECT SUM(value) AS n FROM later`, 200*199/2, settle)
}

func TestSpecUpdateUnderLoad(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "changing", 2)
	d.Apply(t, specFor("changing", "topic: changing", "hour"))
	client := d.Client(t)
	now := time.Now().UnixMilli()
	const batches, perBatch = 40, 250
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range batches {
			records := numbered("changing", 2, b*perBatch, (b+1)*perBatch, always(now))
			if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				t.Errorf("produce: %v", err)
				return
			}
		}
	}()
	d.Apply(t, specFor("changing", "topic: changing", "hour", "extra"))
	d.Apply(t, specFor("changing", "topic: changing", "hour", "extra", "{type: double, name: more}"))
	<-done
	const total = batches * perBatch
	d.WaitSQL(t, `SELECT SUM(value) AS n FROM changing`, total*(total-1)/2, settle)
	harness.Produce(t, client, numbered("changing", 2, total, total+100, always(now))...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM changing WHERE extra IS NOT NULL AND value >= `+fmt.Sprint(total), 100, settle)
	d.Handoff(t, "changing")
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM changing WHERE more IS NULL`, total+100, settle)
	refused := specFor("changing", "topic: changing", "hour", "{type: long, name: extra}")
	status, body, err := d.Post(t.Context(), "/druid/indexer/v1/supervisor", refused)
	if err != nil || status != 400 || !strings.Contains(string(body), "extra") {
		t.Errorf("a changed type of a published column: %v %d %s", err, status, body)
	}
}

func TestSixHundredChunksInOneHandoff(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wide", 1)
	d.Apply(t, specFor("wide", "topic: wide", "hour"))
	base := time.Now().Add(-700 * time.Hour).UnixMilli()
	hourly := func(i int) int64 { return base + int64(i%600)*time.Hour.Milliseconds() }
	harness.Produce(t, d.Client(t), numbered("wide", 1, 0, 1800, hourly)...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wide`, 1800, settle)
	d.Handoff(t, "wide")
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE datasource = 'wide' AND is_realtime = 0`, 600, settle)
	d.WaitSQL(t, `SELECT SUM(value) AS n FROM wide`, 1800*1799/2, settle)
	from := time.UnixMilli(base).UTC().Format("2006-01-02 15:04:05.000")
	one := d.SQL(t, fmt.Sprintf(`SELECT COUNT(*) AS n FROM wide WHERE __time >= TIMESTAMP '%s' AND __time < TIMESTAMP '%s' + INTERVAL 1 HOUR`, from, from))
	if n := one.Int(t, "n"); n != 3 {
		t.Errorf("one hour of 600: %d rows, want 3", n)
	}
}
