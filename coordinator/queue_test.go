package coordinator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"drumlin/catalog"
)

// TestPick asks which tasks begin. A line is a task: its id, its datasource, who asked, and what else matters of it:
// prio=N (25), created=N (the line's number), started=N, notBefore=N, running, claimed, orphan (running without a holder),
// done.
func TestPick(t *testing.T) {
	datadriven.Walk(t, "testdata/pick", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			slots, now := 2, int64(1000)
			for _, a := range d.CmdArgs {
				n, err := strconv.Atoi(a.Vals[0])
				if err != nil {
					t.Fatalf("%s: %v", d.Pos, err)
				}
				switch a.Key {
				case "slots":
					slots = n
				case "now":
					now = int64(n)
				default:
					t.Fatalf("%s: %s is not known", d.Pos, a.Key)
				}
			}
			tasks := tasksOf(t, d)
			next, wake := pick(tasks, isClaimed, slots, now)
			var b strings.Builder
			for _, task := range next {
				fmt.Fprintln(&b, task.ID)
			}
			if wake != 0 {
				fmt.Fprintf(&b, "look again at %d\n", wake)
			}
			if b.Len() == 0 {
				return "nothing\n"
			}
			return b.String()
		})
	})
}

func isClaimed(t *catalog.TaskView) bool { return t.Claimed }

func tasksOf(t *testing.T, d *datadriven.TestData) map[string]*catalog.TaskView {
	tasks := map[string]*catalog.TaskView{}
	for i, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		words := strings.Fields(line)
		if len(words) < 3 {
			t.Fatalf("%s: %q is no task", d.Pos, line)
		}
		v := &catalog.TaskView{Task: catalog.Task{
			ID: words[0], Datasource: words[1], Origin: words[2], Priority: 25, CreatedMillis: int64(i), State: catalog.TaskWaiting,
		}}
		for _, word := range words[3:] {
			name, value, _ := strings.Cut(word, "=")
			n, _ := strconv.Atoi(value)
			switch name {
			case "prio":
				v.Priority = n
			case "created":
				v.CreatedMillis = int64(n)
			case "started":
				v.StartedMillis = int64(n)
			case "notBefore":
				v.NotBeforeMillis = int64(n)
			case "claimed":
				v.Claimed = true
			case "running":
				v.State, v.Claimed = catalog.TaskRunning, true
			case "orphan":
				v.State = catalog.TaskRunning
			case "done":
				v.State = catalog.TaskSuccess
			default:
				t.Fatalf("%s: %q is not known", d.Pos, word)
			}
		}
		tasks[v.ID] = v
	}
	return tasks
}

// TestNobodyStarves runs random queues to their end, one step after another, and watches what pick promises: the cap
// holds, every task comes, and as long as both policies have tasks, neither has to wait while the other one's tasks end.
func TestNobodyStarves(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { simulateQueue(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func simulateQueue(t *testing.T, r *rand.Rand) {
	slots := 1 + r.IntN(5)
	tasks, ends := map[string]*catalog.TaskView{}, map[string]int64{}
	left := 120
	waited := map[string]int{} // tasks of the rival that began since this policy's last, while it had some due
	for now := int64(1); ; now++ {
		for ; left > 0 && r.IntN(3) > 0; left-- {
			origin := []string{originUser, originRecent, originHistorical}[r.IntN(3)]
			id := fmt.Sprintf("t%03d", left)
			tasks[id] = &catalog.TaskView{Task: catalog.Task{
				ID: id, Datasource: fmt.Sprint("ds", r.IntN(3)), Origin: origin, Priority: 25, CreatedMillis: now, State: catalog.TaskWaiting,
			}}
		}
		running := 0
		for id, v := range tasks {
			if v.State == catalog.TaskRunning && ends[id] <= now {
				v.State, v.Claimed = catalog.TaskSuccess, false
			} else if v.State == catalog.TaskRunning {
				running++
			}
		}
		next, _ := pick(tasks, isClaimed, slots, now)
		again, _ := pick(maps.Clone(tasks), isClaimed, slots, now)
		if !slices.Equal(next, again) {
			t.Fatalf("the same tasks gave two orders")
		}
		if running+len(next) > slots {
			t.Fatalf("%d tasks run and %d begin with %d slots", running, len(next), slots)
		}
		for _, v := range next {
			v.State, v.Claimed, v.StartedMillis = catalog.TaskRunning, true, now
			ends[v.ID] = now + 1 + int64(r.IntN(20))
			noteTurn(t, tasks, waited, v, slots)
		}
		if left == 0 && !slices.ContainsFunc(slices.Collect(maps.Values(tasks)), func(v *catalog.TaskView) bool { return !v.State.Finished() }) {
			return
		}
		if now > 20_000 {
			t.Fatal("the queue never empties")
		}
	}
}

// noteTurn fails where one policy's tasks began again and again while the other's were due.
func noteTurn(t *testing.T, tasks map[string]*catalog.TaskView, waited map[string]int, began *catalog.TaskView, slots int) {
	if !automatic(began) {
		return
	}
	rival := otherPolicy(began.Origin)
	waited[began.Origin] = 0
	rivalDue, rivalRuns := false, false
	for _, v := range tasks {
		if v.Origin == rival {
			rivalDue = rivalDue || v.State == catalog.TaskWaiting
			rivalRuns = rivalRuns || v.State == catalog.TaskRunning
		}
	}
	if !rivalDue || rivalRuns {
		waited[rival] = 0
		return
	}
	if waited[rival]++; waited[rival] > slots {
		t.Fatalf("%d tasks of %s began while %s had tasks due and none running", waited[rival], began.Origin, rival)
	}
}
