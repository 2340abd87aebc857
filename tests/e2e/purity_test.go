package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
	"drumlin/tests/oracle"
)

// uniteSpec reads two topics into one datasource with dedup; more are further dimensions and tuning.
func uniteSpec(dimensions, tuning, top string) []byte {
	return fmt.Appendf(nil, `
type: kafka
%s
spec:
  dataSchema:
    dataSource: copies
    timestampSpec: {column: timestamp, format: millis}
    dimensionsSpec: {dimensions: [event, {type: long, name: value}%s]}
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}
    dedupSpec: {key: messageId}
  ioConfig: {topicPattern: 'unite-.*', inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {type: kafka%s}
`, top, dimensions, tuning)
}

// TestSpecsChangeWhileCopiesArrive changes the spec to and fro, suspends and resumes, adds partitions and topics and kills
// the process, while copies arrive on all of them: every answer is right for its own cut.
func TestSpecsChangeWhileCopiesArrive(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	d := harness.Started(t, binary)
	d.CreateTopic(t, "unite-a", 2)
	specs := [][]byte{
		uniteSpec("", "", ""), uniteSpec(", more", ", maxRowsPerSegment: 100", ""), uniteSpec(", {type: double, name: other}, more", "", ""),
	}
	d.Apply(t, specs[0])
	ledger := oracle.NewLedger()
	base := time.Now().Add(-4 * time.Hour).UnixMilli()
	partitions := map[string]int32{"unite-a": 2}
	topics := []string{"unite-a"}
	var earlier []string
	suspended := false
	for round := range 18 {
		client := d.Client(t)
		var records []*kgo.Record
		for range 80 {
			value := randomCopy(random, base, earlier)
			earlier = append(earlier, value)
			topic := topics[random.IntN(len(topics))]
			records = append(records, &kgo.Record{Topic: topic, Partition: random.Int32N(partitions[topic]), Value: []byte(value)})
		}
		for _, r := range harness.Produce(t, client, records...) {
			if err := ledger.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case round == 6:
			d.CreateTopic(t, "unite-b", 1)
			topics, partitions["unite-b"] = append(topics, "unite-b"), 1
		case round == 12:
			if _, err := kadm.NewClient(client).UpdatePartitions(t.Context(), 4, "unite-a"); err != nil {
				t.Fatal(err)
			}
			partitions["unite-a"] = 4
		case round%7 == 5:
			d.Kill(t)
			d.Start(t)
		case random.IntN(4) == 0:
			suspended = !suspended
			if suspended {
				d.Apply(t, uniteSpec("", "", "suspended: true"))
				break
			}
			fallthrough
		case random.IntN(2) == 0:
			d.Apply(t, specs[random.IntN(len(specs))])
			suspended = false
		case !suspended:
			d.Handoff(t, "copies")
		}
		checkCopies(t, d, ledger)
	}
	d.Apply(t, specs[2])
	d.Handoff(t, "copies")
	answer := checkCopies(t, d, ledger)
	if got, want := fmt.Sprint(answer.Offsets(t, "copies")), fmt.Sprint(ledger.Ends()); got != want {
		t.Errorf("after the last handoff the cut is %s, the log ends at %s", got, want)
	}
}
