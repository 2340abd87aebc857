package query

import (
	"context"
	"log/slog"
	"slices"
	"sort"

	"drumlin/catalog"
	"drumlin/segment"
)

// Catalog gives views: the newest that this process has, one at least as new as a revision, and one at least as new
// as now.
type Catalog interface {
	View() *catalog.View
	WaitRevision(ctx context.Context, revision int64) (*catalog.View, error)
	Refresh(ctx context.Context) (*catalog.View, error)
}

// HotSource reaches the owners of partitions. A refusal is a *segment.HotUnavailable.
type HotSource interface {
	Hot(ctx context.Context, request segment.HotRequest) (*segment.HotRows, error)
}

// snapshot is one view with the hot rows that belong to it. It holds references to the hot batches until release.
type snapshot struct {
	view        *catalog.View
	datasources map[string]*datasourceSnapshot
	order       []string // names, ascending
	states      SupervisorStates
	log         *slog.Logger
}

type datasourceSnapshot struct {
	view       *catalog.DatasourceView
	need       *hotNeed
	partitions []*partitionSnapshot // by supervisor, topic, partition
}

type partitionSnapshot struct {
	key    catalog.PartitionKey
	offset catalog.Offset
	// revision is that of the offset.
	revision int64
	asked    segment.HotRequest // what hot is the answer to
	hot      *segment.HotRows   // nil: cold rows only
	end      int64              // the cut: offsets below it count
	missing  string             // why hot rows that there may be are not in the answer; empty: none are missing
}

func (s *snapshot) release() {
	for _, ds := range s.datasources {
		for _, p := range ds.partitions {
			if p.hot != nil {
				p.hot.Release()
				p.hot = nil
			}
		}
	}
}

// newSnapshot has every partition of the needed datasources, without hot rows. owners are those to be asked; a partition
// that nobody can be asked about is missing.
func newSnapshot(view *catalog.View, needs map[string]*hotNeed, committed bool) (snap *snapshot, owners []*partitionSnapshot, wants []missing) {
	snap = &snapshot{view: view, datasources: map[string]*datasourceSnapshot{}}
	for name, need := range needs {
		snap.datasources[name] = &datasourceSnapshot{view: view.Datasources[name], need: need}
		snap.order = append(snap.order, name)
	}
	sort.Strings(snap.order)
	for _, supervisor := range view.Supervisors {
		ds, ok := snap.datasources[supervisor.Datasource]
		if !ok {
			continue
		}
		noLongerRead := givenUp(supervisor)
		for _, p := range supervisor.Partitions {
			if p.OffsetRevision == 0 { // nothing committed, not even where it begins
				if !committed && !supervisor.Suspended {
					wants = append(wants, missing{key: p.Key, reason: "its owner has not begun to read it"})
				}
				continue
			}
			part := &partitionSnapshot{key: p.Key, offset: p.Offset, revision: p.OffsetRevision, end: p.Offset.Next}
			ds.partitions = append(ds.partitions, part)
			switch {
			case committed || supervisor.Suspended && p.Owner == nil:
			case p.Owner == nil && noLongerRead(p.Key.Topic):
			case p.Owner == nil:
				wants = append(wants, missing{key: p.Key, reason: "it has no owner"})
			default:
				owners = append(owners, part)
			}
		}
	}
	for _, ds := range snap.datasources {
		sortPartitions(ds.partitions)
	}
	return snap, owners, wants
}

func sortPartitions(parts []*partitionSnapshot) {
	sort.Slice(parts, func(i, j int) bool {
		a, b := parts[i].key, parts[j].key
		switch {
		case a.Supervisor != b.Supervisor:
			return a.Supervisor < b.Supervisor
		case a.Topic != b.Topic:
			return a.Topic < b.Topic
		}
		return a.Partition < b.Partition
	})
}

// take moves the rows over that an earlier snapshot has of the same offsets, and says of which partitions: they are those
// of [offset, end) at any view.
func (s *snapshot) take(earlier *snapshot) map[catalog.PartitionKey]bool {
	taken := map[catalog.PartitionKey]bool{}
	had := map[catalog.PartitionKey]*partitionSnapshot{}
	for _, ds := range earlier.datasources {
		for _, p := range ds.partitions {
			had[p.key] = p
		}
	}
	for _, ds := range s.datasources {
		for _, p := range ds.partitions {
			old := had[p.key]
			if old != nil && old.hot != nil && old.revision == p.revision && sameAsked(old.asked, ds.need.request(p, 0)) {
				p.asked, p.hot, p.end, old.hot = old.asked, old.hot, old.end, nil
				taken[p.key] = true
			}
		}
	}
	return taken
}

// without notes the partitions whose rows are not in the snapshot: the cut says so.
func (s *snapshot) without(wants []missing) {
	for _, m := range wants {
		name := s.view.Supervisors[m.key.Supervisor].Datasource
		ds := s.datasources[name]
		at := slices.IndexFunc(ds.partitions, func(p *partitionSnapshot) bool { return p.key == m.key })
		if at < 0 { // nothing of it is committed
			ds.partitions = append(ds.partitions, &partitionSnapshot{key: m.key})
			at = len(ds.partitions) - 1
		}
		ds.partitions[at].missing = s.describe(m)
		sortPartitions(ds.partitions)
	}
}
