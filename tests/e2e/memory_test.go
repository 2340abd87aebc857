package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

const manySpec = `
type: kafka
spec:
  dataSchema:
    dataSource: many
    timestampSpec: {column: t, format: millis}
    dimensionsSpec: {dimensions: [event, user, {type: long, name: value}]}
    granularitySpec: {segmentGranularity: day, queryGranularity: none, rollup: false}
    dedupSpec: {key: id}
  ioConfig: {topic: many, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {type: kafka, maxRowsPerSegment: 2000}
`

// TestManySegmentsInOneChunkStaySmallInMemory compacts many small segments of one chunk with a small budget: it spills, and the
// whole process stays below a bound. The long profile has 2,504 segments of 2,000 rows, and a gigabyte.
func TestManySegmentsInOneChunkStaySmallInMemory(t *testing.T) {
	segments, budgetBytes, maxResidentBytes := 60, int64(16<<20), int64(512<<20)
	if os.Getenv("DRUMLIN_TEST_LONG") != "" {
		segments, budgetBytes, maxResidentBytes = 2504, 256<<20, 1<<30
	}
	rows := segments * 2000
	d := harness.Started(t, binary, "--max-compaction-bytes", fmt.Sprint(budgetBytes))
	d.CreateTopic(t, "many", 1)
	d.Apply(t, []byte(manySpec))
	produceMany(t, d, rows)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	if status, body, err := d.Post(ctx, "/druid/indexer/v1/supervisor/many/taskGroups/handoff", nil); err != nil || status != http.StatusOK {
		t.Fatalf("hand off: %v, %d %s", err, status, body)
	}
	const patience = 4 * time.Minute // thousands of segments with copies among them are slow to ask, until they are compacted
	before := d.SQLWithin(t, manyQuestion, patience)
	small, _ := segmentsOf(t, d, "many")
	if small < int64(segments)*8/10 {
		t.Errorf("only %d segments", small)
	}
	d.Stop(t) // what ingestion took goes
	d.Start(t)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE datasource = 'many'`, small, settle)
	d.ForgetPeak(t)
	resident, _ := d.Resident(t)
	begin := time.Now()
	report := d.RunTask(t, `{"type":"compact","dataSource":"many","interval":"2024-05-01/2024-05-02"}`)
	took := time.Since(begin)
	_, peak := d.Resident(t)
	t.Logf("%d segments with %d rows become %d with %d in %s; resident %d MiB before, %d MiB at the peak; spilled %d MiB, the budget's peak is %d MiB",
		report.Before.Segments, report.Before.Rows, report.After.Segments, report.After.Rows, took.Round(time.Millisecond), resident>>20,
		peak>>20, report.Stats.SpilledBytes>>20, report.Stats.PeakBytes>>20)
	if report.Stats.SpilledBytes == 0 || report.Stats.PeakBytes > budgetBytes {
		t.Errorf("spilled %d bytes, peak %d of %d", report.Stats.SpilledBytes, report.Stats.PeakBytes, budgetBytes)
	}
	if peak > maxResidentBytes {
		t.Errorf("the process took %d MiB, at most %d are allowed", peak>>20, maxResidentBytes>>20)
	}
	if report.After.Segments > 5 || report.After.Rows != int64(rows-rows/10) {
		t.Errorf("after: %+v", report.After)
	}
	if after := d.SQLWithin(t, manyQuestion, patience); string(after.Body) != string(before.Body) {
		t.Errorf("%s before, %s after", before.Body, after.Body)
	}
}

const manyQuestion = `SELECT event, COUNT(*) AS n, SUM(value) AS s FROM many GROUP BY 1 ORDER BY 1`

// produceMany writes rows records, of which a tenth are copies of earlier ones.
func produceMany(t *testing.T, d *harness.Dev, rows int) {
	t.Helper()
	client := d.Client(t, kgo.MaxBufferedRecords(50_000))
	base := hoursBase.UnixMilli()
	for i := range rows {
		n := i
		if i%10 == 9 {
			n = i * 7 / 10 / 10 * 10 // a multiple of ten is no copy itself
		}
		value := fmt.Appendf(nil, `{"id":"m%d","t":%d,"event":"e%d","user":"user %d","value":%d}`, n, base+int64(n%86_400_000), n%13, n%9973, n)
		client.Produce(t.Context(), &kgo.Record{Topic: "many", Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}
