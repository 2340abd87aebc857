package catalog

import (
	"fmt"
	"slices"
	"strings"

	"drumlin/segment"
)

// state is the catalog's keys folded into what views are built from. One goroutine owns it: the one that loads it and
// applies the watch. Everything it points to is immutable and may be shared with views.
type state struct {
	revision    int64
	keys        map[string]keyState
	hash        uint64 // over (key, mod revision) of all keys, in no order
	incarnation string
	format      Format
	formatMod   int64
	datasources map[string]*datasourceState
	supervisors map[string]*supervisorState
	nodes       map[string]Node
	pins        map[string]Pin
	tasks       map[string]*TaskView
	epochs      map[string]int64 // own/… and claim/… → create_revision: the epochs that live

	supervisorsChanged bool
	nodesChanged       bool
	tasksChanged       bool
}

// keyState is what tells a missed or repeated event from the next one.
type keyState struct {
	create, mod, version int64
}

type datasourceState struct {
	constant *Datasource // nil: commits came first, which only a corrupt catalog shows
	schemas  map[int32]*segment.Schema
	floors   Floors

	autoCompaction, rules *Setting // nil: none

	heads    map[int64]*headState  // by start of the bucket
	commits  map[string]*CommitRef // by key
	byBucket map[int64]map[string]*CommitRef
	ends     map[int64]int64 // start → end of every bucket ever named

	views    map[int64]*BucketView // by start of the first member
	memberOf map[int64]int64       // member's start → first member's start
	dirty    map[int64]struct{}    // members whose view must be built again
	changed  bool                  // the datasource's own facts changed
}

type headState struct {
	head     *Head
	mod      int64
	manifest *Manifest
}

type supervisorState struct {
	newest     *Supervisor
	partitions map[PartitionKey]*PartitionView
	changed    bool
}

func newState() *state {
	return &state{
		keys: map[string]keyState{}, datasources: map[string]*datasourceState{}, nodes: map[string]Node{},
		supervisors: map[string]*supervisorState{}, pins: map[string]Pin{}, epochs: map[string]int64{},
		tasks: map[string]*TaskView{}, supervisorsChanged: true, nodesChanged: true, tasksChanged: true,
	}
}

func (s *state) datasource(name string) *datasourceState {
	d, ok := s.datasources[name]
	if !ok {
		d = &datasourceState{
			schemas: map[int32]*segment.Schema{}, heads: map[int64]*headState{}, commits: map[string]*CommitRef{},
			byBucket: map[int64]map[string]*CommitRef{}, ends: map[int64]int64{}, views: map[int64]*BucketView{},
			memberOf: map[int64]int64{}, dirty: map[int64]struct{}{}, changed: true,
		}
		s.datasources[name] = d
	}
	return d
}

func (s *state) supervisor(id string) *supervisorState {
	v, ok := s.supervisors[id]
	if !ok {
		v = &supervisorState{partitions: map[PartitionKey]*PartitionView{}, changed: true}
		s.supervisors[id] = v
	}
	return v
}

// put folds one key in. objects holds what its value names.
func (s *state) put(kv KeyValue, objects contents) error {
	switch {
	case kv.Key == keyFormat:
		var f Format
		if err := decode(kv.Key, kv.Value, &f); err != nil {
			return err
		}
		s.format, s.formatMod = f, kv.ModRevision
		return f.admitsReader()
	case kv.Key == keyIncarnation:
		return s.putIncarnation(kv)
	case strings.HasPrefix(kv.Key, prefixNode):
		return s.putNode(kv)
	case strings.HasPrefix(kv.Key, prefixOwn):
		return s.putOwner(kv)
	case strings.HasPrefix(kv.Key, prefixOffset):
		return s.putOffset(kv)
	case strings.HasPrefix(kv.Key, prefixCommit):
		return s.putCommit(kv, objects)
	case strings.HasPrefix(kv.Key, prefixHead):
		return s.putHead(kv, objects)
	case strings.HasPrefix(kv.Key, prefixClaim):
		s.epochs[kv.Key] = kv.CreateRevision
		return s.claimChanged(kv.Key)
	case strings.HasPrefix(kv.Key, prefixTask):
		return s.putTask(kv)
	case strings.HasPrefix(kv.Key, prefixPin):
		var p Pin
		if err := decode(kv.Key, kv.Value, &p); err != nil {
			return err
		}
		s.pins[kv.Key] = p
		return nil
	default:
		return s.putDefinition(kv)
	}
}

// putDefinition folds in what a datasource or supervisor is.
func (s *state) putDefinition(kv KeyValue) error {
	switch {
	case strings.HasPrefix(kv.Key, prefixDatasource):
		var d Datasource
		if err := decode(kv.Key, kv.Value, &d); err != nil {
			return err
		}
		if datasourceKey(d.Name) != kv.Key {
			return corruptf("%s holds datasource %q", kv.Key, d.Name)
		}
		ds := s.datasource(d.Name)
		ds.constant, ds.changed = &d, true
	case strings.HasPrefix(kv.Key, prefixSchema):
		schema, err := decodeSchema(kv.Key, kv.Value)
		if err != nil {
			return err
		}
		parts, err := splitKey(kv.Key, prefixSchema, 2)
		if err != nil {
			return err
		}
		ds := s.datasource(parts[0])
		ds.schemas[schema.ID], ds.changed = schema, true
	case strings.HasPrefix(kv.Key, prefixFloor):
		var f Floors
		if err := decode(kv.Key, kv.Value, &f); err != nil {
			return err
		}
		parts, err := splitKey(kv.Key, prefixFloor, 1)
		if err != nil {
			return err
		}
		ds := s.datasource(parts[0])
		ds.floors, ds.changed = f, true
	case strings.HasPrefix(kv.Key, prefixSpec):
		return s.putSpec(kv)
	case strings.HasPrefix(kv.Key, prefixAutoCompact), strings.HasPrefix(kv.Key, prefixRules):
		return s.putSetting(kv)
	}
	// Other prefixes belong to later versions or to packages that read them by themselves.
	return nil
}

func (s *state) putSpec(kv KeyValue) error {
	if strings.Count(kv.Key, "/") > 1 {
		return nil // a numbered version; the newest stands in the short key
	}
	var v Supervisor
	if err := decode(kv.Key, kv.Value, &v); err != nil {
		return err
	}
	if specKey(v.ID) != kv.Key || v.Version < 1 {
		return corruptf("%s holds version %d of supervisor %q", kv.Key, v.Version, v.ID)
	}
	sup := s.supervisor(v.ID)
	sup.newest, sup.changed, s.supervisorsChanged = &v, true, true
	return nil
}

func (s *state) putIncarnation(kv KeyValue) error {
	id := string(kv.Value)
	if s.incarnation != "" && s.incarnation != id {
		return fmt.Errorf("%w: incarnation %s became %s; restart this process", ErrIncarnation, s.incarnation, id)
	}
	s.incarnation = id
	return nil
}

func (s *state) putNode(kv KeyValue) error {
	var n Node
	if err := decode(kv.Key, kv.Value, &n); err != nil {
		return err
	}
	if nodeKey(n.ID) != kv.Key {
		return corruptf("%s holds node %q", kv.Key, n.ID)
	}
	s.nodes[n.ID], s.nodesChanged = n, true
	return nil
}

// partition gives a fresh copy of the partition's view, to be changed and published.
func (s *state) partition(k PartitionKey) *PartitionView {
	sup := s.supervisor(k.Supervisor)
	next := &PartitionView{Key: k}
	if old := sup.partitions[k]; old != nil {
		*next = *old
	}
	sup.partitions[k], sup.changed, s.supervisorsChanged = next, true, true
	return next
}

func (s *state) putOwner(kv KeyValue) error {
	k, err := parsePartitionKey(kv.Key, prefixOwn)
	if err != nil {
		return err
	}
	var v ownValue
	if err := decode(kv.Key, kv.Value, &v); err != nil {
		return err
	}
	s.epochs[kv.Key] = kv.CreateRevision
	s.partition(k).Owner = &Owner{PartitionKey: k, Node: v.Node, Epoch: kv.CreateRevision}
	return nil
}

func (s *state) putOffset(kv KeyValue) error {
	k, err := parsePartitionKey(kv.Key, prefixOffset)
	if err != nil {
		return err
	}
	o, err := decodeOffset(kv.Key, kv.Value)
	if err != nil {
		return err
	}
	p := s.partition(k)
	p.Offset, p.OffsetRevision = o, kv.ModRevision
	return nil
}

func (s *state) putCommit(kv KeyValue, objects contents) error {
	v, err := decodeCommit(kv.Key, kv.Value)
	if err != nil {
		return err
	}
	c := &v.Commit
	if v.External {
		full, err := objects.commit(c)
		if err != nil {
			return err
		}
		c = full
	}
	ref := &CommitRef{Key: kv.Key, CreateRevision: kv.CreateRevision, Commit: c}
	d := s.datasource(c.Datasource)
	if old := d.commits[kv.Key]; old != nil {
		d.unlist(old)
	}
	d.commits[kv.Key] = ref
	for _, b := range c.Buckets() {
		if end, ok := d.ends[b.StartMillis]; ok && end != b.EndMillis {
			return corruptf("%s: bucket %d ends at %d and at %d", kv.Key, b.StartMillis, end, b.EndMillis)
		}
		d.ends[b.StartMillis] = b.EndMillis
		if d.byBucket[b.StartMillis] == nil {
			d.byBucket[b.StartMillis] = map[string]*CommitRef{}
		}
		d.byBucket[b.StartMillis][kv.Key] = ref
		d.dirty[b.StartMillis] = struct{}{}
	}
	return nil
}

func (d *datasourceState) unlist(ref *CommitRef) {
	delete(d.commits, ref.Key)
	for _, b := range ref.Commit.Buckets() {
		delete(d.byBucket[b.StartMillis], ref.Key)
		d.dirty[b.StartMillis] = struct{}{}
	}
}

func (s *state) putHead(kv KeyValue, objects contents) error {
	name, start, err := parseHeadKey(kv.Key)
	if err != nil {
		return err
	}
	h, err := decodeHead(kv.Key, kv.Value)
	if err != nil {
		return err
	}
	m, err := objects.manifest(h)
	if err != nil {
		return err
	}
	if m.Datasource != name || m.State != h.State || m.Plan != h.Plan || m.Sequence != h.Sequence {
		return corruptf("%s and its manifest %s disagree", kv.Key, h.Manifest)
	}
	if !slices.ContainsFunc(m.Buckets, func(b segment.Bucket) bool { return b.StartMillis == start }) {
		return corruptf("%s is not among the buckets of its manifest %s", kv.Key, h.Manifest)
	}
	d := s.datasource(name)
	d.heads[start] = &headState{head: h, mod: kv.ModRevision, manifest: m}
	d.dirty[start] = struct{}{}
	for _, b := range m.Buckets {
		d.ends[b.StartMillis] = b.EndMillis
	}
	return nil
}

// remove folds a deletion in.
func (s *state) remove(key string) error {
	switch {
	case strings.HasPrefix(key, prefixNode):
		parts, err := splitKey(key, prefixNode, 1)
		if err != nil {
			return err
		}
		delete(s.nodes, parts[0])
		s.nodesChanged = true
	case strings.HasPrefix(key, prefixOwn):
		k, err := parsePartitionKey(key, prefixOwn)
		if err != nil {
			return err
		}
		delete(s.epochs, key)
		s.partition(k).Owner = nil
	case strings.HasPrefix(key, prefixCommit):
		for _, d := range s.datasources {
			if ref := d.commits[key]; ref != nil {
				d.unlist(ref)
			}
		}
	case strings.HasPrefix(key, prefixClaim):
		delete(s.epochs, key)
		return s.claimChanged(key)
	case strings.HasPrefix(key, prefixTask):
		parts, err := splitKey(key, prefixTask, 1)
		if err != nil {
			return err
		}
		delete(s.tasks, parts[0])
		s.tasksChanged = true
	case strings.HasPrefix(key, prefixAutoCompact), strings.HasPrefix(key, prefixRules):
		return s.removeSetting(key)
	case strings.HasPrefix(key, prefixPin):
		delete(s.pins, key)
	case key == keyFormat || key == keyIncarnation || strings.HasPrefix(key, prefixOffset) ||
		strings.HasPrefix(key, prefixHead) || strings.HasPrefix(key, prefixDatasource) ||
		strings.HasPrefix(key, prefixSchema) || strings.HasPrefix(key, prefixSpec) || strings.HasPrefix(key, prefixFloor):
		return corruptf("%s was deleted; it never is: restore the catalog from a backup, or rebuild it", key)
	}
	return nil
}

// Buckets are the buckets that the commit belongs to: those of its segments, and its rejects bucket.
func (c *Commit) Buckets() []segment.Bucket {
	out := []segment.Bucket{c.RejectsBucket}
	for i := range c.Segments {
		b := c.Segments[i].Bucket
		known := false
		for _, o := range out {
			known = known || o == b
		}
		if !known {
			out = append(out, b)
		}
	}
	return out
}
