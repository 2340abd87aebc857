package coordinator

import (
	"cmp"
	"slices"

	"drumlin/catalog"
	"drumlin/spec"
)

// Who asked for a task, as catalog.Task.Origin says: a person, or one of the standing policies of auto-compaction.
const (
	originUser       = "user"
	originRecent     = spec.PolicyRecent
	originHistorical = spec.PolicyHistorical
)

// automatic says whether a policy asked for the task.
func automatic(t *catalog.TaskView) bool {
	return t.Origin == originRecent || t.Origin == originHistorical
}

// otherPolicy is the policy that shares the slots with this one.
func otherPolicy(origin string) string {
	if origin == originRecent {
		return originHistorical
	}
	return originRecent
}

// load is what runs in the cluster, and what pick has chosen to run besides.
type load struct {
	slots      int
	total      int
	user       int
	origins    map[string]int
	datasource map[string]int
	lastPolicy string // whose task began last; it counts where the policies take turns
}

func (l *load) add(t *catalog.TaskView) {
	l.total++
	l.datasource[t.Datasource]++
	l.origins[t.Origin]++
	if automatic(t) {
		l.lastPolicy = t.Origin
	} else {
		l.user++
	}
}

// admits says whether the task may have one of the free slots. The policies share the slots that people's tasks leave: of
// two or more each policy leaves one to the other, also while the other has nothing to do, since a long task of the one
// must not make the other wait for its end; of a single one they take turns.
func (l *load) admits(t *catalog.TaskView, rivalWaits bool) bool {
	if l.total >= l.slots {
		return false
	}
	if !automatic(t) {
		return true
	}
	if room := l.slots - l.user; room >= 2 {
		return l.origins[t.Origin] < room-1
	}
	return !rivalWaits || l.lastPolicy != t.Origin
}

// pick says which tasks may begin now, in the order in which they get the slots: those of higher priority first, then
// people's before the policies', then of the datasource that has the fewest running, then the older one. A running task
// without a holder is one whose node died: it begins anew. claimed says which tasks have a holder. wakeMillis is when a
// task becomes due that is not due yet; 0: none. pick is a pure function: every node comes to the same order.
func pick(tasks map[string]*catalog.TaskView, claimed func(*catalog.TaskView) bool, slots int, nowMillis int64) (
	next []*catalog.TaskView, wakeMillis int64,
) {
	l := &load{slots: slots, origins: map[string]int{}, datasource: map[string]int{}}
	var due []*catalog.TaskView
	last := lastPolicy(tasks)
	for _, t := range tasks {
		switch {
		case t.State.Finished():
		case claimed(t):
			l.add(t)
		case t.NotBeforeMillis > nowMillis:
			if wakeMillis == 0 || t.NotBeforeMillis < wakeMillis {
				wakeMillis = t.NotBeforeMillis
			}
		default:
			due = append(due, t)
		}
	}
	l.lastPolicy = last // whatever the order in which the map gave the running ones
	for {
		i := best(due, l)
		if i < 0 {
			return next, wakeMillis
		}
		next = append(next, due[i])
		l.add(due[i])
		due = slices.Delete(due, i, i+1)
	}
}

// lastPolicy is the policy whose task began last.
func lastPolicy(tasks map[string]*catalog.TaskView) string {
	var last *catalog.TaskView
	for _, t := range tasks {
		if automatic(t) && t.StartedMillis > 0 &&
			(last == nil || cmp.Or(cmp.Compare(t.StartedMillis, last.StartedMillis), cmp.Compare(t.ID, last.ID)) > 0) {
			last = t
		}
	}
	if last == nil {
		return ""
	}
	return last.Origin
}

// best is the index of the task that gets the next slot; −1: none may.
func best(due []*catalog.TaskView, l *load) int {
	waits := map[string]bool{}
	for _, t := range due {
		waits[t.Origin] = true
	}
	at := -1
	for i, t := range due {
		if !l.admits(t, waits[otherPolicy(t.Origin)]) {
			continue
		}
		if at < 0 || compareTasks(t, due[at], l.datasource) < 0 {
			at = i
		}
	}
	return at
}

func compareTasks(a, b *catalog.TaskView, running map[string]int) int {
	class := func(t *catalog.TaskView) int {
		if automatic(t) {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(b.Priority, a.Priority), cmp.Compare(class(a), class(b)),
		cmp.Compare(running[a.Datasource], running[b.Datasource]),
		cmp.Compare(a.CreatedMillis, b.CreatedMillis), cmp.Compare(a.ID, b.ID),
	)
}
