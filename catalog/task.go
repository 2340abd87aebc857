package catalog

import "encoding/json"

// TaskState is where a task stands in the queue. It is the catalog's word; what a task has achieved is read from heads.
type TaskState string

// The states of a task. Waiting tasks wait for a slot or for their next attempt.
const (
	TaskWaiting TaskState = "WAITING"
	TaskRunning TaskState = "RUNNING"
	TaskSuccess TaskState = "SUCCESS"
	TaskFailed  TaskState = "FAILED"
)

// Finished says whether the state is final.
func (s TaskState) Finished() bool { return s == TaskSuccess || s == TaskFailed }

// Task is one submitted task (key task/{id}). It is immutable but for its progress, which whoever holds the task's claim
// writes, and for CancelRequested, which anybody may set.
type Task struct {
	ID         string          `json:"id"`
	Group      string          `json:"group"`
	Type       string          `json:"type"` // compact, kill, markUnused
	Datasource string          `json:"datasource"`
	Priority   int             `json:"priority"` // higher first
	Origin     string          `json:"origin"`   // user, recent or historical: who asked
	Spec       json.RawMessage `json:"spec"`     // canonical, as spec.ParseTask accepts it
	// CreatedMillis and the other times are wall clock, for people and back-off only.
	CreatedMillis int64     `json:"created"`
	State         TaskState `json:"state"`
	Attempt       int       `json:"attempt"` // 0 before the first
	// Failures are the attempts that count against the task's retries: not those that were put back, or that found chunks busy.
	Failures int `json:"failures,omitempty"`
	// NotBeforeMillis is when a waiting task may be tried (again).
	NotBeforeMillis int64  `json:"notBefore,omitempty"`
	Node            string `json:"node,omitempty"`  // of the newest attempt
	Epoch           int64  `json:"epoch,omitempty"` // claim of the newest attempt; a dead one means that its node died
	StartedMillis   int64  `json:"started,omitempty"`
	FinishedMillis  int64  `json:"finished,omitempty"`
	CancelRequested bool   `json:"cancelRequested,omitempty"`
	Error           string `json:"error,omitempty"`
	// Done and Total count chunks, for a progress bar.
	Done  int `json:"done,omitempty"`
	Total int `json:"total,omitempty"`
	// Report and Log are objects, and outlive the worker; empty: not written yet.
	Report string `json:"report,omitempty"`
	Log    string `json:"log,omitempty"`
}

// TaskView is a task at the view's revision.
type TaskView struct {
	Task
	Revision int64 // mod_revision of its key
	Claimed  bool  // somebody holds its claim
	// ClaimEpoch is that claim's; 0: none. Where it is not the task's Epoch, the node of its newest attempt has died.
	ClaimEpoch int64
}

// Setting is a small document of a datasource that only its newest version matters of: the auto-compaction config (key
// autocompact/{datasource}) and the retention rules (key rules/{datasource}). Former versions are kept for people
// (…/{version}).
type Setting struct {
	Version       int64           `json:"version"` // 1, 2, …
	UpdatedMillis int64           `json:"updated"` // wall clock, for people
	Value         json.RawMessage `json:"value"`   // canonical, as spec accepts it; null: taken away
}

// SettingKind says which document a Setting is.
type SettingKind string

// The kinds of settings.
const (
	SettingAutoCompaction SettingKind = "autocompact"
	SettingRules          SettingKind = "rules"
)
