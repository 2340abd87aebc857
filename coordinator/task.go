package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

// Errors about tasks that callers decide by; match them with errors.Is.
var (
	// ErrNoTask: no task has this id, or it has been forgotten since it ended.
	ErrNoTask = errors.New("no such task")
	// ErrTaskExists: a task with this id was submitted before.
	ErrTaskExists = errors.New("a task has this id already")
	// ErrNoReport: the task has left no report behind yet.
	ErrNoReport = errors.New("the task has no report yet")
	// ErrNoLog: the task has left no log behind yet, and the process that runs it, if any, cannot be asked.
	ErrNoLog = errors.New("the task has no log yet")
)

// maxTaskObjectBytes bounds what is read of a report or log.
const maxTaskObjectBytes = 64 << 20

// SubmitTask reads a task, checks it against what the catalog holds, and puts it into the queue. It returns when the newest
// view has it. A task that is refused is an error of type spec.Problems or *compaction.PlanError, with everything that is
// wrong with it, and has changed nothing. An interval without data is no fault: the task will say so when it runs.
func (c *Coordinator) SubmitTask(ctx context.Context, data []byte) (id string, warnings []string, err error) {
	t, warnings, err := spec.ParseTask(data)
	if err != nil {
		return "", warnings, withProblems(err, compaction.DocumentProblems(spec.DocumentsOf(data)))
	}
	view, err := c.o.Catalog.Refresh(ctx)
	if err != nil {
		return "", warnings, fmt.Errorf("submit a task: %w", err)
	}
	plan, err := compaction.PlanTask(view, t)
	switch {
	case err == nil:
		warnings = append(warnings, plan.Warnings...)
	case errors.Is(err, compaction.ErrNoSegments):
		warnings = append(warnings, err.Error())
	default:
		return "", warnings, err
	}
	id, err = c.putTask(ctx, t, originUser)
	return id, warnings, err
}

// putTask puts a valid task into the queue.
func (c *Coordinator) putTask(ctx context.Context, t *spec.Task, origin string) (id string, err error) {
	now := c.o.Now()
	if id = t.ID; id == "" {
		id = fmt.Sprintf("%s_%s_%s_%s", t.Type, t.DataSource, strings.ToLower(rand.Text()[:8]), now.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	revision, err := c.o.Catalog.PutTask(ctx, catalog.Task{
		ID: id, Group: id, Type: string(t.Type), Datasource: t.DataSource, Priority: t.Priority, Origin: origin,
		Spec: t.Canonical, CreatedMillis: now.UnixMilli(), State: catalog.TaskWaiting,
	})
	if errors.Is(err, catalog.ErrConflict) {
		return "", fmt.Errorf("submit task %s: %w: give another id, or none", id, ErrTaskExists)
	}
	if err != nil {
		return "", fmt.Errorf("submit task: %w", err)
	}
	c.o.Logger.Info("task submitted", "task", id, "datasource", t.DataSource, "origin", origin, "priority", t.Priority)
	if _, err := c.o.Catalog.WaitRevision(ctx, revision); err != nil {
		return id, fmt.Errorf("task %s is submitted, but not visible here yet: %w", id, err)
	}
	return id, nil
}

// CancelTask ends a task that waits, or asks the process that runs it to end it. Cancelling a task that has ended does
// nothing.
func (c *Coordinator) CancelTask(ctx context.Context, id string) error {
	var err error
	for range submitAttempts {
		var view *catalog.View
		if view, err = c.o.Catalog.Refresh(ctx); err != nil {
			return fmt.Errorf("cancel task %s: %w", id, err)
		}
		tv := view.Tasks[id]
		switch {
		case tv == nil:
			return fmt.Errorf("%w: %q", ErrNoTask, id)
		case tv.State.Finished() || tv.CancelRequested && tv.Claimed:
			return nil
		}
		t := tv.Task
		t.CancelRequested = true
		if t.State == catalog.TaskWaiting || !tv.Claimed { // nobody is there to end it
			endTask(&t, errCancelled, c.o.Now())
		}
		var revision int64
		revision, err = c.o.Catalog.UpdateTask(ctx, t, tv.Revision)
		switch {
		case err == nil:
			if t.State.Finished() {
				c.metrics.ended(&t)
			}
			c.o.Logger.Info("task cancelled", "task", id, "state", t.State)
			_, err = c.o.Catalog.WaitRevision(ctx, revision)
			return err
		case errors.Is(err, catalog.ErrConflict), errors.Is(err, catalog.ErrUnknown):
			continue
		}
		return fmt.Errorf("cancel task %s: %w", id, err)
	}
	return fmt.Errorf("cancel task %s: it changed %d times meanwhile: try again: %w", id, submitAttempts, err)
}

// TaskReport is the JSON of the report that the newest attempt has left behind; ErrNoReport where there is none.
func (c *Coordinator) TaskReport(ctx context.Context, id string) ([]byte, error) {
	t := c.o.Catalog.View().Tasks[id]
	switch {
	case t == nil:
		return nil, fmt.Errorf("%w: %q", ErrNoTask, id)
	case t.Report == "":
		return nil, fmt.Errorf("task %s, %s: %w", id, t.State, ErrNoReport)
	}
	return c.taskObject(ctx, t.Report)
}

// TaskLogFrom is the log of the attempt that runs, wherever that is, or what the newest one that ended has left behind, from a
// byte on; a negative offset counts from the end. ErrNoLog where there is none.
func (c *Coordinator) TaskLogFrom(ctx context.Context, id string, offset int64) ([]byte, error) {
	t := c.o.Catalog.View().Tasks[id]
	if t == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoTask, id)
	}
	if text, ok := c.queue.liveLog(id); ok {
		return fromOffset(text, offset), nil
	}
	text, err := c.remoteLog(ctx, t)
	if err == nil {
		return fromOffset(text, offset), nil
	}
	switch {
	case t.Log != "": // of an earlier attempt, or this one has just ended
	case t.State == catalog.TaskRunning:
		return nil, fmt.Errorf("task %s: %w: it runs on node %s: %w", id, ErrNoLog, t.Node, err)
	default:
		return nil, fmt.Errorf("task %s: %w: it waits", id, ErrNoLog)
	}
	text, err = c.taskObject(ctx, t.Log)
	return fromOffset(text, offset), err
}

func (c *Coordinator) taskObject(ctx context.Context, object string) (text []byte, err error) {
	if c.o.Objects == nil {
		return nil, fmt.Errorf("read %s: this process has no object store", object)
	}
	body, err := c.o.Objects.Get(ctx, object, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", object, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	text, err = io.ReadAll(io.LimitReader(body, maxTaskObjectBytes))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", object, err)
	}
	return text, nil
}
