package harness

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

const (
	taskPath   = "/druid/indexer/v1/task"
	taskBudget = 5 * time.Minute // for one task, from submission to its end
)

// TaskStatus is what the status of a task says.
type TaskStatus struct {
	ID               string
	Type             string
	DataSource       string
	StatusCode       string // RUNNING, SUCCESS or FAILED
	RunnerStatusCode string
	Duration         int64 // ms; −1 until it has ended
	ErrorMsg         *string
	Priority         int
	Origin           string // user, recent or historical
	ChunksDone       int
	ChunksTotal      int
}

// Shape is what chunks consist of.
type Shape struct {
	Segments, TailSegments, Rows, Bytes, SidecarBytes, Events int64
	RollupRatio                                               float64
}

// Report is the part of a task's report that tests look at.
type Report struct {
	Chunks []struct {
		Interval, Outcome, Mode, Reason, Error string
		Before, After                          Shape
	}
	Empty, Warnings []string
	Before, After   Shape
	Stats           struct{ Duplicates, Filtered, IDs, SpilledBytes, PeakBytes int64 }
	Collected       struct{ Deleted, Bytes int64 }
	Error           string
}

// Submit submits a task that must be accepted, and returns its id.
func (a *Asker) Submit(t testing.TB, task string) string {
	t.Helper()
	var accepted struct{ Task string }
	a.ask(t, http.MethodPost, taskPath, []byte(task), &accepted)
	if accepted.Task == "" {
		t.Fatalf("the task %s got no id", task)
	}
	return accepted.Task
}

// Task asks for the status of a task.
func (a *Asker) Task(t testing.TB, id string) TaskStatus {
	t.Helper()
	var answer struct {
		Task   string
		Status TaskStatus
	}
	a.ask(t, http.MethodGet, taskPath+"/"+id+"/status", nil, &answer)
	return answer.Status
}

// WaitTask waits until the task has ended, however that is.
func (a *Asker) WaitTask(t testing.TB, id string) TaskStatus {
	t.Helper()
	deadline, pause := time.Now().Add(taskBudget), firstPause
	for {
		status := a.Task(t, id)
		if status.StatusCode != "RUNNING" {
			return status
		}
		if time.Now().After(deadline) {
			t.Fatalf("task %s has not ended after %s: %+v", id, taskBudget, status)
		}
		time.Sleep(pause)
		pause = min(2*pause, lastPause)
	}
}

// RunTask submits a task that must succeed, and returns its report.
func (a *Asker) RunTask(t testing.TB, task string) Report {
	t.Helper()
	id := a.Submit(t, task)
	if status := a.WaitTask(t, id); status.StatusCode != "SUCCESS" {
		reason := "no reason"
		if status.ErrorMsg != nil {
			reason = *status.ErrorMsg
		}
		t.Fatalf("task %s: %s: %s", task, status.StatusCode, reason)
	}
	return a.TaskReport(t, id)
}

// TaskReport asks for the report of a task.
func (a *Asker) TaskReport(t testing.TB, id string) Report {
	t.Helper()
	var answer struct{ Compaction Report }
	a.ask(t, http.MethodGet, taskPath+"/"+id+"/reports", nil, &answer)
	return answer.Compaction
}

// Tasks lists the tasks that the query string chooses.
func (a *Asker) Tasks(t testing.TB, query string) []TaskStatus {
	t.Helper()
	var list []TaskStatus
	a.ask(t, http.MethodGet, "/druid/indexer/v1/tasks?"+query, nil, &list)
	return list
}

// Set posts a config or rules that must be accepted.
func (a *Asker) Set(t testing.TB, path, body string) {
	t.Helper()
	a.ask(t, http.MethodPost, path, []byte(body), nil)
}

// GetJSON reads a path that must answer 200.
func (a *Asker) GetJSON(t testing.TB, path string, into any) {
	t.Helper()
	a.ask(t, http.MethodGet, path, nil, into)
}

func (a *Asker) ask(t testing.TB, method, path string, body []byte, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), askBudget)
	defer cancel()
	status, out, err := a.do(ctx, method, path, body, nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s %s: %v, %d %s", method, path, err, status, out)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%s %s: read the answer %s: %v", method, path, out, err)
	}
}
