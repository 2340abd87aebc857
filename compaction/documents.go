package compaction

import (
	"encoding/json"
	"strings"

	"drumlin/rollup"
	"drumlin/spec"
)

// documents are what a task or a config says in metrics and filters, read.
type documents struct {
	metrics  []rollup.Metric // nil: not given, or refused
	filter   *rollup.Filter
	warnings []string
	problems spec.Problems
}

func readDocuments(metrics, filter json.RawMessage) documents {
	var d documents
	if len(metrics) > 0 {
		var err error
		if d.metrics, d.warnings, err = rollup.ParseMetrics(metrics); err != nil {
			d.metrics = nil
			d.problems = append(d.problems, placed(err, "")...)
		}
	}
	if len(filter) > 0 {
		var err error
		if d.filter, err = rollup.ParseFilter(filter); err != nil {
			d.filter = nil
			d.problems = append(d.problems, placed(err, "transformSpec.")...)
		}
	}
	return d
}

// DocumentProblems says what is wrong inside the documents of a task or a config that is refused for its form already,
// whatever the datasource is.
func DocumentProblems(d spec.Documents) spec.Problems {
	return readDocuments(d.Metrics, d.Filter).problems
}

// placed makes problems of errors that begin with the place in their document, under the path of that document.
func placed(err error, under string) spec.Problems {
	out := problemsOf("", err)
	for i := range out {
		if path, message, ok := strings.Cut(out[i].Message, ": "); ok && out[i].Path == "" {
			out[i] = spec.Problem{Path: under + path, Message: message}
		}
	}
	return out
}
