package e2e

import (
	"context"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// TestKilledAtEveryFailpoint ends the process by its own hand at every named place of the second of two handoffs, then while
// it starts: nothing is lost, and nothing counts twice.
func TestKilledAtEveryFailpoint(t *testing.T) {
	points := []string{
		"handoff.before_build", "handoff.before_upload", "handoff.after_upload", "catalog.append.before_txn",
		"catalog.append.after_txn", "handoff.after_commit",
	}
	d := harness.New(t, binary)
	d.Start(t)
	d.CreateTopic(t, "points", 2)
	d.Apply(t, specFor("points", "topic: points", "hour"))
	now := time.Now().UnixMilli()
	hourly := func(i int) int64 { return now - int64(i%5)*time.Hour.Milliseconds() }
	next := 0
	check := func(when string) {
		t.Helper()
		want := int64(next) * int64(next-1) / 2
		if n := d.SQL(t, `SELECT SUM(value) AS n FROM points`).Int(t, "n"); n != want {
			t.Fatalf("%s: the sum is %d, want %d", when, n, want)
		}
	}
	for _, point := range points {
		d.Kill(t)
		t.Setenv("DRUMLIN_FAILPOINTS", point+"=kill@2")
		d.Start(t)
		harness.Produce(t, d.Client(t), numbered("points", 2, next, next+50, hourly)...)
		next += 50
		ctx, cancel := context.WithTimeout(t.Context(), settle)
		status, body, err := d.Post(ctx, "/druid/indexer/v1/supervisor/points/taskGroups/handoff", nil)
		cancel()
		if err == nil {
			t.Errorf("%s: the process lives: %d %s", point, status, body)
		}
		t.Setenv("DRUMLIN_FAILPOINTS", "")
		d.Kill(t)
		d.Start(t)
		check(point)
	}
	d.Kill(t)
	for i := range 8 { // the start itself
		d.Launch(t)
		time.Sleep(time.Duration(i) * 60 * time.Millisecond)
		d.Kill(t)
	}
	d.Start(t)
	check("after kills while starting")
	d.Handoff(t, "points")
	check("in the end")
	d.Stop(t)
	d.Start(t)
	check("after an orderly stop")
}
