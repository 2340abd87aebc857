package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

func TestKcatProducesAndConsumes(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("kcat is not installed; in CI it must be")
		}
		t.Skip("kcat is not installed")
	}
	d := harness.Started(t, binary)
	d.Apply(t, specFor("cat", "topic: cat", "hour"))
	var lines strings.Builder
	now := time.Now().UnixMilli()
	for i := range 100 {
		line, err := json.Marshal(map[string]any{"t": now, "name": "kcat", "value": i})
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	produce := exec.Command(kcat, "-P", "-b", d.Kafka, "-t", "cat")
	produce.Stdin = strings.NewReader(lines.String())
	if out, err := produce.CombinedOutput(); err != nil {
		t.Fatalf("kcat -P: %v\n%s", err, out)
	}
	d.WaitSQL(t, `SELECT COALESCE(SUM(value), 0) AS n FROM cat`, 4950, settle)
	d.Kill(t) // the topic was made by using it, and must still be there
	d.Start(t)
	d.WaitSQL(t, `SELECT COALESCE(SUM(value), 0) AS n FROM cat`, 4950, settle)
	out, err := exec.Command(kcat, "-C", "-b", d.Kafka, "-t", "cat", "-o", "beginning", "-e", "-q").Output()
	if err != nil {
		t.Fatalf("kcat -C: %v", err)
	}
	if got := strings.Count(string(out), "\n"); got != 100 {
		t.Errorf("kcat read %d records back, want 100", got)
	}
}

// TestFirstSession runs the verbs of a first session, as a new user types them.
func TestFirstSession(t *testing.T) {
	d := harness.Started(t, binary)
	d.MustRun(t, "topic", "create", "events", "--partitions", "3")
	if out := d.MustRun(t, "topic", "list"); !strings.Contains(out, "events") {
		t.Errorf("topic list:\n%s", out)
	}
	if out := d.MustRun(t, "topic", "describe", "events"); !strings.Contains(out, "2") {
		t.Errorf("topic describe:\n%s", out)
	}
	d.MustRun(t, "apply", filepath.Join(testkit.RepoRoot(t), "configs/specs/events.yaml"))
	d.MustRun(t, "generate", "--events", "20000", "--duplicates", "0.1", "--late", "0.01", "--seed", "1", "--topic", "events")
	dump := filepath.Join(t.TempDir(), "events.ndjson")
	d.MustRun(t, "generate", "--events", "20000", "--duplicates", "0.1", "--late", "0.01", "--seed", "1", "--out", dump)
	want := distinctMessages(t, dump)
	count := func() string {
		return strings.TrimSpace(d.MustRun(t, "sql", "--format", "csv", "SELECT COUNT(*) AS n FROM events"))
	}
	deadline := time.Now().Add(settle)
	for !strings.HasSuffix(count(), strconv.Itoa(want)) {
		if time.Now().After(deadline) {
			t.Fatalf("count is %q, want %d distinct events", count(), want)
		}
	}
	d.MustRun(t, "handoff", "events")
	if got := count(); !strings.HasSuffix(got, strconv.Itoa(want)) {
		t.Errorf("after the handoff the count is %q, want %d", got, want)
	}
	if out := d.MustRun(t, "segments", "events"); !strings.Contains(out, "cold") || !strings.Contains(out, ".parquet") {
		t.Errorf("segments:\n%s", out)
	}
	if out := d.MustRun(t, "status"); !strings.Contains(out, "events") {
		t.Errorf("status:\n%s", out)
	}
	top := d.MustRun(t, "sql", "SELECT event, COUNT(*) FROM events GROUP BY 1 ORDER BY 2 DESC LIMIT 10")
	if len(strings.Split(strings.TrimSpace(top), "\n")) < 8 {
		t.Errorf("top events:\n%s", top)
	}
}

func distinctMessages(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var event struct{ MessageID string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		seen[event.MessageID] = true
	}
	return len(seen)
}

func TestTwoDataDirectoriesRunSideBySide(t *testing.T) {
	one, two := harness.Started(t, binary), harness.Started(t, binary)
	one.Apply(t, specFor("mine", "topic: mine", "hour"))
	status, body, err := two.Get(t.Context(), "/druid/indexer/v1/supervisor")
	if err != nil || status != 200 || strings.TrimSpace(string(body)) != "[]" {
		t.Errorf("the other process knows about it: %v %d %s", err, status, body)
	}
	third := harness.New(t, binary)
	third.DataDir = one.DataDir
	third.Launch(t)
	defer third.Kill(t)
	deadline := time.Now().Add(settle)
	for !strings.Contains(third.Log(), "lock") {
		if time.Now().After(deadline) {
			t.Fatalf("a second process on one directory must be refused; it said:\n%s", third.Log())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestHealthyWithinFiveSecondsOfAKill(t *testing.T) {
	d := harness.Started(t, binary)
	d.Apply(t, specFor("healthy", "topic: healthy", "hour"))
	harness.Produce(t, d.Client(t), numbered("healthy", 1, 0, 1000, always(time.Now().UnixMilli()))...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM healthy`, 1000, settle)
	d.Kill(t)
	watch := harness.StartWatch()
	took := d.Start(t)
	watch.Within(t, "a start after a kill", took, 5*time.Second)
	if n := d.SQL(t, `SELECT COUNT(*) AS n FROM healthy`).Int(t, "n"); n != 1000 {
		t.Errorf("the first answer after healthy has %d rows, want 1000", n)
	}
	t.Logf("healthy %s after the start that followed a kill", took)
}
