package query

// Cut is where an answer was computed: an etcd revision and, per partition, the offset below which every record
// counts and from which none does. Its JSON form is part of the API:
//
//	{"revision":17,"datasources":{"events":{"events":[{"topic":"t","generation":0,"partition":0,"offset":42}]}}}
//
// The names under a datasource are its supervisors. "lost" is present where records below the offset were lost by
// decision.
type Cut struct {
	Revision    int64                                `json:"revision"`
	Datasources map[string]map[string][]CutPartition `json:"datasources,omitempty"`
}

// CutPartition is one partition of a cut.
type CutPartition struct {
	Topic      string `json:"topic"`
	Generation int32  `json:"generation"`
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`
	Lost       int64  `json:"lost,omitempty"`
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
			bySupervisor[p.key.Supervisor] = append(bySupervisor[p.key.Supervisor], CutPartition{
				Topic: p.key.Topic, Generation: p.offset.Generation, Partition: p.key.Partition, Offset: p.end, Lost: lost,
			})
		}
		if c.Datasources == nil {
			c.Datasources = map[string]map[string][]CutPartition{}
		}
		c.Datasources[name] = bySupervisor
	}
	return c
}
