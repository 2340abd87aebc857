package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
	"drumlin/tests/oracle"
)

const copiesSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: copies
    timestampSpec: {column: timestamp, format: millis}
    dimensionsSpec:
      dimensions: [event, {type: long, name: value}]
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}
    dedupSpec: {key: messageId}
  ioConfig:
    topic: copies
    inputFormat: {type: json}
    useEarliestOffset: true
  tuningConfig: {type: kafka}
`

var copiesRules = oracle.Rules{TimeField: "timestamp", KeyField: "messageId", Chunk: time.Hour}

// TestCopiesCountOnceAtEveryCut sends copies inside a partition, across partitions and across handoffs, with equal and
// with other contents, with and without a key, and holds every answer against the oracle at the answer's own cut.
func TestCopiesCountOnceAtEveryCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	d := harness.Started(t, binary)
	d.CreateTopic(t, "copies", 3)
	d.Apply(t, []byte(copiesSpec))
	client := d.Client(t)
	ledger := oracle.NewLedger()
	base := time.Now().Add(-4 * time.Hour).UnixMilli()
	var earlier []string
	for round := range 12 {
		var records []*kgo.Record
		for range 200 {
			value := randomCopy(random, base, earlier)
			earlier = append(earlier, value)
			records = append(records, &kgo.Record{Topic: "copies", Partition: int32(random.IntN(3)), Value: []byte(value)})
		}
		for _, r := range harness.Produce(t, client, records...) {
			if err := ledger.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		checkCopies(t, d, ledger)
		if random.IntN(3) == 0 {
			d.Handoff(t, "copies")
			checkCopies(t, d, ledger)
		}
		if round == 7 {
			d.Kill(t)
			d.Start(t)
			checkCopies(t, d, ledger)
		}
	}
	d.Handoff(t, "copies")
	answer := checkCopies(t, d, ledger)
	if got, want := fmt.Sprint(answer.Offsets(t, "copies")), fmt.Sprint(ledger.Ends()); got != want {
		t.Errorf("after the last handoff the cut is %s, the log ends at %s", got, want)
	}
	conserved(t, d)
}

// randomCopy makes a new event, or a copy of an earlier one: the same bytes, or the same key with another value.
func randomCopy(random *rand.Rand, base int64, earlier []string) string {
	if len(earlier) > 0 && random.IntN(4) == 0 {
		return earlier[random.IntN(len(earlier))]
	}
	when := base + random.Int64N(3*time.Hour.Milliseconds())
	key := fmt.Sprintf(`"messageId":"m%d",`, random.IntN(1500))
	if random.IntN(10) == 0 {
		key = ""
	}
	return fmt.Sprintf(`{%s"timestamp":%d,"event":"e%d","value":%d}`, key, when, random.IntN(5), random.IntN(1000))
}

func checkCopies(t *testing.T, d *harness.Dev, ledger *oracle.Ledger) *harness.Answer {
	t.Helper()
	answer := d.SQL(t, `SELECT event, COUNT(*) AS n, SUM(value) AS s FROM copies GROUP BY 1 ORDER BY 1`)
	want, err := ledger.At(answer.Offsets(t, "copies"), copiesRules)
	if err != nil {
		t.Fatal(err)
	}
	counts, sums := want.GroupCount("event"), map[string]int64{}
	for _, row := range want.Rows {
		one := oracle.Result{Rows: []oracle.Row{row}}
		sums[oracle.Text(row.Fields["event"])] += one.Sum("value")
	}
	if len(answer.Rows) != len(counts) {
		t.Fatalf("%d events, want %d, at the cut %s", len(answer.Rows), len(counts), answer.Cut)
	}
	for _, row := range answer.Rows {
		event := row["event"].(string)
		if row["n"] != number(counts[event]) || row["s"] != number(sums[event]) {
			t.Errorf("%s: %v rows with sum %v, want %d and %d, at the cut %s", event, row["n"], row["s"], counts[event], sums[event], answer.Cut)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return answer
}

// conserved checks law 1 once everything is cold: the counters of every partition account for each of its offsets, and the
// segments hold exactly the rows that were stored.
func conserved(t *testing.T, d *harness.Dev) {
	t.Helper()
	code, body, err := d.Get(t.Context(), "/druid/indexer/v1/supervisor/copies/status")
	var status struct {
		Payload struct {
			PartitionStatus []struct {
				Partition       int
				CommittedOffset int64
				Counters        struct{ Stored, Duplicates, Rejected, Skipped, Lost int64 }
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(body, &status)
	}
	if err != nil || code != http.StatusOK || len(status.Payload.PartitionStatus) == 0 {
		t.Fatalf("the status of copies: %d, %v: %s", code, err, body)
	}
	stored := int64(0)
	for _, p := range status.Payload.PartitionStatus {
		c := p.Counters
		stored += c.Stored
		if sum := c.Stored + c.Duplicates + c.Rejected + c.Skipped + c.Lost; sum != p.CommittedOffset {
			t.Errorf("partition %d: %+v account for %d of %d offsets", p.Partition, c, sum, p.CommittedOffset)
		}
	}
	segments := d.SQL(t, `SELECT SUM(num_rows) AS n, SUM(is_realtime) AS hot FROM sys.segments WHERE datasource = 'copies'`)
	if n, hot := segments.Int(t, "n"), segments.Int(t, "hot"); n != stored || hot != 0 {
		t.Errorf("segments hold %d rows, %d were stored; %d segments are hot after the last handoff", n, stored, hot)
	}
}
