package query

import (
	"fmt"
	"sort"
	"strings"

	"drumlin/catalog"
)

// describe says why a partition's rows are missing, and who was asked.
func (s *snapshot) describe(m missing) string {
	supervisor := s.view.Supervisors[m.key.Supervisor]
	if supervisor == nil || supervisor.Partitions[m.key] == nil || supervisor.Partitions[m.key].Owner == nil {
		return m.reason
	}
	id := supervisor.Partitions[m.key].Owner.Node
	node, ok := s.view.Nodes[id]
	address := node.FlightAddress
	if address == "" {
		address = node.Address
	}
	switch {
	case !ok:
		return fmt.Sprintf("node %s, which is gone: %s", id, m.reason)
	case strings.Contains(m.reason, id) && strings.Contains(m.reason, address):
		return m.reason
	}
	return fmt.Sprintf("node %s at %s: %s", id, address, m.reason)
}

// reasons are lines about partitions, by name.
func (s *snapshot) reasons(wants []missing) []string {
	out := make([]string, len(wants))
	for i, m := range wants {
		out[i] = fmt.Sprintf("%s: %s", partitionName(m.key), s.describe(m))
	}
	sort.Strings(out)
	return out
}

func (a *asking) unavailable(s *snapshot, wants []missing) *Error {
	const otherwise = `ask with the context {"cut": "committed"} for committed rows only, or {"allowPartial": true} for what there is`
	e := newError(Unavailable, "try again, or "+otherwise, "%d partition(s) could not give their rows within %s", len(wants), a.budget)
	if a.hopeless(wants) {
		e = newError(Unavailable, "drumlin gap list shows what halted partitions wait for; until that is decided, "+otherwise,
			"%d partition(s) cannot give their rows", len(wants))
	}
	for _, m := range wants {
		e.Names = append(e.Names, partitionName(m.key))
	}
	sort.Strings(e.Names)
	e.Message += firstReasons(s.reasons(wants))
	if a.catalogErr != nil {
		e.Message += fmt.Sprintf("; the catalog could not be asked for a view newer than revision %d: %v", s.view.Revision, a.catalogErr)
	}
	return e
}

// firstReasons appends the first of the reasons to a message.
func firstReasons(reasons []string) string {
	var b strings.Builder
	for i, r := range reasons {
		if i == maxNearNames {
			fmt.Fprintf(&b, "; and %d more", len(reasons)-i)
			break
		}
		b.WriteString("; " + r)
	}
	return b.String()
}

func partitionName(k catalog.PartitionKey) string {
	return fmt.Sprintf("%s/%s/%d", k.Supervisor, k.Topic, k.Partition)
}
