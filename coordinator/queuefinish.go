package coordinator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
)

// progress is how far an attempt is. The worker sets it, the teller takes it.
type progress struct {
	mu          sync.Mutex
	done, total int
}

func (p *progress) set(done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total = done, total
}

func (p *progress) get() (done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done, p.total
}

// tellProgress writes progress into the catalog now and then, until ctx ends.
func (a *attempt) tellProgress(ctx context.Context, epoch int64) {
	ticker := time.NewTicker(a.q.o.ProgressEvery)
	defer ticker.Stop()
	toldDone, toldTotal := 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		done, total := a.progress.get()
		if done == toldDone && total == toldTotal {
			continue
		}
		err := a.update(ctx, epoch, func(t *catalog.Task) { t.Done, t.Total = done, total })
		switch {
		case errors.Is(err, errSuperseded):
			a.cancel(err)
			return
		case err != nil && ctx.Err() == nil:
			a.q.log.Debug("a task's progress could not be written", "task", a.id, "error", err)
		case err == nil:
			toldDone, toldTotal = done, total
		}
	}
}

// finisher returns what writes log and report beside the data, and then what has become of the task. It may be called again after
// it has failed: what it has written once it does not write again.
func (a *attempt) finisher(t *catalog.Task, report *compaction.Report, v *verdict) func(context.Context) error {
	kept, log, reported := false, "", ""
	return func(ctx context.Context) error {
		if !kept {
			log = a.keep(ctx, t, "log.txt", a.log.Bytes())
			if report != nil {
				text, err := reportText(t.ID, report)
				if err != nil {
					return fmt.Errorf("write the report of task %s: %w", t.ID, err)
				}
				reported = a.keep(ctx, t, "report.json", text)
			}
			kept = true
		}
		return a.settle(ctx, t, v, log, reported)
	}
}

// settle writes down what has become of the task. log and reported name what it has left behind; empty: nothing.
func (a *attempt) settle(ctx context.Context, t *catalog.Task, v *verdict, log, reported string) error {
	done, total := a.progress.get()
	var last catalog.Task
	err := a.update(ctx, t.Epoch, func(t *catalog.Task) {
		now := a.q.now()
		t.State, t.Done, t.Total = v.state, done, total
		if log != "" {
			t.Log = log
		}
		if reported != "" {
			t.Report = reported
		}
		t.Error = ""
		if v.err != nil {
			t.Error = shortError(v.err)
		}
		if v.failed {
			t.Failures++
		}
		switch {
		case v.state.Finished():
			t.FinishedMillis = now.UnixMilli()
		case t.CancelRequested: // asked for in the last moment: nobody would run it again
			endTask(t, errCancelled, now)
		case v.pause > 0:
			t.NotBeforeMillis = now.Add(v.pause).UnixMilli()
		}
		last = *t
	})
	if errors.Is(err, errSuperseded) {
		a.q.log.Warn("a task was taken over while it ended here; the catalog tells what became of it", "task", a.id)
		return nil
	}
	if err == nil {
		a.q.metrics.attemptEnded(&last, a.q.now().Sub(time.UnixMilli(t.StartedMillis)))
	}
	return err
}

// reportText is the report with the task's id where Druid has it.
func reportText(id string, report *compaction.Report) ([]byte, error) {
	text, err := json.Marshal(report)
	if err != nil {
		return nil, err
	}
	var parts map[string]map[string]any
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, err
	}
	for _, part := range parts {
		part["taskId"] = id
	}
	return json.Marshal(parts)
}

// keep writes an object of the attempt and returns its name. That it cannot be written does not fail the task: the name is
// empty then, and the node's own log tells.
func (a *attempt) keep(ctx context.Context, t *catalog.Task, what string, text []byte) string {
	name := catalog.TaskObject(t.ID, t.Attempt, t.Epoch, what)
	sum := sha256.Sum256(text)
	var err error
	for try := range 3 {
		err = a.q.objects.Put(ctx, name, bytes.NewReader(text), int64(len(text)), hex.EncodeToString(sum[:]))
		if err == nil {
			return name
		}
		wait(ctx, firstUpdatePause<<try)
	}
	a.q.log.Warn("what a task left behind could not be written", "task", t.ID, "object", name, "error", err)
	return ""
}

// update changes the task as long as it is this attempt's, whoever else changes it meanwhile; errSuperseded once it is not.
// An update whose outcome is unknown is looked up: applying the change again does no harm.
func (a *attempt) update(ctx context.Context, epoch int64, change func(*catalog.Task)) error {
	var err error
	for try := range updateAttempts {
		if try > 0 {
			wait(ctx, min(firstUpdatePause<<min(try-1, 10), time.Second))
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		var view *catalog.View
		if view, err = a.q.catalog.Refresh(ctx); err != nil {
			continue
		}
		tv := view.Tasks[a.id]
		if tv == nil || tv.Epoch != epoch || tv.State != catalog.TaskRunning {
			if try > 0 && tv != nil && tv.Epoch == epoch { // an update before this one took effect
				return nil
			}
			return errSuperseded
		}
		t := tv.Task
		change(&t)
		if _, err = a.q.catalog.UpdateTask(ctx, t, tv.Revision); err == nil {
			return nil
		}
	}
	return fmt.Errorf("task %s: %w", a.id, err)
}
