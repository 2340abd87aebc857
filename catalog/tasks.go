package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// MaxTaskBytes bounds the value of one task: spec, error and all.
const MaxTaskBytes = 512 << 10

// PutTask submits a task. The revision that it returns is what UpdateTask compares. ErrConflict: a task has this id.
func (c *Catalog) PutTask(ctx context.Context, t Task) (revision int64, err error) {
	where := fmt.Sprintf("put task %q", t.ID)
	value, format, err := c.taskValue(&t)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	key := taskKey(t.ID)
	res, doubtful, err := c.settle(ctx, Txn{
		If: []Compare{ifAbsent(key), format}, Then: []Op{opPut(key, value)}, Else: opGets(key, keyFormat),
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	if res.Succeeded {
		return res.Revision, nil
	}
	revision, err = putTaskVerdict(res, doubtful, &t)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	return revision, nil
}

// putTaskVerdict reads the Else branch of PutTask. What an attempt has put whose reply was lost may have been taken up
// since: its constant part tells.
func putTaskVerdict(res *TxnResult, doubtful bool, t *Task) (revision int64, err error) {
	kv, there := res.Gets[taskKey(t.ID)]
	switch {
	case !there && doubtful:
		return 0, fmt.Errorf("%w: an attempt whose reply was lost may have put it, and it has gone since", ErrUnknown)
	case !there:
		return 0, formatChanged(res)
	case !doubtful:
		return 0, fmt.Errorf("%w: a task has this id", ErrConflict)
	}
	old, err := decodeTask(kv.Key, kv.Value)
	if err != nil {
		return 0, err
	}
	if !old.sameTask(t) {
		return 0, fmt.Errorf("%w: another task has this id", ErrConflict)
	}
	return kv.ModRevision, nil
}

// UpdateTask replaces the task as it was at the revision. ErrConflict: it has changed since, or is gone; ErrUnknown: it
// may have been replaced: look again.
func (c *Catalog) UpdateTask(ctx context.Context, t Task, revision int64) (newRevision int64, err error) {
	where := fmt.Sprintf("update task %q", t.ID)
	value, format, err := c.taskValue(&t)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	key := taskKey(t.ID)
	if err := c.checkTaskStep(ctx, &t, revision); err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	res, doubtful, err := c.settle(ctx, Txn{
		If: []Compare{ifModified(key, revision), format}, Then: []Op{opPut(key, value)}, Else: opGets(key, keyFormat),
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	kv := res.Gets[key]
	switch {
	case res.Succeeded:
		return res.Revision, nil
	case doubtful && slices.Equal(kv.Value, value):
		return kv.ModRevision, nil
	case doubtful && kv.ModRevision != revision:
		return 0, fmt.Errorf("%s: %w: it has changed after an attempt whose reply was lost", where, ErrUnknown)
	case kv.ModRevision != revision:
		return 0, fmt.Errorf("%s: %w: it is at revision %d, not at %d", where, ErrConflict, kv.ModRevision, revision)
	}
	return 0, fmt.Errorf("%s: %w", where, formatChanged(res))
}

// checkTaskStep holds the new value against the one that it replaces.
func (c *Catalog) checkTaskStep(ctx context.Context, t *Task, revision int64) error {
	kv, err := c.get(ctx, taskKey(t.ID))
	switch {
	case err != nil:
		return err
	case kv == nil:
		return fmt.Errorf("%w: it is gone", ErrConflict)
	case kv.ModRevision != revision:
		return fmt.Errorf("%w: it is at revision %d, not at %d", ErrConflict, kv.ModRevision, revision)
	}
	old, err := decodeTask(kv.Key, kv.Value)
	switch {
	case err != nil:
		return err
	case !old.sameTask(t):
		return invalidf("id, group, type, datasource, priority, origin, spec and time of creation never change")
	case old.State.Finished() && t.State != old.State:
		return invalidf("it has ended as %s and cannot become %s", old.State, t.State)
	case t.Attempt < old.Attempt:
		return invalidf("attempt %d follows attempt %d", t.Attempt, old.Attempt)
	case old.CancelRequested && !t.CancelRequested:
		return invalidf("a request to cancel is never taken back")
	}
	return nil
}

// DeleteTask forgets a task; its report and log go with the next collection. Deleting what is gone succeeds. ErrConflict:
// it has changed since the revision.
func (c *Catalog) DeleteTask(ctx context.Context, id string, revision int64) error {
	format, err := c.writable()
	if err != nil {
		return fmt.Errorf("delete task %q: %w", id, err)
	}
	key := taskKey(id)
	res, _, err := c.settle(ctx, Txn{
		If: []Compare{ifModified(key, revision), format}, Then: []Op{opDelete(key)}, Else: opGets(key, keyFormat),
	})
	if err != nil {
		return fmt.Errorf("delete task %q: %w", id, err)
	}
	kv, there := res.Gets[key]
	switch {
	case res.Succeeded || !there:
		return nil
	case kv.ModRevision != revision:
		return fmt.Errorf("delete task %q: %w: it is at revision %d, not at %d", id, ErrConflict, kv.ModRevision, revision)
	}
	return fmt.Errorf("delete task %q: %w", id, formatChanged(res))
}

func (c *Catalog) taskValue(t *Task) (value []byte, format Compare, err error) {
	if err := checkTask(t); err != nil {
		return nil, Compare{}, invalidf("%v", err)
	}
	if value, err = encode(t); err != nil {
		return nil, Compare{}, err
	}
	if len(value) > MaxTaskBytes {
		return nil, Compare{}, invalidf("it has %d bytes, the limit is %d", len(value), MaxTaskBytes)
	}
	format, err = c.writable()
	return value, format, err
}

// sameTask compares what is constant.
func (t *Task) sameTask(o *Task) bool {
	return t.ID == o.ID && t.Group == o.Group && t.Type == o.Type && t.Datasource == o.Datasource && t.Priority == o.Priority &&
		t.Origin == o.Origin && t.CreatedMillis == o.CreatedMillis && slices.Equal(compactJSON(t.Spec), compactJSON(o.Spec))
}

// compactJSON is the text as encode writes it, so that what was read back equals what was written.
func compactJSON(text json.RawMessage) []byte {
	out, err := json.Marshal(text)
	if err != nil {
		return text // not JSON: it has been refused where it was written
	}
	return out
}

func checkTask(t *Task) error {
	switch {
	case t.ID == "" || len(t.ID) > maxNameBytes || t.Datasource == "" || len(t.Datasource) > maxNameBytes:
		return corruptf("task %q of datasource %q: both names must have 1 to %d bytes", t.ID, t.Datasource, maxNameBytes)
	case t.Type == "" || t.Attempt < 0 || t.Epoch < 0:
		return corruptf("task %s: type %q, attempt %d, epoch %d cannot be", t.ID, t.Type, t.Attempt, t.Epoch)
	case len(t.Spec) == 0 || !json.Valid(t.Spec):
		return corruptf("task %s: its spec is not JSON", t.ID)
	}
	switch t.State {
	case TaskWaiting, TaskRunning, TaskSuccess, TaskFailed:
		return nil
	}
	return corruptf("task %s: state %q is not known", t.ID, t.State)
}

func decodeTask(key string, data []byte) (*Task, error) {
	var t Task
	if err := decode(key, data, &t); err != nil {
		return nil, err
	}
	if taskKey(t.ID) != key {
		return nil, corruptf("%s holds task %q", key, t.ID)
	}
	return &t, checkTask(&t)
}

// putTask folds a task in.
func (s *state) putTask(kv KeyValue) error {
	t, err := decodeTask(kv.Key, kv.Value)
	if err != nil {
		return err
	}
	epoch := s.epochs[taskClaim(t.ID)]
	s.tasks[t.ID] = &TaskView{Task: *t, Revision: kv.ModRevision, Claimed: epoch != 0, ClaimEpoch: epoch}
	s.tasksChanged = true
	return nil
}

// claimChanged shows a claim on a task, or its end, in the task's view.
func (s *state) claimChanged(key string) error {
	if !isTaskClaim(key) {
		return nil
	}
	parts, err := splitKey(key, prefixTaskClaim, 1)
	if err != nil {
		return err
	}
	old := s.tasks[parts[0]]
	if old == nil {
		return nil // the task comes later, or has gone
	}
	next := *old
	next.ClaimEpoch = s.epochs[key]
	next.Claimed = next.ClaimEpoch != 0
	s.tasks[parts[0]], s.tasksChanged = &next, true
	return nil
}
