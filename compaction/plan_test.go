package compaction

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/datadriven"

	"drumlin/spec"
)

// TestPlans runs testdata/plan*.txt. view builds a datasource (see world), task plans one, decide shows what a policy chooses,
// floors what Drop would do.
func TestPlans(t *testing.T) {
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "view":
				w = newWorld()
				w.read(t, d.Input)
				return ""
			case "add":
				w.read(t, d.Input)
				return ""
			case "task":
				task, _, err := spec.ParseTask([]byte(d.Input))
				if err != nil {
					return err.Error()
				}
				plan, err := PlanTask(w.view, task)
				var refused *PlanError
				if errors.As(err, &refused) {
					out := fmt.Sprintf("no segments: %t\n", errors.Is(err, ErrNoSegments))
					for _, p := range refused.Problems {
						out += p.String() + "\n"
					}
					return out
				}
				if err != nil {
					t.Fatal(err)
				}
				return showPlan(plan)
			case "decide":
				return decideCommand(t, w, d)
			case "floors":
				out := &TaskPlan{Chunks: planFloors(w.view, "wiki")}
				return showPlan(out)
			}
			t.Fatalf("what is %s?", d.Cmd)
			return ""
		})
	})
}

func decideCommand(t *testing.T, w *world, d *datadriven.TestData) string {
	t.Helper()
	c, _, err := spec.ParseAutoCompaction([]byte(d.Input))
	if err != nil {
		return err.Error()
	}
	history := map[spec.Interval]Attempt{}
	for _, a := range d.CmdArgs {
		if a.Key == "failed" { // failed=(interval,times,when)
			history[interval(t, a.Vals[0])] = Attempt{
				Failures: int(number(t, a.Vals[1], 0)), LastMillis: instant(t, a.Vals[2]), Error: "disk full",
			}
		}
	}
	var policy, now string
	d.ScanArgs(t, "policy", &policy)
	d.ScanArgs(t, "now", &now)
	return showDecisions(Decide(w.ds, c, Policy(policy), instant(t, now), history))
}
