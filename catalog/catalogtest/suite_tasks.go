package catalogtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"drumlin/catalog"
)

// TaskOf is a valid task that waits.
func TaskOf(id, datasource string) catalog.Task {
	return catalog.Task{
		ID: id, Group: id, Type: "compact", Datasource: datasource, Priority: 25, Origin: "user",
		Spec: json.RawMessage(`{"type":"compact","filter":"a<b"}`), CreatedMillis: 1000, State: catalog.TaskWaiting,
	}
}

func runTasks(t *testing.T, factory Factory) {
	t.Run("life", func(t *testing.T) { testTaskLife(t, factory) })
	t.Run("claim", func(t *testing.T) { testTaskClaim(t, factory) })
	t.Run("refused", func(t *testing.T) { testTaskRefused(t, factory) })
	t.Run("lost replies", func(t *testing.T) { testTaskLostReplies(t, factory) })
	t.Run("shared", func(t *testing.T) { testTasksShared(t, factory) })
	t.Run("settings", func(t *testing.T) { testSettings(t, factory) })
	t.Run("settings lost replies", func(t *testing.T) { testSettingsLostReplies(t, factory) })
	t.Run("settings history", func(t *testing.T) { testSettingsHistory(t, factory) })
}

func mustPutTask(t testing.TB, c *catalog.Catalog, task catalog.Task) int64 {
	t.Helper()
	rev, err := c.PutTask(t.Context(), task)
	if err != nil {
		t.Fatalf("put task: %v", err)
	}
	return rev
}

// sameAsLoaded: a view that was followed equals one that is loaded now.
func (e *env) sameAsLoaded(t *testing.T) {
	t.Helper()
	v, fresh := e.refresh(t), refresh(t, e.open(t))
	if !reflect.DeepEqual(fresh.Tasks, v.Tasks) || !reflect.DeepEqual(fresh.Datasources, v.Datasources) {
		t.Error("a view that was loaded differs from one that was followed")
	}
}

func testTaskLife(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	task := TaskOf("a/b é", "ds")
	waited := make(chan *catalog.View, 1)
	before := e.refresh(t).Revision
	go func() {
		v, err := e.c.WaitChange(t.Context(), before)
		if err != nil {
			t.Errorf("wait for the task: %v", err)
		}
		waited <- v
	}()
	rev := mustPutTask(t, e.c, task)
	if v := <-waited; v == nil || v.Tasks[task.ID] == nil {
		t.Fatal("the task does not wake who waits for a change")
	}
	if got := e.refresh(t).Tasks[task.ID]; got.Revision != rev || got.Claimed || got.State != catalog.TaskWaiting {
		t.Errorf("task %+v, put at %d", got, rev)
	}
	if _, err := e.c.PutTask(t.Context(), task); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("put again: %v", err)
	}
	task.State, task.Attempt, task.Node = catalog.TaskRunning, 1, "n1"
	next, err := e.c.UpdateTask(t.Context(), task, rev)
	if err != nil || next <= rev {
		t.Fatalf("update: revision %d after %d, %v", next, rev, err)
	}
	if _, err := e.c.UpdateTask(t.Context(), task, rev); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("update of an old revision: %v", err)
	}
	if err := e.c.DeleteTask(t.Context(), task.ID, rev); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("delete at an old revision: %v", err)
	}
	e.sameAsLoaded(t)
	for range 2 { // what is gone may be deleted again
		if err := e.c.DeleteTask(t.Context(), task.ID, next); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if v := e.refresh(t); len(v.Tasks) != 0 {
		t.Errorf("tasks after the deletion: %v", v.Tasks)
	}
	if _, err := e.c.UpdateTask(t.Context(), task, next); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("update of what is gone: %v", err)
	}
}

// testTaskClaim: the view shows a task's claim whatever came first, and its end.
func testTaskClaim(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s := Register(t, e.c, "n1")
	early, err := s.ClaimTask(t.Context(), "early")
	if err != nil {
		t.Fatal(err)
	}
	mustPutTask(t, e.c, TaskOf("early", "ds"))
	rev := mustPutTask(t, e.c, TaskOf("late", "ds"))
	late, err := s.ClaimTask(t.Context(), "late")
	if err != nil {
		t.Fatal(err)
	}
	for id, claim := range map[string]catalog.Claim{"early": early, "late": late} {
		if got := e.refresh(t).Tasks[id]; !got.Claimed || got.ClaimEpoch != claim.Epoch {
			t.Errorf("task %+v under claim %+v", got, claim)
		}
	}
	running := TaskOf("late", "ds")
	running.State, running.Attempt, running.Epoch = catalog.TaskRunning, 1, late.Epoch
	if _, err := e.c.UpdateTask(t.Context(), running, rev); err != nil {
		t.Fatal(err)
	}
	if got := e.refresh(t).Tasks["late"]; !got.Claimed || got.Epoch != got.ClaimEpoch {
		t.Errorf("claimed task after its update: %+v", got)
	}
	e.sameAsLoaded(t)
	held := e.refresh(t).Tasks["late"]
	if err := s.Unclaim(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if got := e.refresh(t).Tasks["late"]; got.Claimed || got.ClaimEpoch != 0 || got.State != catalog.TaskRunning {
		t.Errorf("task after the end of its claim: %+v", got)
	}
	if !held.Claimed {
		t.Error("a view that was handed out has changed")
	}
	e.sameAsLoaded(t)
}

func testTaskRefused(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	for name, spoil := range map[string]func(*catalog.Task){
		"no id":         func(x *catalog.Task) { x.ID = "" },
		"long id":       func(x *catalog.Task) { x.ID = strings.Repeat("x", 257) },
		"no datasource": func(x *catalog.Task) { x.Datasource = "" },
		"no type":       func(x *catalog.Task) { x.Type = "" },
		"no spec":       func(x *catalog.Task) { x.Spec = nil },
		"spec":          func(x *catalog.Task) { x.Spec = json.RawMessage(`{`) },
		"state":         func(x *catalog.Task) { x.State = "ODD" },
		"size":          func(x *catalog.Task) { x.Error = strings.Repeat("x", catalog.MaxTaskBytes) },
	} {
		task := TaskOf("t", "ds")
		spoil(&task)
		if _, err := e.c.PutTask(t.Context(), task); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("put with %s: %v", name, err)
		}
	}
	task := TaskOf("t", "ds")
	task.Attempt, task.CancelRequested = 2, true
	rev := mustPutTask(t, e.c, task)
	for name, spoil := range map[string]func(*catalog.Task){
		"another spec":     func(x *catalog.Task) { x.Spec = json.RawMessage(`{}`) },
		"another priority": func(x *catalog.Task) { x.Priority++ },
		"an older attempt": func(x *catalog.Task) { x.Attempt-- },
		"no cancel":        func(x *catalog.Task) { x.CancelRequested = false },
	} {
		next := task
		spoil(&next)
		if _, err := e.c.UpdateTask(t.Context(), next, rev); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("update with %s: %v", name, err)
		}
	}
	task.State = catalog.TaskFailed
	rev, err := e.c.UpdateTask(t.Context(), task, rev)
	if err != nil {
		t.Fatal(err)
	}
	task.State = catalog.TaskRunning
	if _, err := e.c.UpdateTask(t.Context(), task, rev); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("update of what has ended: %v", err)
	}
}

func testTaskLostReplies(t *testing.T, factory Factory) {
	for name, faults := range map[string][]TxnFault{
		"applied": {LoseReply}, "not applied": {LoseRequest}, "refused": {Refuse}, "lost twice": {LoseRequest, LoseReply},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, factory)
			task := TaskOf("t", "ds")
			e.faulty.Next(faults...)
			rev := mustPutTask(t, e.c, task)
			task.State, task.Attempt = catalog.TaskRunning, 1
			e.faulty.Next(faults...)
			next, err := e.c.UpdateTask(t.Context(), task, rev)
			if err != nil {
				t.Fatalf("update: %v", err)
			}
			if got := e.refresh(t).Tasks["t"]; got.Revision != next || got.State != catalog.TaskRunning {
				t.Errorf("task %+v, updated at %d", got, next)
			}
			e.faulty.Next(faults...)
			if err := e.c.DeleteTask(t.Context(), "t", next); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
	}
	t.Run("taken up meanwhile", func(t *testing.T) {
		e := newEnv(t, factory)
		other := e.open(t)
		e.faulty.Next(LoseReply)
		e.faulty.BeforeTxn(func() { // before the first attempt: the next one finds the task taken up
			e.faulty.BeforeTxn(func() {
				running := refresh(t, other).Tasks["t"]
				running.Task.State, running.Task.Attempt = catalog.TaskRunning, 1
				if _, err := other.UpdateTask(t.Context(), running.Task, running.Revision); err != nil {
					t.Error(err)
				}
			})
		})
		rev := mustPutTask(t, e.c, TaskOf("t", "ds"))
		if got := e.refresh(t).Tasks["t"]; got.Revision != rev || got.State != catalog.TaskRunning {
			t.Errorf("task %+v, put at %d", got, rev)
		}
	})
	t.Run("never answered", func(t *testing.T) {
		e := newEnv(t, factory)
		e.faulty.Next(LoseRequest, LoseReply, LoseRequest, LoseRequest)
		if _, err := e.c.PutTask(t.Context(), TaskOf("t", "ds")); !errors.Is(err, catalog.ErrUnknown) {
			t.Errorf("put without any reply: %v", err)
		}
	})
}

// testTasksShared: what has not changed is the same map in the next view.
func testTasksShared(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	_, w := e.writer(t)
	mustPutTask(t, e.c, TaskOf("t", "ds"))
	before := e.refresh(t)
	w.MustAppend(t, Hour(1), 5)
	after := e.refresh(t)
	if reflect.ValueOf(before.Tasks).Pointer() != reflect.ValueOf(after.Tasks).Pointer() {
		t.Error("an append built the tasks again")
	}
	mustPutTask(t, e.c, TaskOf("u", "ds"))
	if v := e.refresh(t); len(after.Tasks) != 1 || len(v.Tasks) != 2 || v.Tasks["t"] != after.Tasks["t"] {
		t.Errorf("tasks %v, before %v", v.Tasks, after.Tasks)
	}
	if v := e.refresh(t); bucket(t, v, Hour(1)) != bucket(t, after, Hour(1)) {
		t.Error("a task built a bucket again")
	}
}

func testSettings(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	put := func(kind catalog.SettingKind, value string, expect int64) (catalog.Setting, error) {
		return e.c.PutSetting(t.Context(), kind, "ds", json.RawMessage(value), expect)
	}
	if _, err := put(catalog.SettingRules, `[]`, 0); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("a setting of a datasource that does not exist: %v", err)
	}
	_, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	for _, bad := range []string{``, `{`, strings.Repeat(" ", catalog.MaxSettingBytes) + `{}`} {
		if _, err := put(catalog.SettingRules, bad, 0); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("a setting of %d bytes: %v", len(bad), err)
		}
	}
	if _, err := put("odd", `{}`, 0); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("a setting of an unknown kind: %v", err)
	}
	if _, err := put(catalog.SettingRules, `null`, 0); !errors.Is(err, catalog.ErrInvalid) {
		t.Errorf("taking away what is not there: %v", err)
	}
	before := bucket(t, e.refresh(t), Hour(1))
	first, err := put(catalog.SettingAutoCompaction, `{"a":1}`, 0)
	if err != nil || first.Version != 1 {
		t.Fatalf("put: %+v, %v", first, err)
	}
	if _, err := put(catalog.SettingAutoCompaction, `{"a":2}`, 0); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("put over a version that was not seen: %v", err)
	}
	second, err := put(catalog.SettingAutoCompaction, `{"a":2}`, 1)
	if err != nil || second.Version != 2 {
		t.Fatalf("put: %+v, %v", second, err)
	}
	v := e.refresh(t)
	ds := v.Datasources["ds"]
	if ds.Rules != nil || ds.AutoCompaction == nil || !reflect.DeepEqual(*ds.AutoCompaction, second) || bucket(t, v, Hour(1)) != before {
		t.Errorf("auto-compaction %+v, rules %+v", ds.AutoCompaction, ds.Rules)
	}
	if _, err := put(catalog.SettingRules, `[]`, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := put(catalog.SettingAutoCompaction, `null`, 2); err != nil {
		t.Fatal(err)
	}
	if ds := e.refresh(t).Datasources["ds"]; ds.AutoCompaction != nil || ds.Rules == nil {
		t.Errorf("after taking it away: %+v", ds.AutoCompaction)
	}
	e.sameAsLoaded(t)
	if s, err := put(catalog.SettingAutoCompaction, `{"a":3}`, 0); err != nil || s.Version != 4 {
		t.Errorf("put after it was taken away: %+v, %v", s, err)
	}
}

func testSettingsLostReplies(t *testing.T, factory Factory) {
	for name, faults := range map[string][]TxnFault{
		"applied": {LoseReply}, "not applied": {LoseRequest}, "refused": {Refuse}, "lost twice": {LoseRequest, LoseReply},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, factory)
			e.writer(t)
			e.faulty.Next(faults...)
			s, err := e.c.PutSetting(t.Context(), catalog.SettingRules, "ds", json.RawMessage(`[]`), 0)
			if err != nil || s.Version != 1 {
				t.Fatalf("put: %+v, %v", s, err)
			}
			if got := e.refresh(t).Datasources["ds"].Rules; got == nil || got.Version != 1 {
				t.Errorf("rules %+v", got)
			}
		})
	}
	t.Run("race", func(t *testing.T) {
		e := newEnv(t, factory)
		e.writer(t)
		e.faulty.BeforeTxn(func() {
			if _, err := e.c.PutSetting(t.Context(), catalog.SettingRules, "ds", json.RawMessage(`[1]`), 0); err != nil {
				t.Error(err)
			}
		})
		if _, err := e.c.PutSetting(t.Context(), catalog.SettingRules, "ds", json.RawMessage(`[2]`), 0); !errors.Is(err, catalog.ErrConflict) {
			t.Errorf("the second of two: %v", err)
		}
	})
}

func testSettingsHistory(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	e.writer(t)
	for n := range int64(catalog.MaxSettingHistory + 3) {
		value := json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))
		if _, err := e.c.PutSetting(t.Context(), catalog.SettingRules, "ds", value, n); err != nil {
			t.Fatal(err)
		}
	}
	all, err := e.c.SettingHistory(t.Context(), catalog.SettingRules, "ds")
	if err != nil || len(all) != catalog.MaxSettingHistory || all[0].Version != catalog.MaxSettingHistory+3 || all[len(all)-1].Version != 4 {
		t.Errorf("%d versions, %v", len(all), err)
	}
	if none, err := e.c.SettingHistory(t.Context(), catalog.SettingAutoCompaction, "ds"); err != nil || len(none) != 0 {
		t.Errorf("history of what was never put: %v, %v", none, err)
	}
	e.sameAsLoaded(t)
}
