package catalog

import (
	"cmp"
	"maps"
	"slices"

	"drumlin/segment"
)

// view builds the view of the state's revision. What has not changed since prev is shared with it.
func (s *state) view(prev *View) (*View, error) {
	v := &View{Revision: s.revision, Incarnation: s.incarnation, keys: len(s.keys), hash: s.hash}
	v.Datasources = make(map[string]*DatasourceView, len(s.datasources))
	for name, d := range s.datasources {
		if d.constant == nil {
			if len(d.commits)+len(d.heads) > 0 {
				return nil, corruptf("datasource %q has commits or heads, but its key is missing", name)
			}
			continue
		}
		var old *DatasourceView
		if prev != nil {
			old = prev.Datasources[name]
		}
		next, err := d.view(old)
		if err != nil {
			return nil, err
		}
		v.Datasources[name] = next
	}
	if prev == nil || s.supervisorsChanged {
		v.Supervisors = s.supervisorViews(prev)
		s.supervisorsChanged = false
	} else {
		v.Supervisors = prev.Supervisors
	}
	if prev == nil || s.nodesChanged {
		v.Nodes = maps.Clone(s.nodes)
		s.nodesChanged = false
	} else {
		v.Nodes = prev.Nodes
	}
	if prev == nil || s.tasksChanged {
		v.Tasks = maps.Clone(s.tasks)
		s.tasksChanged = false
	} else {
		v.Tasks = prev.Tasks
	}
	return v, nil
}

func (s *state) supervisorViews(prev *View) map[string]*SupervisorView {
	out := make(map[string]*SupervisorView, len(s.supervisors))
	for id, sup := range s.supervisors {
		if sup.newest == nil {
			continue // its partitions came first; they show with the spec
		}
		if prev != nil && !sup.changed && prev.Supervisors[id] != nil {
			out[id] = prev.Supervisors[id]
			continue
		}
		partitions := make(map[PartitionKey]*PartitionView, len(sup.partitions))
		for k, p := range sup.partitions {
			if p.Owner != nil || p.OffsetRevision != 0 {
				partitions[k] = p
			}
		}
		out[id] = &SupervisorView{Supervisor: *sup.newest, Partitions: partitions}
		sup.changed = false
	}
	return out
}

func (d *datasourceState) view(old *DatasourceView) (*DatasourceView, error) {
	if old != nil && !d.changed && len(d.dirty) == 0 {
		return old, nil
	}
	next := &DatasourceView{
		Datasource: *d.constant, RetentionFloorMillis: d.floors.RetentionMillis, DedupFloorMillis: d.floors.DedupMillis,
		AutoCompaction: d.autoCompaction, Rules: d.rules,
	}
	if old != nil && !d.changed {
		next.Schema, next.Schemas = old.Schema, old.Schemas
	} else {
		next.Schemas = maps.Clone(d.schemas)
		for id, schema := range d.schemas {
			if next.Schema == nil || id > next.Schema.ID {
				next.Schema = schema
			}
		}
	}
	if err := d.rebuildDirty(); err != nil {
		return nil, err
	}
	next.Buckets = make([]*BucketView, 0, len(d.views))
	for _, b := range d.views {
		next.Buckets = append(next.Buckets, b)
	}
	slices.SortFunc(next.Buckets, func(a, b *BucketView) int {
		return cmp.Compare(a.Bucket.StartMillis, b.Bucket.StartMillis)
	})
	d.changed = false
	return next, nil
}

// rebuildDirty builds the views of all buckets that have changed, with the groups that they left or joined.
func (d *datasourceState) rebuildDirty() error {
	groups := map[int64][]segment.Bucket{}
	for start := range d.dirty {
		if first, ok := d.memberOf[start]; ok && d.views[first] != nil {
			for _, m := range d.views[first].Members {
				d.addGroup(groups, m.StartMillis)
			}
		}
		d.addGroup(groups, start)
	}
	for _, members := range groups {
		for _, m := range members {
			if first, ok := d.memberOf[m.StartMillis]; ok {
				delete(d.views, first)
				delete(d.memberOf, m.StartMillis)
			}
		}
	}
	for first, members := range groups {
		b, err := d.bucketView(members)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		d.views[first] = b
		for _, m := range members {
			d.memberOf[m.StartMillis] = first
		}
	}
	clear(d.dirty)
	return nil
}

// addGroup notes the group that the bucket belongs to now: its manifest's buckets, or the bucket alone.
func (d *datasourceState) addGroup(groups map[int64][]segment.Bucket, start int64) {
	members := []segment.Bucket{{StartMillis: start, EndMillis: d.ends[start]}}
	if h := d.heads[start]; h != nil {
		members = h.manifest.Buckets
	}
	groups[members[0].StartMillis] = members
}

// bucketView builds one bucket, or one group of buckets that share a manifest; nil where nothing is live.
func (d *datasourceState) bucketView(members []segment.Bucket) (*BucketView, error) {
	b := &BucketView{
		Members: members,
		Bucket:  segment.Bucket{StartMillis: members[0].StartMillis, EndMillis: members[len(members)-1].EndMillis},
	}
	first := d.heads[members[0].StartMillis]
	for _, m := range members {
		h := d.heads[m.StartMillis]
		if (h == nil) != (first == nil) || h != nil && (*h.head != *first.head || h.mod != first.mod) {
			return nil, corruptf("datasource %s: heads of buckets %d and %d share a manifest, but differ",
				d.constant.Name, members[0].StartMillis, m.StartMillis)
		}
	}
	absorbed := int64(0)
	b.PlanSpec = d.constant.Plan
	if first != nil && first.manifest.Plan != 0 {
		b.PlanSpec = first.manifest.PlanSpec
	}
	if first != nil {
		b.Head, b.HeadRevision, absorbed = first.head, first.mod, first.head.Absorbed
		b.absorbed = first.manifest
	}
	b.Commits = d.unabsorbed(members, absorbed)
	if b.Dropped() {
		return b, nil
	}
	if first != nil {
		b.Manifest = first.manifest
		b.Settled = first.manifest.Settled
		b.Tail = slices.Clone(first.manifest.Adopted)
		b.Rejects = slices.Clone(first.manifest.Rejects)
	}
	for _, ref := range b.Commits {
		b.addCommit(ref.Commit)
	}
	if b.Head == nil && len(b.Commits) == 0 {
		return nil, nil
	}
	return b, nil
}

// unabsorbed are the commits of the members past the absorbed revision, by key.
func (d *datasourceState) unabsorbed(members []segment.Bucket, absorbed int64) []CommitRef {
	var out []CommitRef
	for _, m := range members {
		for _, ref := range d.byBucket[m.StartMillis] {
			if ref.CreateRevision > absorbed {
				out = append(out, *ref)
			}
		}
	}
	slices.SortFunc(out, func(a, b CommitRef) int { return cmp.Compare(a.Key, b.Key) })
	return slices.CompactFunc(out, func(a, b CommitRef) bool { return a.Key == b.Key })
}

// addCommit adds the commit's segments that belong to the bucket.
func (b *BucketView) addCommit(c *Commit) {
	for i := range c.Segments {
		m := c.Segments[i]
		switch {
		case m.Bucket.StartMillis < b.Bucket.StartMillis || m.Bucket.EndMillis > b.Bucket.EndMillis:
		case m.Kind == segment.KindRejects:
			b.Rejects = append(b.Rejects, m)
		default:
			b.Tail = append(b.Tail, TailSegment{Meta: m, Unit: c.UUID})
		}
	}
}
