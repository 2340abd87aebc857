package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

// policyRound lets one standing policy look at every datasource that has an auto-compaction config, and submits tasks for
// what it chooses. What has failed, and what is under way, it reads from the queue: it remembers nothing that the next
// holder of the duties would not know.
type policyRound struct {
	c      *Coordinator
	policy string
	every  time.Duration // between rounds, and between two tasks for one chunk at least
	ask    chan struct{} // asks for a round before its time

	mu   sync.Mutex
	more map[string]bool // datasources with chosen chunks that had to wait for earlier tasks
}

// openTasks is how many tasks of one policy and datasource wait or run at most, so that what is decided is decided late.
func (c *Coordinator) openTasks() int { return c.o.Compaction.MaxSlots + 1 }

// run is one round. A datasource that fails holds up no other.
func (r *policyRound) run(ctx context.Context) error {
	view, err := r.c.o.Catalog.Refresh(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(view.Datasources)) {
		if ds := view.Datasources[name]; ds.AutoCompaction != nil && ctx.Err() == nil {
			if err := r.datasource(ctx, view, ds); err != nil {
				errs = append(errs, fmt.Errorf("auto-compaction of %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (r *policyRound) datasource(ctx context.Context, view *catalog.View, ds *catalog.DatasourceView) error {
	config, err := autoConfig(ds)
	if err != nil {
		return err
	}
	past := pastOf(view.Tasks, ds, r.policy)
	now := r.c.o.Now().UnixMilli()
	decisions := compaction.Decide(ds, config, compaction.Policy(r.policy), now, past.failures)
	r.c.metrics.chunks(ds.Name, r.policy, decisions)
	open := openIntervals(view.Tasks, ds.Name)
	room := r.c.openTasks() - countOpen(view.Tasks, ds.Name, r.policy)
	more := false
	for i := range decisions {
		d := &decisions[i]
		if !d.Chosen || overlapping(open, d.Interval) != "" || now-past.doneMillis[d.Interval] < r.every.Milliseconds() {
			continue
		}
		if more = room <= 0; more {
			break
		}
		id, err := r.submit(ctx, ds, config, d)
		if err != nil {
			return err
		}
		open[id] = []spec.Interval{d.Interval}
		room--
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more == nil {
		r.more = map[string]bool{}
	}
	r.more[ds.Name] = more
	return nil
}

// due says whether a datasource that had to wait has room by now.
func (r *policyRound) due(view *catalog.View) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, more := range r.more {
		if more && countOpen(view.Tasks, name, r.policy) < r.c.openTasks() {
			return true
		}
	}
	return false
}

// submit puts a task for one chosen chunk into the queue.
func (r *policyRound) submit(ctx context.Context, ds *catalog.DatasourceView, config *spec.AutoCompaction, d *compaction.Decision) (string, error) {
	text, err := autoTask(config, r.policy, d.Interval)
	if err != nil {
		return "", err
	}
	t, _, err := spec.ParseTask(text)
	if err != nil {
		return "", fmt.Errorf("the task for %s is not valid: %w", d.Interval, err)
	}
	id, err := r.c.putTask(ctx, t, r.policy)
	if err != nil {
		return "", err
	}
	r.c.metrics.policySubmitted(ds.Name, r.policy)
	r.c.o.Logger.Info("auto-compaction chose a chunk", "datasource", ds.Name, "policy", r.policy, "interval", d.Interval, "task", id,
		"reason", d.Reason)
	return id, nil
}

// autoConfig reads the datasource's config.
func autoConfig(ds *catalog.DatasourceView) (*spec.AutoCompaction, error) {
	config, _, err := spec.ParseAutoCompaction(ds.AutoCompaction.Value)
	if err != nil {
		return nil, fmt.Errorf("version %d of the config cannot be read by this program: %w", ds.AutoCompaction.Version, err)
	}
	return config, nil
}

// decisions asks the policy about every chunk of the datasource.
func (c *Coordinator) decisions(view *catalog.View, ds *catalog.DatasourceView, config *spec.AutoCompaction, policy string) []compaction.Decision {
	return compaction.Decide(ds, config, compaction.Policy(policy), c.o.Now().UnixMilli(), pastOf(view.Tasks, ds, policy).failures)
}

// autoTask writes the task that compacts one chunk as the config says.
func autoTask(config *spec.AutoCompaction, policy string, interval spec.Interval) ([]byte, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(config.Canonical, &given); err != nil {
		return nil, fmt.Errorf("read the config: %w", err)
	}
	task := map[string]any{
		"type": string(spec.TaskCompact), "dataSource": config.DataSource,
		"ioConfig": map[string]any{
			"type": "compact", "inputSpec": map[string]string{"type": "interval", "interval": interval.String()},
		},
	}
	if policy == originHistorical { // recent changes no layout and no plan
		for _, field := range []string{"granularitySpec", "dimensionsSpec", "metricsSpec", "transformSpec"} {
			if value, ok := given[field]; ok {
				task[field] = value
			}
		}
	}
	tuning, err := object(given["tuningConfig"])
	if err != nil {
		return nil, fmt.Errorf("read the config's tuningConfig: %w", err)
	}
	if rows, ok := given["maxRowsPerSegment"]; ok {
		tuning["maxRowsPerSegment"] = rows
	}
	if len(tuning) > 0 {
		task["tuningConfig"] = tuning
	}
	contexts, err := object(given["taskContext"])
	if err != nil {
		return nil, fmt.Errorf("read the config's taskContext: %w", err)
	}
	contexts["priority"] = json.RawMessage(fmt.Sprint(config.TaskPriority))
	contexts["policy"] = json.RawMessage(fmt.Sprintf("%q", policy))
	task["context"] = contexts
	return json.Marshal(task)
}

// object reads a JSON object; absent: an empty one.
func object(text json.RawMessage) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	if len(text) == 0 {
		return out, nil
	}
	err := json.Unmarshal(text, &out)
	if out == nil { // null
		out = map[string]json.RawMessage{}
	}
	return out, err
}

// countOpen counts a policy's tasks of a datasource that have not ended.
func countOpen(tasks map[string]*catalog.TaskView, datasource, policy string) int {
	n := 0
	for _, t := range tasks {
		if !t.State.Finished() && t.Datasource == datasource && t.Origin == policy {
			n++
		}
	}
	return n
}

// openIntervals are those of the datasource's tasks that have not ended, whoever asked for them, by task. A task that cannot
// be read here is one that will fail.
func openIntervals(tasks map[string]*catalog.TaskView, datasource string) map[string][]spec.Interval {
	out := map[string][]spec.Interval{}
	for id, t := range tasks {
		if t.State.Finished() || t.Datasource != datasource {
			continue
		}
		if parsed, _, err := spec.ParseTask(t.Spec); err == nil {
			out[id] = parsed.Intervals
		}
	}
	return out
}

// overlapping is the id of a task that works on the chunk already; empty: none. Of several it is the first by id.
func overlapping(open map[string][]spec.Interval, chunk spec.Interval) string {
	found := ""
	for id, intervals := range open {
		for _, i := range intervals {
			if i.Overlaps(chunk) && (found == "" || id < found) {
				found = id
			}
		}
	}
	return found
}

// past is what has become of a policy's tasks, by chunk.
type past struct {
	failures   map[spec.Interval]compaction.Attempt // in a row
	doneMillis map[spec.Interval]int64              // when the newest one succeeded, where the one after it has not failed
}

// pastOf reads the queue's ended tasks, since the config was last changed: a new config is a new chance.
func pastOf(tasks map[string]*catalog.TaskView, ds *catalog.DatasourceView, policy string) past {
	var ended []*catalog.TaskView
	for _, t := range tasks {
		if t.State.Finished() && t.Datasource == ds.Name && t.Origin == policy &&
			(ds.AutoCompaction == nil || t.CreatedMillis >= ds.AutoCompaction.UpdatedMillis) {
			ended = append(ended, t)
		}
	}
	slices.SortFunc(ended, compareEnded)
	out := past{failures: map[spec.Interval]compaction.Attempt{}, doneMillis: map[spec.Interval]int64{}}
	for _, t := range ended {
		parsed, _, err := spec.ParseTask(t.Spec)
		if err != nil || len(parsed.Intervals) != 1 {
			continue // not written by this program's policies
		}
		chunk := parsed.Intervals[0]
		if t.State == catalog.TaskSuccess {
			out.doneMillis[chunk] = t.FinishedMillis
			delete(out.failures, chunk)
			continue
		}
		delete(out.doneMillis, chunk)
		out.failures[chunk] = compaction.Attempt{Failures: out.failures[chunk].Failures + 1, LastMillis: t.FinishedMillis, Error: t.Error}
	}
	return out
}
