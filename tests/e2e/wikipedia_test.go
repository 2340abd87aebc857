package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

func number(v int64) json.Number {
	out, _ := json.Marshal(v)
	return json.Number(out)
}

func TestWikipediaHotMixedColdRestarted(t *testing.T) {
	lines := harness.WikipediaLines(t)
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wikipedia", 4)
	d.ApplyFile(t, filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	client := d.Client(t)
	records := harness.Spread("wikipedia", lines, 4)

	third := len(records) / 3
	harness.Produce(t, client, records[:third]...)
	d.Handoff(t, "wikipedia")
	harness.Produce(t, client, records[third:2*third]...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, int64(2*third), settle)
	d.Handoff(t, "wikipedia")
	harness.Produce(t, client, records[2*third:]...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, harness.WikipediaRows, settle)
	d.CheckWikipedia(t) // mixed
	d.Handoff(t, "wikipedia")
	if hot := d.SQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE is_realtime = 1`).Int(t, "n"); hot != 0 {
		t.Errorf("%d hot segments after the handoff", hot)
	}
	d.CheckWikipedia(t) // cold
	d.Stop(t)
	d.Start(t)
	d.CheckWikipedia(t) // cold, after a restart
}

func TestWikipediaHotWithinASecond(t *testing.T) {
	lines := harness.WikipediaLines(t)
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wikipedia", 4)
	d.ApplyFile(t, filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	harness.Produce(t, d.Client(t), harness.Spread("wikipedia", lines, 4)...)
	begin, watch := time.Now(), harness.StartWatch()
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, harness.WikipediaRows, settle)
	watch.Within(t, "reading what was acknowledged", time.Since(begin), time.Second)
	if cold := d.SQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE is_realtime = 0`).Int(t, "n"); cold != 0 {
		t.Errorf("%d cold segments before any handoff", cold)
	}
	d.CheckWikipedia(t)
	d.Kill(t)
	d.Start(t)
	d.CheckWikipedia(t) // hot again, read once more from the broker
}

// TestFiftyOneSegmentsByTheRowLimit cuts the data at 1,000 rows a segment while it flows.
func TestFiftyOneSegmentsByTheRowLimit(t *testing.T) {
	spec, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "configs/specs/wikipedia.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wikipedia", 1)
	d.Apply(t, withRowLimit(t, spec, 1000))
	harness.Produce(t, d.Client(t), harness.Spread("wikipedia", harness.WikipediaLines(t), 1)...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM wikipedia`, harness.WikipediaRows, settle)
	d.Handoff(t, "wikipedia")
	checkFiftyOne(t, d)
}

func checkFiftyOne(t *testing.T, d *harness.Dev) {
	t.Helper()
	d.CheckWikipedia(t)
	answer := d.SQL(t, `SELECT COUNT(*) AS n, SUM(num_rows) AS total, MAX(num_rows) AS largest FROM sys.segments WHERE datasource = 'wikipedia'`)
	if row := answer.Rows[0]; row["n"] != number(51) || row["total"] != number(harness.WikipediaRows) || row["largest"] != number(1000) {
		t.Errorf("got %v, want 51 segments of at most 1000 rows", row)
	}
}

// withRowLimit adds tuningConfig.maxRowsPerSegment to the example spec, which has none.
func withRowLimit(t *testing.T, spec []byte, rows int64) []byte {
	t.Helper()
	const indent = "\n  "
	text := strings.TrimRight(string(spec), "\n")
	if strings.Contains(text, "tuningConfig") || !strings.Contains(text, indent+"ioConfig:") {
		t.Fatal("the example spec has changed its shape")
	}
	return []byte(text + indent + "tuningConfig: {type: kafka, maxRowsPerSegment: " + number(rows).String() + "}\n")
}
