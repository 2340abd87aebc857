package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

const (
	indexerPath = "/druid/indexer/v1"
	taskPath    = indexerPath + "/task"
)

// SubmittedTask is the answer to a task.
type SubmittedTask struct {
	ID       string   `json:"task"`
	Warnings []string `json:"warnings"`
}

// Task is a task's status.
type Task struct {
	ID               string       `json:"id"`
	Type             string       `json:"type"`
	DataSource       string       `json:"dataSource"`
	CreatedTime      string       `json:"createdTime"`
	StatusCode       string       `json:"statusCode"`       // RUNNING until it has ended, then SUCCESS or FAILED
	RunnerStatusCode string       `json:"runnerStatusCode"` // WAITING, PENDING, RUNNING; NONE once it has ended
	DurationMillis   int64        `json:"duration"`         // −1 until it has ended
	Location         TaskLocation `json:"location"`
	ErrorMsg         *string      `json:"errorMsg"`
	Priority         int          `json:"priority"`
	Origin           string       `json:"origin"` // user, recent or historical: who asked
	Attempt          int          `json:"attempt"`
	CancelRequested  bool         `json:"cancelRequested"`
	ChunksDone       int          `json:"chunksDone"`
	ChunksTotal      int          `json:"chunksTotal"` // 0: not known yet
	NextAttempt      string       `json:"nextAttempt"`
}

// The status codes of a task.
const (
	TaskRunning = "RUNNING"
	TaskSuccess = "SUCCESS"
	TaskFailed  = "FAILED"
)

// Finished says whether the task has ended.
func (t *Task) Finished() bool { return t.StatusCode != TaskRunning }

// TaskLocation is where a task runs, or has run.
type TaskLocation struct {
	Host string `json:"host"`
	Port int    `json:"port"`
	Node string `json:"node"`
}

// TaskFilter chooses tasks; zero fields choose all.
type TaskFilter struct {
	State      string // waiting, pending, running or complete
	DataSource string
	Type       string
	Max        int // of complete tasks, the newest
}

// TaskReport is what a task has done, as far as this client reads it.
type TaskReport struct {
	Compaction CompactionReport `json:"compaction"`
}

// CompactionReport tells of each time chunk, before and after.
type CompactionReport struct {
	DataSource         string          `json:"dataSource"`
	Chunks             []ChunkReport   `json:"chunks"`
	Empty              []string        `json:"empty"` // parts of the interval without data
	Warnings           []string        `json:"warnings"`
	Before             Shape           `json:"before"`
	After              Shape           `json:"after"`
	Stats              CompactionStats `json:"stats"`
	WriteAmplification float64         `json:"writeAmplification"`
	Collected          *Collected      `json:"collected"` // of kill tasks
	Error              string          `json:"error"`
}

// Collected is what a kill task has deleted, and how many objects it has kept, by reason.
type Collected struct {
	Deleted int64            `json:"deleted"`
	Bytes   int64            `json:"bytes"`
	Failed  int64            `json:"failed"`
	Kept    map[string]int64 `json:"kept"`
}

// ChunkReport is one time chunk of a report.
type ChunkReport struct {
	Interval string          `json:"interval"`
	Outcome  string          `json:"outcome"` // DONE, NOTHING, SKIPPED, BUSY or FAILED
	Reason   string          `json:"reason"`
	Error    string          `json:"error"`
	Before   Shape           `json:"before"`
	After    Shape           `json:"after"`
	Stats    CompactionStats `json:"stats"`
}

// Shape is what time chunks consist of.
type Shape struct {
	Segments    int64   `json:"segments"`
	Rows        int64   `json:"rows"`
	Bytes       int64   `json:"bytes"`
	Events      int64   `json:"events"` // records that the rows stand for
	RollupRatio float64 `json:"rollupRatio"`
	// SidecarBytes hold the identities of rows that are no longer there one by one.
	SidecarBytes int64 `json:"sidecarBytes"`
}

// CompactionStats count what a compaction has removed, and what it cost.
type CompactionStats struct {
	Duplicates   int64 `json:"duplicates"`
	Filtered     int64 `json:"filtered"`
	SpilledBytes int64 `json:"spilledBytes"`
}

// SubmitTask hands in a task, in YAML or JSON.
func (c *Client) SubmitTask(ctx context.Context, task []byte) (*SubmittedTask, error) {
	resp, err := c.do(ctx, http.MethodPost, "application/yaml", task, taskPath)
	if err != nil {
		return nil, err
	}
	out := &SubmittedTask{}
	return out, readJSON(resp, out)
}

// Tasks lists tasks, newest first.
func (c *Client) Tasks(ctx context.Context, f TaskFilter) ([]Task, error) {
	query := url.Values{}
	for name, value := range map[string]string{"state": f.State, "datasource": f.DataSource, "type": f.Type} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.Max > 0 {
		query.Set("max", strconv.Itoa(f.Max))
	}
	target := c.base.JoinPath(indexerPath, "tasks")
	target.RawQuery = query.Encode()
	resp, err := c.send(ctx, http.MethodGet, target, "", nil)
	if err != nil {
		return nil, err
	}
	var out []Task
	return out, readJSON(resp, &out)
}

// TaskStatus returns a task's status.
func (c *Client) TaskStatus(ctx context.Context, id string) (*Task, error) {
	resp, err := c.do(ctx, http.MethodGet, "", nil, taskPath, pathEscape(id), "status")
	if err != nil {
		return nil, err
	}
	var out struct {
		Status Task `json:"status"`
	}
	return &out.Status, readJSON(resp, &out)
}

// TaskSpec returns what was submitted, as canonical JSON.
func (c *Client) TaskSpec(ctx context.Context, id string) (json.RawMessage, error) {
	resp, err := c.do(ctx, http.MethodGet, "", nil, taskPath, pathEscape(id))
	if err != nil {
		return nil, err
	}
	var out struct {
		Payload json.RawMessage `json:"payload"`
	}
	err = readJSON(resp, &out)
	return out.Payload, err
}

// TaskReportJSON returns the report of a task's newest attempt as the server sends it.
func (c *Client) TaskReportJSON(ctx context.Context, id string) (json.RawMessage, error) {
	resp, err := c.do(ctx, http.MethodGet, "", nil, taskPath, pathEscape(id), "reports")
	if err != nil {
		return nil, err
	}
	var out json.RawMessage
	err = readJSON(resp, &out)
	return out, err
}

// TaskLog copies a task's log from a byte on; a negative offset counts from its end.
func (c *Client) TaskLog(ctx context.Context, w io.Writer, id string, offset int64) error {
	target := c.base.JoinPath(taskPath, pathEscape(id), "log")
	if offset != 0 {
		target.RawQuery = url.Values{"offset": {strconv.FormatInt(offset, 10)}}.Encode()
	}
	resp, err := c.send(ctx, http.MethodGet, target, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return &Truncated{Err: err}
	}
	return nil
}

// CancelTask asks for the end of a task.
func (c *Client) CancelTask(ctx context.Context, id string) error {
	resp, err := c.do(ctx, http.MethodPost, "", nil, taskPath, pathEscape(id), "shutdown")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
