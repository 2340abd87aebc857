package app

import (
	"errors"
	"testing"

	"drumlin/api"
	"drumlin/compaction"
	"drumlin/spec"
)

// TestProblemsOfPlansHaveAPath: people look for the field to change, whoever has refused it.
func TestProblemsOfPlansHaveAPath(t *testing.T) {
	for message, want := range map[string]api.Problem{
		"rollup: the rows were stored without it": {Path: "rollup", Message: "the rows were stored without it"},
		"metric n: is not known":                  {Path: "the task", Message: "metric n: is not known"},
		"nothing fits":                            {Path: "the task", Message: "nothing fits"},
	} {
		var got *api.Error
		err := taskError(&compaction.PlanError{Problems: spec.Problems{{Message: message}}}, "Refused.")
		if !errors.As(err, &got) || len(got.Problems) != 1 || got.Problems[0] != want {
			t.Errorf("%q: %v, want %v", message, err, want)
		}
	}
}
