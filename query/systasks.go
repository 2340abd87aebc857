package query

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strconv"

	"drumlin/catalog"
	"drumlin/spec"
)

// taskColumns are Druid's, then the task's place in the queue.
const taskColumns = `task_id group_id type datasource created_time queue_insertion_time status runner_status duration:n
	location host plaintext_port:n tls_port:n error_msg priority:n origin attempt:n chunks_done:n chunks_total:n cancel_requested:n
	node started_time finished_time next_attempt`

// taskRows are the tasks that the catalog has, newest first. nowMillis tells a task that waits for its next attempt from one
// that waits for a slot.
func taskRows(v *catalog.View, nowMillis int64) [][]any {
	tasks := slices.SortedFunc(maps.Values(v.Tasks), func(a, b *catalog.TaskView) int {
		return cmp.Or(cmp.Compare(b.CreatedMillis, a.CreatedMillis), cmp.Compare(a.ID, b.ID))
	})
	rows := make([][]any, 0, len(tasks))
	for _, t := range tasks {
		status, runner := taskState(t, nowMillis)
		location, host, port := taskLocation(v, t.Node)
		created := spec.FormatInstant(t.CreatedMillis)
		rows = append(rows, []any{
			t.ID, t.Group, t.Type, t.Datasource, created, created, status, runner, taskDuration(t),
			location, host, port, int64(-1), textOrNull(t.Error), int64(t.Priority), t.Origin, int64(t.Attempt), int64(t.Done), int64(t.Total),
			boolean(t.CancelRequested), textOrNull(t.Node), timeOrNull(t.StartedMillis), timeOrNull(t.FinishedMillis), nextAttempt(t, runner),
		})
	}
	return rows
}

// taskState gives Druid's two codes: RUNNING until the task has ended, and what its runner does.
func taskState(t *catalog.TaskView, nowMillis int64) (status, runner string) {
	switch {
	case t.State.Finished():
		return string(t.State), "NONE"
	case t.State == catalog.TaskRunning:
		return "RUNNING", "RUNNING"
	case t.NotBeforeMillis > nowMillis:
		return "RUNNING", "WAITING"
	}
	return "RUNNING", "PENDING"
}

// taskDuration is in milliseconds; −1 until the task has ended.
func taskDuration(t *catalog.TaskView) int64 {
	switch {
	case !t.State.Finished():
		return -1
	case t.StartedMillis == 0:
		return 0
	}
	return max(t.FinishedMillis-t.StartedMillis, 0)
}

func nextAttempt(t *catalog.TaskView, runner string) any {
	if runner != "WAITING" {
		return nil
	}
	return spec.FormatInstant(t.NotBeforeMillis)
}

// taskLocation is the address of the newest attempt's node, while the node lives.
func taskLocation(v *catalog.View, node string) (location, host any, port int64) {
	n, ok := v.Nodes[node]
	if !ok {
		return nil, nil, -1
	}
	name, text, err := net.SplitHostPort(n.Address)
	number, portErr := strconv.ParseInt(text, 10, 64)
	if err != nil || portErr != nil {
		return n.Address, n.Address, -1
	}
	return n.Address, name, number
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOrNull(millis int64) any {
	if millis == 0 {
		return nil
	}
	return spec.FormatInstant(millis)
}
