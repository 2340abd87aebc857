package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// TestSpecAtStartAndHandoffAtStop submits a spec by --spec, at every start anew, and stops by SIGTERM: what was hot is
// committed then, and nothing has to be read again.
func TestSpecAtStartAndHandoffAtStop(t *testing.T) {
	spec := filepath.Join(t.TempDir(), "spec.yaml")
	if err := os.WriteFile(spec, specFor("stopped", "topic: stopped", "hour"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := harness.Started(t, binary, "--spec", spec)
	harness.Produce(t, d.Client(t), numbered("stopped", 1, 0, 700, always(time.Now().UnixMilli()))...)
	d.WaitSQL(t, `SELECT COALESCE(SUM(value), 0) AS n FROM stopped`, 700*699/2, settle)
	if cold := d.SQL(t, `SELECT COUNT(*) AS n FROM sys.segments WHERE is_realtime = 0`).Int(t, "n"); cold != 0 {
		t.Errorf("%d cold segments before the stop", cold)
	}
	for range 2 {
		d.Stop(t)
		d.Start(t)
		rows := d.SQL(t, `SELECT COALESCE(SUM(num_rows), 0) AS n FROM sys.segments WHERE datasource = 'stopped' AND is_realtime = 0`)
		if n := rows.Int(t, "n"); n != 700 {
			t.Errorf("%d rows were handed off at the stop, want 700", n)
		}
		if n := d.SQL(t, `SELECT SUM(value) AS n FROM stopped`).Int(t, "n"); n != 700*699/2 {
			t.Errorf("sum %d after the restart", n)
		}
	}
}
