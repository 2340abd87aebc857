package query

import (
	"sort"

	"drumlin/catalog"
)

// Cut is where an answer was computed: an etcd revision and, per partition, the offset below which every record
// counts and from which none does. Its JSON form is part of the API:
//
//	{"revision":17,"datasources":{"events":{"events":[{"topic":"t","generation":0,"partition":0,"offset":42}]}}}
//
// The names under a datasource are its supervisors. "lost" is present where records below the offset were lost by
// decision. Where an answer lacks the hot rows of some partitions, because the query allowed that, "partial" is true, and
// these partitions have "missing", the reason: their offset is the committed one.
type Cut struct {
	Revision    int64                                `json:"revision"`
	Partial     bool                                 `json:"partial,omitempty"`
	Datasources map[string]map[string][]CutPartition `json:"datasources,omitempty"`
}

// CutPartition is one partition of a cut.
type CutPartition struct {
	Topic      string `json:"topic"`
	Generation int32  `json:"generation"`
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`
	Lost       int64  `json:"lost,omitempty"`
	Missing    string `json:"missing,omitempty"`
}

// Missing lists the partitions whose hot rows are not in the answer, each with the reason; nil: it is whole.
func (c Cut) Missing() []string {
	var out []string
	for _, bySupervisor := range c.Datasources {
		for supervisor, partitions := range bySupervisor {
			for _, p := range partitions {
				if p.Missing != "" {
					key := catalog.PartitionKey{Supervisor: supervisor, Topic: p.Topic, Partition: p.Partition}
					out = append(out, partitionName(key)+": "+p.Missing)
				}
			}
		}
	}
	sort.Strings(out)
	return out
}

func (s *snapshot) cut() Cut {
	c := Cut{Revision: s.view.Revision}
	for _, name := range s.order {
		bySupervisor := map[string][]CutPartition{}
		for _, p := range s.datasources[name].partitions {
			lost := p.offset.Counters.Lost
			if p.hot != nil {
				lost += p.hot.Counters.Lost
			}
			c.Partial = c.Partial || p.missing != ""
			bySupervisor[p.key.Supervisor] = append(bySupervisor[p.key.Supervisor], CutPartition{
				Topic: p.key.Topic, Generation: p.offset.Generation, Partition: p.key.Partition, Offset: p.end, Lost: lost, Missing: p.missing,
			})
		}
		if c.Datasources == nil {
			c.Datasources = map[string]map[string][]CutPartition{}
		}
		c.Datasources[name] = bySupervisor
	}
	return c
}
