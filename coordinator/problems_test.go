package coordinator

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"drumlin/spec"
)

// TestEveryProblemAtOnce: a text that is wrong in its form and inside its metrics, transforms and filters is told all of it in one
// answer, each place once.
func TestEveryProblemAtOnce(t *testing.T) {
	co := New(Options{})
	const documents = `"metricsSpec":[{"type":"nosuch","name":"x"},{"type":"count"}],"transformSpec":{"filter":{"type":"regex"}}`
	texts := map[string]struct {
		submit func() error
		want   []string
	}{
		"a spec": {
			func() error {
				_, _, err := co.Submit(t.Context(), []byte(`{"type":"kafka","spec":{"dataSchema":{"nosuch":1,`+documents+`}}}`))
				return err
			},
			[]string{
				"spec.dataSchema.nosuch", "spec.dataSchema.metricsSpec[0].type", "spec.dataSchema.metricsSpec[1].name",
				"spec.dataSchema.transformSpec.filter.type",
			},
		},
		"a task": {
			func() error {
				_, _, err := co.SubmitTask(t.Context(), []byte(`{"type":"compact","nosuch":1,`+documents+`}`))
				return err
			},
			[]string{"nosuch", "interval", "metricsSpec[0].type", "metricsSpec[1].name", "transformSpec.filter.type"},
		},
		"a config": {
			func() error {
				_, err := co.SetAutoCompaction(t.Context(), []byte(`{"skipOffsetFromLatest":"1d",`+documents+`}`))
				return err
			},
			[]string{"dataSource", "skipOffsetFromLatest", "metricsSpec[0].type", "metricsSpec[1].name", "transformSpec.filter.type"},
		},
	}
	for name, text := range texts {
		var problems spec.Problems
		if err := text.submit(); !errors.As(err, &problems) {
			t.Errorf("%s is refused with %v", name, err)
			continue
		}
		for _, path := range text.want {
			at := slices.IndexFunc(problems, func(p spec.Problem) bool { return p.Path == path })
			if at < 0 || strings.HasPrefix(problems[at].Message, path) {
				t.Errorf("%s: %s is not told, or not in its place: %v", name, path, problems)
				continue
			}
			if problems = slices.Delete(problems, at, at+1); slices.ContainsFunc(problems, func(p spec.Problem) bool { return p.Path == path }) {
				t.Errorf("%s: %s is told twice", name, path)
			}
		}
	}
}
