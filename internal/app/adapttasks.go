package app

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"drumlin/api"
	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/coordinator"
	"drumlin/spec"
)

// tasks fits the coordinator's queue to the HTTP interface.
type tasks struct{ cluster *coordinator.Coordinator }

func (t tasks) SubmitTask(ctx context.Context, data []byte) (string, []string, error) {
	id, warnings, err := t.cluster.SubmitTask(ctx, data)
	return id, warnings, taskError(err, "The task is refused; nothing has changed.")
}

func (t tasks) CancelTask(ctx context.Context, id string) error {
	return taskError(t.cluster.CancelTask(ctx, id), "")
}

func (t tasks) Task(_ context.Context, id string) (api.Task, json.RawMessage, error) {
	status, text, err := t.cluster.Task(id)
	return taskOf(status), text, taskError(err, "")
}

func (t tasks) ListTasks(_ context.Context, f api.TaskFilter) ([]api.Task, error) {
	filter := coordinator.TaskFilter{State: string(f.State), Datasource: f.DataSource, Type: f.Type, Max: f.Max}
	if f.Created != "" {
		interval, err := spec.ParseInterval(f.Created)
		if err != nil {
			return nil, &api.Error{Category: api.InvalidInput, Code: "invalidInput", Message: "createdTimeInterval: " + err.Error()}
		}
		filter.Created = &interval
	}
	list, err := t.cluster.Tasks(filter)
	if err != nil {
		return nil, taskError(err, "")
	}
	out := make([]api.Task, len(list))
	for i, status := range list {
		out[i] = taskOf(status)
	}
	return out, nil
}

func (t tasks) TaskReport(ctx context.Context, id string) (json.RawMessage, error) {
	report, err := t.cluster.TaskReport(ctx, id)
	return report, taskError(err, "")
}

func (t tasks) TaskLog(ctx context.Context, id string, offset int64) ([]byte, error) {
	log, err := t.cluster.TaskLogFrom(ctx, id, offset)
	return log, taskError(err, "")
}

func taskOf(s coordinator.TaskStatus) api.Task {
	return api.Task{
		ID: s.ID, GroupID: s.GroupID, Type: s.Type, CreatedTime: s.CreatedTime, QueueInsertionTime: s.QueueInsertionTime,
		StatusCode: s.StatusCode, Status: s.Status, RunnerStatusCode: s.RunnerStatusCode, DurationMillis: s.DurationMillis,
		Location: api.TaskLocation(s.Location), DataSource: s.DataSource, ErrorMsg: s.ErrorMsg, Priority: s.Priority,
		Origin: s.Origin, Attempt: s.Attempt, CancelRequested: s.CancelRequested, ChunksDone: s.ChunksDone,
		ChunksTotal: s.ChunksTotal, NextAttempt: s.NextAttempt,
	}
}

// autoCompaction fits the coordinator's policies to the HTTP interface.
type autoCompaction struct{ cluster *coordinator.Coordinator }

func (a autoCompaction) SetAutoCompaction(ctx context.Context, data []byte) ([]string, error) {
	warnings, err := a.cluster.SetAutoCompaction(ctx, data)
	return warnings, taskError(err, "The auto-compaction config is refused; nothing has changed.")
}

func (a autoCompaction) AutoCompaction(_ context.Context, datasource string) (json.RawMessage, error) {
	config, err := a.cluster.AutoCompaction(datasource)
	return config, taskError(err, "")
}

func (a autoCompaction) AutoCompactions(context.Context) ([]json.RawMessage, error) {
	return a.cluster.AutoCompactions(), nil
}

func (a autoCompaction) DeleteAutoCompaction(ctx context.Context, datasource string) error {
	return taskError(a.cluster.DeleteAutoCompaction(ctx, datasource), "")
}

func (a autoCompaction) AutoCompactionHistory(ctx context.Context, datasource string) ([]api.AutoCompactionVersion, error) {
	versions, err := a.cluster.AutoCompactionHistory(ctx, datasource)
	if err != nil {
		return nil, taskError(err, "")
	}
	out := make([]api.AutoCompactionVersion, len(versions))
	for i, v := range versions {
		out[i] = api.AutoCompactionVersion{Time: v.Time, Config: v.Value}
	}
	return out, nil
}

func (a autoCompaction) CompactionStatus(_ context.Context, datasource string) ([]api.CompactionStatus, error) {
	list, err := a.cluster.CompactionStatus(datasource)
	if err != nil {
		return nil, taskError(err, "")
	}
	out := make([]api.CompactionStatus, len(list))
	for i, s := range list {
		out[i] = api.CompactionStatus(s)
	}
	return out, nil
}

func (a autoCompaction) ExplainCompaction(_ context.Context, datasource string) (any, error) {
	explanation, err := a.cluster.Explain(datasource)
	if err != nil {
		return nil, taskError(err, "")
	}
	return explanation, nil
}

// rules fits the coordinator's retention rules to the HTTP interface.
type rules struct{ cluster *coordinator.Coordinator }

func (r rules) SetRules(ctx context.Context, datasource string, data []byte) ([]string, error) {
	warnings, err := r.cluster.SetRules(ctx, datasource, data)
	return warnings, taskError(err, "The rules are refused; nothing has changed.")
}

func (r rules) Rules(_ context.Context, datasource string) (json.RawMessage, error) {
	list, err := r.cluster.Rules(datasource)
	return list, taskError(err, "")
}

func (r rules) AllRules(context.Context) (map[string]json.RawMessage, error) {
	return r.cluster.AllRules(), nil
}

// taskError fits errors about tasks and settings to the HTTP interface. refusal begins the message where the user's text
// has problems.
func taskError(err error, refusal string) error {
	var problems spec.Problems
	var plan *compaction.PlanError
	refused := &api.Error{Category: api.InvalidInput, Code: "invalidInput", Message: refusal}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problems):
		for _, p := range problems {
			refused.Problems = append(refused.Problems, api.Problem{Path: pathOf(p.Path), Message: p.Message})
		}
		return refused
	case errors.As(err, &plan):
		for _, p := range plan.Problems {
			refused.Problems = append(refused.Problems, planProblem(p))
		}
		return refused
	case errors.Is(err, coordinator.ErrNoTask), errors.Is(err, coordinator.ErrNoReport), errors.Is(err, coordinator.ErrNoLog),
		errors.Is(err, coordinator.ErrNoDatasource), errors.Is(err, coordinator.ErrNoSetting):
		return &api.Error{Category: api.NotFound, Code: "notFound", Message: err.Error()}
	case errors.Is(err, coordinator.ErrTaskExists):
		return &api.Error{Category: api.InvalidInput, Code: "taskExists", Message: err.Error(), Hint: "Give another id, or none."}
	case errors.Is(err, catalog.ErrConflict):
		return &api.Error{Category: api.Conflict, Code: "conflict", Message: err.Error(), Hint: "Another change came first: look, and try again."}
	}
	return err
}

// planProblem puts a problem of a plan: one without a path begins with the part of the plan that it is about.
func planProblem(p spec.Problem) api.Problem {
	if p.Path != "" {
		return api.Problem{Path: p.Path, Message: p.Message}
	}
	if part, message, ok := strings.Cut(p.Message, ": "); ok && !strings.Contains(part, " ") {
		return api.Problem{Path: part, Message: message}
	}
	return api.Problem{Path: "the task", Message: p.Message}
}

func pathOf(path string) string {
	if path == "" {
		return "the text"
	}
	return path
}
