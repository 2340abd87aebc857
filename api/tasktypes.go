package api

import (
	"context"
	"encoding/json"
)

// Tasks is the queue of tasks. Where an id is not known the error is an *Error of category NotFound.
type Tasks interface {
	// SubmitTask takes a task in YAML or JSON and returns once the queue has it. A refused task is an *Error with every
	// problem, and has changed nothing.
	SubmitTask(ctx context.Context, data []byte) (id string, warnings []string, err error)
	// CancelTask asks for the end of a task; one that has ended stays as it is.
	CancelTask(ctx context.Context, id string) error
	// Task returns a task's status, and what was submitted, as canonical JSON.
	Task(ctx context.Context, id string) (t Task, spec json.RawMessage, err error)
	// ListTasks returns tasks, newest first.
	ListTasks(ctx context.Context, f TaskFilter) ([]Task, error)
}

// TaskOutputs are what tasks leave behind. Where there is nothing the error is an *Error of category NotFound.
type TaskOutputs interface {
	// TaskReport returns the report of the newest attempt, as JSON.
	TaskReport(ctx context.Context, id string) (json.RawMessage, error)
	// TaskLog returns the log from a byte on; a negative offset counts from its end.
	TaskLog(ctx context.Context, id string, offset int64) ([]byte, error)
}

// Task is a task's status: Druid's fields, then ours. Times are ISO 8601.
type Task struct {
	ID                 string       `json:"id"`
	GroupID            string       `json:"groupId"`
	Type               string       `json:"type"`
	CreatedTime        string       `json:"createdTime"`
	QueueInsertionTime string       `json:"queueInsertionTime"`
	StatusCode         string       `json:"statusCode"`       // RUNNING until it has ended, then SUCCESS or FAILED
	Status             string       `json:"status"`           // the same
	RunnerStatusCode   string       `json:"runnerStatusCode"` // WAITING, PENDING, RUNNING; NONE once it has ended
	DurationMillis     int64        `json:"duration"`         // −1 until it has ended
	Location           TaskLocation `json:"location"`
	DataSource         string       `json:"dataSource"`
	ErrorMsg           *string      `json:"errorMsg"`

	Priority        int    `json:"priority"`
	Origin          string `json:"origin"`  // user, recent or historical: who asked
	Attempt         int    `json:"attempt"` // 0 before the first
	CancelRequested bool   `json:"cancelRequested"`
	ChunksDone      int    `json:"chunksDone"`
	ChunksTotal     int    `json:"chunksTotal"` // 0: not known yet
	NextAttempt     string `json:"nextAttempt,omitempty"`
}

// TaskLocation is where a task runs, or has run.
type TaskLocation struct {
	Host    string `json:"host"`
	Port    int    `json:"port"`    // −1: not known
	TLSPort int    `json:"tlsPort"` // −1: none
	Node    string `json:"node,omitempty"`
}

// TaskState chooses tasks by where they stand.
type TaskState string

// The states that a list can be limited to.
const (
	TasksWaiting  TaskState = "waiting" // for the time of their next attempt
	TasksPending  TaskState = "pending" // for a slot
	TasksRunning  TaskState = "running"
	TasksComplete TaskState = "complete"
)

// TaskFilter chooses tasks; zero fields choose all.
type TaskFilter struct {
	State      TaskState
	DataSource string
	Type       string
	// Created is an interval in ISO 8601 that holds the time of submission.
	Created string
	Max     int // of complete tasks, the newest
}

// AutoCompaction holds the auto-compaction configs. Where a datasource or its config is not known the error is an *Error
// of category NotFound.
type AutoCompaction interface {
	// SetAutoCompaction takes a config in YAML or JSON. A refused one is an *Error with every problem.
	SetAutoCompaction(ctx context.Context, data []byte) (warnings []string, err error)
	AutoCompaction(ctx context.Context, datasource string) (json.RawMessage, error)
	// AutoCompactions returns all configs, by datasource.
	AutoCompactions(ctx context.Context) ([]json.RawMessage, error)
	DeleteAutoCompaction(ctx context.Context, datasource string) error
	// AutoCompactionHistory returns the versions that are still known, newest first.
	AutoCompactionHistory(ctx context.Context, datasource string) ([]AutoCompactionVersion, error)
}

// AutoCompactionVersion is one version of a config.
type AutoCompactionVersion struct {
	Time   string          // ISO 8601
	Config json.RawMessage // null: taken away
}

// CompactionProgress says how far compaction is, and why. A datasource of "" means all that are configured; where one is
// not known the error is an *Error of category NotFound.
type CompactionProgress interface {
	CompactionStatus(ctx context.Context, datasource string) ([]CompactionStatus, error)
	// ExplainCompaction tells of every time chunk of a datasource, for each policy, whether it would be compacted now, and
	// why or why not. The answer is that of the path.
	ExplainCompaction(ctx context.Context, datasource string) (any, error)
}

// CompactionStatus sums up a datasource's time chunks, in Druid's fields.
type CompactionStatus struct {
	DataSource         string `json:"dataSource"`
	ScheduleStatus     string `json:"scheduleStatus"` // RUNNING, or NOT_ENABLED
	Message            string `json:"message,omitempty"`
	BytesAwaiting      int64  `json:"bytesAwaitingCompaction"`
	BytesCompacted     int64  `json:"bytesCompacted"`
	BytesSkipped       int64  `json:"bytesSkipped"`
	SegmentsAwaiting   int64  `json:"segmentCountAwaitingCompaction"`
	SegmentsCompacted  int64  `json:"segmentCountCompacted"`
	SegmentsSkipped    int64  `json:"segmentCountSkipped"`
	IntervalsAwaiting  int64  `json:"intervalCountAwaitingCompaction"`
	IntervalsCompacted int64  `json:"intervalCountCompacted"`
	IntervalsSkipped   int64  `json:"intervalCountSkipped"`
}

// Rules holds the retention rules. Where a datasource is not known the error is an *Error of category NotFound.
type Rules interface {
	// SetRules takes a list in YAML or JSON; an empty one takes the rules away. A refused one is an *Error with every problem.
	SetRules(ctx context.Context, datasource string, data []byte) (warnings []string, err error)
	// Rules returns a datasource's rules as a JSON list, empty where it has none.
	Rules(ctx context.Context, datasource string) (json.RawMessage, error)
	// AllRules returns the rules of every datasource that has some.
	AllRules(ctx context.Context) (map[string]json.RawMessage, error)
}
