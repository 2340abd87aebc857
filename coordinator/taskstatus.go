package coordinator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"

	"drumlin/catalog"
	"drumlin/spec"
)

// TaskStatus is a task in Druid's shape, with what Druid does not have behind it.
type TaskStatus struct {
	ID                 string       `json:"id"`
	GroupID            string       `json:"groupId"`
	Type               string       `json:"type"`
	CreatedTime        string       `json:"createdTime"`
	QueueInsertionTime string       `json:"queueInsertionTime"`
	StatusCode         string       `json:"statusCode"` // RUNNING until it has ended; SUCCESS or FAILED
	Status             string       `json:"status"`     // the same, as Druid has it
	RunnerStatusCode   string       `json:"runnerStatusCode"`
	DurationMillis     int64        `json:"duration"` // −1 until it has ended
	Location           TaskLocation `json:"location"` // of the newest attempt
	DataSource         string       `json:"dataSource"`
	ErrorMsg           *string      `json:"errorMsg"` // of a task that waits: why its newest attempt did not do

	Priority        int    `json:"priority"`
	Origin          string `json:"origin"` // user, recent or historical
	Attempt         int    `json:"attempt"`
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

// The runner's codes.
const (
	runnerNone    = "NONE"    // ended
	runnerWaiting = "WAITING" // for the time of its next attempt
	runnerPending = "PENDING" // for a slot
	runnerRunning = "RUNNING"
)

// TaskFilter chooses tasks; zero fields choose all.
type TaskFilter struct {
	State      string // waiting, pending, running or complete
	Datasource string
	Type       string
	Created    *spec.Interval
	Max        int // of complete ones, the newest
}

// Task is one task's status and what was submitted.
func (c *Coordinator) Task(id string) (TaskStatus, json.RawMessage, error) {
	view := c.o.Catalog.View()
	t := view.Tasks[id]
	if t == nil {
		return TaskStatus{}, nil, fmt.Errorf("%w: %q", ErrNoTask, id)
	}
	return c.taskStatus(view, t), t.Spec, nil
}

// Tasks lists tasks, newest first.
func (c *Coordinator) Tasks(f TaskFilter) ([]TaskStatus, error) {
	switch f.State {
	case "", "waiting", "pending", "running", "complete":
	default:
		return nil, spec.Problems{{Path: "state", Message: fmt.Sprintf("%q is not known; it must be waiting, pending, running or complete", f.State)}}
	}
	view := c.o.Catalog.View()
	var chosen []*catalog.TaskView
	for _, t := range view.Tasks {
		if c.matches(t, f) {
			chosen = append(chosen, t)
		}
	}
	slices.SortFunc(chosen, func(a, b *catalog.TaskView) int {
		return cmp.Or(cmp.Compare(b.CreatedMillis, a.CreatedMillis), cmp.Compare(a.ID, b.ID))
	})
	out := make([]TaskStatus, 0, len(chosen))
	complete := 0
	for _, t := range chosen {
		if t.State.Finished() {
			if complete++; f.Max > 0 && complete > f.Max {
				continue
			}
		}
		out = append(out, c.taskStatus(view, t))
	}
	return out, nil
}

func (c *Coordinator) matches(t *catalog.TaskView, f TaskFilter) bool {
	code := c.runnerCode(t)
	switch f.State {
	case "complete":
		if code != runnerNone {
			return false
		}
	case "running":
		if code != runnerRunning {
			return false
		}
	case "pending":
		if code != runnerPending {
			return false
		}
	case "waiting":
		if code != runnerWaiting {
			return false
		}
	}
	return (f.Datasource == "" || f.Datasource == t.Datasource) && (f.Type == "" || f.Type == t.Type) &&
		(f.Created == nil || f.Created.StartMillis <= t.CreatedMillis && t.CreatedMillis < f.Created.EndMillis)
}

func (c *Coordinator) runnerCode(t *catalog.TaskView) string {
	switch {
	case t.State.Finished():
		return runnerNone
	case t.State == catalog.TaskRunning:
		return runnerRunning
	case t.NotBeforeMillis > c.o.Now().UnixMilli():
		return runnerWaiting
	}
	return runnerPending
}

func (c *Coordinator) taskStatus(view *catalog.View, t *catalog.TaskView) TaskStatus {
	s := TaskStatus{
		ID: t.ID, GroupID: t.Group, Type: t.Type, CreatedTime: spec.FormatInstant(t.CreatedMillis),
		QueueInsertionTime: spec.FormatInstant(t.CreatedMillis), StatusCode: string(catalog.TaskRunning), RunnerStatusCode: c.runnerCode(t),
		DurationMillis: -1, Location: location(view, t.Node), DataSource: t.Datasource, Priority: t.Priority, Origin: t.Origin,
		Attempt: t.Attempt, CancelRequested: t.CancelRequested, ChunksDone: t.Done, ChunksTotal: t.Total,
	}
	if t.State.Finished() {
		s.StatusCode = string(t.State)
		s.DurationMillis = 0
		if t.StartedMillis > 0 {
			s.DurationMillis = max(t.FinishedMillis-t.StartedMillis, 0)
		}
	}
	s.Status = s.StatusCode
	switch nobody := "no process has the role " + RoleCompact + ": nothing runs tasks"; {
	case t.Error != "":
		s.ErrorMsg = &t.Error
	case s.RunnerStatusCode == runnerPending && !compacts(view):
		s.ErrorMsg = &nobody
	}
	if s.RunnerStatusCode == runnerWaiting {
		s.NextAttempt = spec.FormatInstant(t.NotBeforeMillis)
	}
	return s
}

// compacts says whether any process runs tasks.
func compacts(view *catalog.View) bool {
	for _, n := range view.Nodes {
		if slices.Contains(n.Roles, RoleCompact) {
			return true
		}
	}
	return false
}

func location(view *catalog.View, node string) TaskLocation {
	out := TaskLocation{Port: -1, TLSPort: -1, Node: node}
	n, ok := view.Nodes[node]
	if !ok {
		return out
	}
	host, port, err := net.SplitHostPort(n.Address)
	if err != nil {
		out.Host = n.Address
		return out
	}
	out.Host = host
	if number, err := strconv.Atoi(port); err == nil {
		out.Port = number
	}
	return out
}
