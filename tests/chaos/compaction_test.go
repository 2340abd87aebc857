package chaos

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

const rollupSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: survivors
    timestampSpec: {column: timestamp, format: millis}
    dimensionsSpec: {dimensions: [event]}
    metricsSpec: [{type: count, name: events}, {type: longSum, name: total, fieldName: value}]
    granularitySpec: {segmentGranularity: hour, queryGranularity: minute, rollup: true}
    dedupSpec: {key: messageId}
  ioConfig: {topic: survivors, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {type: kafka, maxRowsPerSegment: 3000}
`

const rollupQuestion = `SELECT event, SUM(events) AS n, SUM(total) AS s FROM survivors GROUP BY 1 ORDER BY 1`

// TestKillWhileCompacting kills the process at random moments while it ingests, and both policies, tasks of users and
// collection work on what it has ingested.
func TestKillWhileCompacting(t *testing.T) {
	raw := ingestPlan(true)
	rolled := plan{spec: rollupSpec, question: rollupQuestion, createTopic: true, equalCopies: true}
	for name, p := range map[string]plan{"raw": raw, "rollup": rolled} {
		p.args = []string{
			"--recent-every", "100ms", "--historical-every", "200ms", "--collect-every", "200ms", "--collect-grace", "300ms",
			"--compaction-slots", "3",
		}
		p.prepare = func(t *testing.T, d *harness.Dev) {
			d.Set(t, "/druid/coordinator/v1/config/compaction", `{"dataSource":"survivors","skipOffsetFromLatest":"PT0S"}`)
		}
		p.beside, p.met = submitTasks, everybodyCompacts
		t.Run(name, func(t *testing.T) { killWhileCompacting(t, p) })
	}
}

func killWhileCompacting(t *testing.T, p plan) {
	c := killRepeatedly(t, kills(8, 150), p)
	c.dev.RunTask(t, `{"type":"compact","dataSource":"survivors","interval":"2000-01-01/2100-01-01"}`)
	c.compare(t, c.dev.SQL(t, c.question))
	ended := map[string]int{}
	for _, task := range c.dev.Tasks(t, "state=complete") {
		ended[task.Origin+" "+task.StatusCode]++
		if task.StatusCode != "SUCCESS" && (task.ErrorMsg == nil || !strings.Contains(*task.ErrorMsg, "no segments")) {
			t.Errorf("a task failed, and not for want of data: %+v, %v", task, task.ErrorMsg)
		}
	}
	t.Logf("tasks: %v", ended)
}

// everybodyCompacts says whether tasks of both policies and of users have succeeded.
func everybodyCompacts(t *testing.T, d *harness.Dev) bool {
	t.Helper()
	origins := map[string]bool{}
	for _, task := range d.Tasks(t, "state=complete") {
		if task.StatusCode == "SUCCESS" {
			origins[task.Origin] = true
		}
	}
	return origins["recent"] && origins["historical"] && origins["user"]
}

// submitTasks submits tasks for hours, and now and then for whole days. One that the kill cuts off may be there or not.
func submitTasks(ctx context.Context, d *harness.Dev, random *rand.Rand) {
	for ctx.Err() == nil {
		pause(ctx, time.Duration(random.Int64N(int64(250*time.Millisecond))))
		hour := time.Now().UTC().Truncate(time.Hour).Add(-time.Duration(random.IntN(4)) * time.Hour)
		task := fmt.Sprintf(`{"type":"compact","dataSource":"survivors","interval":"%s/PT1H"}`, hour.Format(time.RFC3339))
		switch random.IntN(20) {
		case 0:
			task = fmt.Sprintf(`{"type":"compact","dataSource":"survivors","interval":"%s/P1D","granularitySpec":{"segmentGranularity":"day"}}`,
				hour.Truncate(24*time.Hour).Format(time.RFC3339))
		case 1:
			task = `{"type":"kill","dataSource":"survivors","interval":"2000-01-01/2100-01-01"}`
		}
		_, _, _ = d.Post(ctx, "/druid/indexer/v1/task", []byte(task))
	}
}

// TestKilledAtEveryFailpointOfACompaction ends the process by its own hand at every named place of a compaction: the task goes
// on after the restart, no answer changes, and what the dead process left behind is collected.
func TestKilledAtEveryFailpointOfACompaction(t *testing.T) {
	for name, p := range map[string]plan{"raw": ingestPlan(true), "rollup": {spec: rollupSpec, question: rollupQuestion}} {
		t.Run(name, func(t *testing.T) { killAtFailpoints(t, p) })
	}
}

func killAtFailpoints(t *testing.T, p plan) {
	const interval = `"interval":"2024-05-01/2024-05-02"`
	points := []string{"compact.before_upload", "compact.after_upload", "catalog.swap.before_txn", "catalog.swap.after_txn"}
	d := harness.New(t, binary)
	d.Start(t)
	d.CreateTopic(t, topic, 1)
	d.Apply(t, []byte(p.spec))
	for i, point := range points {
		d.Kill(t)
		t.Setenv("DRUMLIN_FAILPOINTS", point+"=kill@1")
		d.Start(t)
		for range 2 { // two handoffs of the same records and 100 new ones
			harness.Produce(t, d.Client(t), numberedSurvivors(100*(i+1))...)
			d.Handoff(t, "survivors")
		}
		before := d.SQL(t, p.question)
		id := d.Submit(t, `{"type":"compact","dataSource":"survivors",`+interval+`}`)
		d.WaitEnd(t)
		t.Setenv("DRUMLIN_FAILPOINTS", "")
		d.Kill(t)
		d.Start(t)
		same(t, point+", after the restart", before, d.SQL(t, p.question))
		if status := d.WaitTask(t, id); status.StatusCode != "SUCCESS" {
			t.Errorf("%s: the task: %+v", point, status)
		}
		same(t, point+", after the task", before, d.SQL(t, p.question))
		if n := d.SQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE datasource = 'survivors'`).Int(t, "n"); n != 1 {
			t.Errorf("%s: %d segments after the task", point, n)
		}
		d.RunTask(t, `{"type":"kill","dataSource":"survivors",`+interval+`}`)
		if left := dataObjects(t, d); len(left) != 1 {
			t.Errorf("%s: objects left behind: %v", point, left)
		}
		same(t, point+", after collection", before, d.SQL(t, p.question))
	}
}

func numberedSurvivors(n int) []*kgo.Record {
	base := time.Date(2024, 5, 1, 7, 0, 0, 0, time.UTC).UnixMilli()
	var out []*kgo.Record
	for i := range n {
		out = append(out, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"messageId":"m%d","timestamp":%d,"event":"e%d","value":%d}`, i, base+int64(i)*1000, i%4, i%100)})
	}
	return out
}

func same(t *testing.T, when string, want, got *harness.Answer) {
	t.Helper()
	if string(want.Body) != string(got.Body) {
		t.Errorf("%s: %s, want %s", when, got.Body, want.Body)
	}
}

// dataObjects are the files of the chunk's segments.
func dataObjects(t *testing.T, d *harness.Dev) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(d.DataDir, "objects", "data"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(path, ".parquet") {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
