package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"drumlin/tests/harness"
)

const hoursRulesPath = "/druid/coordinator/v1/rules/hours"

// objectsOf are the files of an hour's objects.
func objectsOf(t *testing.T, d *harness.Dev, hour int) []string {
	t.Helper()
	var out []string
	for _, f := range parquetFiles(t, filepath.Join(d.DataDir, "objects", "data", "table=hours"), "") {
		if strings.Contains(f, fmt.Sprintf("d=01/h=%02d/", hour)) {
			out = append(out, f)
		}
	}
	return out
}

// asked asks the question again and again until stop is called, and requires one of the answers, and never an earlier one
// after a later one.
func asked(t *testing.T, d *harness.Dev, sql string, inOrder ...int64) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		at := 0
		for ctx.Err() == nil {
			answer, err := d.Ask(ctx, sql)
			if ctx.Err() != nil {
				return
			}
			if err != nil || answer.Status != http.StatusOK {
				t.Errorf("%s: %v, %+v", sql, err, answer)
				return
			}
			for at < len(inOrder) && fmt.Sprint(answer.Rows[0]["n"]) != fmt.Sprint(inOrder[at]) {
				at++
			}
			if at == len(inOrder) {
				t.Errorf("%s: %s, want %v, in this order", sql, answer.Body, inOrder)
				return
			}
		}
	})
	return func() { cancel(); work.Wait() }
}

// TestRetentionDropsRejectsAndCollects raises the floor by a rule: chunks go, rows that come late are counted as rejects, and
// the objects are deleted, while a reader asks.
func TestRetentionDropsRejectsAndCollects(t *testing.T) {
	d := startedHours(t, true, 3, 20, []int{0, 1, 2, 3}, "--retention-every", "100ms", "--collect-every", "200ms", "--collect-grace", "500ms")
	d.RunTask(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-01T00:00/2024-05-01T01:00"}`)
	const total = `SELECT SUM(events) AS n FROM hours`
	stop := asked(t, d, total, 240, 180, 120)
	d.Set(t, hoursRulesPath, `[{"type":"dropByInterval","interval":"2024-05-01T00:00/2024-05-01T02:00"},{"type":"loadForever"}]`)
	d.WaitSQL(t, total, 120, settle)
	client := d.Client(t)
	const rejects = `SELECT COUNT(*) AS n FROM sys.rejects WHERE datasource = 'hours' AND reason = 'below_retention_floor'`
	late := 0
	deadline := time.Now().Add(settle)
	for d.SQL(t, rejects).Int(t, "n") == 0 { // until the partition has acknowledged the floor
		if time.Now().After(deadline) {
			t.Fatalf("none of %d late records is rejected", late)
		}
		harness.Produce(t, client, hoursRecords(1000+late, 1, 0)...)
		late++
		time.Sleep(50 * time.Millisecond)
	}
	harness.Produce(t, client, hoursRecords(2000, 7, 1)...)
	first := d.SQL(t, rejects).Int(t, "n")
	harness.Produce(t, client, hoursRecords(3000, 1, 2)...) // above the floor
	stop()
	d.WaitSQL(t, total, 121, settle)
	rejected := d.SQL(t, rejects).Int(t, "n")
	if rejected < 8 || rejected > int64(late)+7 || first > rejected {
		t.Errorf("%d records are rejected of %d that came late", rejected, late+7)
	}
	stop = asked(t, d, total, 121)
	for _, hour := range []int{0, 1} {
		deadline := time.Now().Add(settle)
		for len(objectsOf(t, d, hour)) > 0 {
			if time.Now().After(deadline) {
				t.Fatalf("objects of a dropped chunk stay: %v", objectsOf(t, d, hour))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	stop()
	if n := len(objectsOf(t, d, 2)); n == 0 {
		t.Error("the objects of a chunk above the floor are gone")
	}
	d.Handoff(t, "hours")
	d.Kill(t)
	d.Start(t)
	d.WaitSQL(t, total, 121, 0)
	d.WaitSQL(t, rejects, rejected, 0)
	harness.Produce(t, d.Client(t), hoursRecords(4000, 2, 1)...)
	d.WaitSQL(t, rejects, rejected+2, settle)
	status, body, err := d.Post(t.Context(), hoursRulesPath, []byte(`[{"type":"dropByPeriod"},{"type":"loadSometimes"}]`))
	if err != nil || status != http.StatusBadRequest || !strings.Contains(string(body), "period") || !strings.Contains(string(body), "loadSometimes") {
		t.Errorf("bad rules: %v, %d %s", err, status, body)
	}
}

// TestKillDeletesWhatNothingShows: a kill task deletes replaced objects of its interval, at once, and nothing else.
func TestKillDeletesWhatNothingShows(t *testing.T) {
	d := startedHours(t, false, 3, 20, []int{0, 1})
	d.RunTask(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02"}`)
	if n := len(objectsOf(t, d, 0)); n != 4 {
		t.Errorf("%d objects of hour 0, want the three that were replaced and the new one", n)
	}
	const total = `SELECT COUNT(*) AS n FROM hours`
	stop := asked(t, d, total, 120)
	report := d.RunTask(t, `{"type":"kill","dataSource":"hours","interval":"2024-05-01T00:00/2024-05-01T01:00"}`)
	stop()
	if zero, one := len(objectsOf(t, d, 0)), len(objectsOf(t, d, 1)); zero != 1 || one != 4 || report.Collected.Deleted != 3 {
		t.Errorf("%d objects of hour 0 and %d of hour 1 are left, %+v; want 1 and 4", zero, one, report.Collected)
	}
	d.RunTask(t, `{"type":"kill","dataSource":"hours","interval":"2024-05-01/2024-05-02"}`)
	if one := len(objectsOf(t, d, 1)); one != 1 {
		t.Errorf("%d objects of hour 1 are left, want 1", one)
	}
	d.Kill(t)
	d.Start(t)
	d.WaitSQL(t, total, 120, 0)
}

// TestMarkedUnusedStaysKnown: what is marked unused goes, its identities stay: a copy of a row that has gone does not rise,
// wherever it comes from, and a new record does show.
func TestMarkedUnusedStaysKnown(t *testing.T) {
	for name, rollup := range map[string]bool{"raw": false, "rollup": true} {
		t.Run(name, func(t *testing.T) { markUnused(t, rollup) })
	}
}

func markUnused(t *testing.T, rollup bool) {
	total := `SELECT COUNT(*) AS n FROM hours`
	if rollup {
		total = `SELECT SUM(events) AS n FROM hours`
	}
	d := startedHours(t, rollup, 2, 20, []int{0, 1})
	d.RunTask(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02"}`)
	client := d.Client(t)
	harness.Produce(t, client, hoursRecords(40, 10, 0)...) // beside the compacted ones
	d.Handoff(t, "hours")
	d.WaitSQL(t, total, 90, settle)
	var accepted struct{ Task string }
	status, body, err := d.Post(t.Context(), "/druid/coordinator/v1/datasources/hours/markUnused", []byte(`{"interval":"2024-05-01T00:00/2024-05-01T01:00"}`))
	if err != nil || status != http.StatusOK {
		t.Fatalf("mark unused: %v, %d %s", err, status, body)
	}
	if err := json.Unmarshal(body, &accepted); err != nil {
		t.Fatal(err)
	}
	if status := d.WaitTask(t, accepted.Task); status.StatusCode != "SUCCESS" {
		t.Fatalf("mark unused: %+v", status)
	}
	d.WaitSQL(t, total, 40, settle)
	harness.Produce(t, client, hoursRecords(0, 50, 0)...) // copies of all that has gone
	harness.Produce(t, client, hoursRecords(100, 3, 0)...)
	check := func(when string) {
		t.Helper()
		if n := d.SQL(t, total).Int(t, "n"); n != 43 {
			t.Errorf("%s: %d records, want 43", when, n)
		}
	}
	d.WaitSQL(t, total, 43, settle)
	check("hot")
	d.Handoff(t, "hours")
	check("cold")
	d.RunTask(t, `{"type":"compact","dataSource":"hours","interval":"2024-05-01/2024-05-02"}`)
	check("compacted")
	d.RunTask(t, `{"type":"kill","dataSource":"hours","interval":"2024-05-01/2024-05-02"}`)
	d.Kill(t)
	d.Start(t)
	check("after a kill")
	harness.Produce(t, d.Client(t), hoursRecords(0, 103, 0)...)
	d.Handoff(t, "hours")
	d.WaitSQL(t, total, 43+50, 0) // 50…99 are new
}
