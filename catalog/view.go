package catalog

import (
	"encoding/json"

	"drumlin/segment"
)

// View is the catalog at one revision: immutable, shared by all readers, complete (long commits and manifests have
// been read from the object store and their checksums verified). Maps and slices of a View are never changed.
type View struct {
	Revision    int64
	Incarnation string
	Datasources map[string]*DatasourceView
	Supervisors map[string]*SupervisorView
	Nodes       map[string]Node
	Tasks       map[string]*TaskView // by id; finished ones until somebody deletes them

	// keys and hash identify the keys that the view was built from, so that Swap can prove the view complete.
	keys int
	hash uint64
}

// DatasourceView is one datasource at the view's revision.
type DatasourceView struct {
	Datasource
	Schema  *segment.Schema           // the newest
	Schemas map[int32]*segment.Schema // every version
	// RetentionFloorMillis and DedupFloorMillis are the datasource's floors; 0: none.
	RetentionFloorMillis int64
	DedupFloorMillis     int64
	AutoCompaction       *Setting      // nil: none
	Rules                *Setting      // nil: none
	Buckets              []*BucketView // ascending; only buckets with a head or live segments
}

// BucketView is the live content of one bucket: Settled ∪ Tail. A dropped bucket has neither, and hides hot rows too.
// Buckets that share a manifest (a coarser compaction) appear as one, whose Bucket spans them.
type BucketView struct {
	Bucket  segment.Bucket
	Members []segment.Bucket // the catalog's buckets that Bucket spans, ascending and adjacent; one or more
	Head    *Head            // of every member; nil: never compacted
	// HeadRevision is the mod_revision of the members' head keys, which are put together; 0: never compacted.
	HeadRevision int64
	Manifest     *Manifest      // nil where Head is nil or dropped
	Settled      []segment.Meta // data segments compacted together; free of copies among themselves
	Tail         []TailSegment  // data segments adopted as they are, or of commits past the head's absorbed revision
	Rejects      []segment.Meta // rejects segments, in no order
	Commits      []CommitRef    // every commit not yet absorbed by this bucket
	// PlanSpec is the plan that the bucket's rows are seen through: the head's, or the datasource's own (canonical JSON of
	// a rollup.Definition); nil: rows as ingested.
	PlanSpec json.RawMessage

	absorbed *Manifest // the head's, dropped or not; nil where Head is nil
}

// TailSegment is a data segment that has not been compacted with the others of its bucket. No identity occurs twice
// within one unit (the segments of one bucket with the same Unit): a commit removes the copies of its own range.
type TailSegment struct {
	segment.Meta
	Unit string `json:"unit"`
}

// CommitRef names a live commit.
type CommitRef struct {
	Key            string
	CreateRevision int64
	Commit         *Commit
}

// SupervisorView is one supervisor at the view's revision.
type SupervisorView struct {
	Supervisor
	Partitions map[PartitionKey]*PartitionView
}

// PartitionView is one partition at the view's revision.
type PartitionView struct {
	Key            PartitionKey
	Offset         Offset
	OffsetRevision int64  // mod_revision of the offset key
	Owner          *Owner // nil: nobody
}

// Dropped says whether the bucket's head hides all its rows.
func (b *BucketView) Dropped() bool { return b.Head != nil && b.Head.State == HeadDropped }
