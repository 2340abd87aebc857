package query

import (
	"sync"

	"drumlin/catalog"
	"drumlin/spec"
)

// givenUp returns a function that says whether the newest version of a supervisor's spec does not read a topic any more.
// Where nobody owns such a partition either, its committed rows are all that there is, until a later version reads it
// again. A spec that cannot be read here gives nothing up. The spec is parsed at the first question.
func givenUp(supervisor *catalog.SupervisorView) func(topic string) bool {
	parse := sync.OnceValue(func() *spec.Supervisor {
		s, _, err := spec.Parse(supervisor.Spec)
		if err != nil {
			return nil
		}
		return s
	})
	return func(topic string) bool {
		s := parse()
		return s != nil && !s.IO.ReadsTopic(topic)
	}
}
