package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"drumlin/api/client"
	"drumlin/internal/progress"
	"drumlin/internal/table"
)

// How often a task's status is asked for: soon after it was submitted, more rarely the longer it takes.
const (
	firstPoll = 20 * time.Millisecond
	lastPoll  = time.Second
)

// waitTask returns once the task has ended, well or not. It shows the chunks that are done on standard error.
func waitTask(ctx context.Context, env *Env, c *client.Client, id string) (*client.Task, error) {
	bar := &taskBar{env: env}
	defer bar.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for poll := firstPoll; ; poll = min(2*poll, lastPoll) {
		select {
		case <-timer.C:
		case <-ctx.Done():
			env.Notef("the task goes on: drumlin task status %s", table.Safe(id))
			return nil, context.Cause(ctx)
		}
		t, err := c.TaskStatus(ctx, id)
		if err != nil {
			if ctx.Err() != nil {
				env.Notef("the task goes on: drumlin task status %s", table.Safe(id))
			}
			return nil, err
		}
		bar.show(t)
		if t.Finished() {
			return t, nil
		}
		timer.Reset(poll)
	}
}

// taskBar shows how far a task is. A task's total is known once it has planned, and may be another one after a new attempt.
type taskBar struct {
	env   *Env
	meter *progress.Meter // nil until the total is known
	total int
	told  string // the reason for waiting that was printed last
}

func (b *taskBar) show(t *client.Task) {
	if t.ChunksTotal > 0 && t.ChunksTotal != b.total {
		b.stop()
		b.total = t.ChunksTotal
		b.meter = progress.New(b.env.Stderr, "time chunks", int64(t.ChunksTotal), time.Now)
	}
	if b.meter != nil {
		b.meter.Set(int64(t.ChunksDone))
	}
	if !t.Finished() && t.NextAttempt != "" && t.ErrorMsg != nil && *t.ErrorMsg != b.told {
		b.told = *t.ErrorMsg
		b.env.Notef("attempt %d: %s; the next one is due at %s", t.Attempt, table.Safe(b.told), t.NextAttempt)
	}
}

func (b *taskBar) stop() {
	if b.meter != nil {
		b.meter.Stop()
		b.meter = nil
	}
}

// waitAndReport waits for a task and prints its report; a task that fails is the command's error.
func waitAndReport(ctx context.Context, env *Env, c *client.Client, id string) error {
	t, err := waitTask(ctx, env, c, id)
	if err != nil {
		return err
	}
	if t.StatusCode != client.TaskSuccess {
		reason := "no reason is given"
		if t.ErrorMsg != nil {
			reason = *t.ErrorMsg
		}
		return fmt.Errorf("task %s has failed: %s\nhint: drumlin task log %s", id, reason, id)
	}
	text, err := c.TaskReportJSON(ctx, id)
	var missing *client.Error
	if errors.As(err, &missing) && missing.Category == "NOT_FOUND" {
		env.Notef("done in %s; the task has left no report", tookText(t))
		return nil
	}
	if err != nil {
		return err
	}
	if err := writeReport(env, text); err != nil {
		return err
	}
	env.Notef("done in %s", tookText(t))
	return nil
}

// writeReport draws a report: one line for each time chunk, then what it comes to.
func writeReport(env *Env, text json.RawMessage) error {
	var report client.TaskReport
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("the report cannot be read: %w", err)
	}
	r := &report.Compaction
	if len(r.Chunks) > 0 {
		if err := chunkTable(r).Write(env.Stdout, env.Width()); err != nil {
			return err
		}
	}
	for _, interval := range r.Empty {
		env.Notef("no data: %s", table.Safe(shortInterval(interval)))
	}
	env.warn(r.Warnings)
	if r.Collected != nil {
		noteCollected(env, r.Collected)
	}
	if len(r.Chunks) == 0 {
		return nil
	}
	env.Notef("%s → %s, %s → %s, %s → %s; %s and %s removed; %.2f events a row; write amplification %.2f",
		thousands(r.Before.Segments), count(int(r.After.Segments), "segment"), thousands(r.Before.Rows), count(int(r.After.Rows), "row"),
		byteSize(r.Before.Bytes), byteSize(r.After.Bytes), count(int(r.Stats.Duplicates), "duplicate"),
		count(int(r.Stats.Filtered), "filtered record"), r.After.RollupRatio, r.WriteAmplification)
	if r.After.SidecarBytes > 0 {
		env.Notef("%s of ids are kept beside them, so that later copies are known", byteSize(r.After.SidecarBytes))
	}
	if r.Stats.SpilledBytes > 0 {
		env.Notef("%s spilled to disk", byteSize(r.Stats.SpilledBytes))
	}
	return nil
}

func noteCollected(env *Env, c *client.Collected) {
	env.Notef("%s deleted, %s", count(int(c.Deleted), "object"), byteSize(c.Bytes))
	for _, reason := range slices.Sorted(maps.Keys(c.Kept)) {
		env.Notef("%s kept: %s", count(int(c.Kept[reason]), "object"), table.Safe(reason))
	}
	if c.Failed > 0 {
		env.Notef("%s could not be deleted; the next collection tries again", count(int(c.Failed), "object"))
	}
}

func chunkTable(r *client.CompactionReport) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Name: "chunk"},
		{Name: "outcome"},
		{Name: "segments", Right: true},
		{Name: "rows", Right: true},
		{Name: "size", Right: true},
		{Name: "events/row", Right: true},
		{Name: "duplicates", Right: true},
		{Name: "note"},
	}}
	for i := range r.Chunks {
		c := &r.Chunks[i]
		note := c.Reason
		if c.Error != "" {
			note = c.Error
		}
		t.Rows = append(t.Rows, []string{
			shortInterval(c.Interval), c.Outcome, change(thousands, c.Before.Segments, c.After.Segments),
			change(thousands, c.Before.Rows, c.After.Rows), change(byteSize, c.Before.Bytes, c.After.Bytes),
			fmt.Sprintf("%.2f", c.After.RollupRatio), thousands(c.Stats.Duplicates), note,
		})
	}
	return t
}

// change writes a number before and after, once where it has not changed.
func change(write func(int64) string, before, after int64) string {
	if before == after {
		return write(after)
	}
	return write(before) + " → " + write(after)
}
