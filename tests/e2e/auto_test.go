package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
	"drumlin/tests/oracle"
)

const (
	autoPath    = "/druid/coordinator/v1/config/compaction"
	explainPath = "/druid/coordinator/v1/compaction/explain?dataSource=hours"
)

// explanation is what every chunk's fate looks like from outside.
type explanation struct {
	Enabled  bool
	Policies []struct {
		Policy string
		Chunks []struct {
			Interval, Reason, Task string
			Chosen, Skipped        bool
			Segments               int
		}
	}
}

var hoursRules = oracle.Rules{TimeField: "t", KeyField: "id", Chunk: time.Hour}

// TestAutoCompactionKeepsAStreamInFewSegments runs both policies while many small handoffs come, copies among them, and a
// reader asks all the time.
func TestAutoCompactionKeepsAStreamInFewSegments(t *testing.T) {
	for name, rollup := range map[string]bool{"raw": false, "rollup": true} {
		t.Run(name, func(t *testing.T) { autoCompaction(t, rollup) })
	}
}

func autoCompaction(t *testing.T, rollup bool) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	d := harness.Started(t, binary, "--recent-every", "100ms", "--historical-every", "300ms", "--collect-every", "500ms", "--collect-grace", "1s")
	d.CreateTopic(t, "hours", 2)
	d.Apply(t, hoursSpec(rollup))
	count, sum := "COUNT(*)", "SUM(value)"
	if rollup {
		count, sum = "SUM(events)", "SUM(total)"
	}
	question := `SELECT k, ` + count + ` AS n, ` + sum + ` AS s FROM hours GROUP BY 1 ORDER BY 1`
	harness.Produce(t, d.Client(t), hoursRecords(0, 1, 0)...)
	before := segmentsExplained(t, d)
	if before.Enabled || len(d.Tasks(t, "")) != 0 {
		t.Errorf("auto-compaction is on before it is configured: %+v", before)
	}
	d.Set(t, autoPath, `{"dataSource":"hours","skipOffsetFromLatest":"PT2H"}`)

	ledger := oracle.NewLedger()
	var answers []*harness.Answer
	ctx, stop := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for ctx.Err() == nil {
			answer, err := d.Ask(ctx, question)
			switch {
			case ctx.Err() != nil:
			case err != nil || answer.Status != http.StatusOK:
				t.Errorf("an answer while compaction runs: %v, %+v", err, answer)
				return
			default:
				answers = append(answers, answer)
			}
		}
	})
	client := d.Client(t)
	handed := 0
	for round := range 30 {
		var records []*kgo.Record
		for i, r := range hoursRecords(round*20-5, 25, 0, 1, 2, 3) { // five of each hour are copies of the round before
			if round == 0 && i%25 < 5 {
				continue
			}
			r.Partition = random.Int32N(2)
			records = append(records, r)
		}
		harness.Produce(t, client, records...)
		d.Handoff(t, "hours")
		handed += 8 // a segment an hour and partition
	}
	quiet(t, d)
	stop()
	reader.Wait()
	fill(t, d, ledger, "hours", 2)
	answers = append(answers, d.SQL(t, question))
	for i := 0; i < len(answers); i += max(1, len(answers)/20) {
		checkHours(t, ledger, answers[i])
	}
	checkHours(t, ledger, answers[len(answers)-1])
	t.Logf("%d answers", len(answers))
	if n, _ := segmentsOf(t, d, "hours"); n > 20 {
		t.Errorf("%d segments are left of %d", n, handed)
	}
	checkPolicies(t, d)
	idle(t, d)
}

func segmentsExplained(t *testing.T, d *harness.Dev) explanation {
	t.Helper()
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM hours`, 1, settle)
	var e explanation
	d.GetJSON(t, explainPath, &e)
	return e
}

// checkPolicies: both have worked, and each tells of every chunk why it does nothing about it now.
func checkPolicies(t *testing.T, d *harness.Dev) {
	t.Helper()
	origins := map[string]int{}
	for _, task := range d.Tasks(t, "") {
		origins[task.Origin]++
		if task.StatusCode != "SUCCESS" {
			t.Errorf("a task of auto-compaction: %+v", task)
		}
	}
	if origins["recent"] == 0 || origins["historical"] == 0 {
		t.Errorf("tasks by policy: %v; both must have worked", origins)
	}
	t.Logf("tasks: %v", origins)
	var e explanation
	d.GetJSON(t, explainPath, &e)
	if !e.Enabled || len(e.Policies) != 2 {
		t.Fatalf("the explanation: %+v", e)
	}
	for _, p := range e.Policies {
		withRows := 0
		for _, c := range p.Chunks {
			if c.Segments > 0 { // the chunk that rejects would be in may be there beside
				withRows++
			}
			if c.Reason == "" || c.Chosen {
				t.Errorf("%s: %+v", p.Policy, c)
			}
		}
		if withRows != 4 {
			t.Errorf("%s explains %d chunks with rows, want 4: %+v", p.Policy, withRows, p.Chunks)
		}
	}
}

// quiet waits until no policy chooses a chunk and no task is open.
func quiet(t *testing.T, d *harness.Dev) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var e explanation
		d.GetJSON(t, explainPath, &e)
		chosen := 0
		for _, p := range e.Policies {
			for _, c := range p.Chunks {
				if c.Chosen || c.Task != "" {
					chosen++
				}
			}
		}
		if chosen == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("auto-compaction does not come to rest: %+v", e)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// idle: ten rounds of the policy that is asked most make no task out of data that does not change.
func idle(t *testing.T, d *harness.Dev) {
	t.Helper()
	before := len(d.Tasks(t, ""))
	time.Sleep(time.Second)
	if after := len(d.Tasks(t, "")); after != before {
		t.Errorf("%d tasks were made for data that did not change", after-before)
	}
}

// fill reads a topic into the ledger.
func fill(t *testing.T, d *harness.Dev, ledger *oracle.Ledger, topic string, partitions int32) {
	t.Helper()
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		from[p] = kgo.NewOffset().AtStart()
	}
	client := d.Client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	ends.Each(func(o kadm.ListedOffset) { want += int(o.Offset) })
	for ledger.Len() < want {
		ctx, cancel := context.WithTimeout(t.Context(), settle)
		fetches := client.PollFetches(ctx)
		cancel()
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read the log back, %d of %d records: %v", ledger.Len(), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if err := ledger.Add(harness.Acknowledged(r)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// checkHours holds an answer by k against the oracle at the answer's own cut.
func checkHours(t *testing.T, ledger *oracle.Ledger, answer *harness.Answer) {
	t.Helper()
	want, err := ledger.At(answer.Offsets(t, "hours"), hoursRules)
	if err != nil {
		t.Fatal(err)
	}
	counts, sums := want.GroupCount("k"), map[string]int64{}
	for _, row := range want.Rows {
		one := oracle.Result{Rows: []oracle.Row{row}}
		sums[oracle.Text(row.Fields["k"])] += one.Sum("value")
	}
	if len(answer.Rows) != len(counts) {
		t.Fatalf("%s: want %d groups, at the cut %s", answer.Body, len(counts), answer.Cut)
	}
	for _, row := range answer.Rows {
		k := row["k"].(string)
		if fmt.Sprint(row["n"], " ", row["s"]) != fmt.Sprint(counts[k], " ", sums[k]) {
			t.Fatalf("%s: %v events with sum %v, want %d and %d, at the cut %s", k, row["n"], row["s"], counts[k], sums[k], answer.Cut)
		}
	}
}
