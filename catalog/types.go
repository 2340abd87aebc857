package catalog

import (
	"encoding/json"

	"drumlin/segment"
)

// PartitionKey names one partition of one supervisor.
type PartitionKey struct {
	Supervisor string `json:"supervisor"`
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
}

// Owner is a partition's owner, as the key own/… says. Epoch is the key's create_revision: the fencing epoch.
type Owner struct {
	PartitionKey
	Node  string
	Epoch int64
}

// Offset is the authoritative position of one partition (key offset/…): every offset below Next has been committed.
type Offset struct {
	Generation   int32            `json:"generation"`
	TopicID      string           `json:"topicId"` // Kafka's topic id, 32 hex digits
	Next         int64            `json:"next"`
	LeaderEpoch  int32            `json:"leaderEpoch"` // of the record before Next; −1: unknown
	ClockMillis  int64            `json:"clock"`       // running maximum of Kafka timestamps below Next, this generation
	Facts        segment.Facts    `json:"facts"`
	Counters     segment.Counters `json:"counters"`   // sums over the commits of this generation
	CommitMillis int64            `json:"commitTime"` // wall clock of the last commit, for people only
	// Closed are the generations before this one, ascending: nothing at or past the end of one has ever been committed, so
	// that a rebuild adopts nothing there. Reset sets them, and every later put carries them over. Never changed in place.
	Closed []ClosedGeneration `json:"closed,omitempty"`
	// Record is the object that says the same beside the data, for a rebuild. The catalog sets it.
	Record string `json:"record,omitempty"`
}

// ClosedGeneration is what a partition's offset said of a generation when it ended.
type ClosedGeneration struct {
	Generation int32  `json:"generation"`
	TopicID    string `json:"topicId"`
	Start      int64  `json:"start"` // its commits cover [Start, End)
	End        int64  `json:"end"`
	Stored     int64  `json:"stored"` // by its counters
}

// Commit is one handoff: the key commit/{supervisor}/{topic}/{partition}/{generation}/{from}. Its record is written to
// the object store before the transaction that makes it live.
type Commit struct {
	UUID       string              `json:"uuid"`
	Datasource string              `json:"datasource"`
	Supervisor string              `json:"supervisor"`
	Range      segment.OffsetRange `json:"range"`
	Epoch      int64               `json:"epoch"` // the owner's; stands in every object name of the commit
	Facts      segment.Facts       `json:"facts"`
	Counters   segment.Counters    `json:"counters"` // of this commit alone
	// RejectsBucket is a bucket that the commit belongs to whatever it stored, so that a commit whose records were all
	// skipped is listed in some bucket's manifest one day.
	RejectsBucket segment.Bucket `json:"rejectsBucket"`
	// Segments are all segments of the handoff, data and rejects, by (kind, bucket, object). In etcd they stand
	// inline, or, past maxInlineBytes, only in the record object.
	Segments     []segment.Meta `json:"segments,omitempty"`
	Record       string         `json:"record"`       // key of the record object
	RecordSHA256 string         `json:"recordSha256"` // its checksum
}

// HeadState is what the compacted part of a bucket is.
type HeadState string

// The states of a head.
const (
	HeadRaw     HeadState = "raw"
	HeadFolded  HeadState = "folded"
	HeadDropped HeadState = "dropped"
)

// Head is what a bucket's compacted state is (key head/{datasource}/{bucket}).
type Head struct {
	Manifest       string    `json:"manifest"` // object key; a dropped head's manifest lists ranges and no segments
	ManifestSHA256 string    `json:"manifestSha256"`
	Absorbed       int64     `json:"absorbed"` // R: commits of the bucket with create_revision ≤ R are in the manifest
	Plan           int64     `json:"plan"`     // number of the bucket's plan; 0: the datasource's own
	State          HeadState `json:"state"`
	Sequence       int64     `json:"sequence"` // 1, 2, …: one more at every swap of this bucket
}

// Manifest is the self-contained list of what a head names. One manifest may serve many buckets (a coarser swap);
// their heads move together from then on.
type Manifest struct {
	Datasource  string           `json:"datasource"`
	Incarnation string           `json:"incarnation"`
	Epoch       int64            `json:"epoch"` // of the claim that wrote it
	Sequence    int64            `json:"sequence"`
	Buckets     []segment.Bucket `json:"buckets"`
	Plan        int64            `json:"plan"`
	// PlanSpec is the plan itself, the canonical JSON of a rollup.Definition, where Plan is not 0.
	PlanSpec json.RawMessage `json:"planSpec,omitempty"`
	State    HeadState       `json:"state"`
	// Settled segments have been compacted together: no identity occurs twice among them.
	Settled []segment.Meta `json:"settled"`
	// Adopted segments have been absorbed as they are: they count as tail, as if they were commits, and keep their unit.
	Adopted []TailSegment `json:"adopted,omitempty"`
	// Rejects are the rejects segments of the absorbed commits that belong to these buckets.
	Rejects []segment.Meta `json:"rejects,omitempty"`
	// Deletions are the deletion vectors of settled and adopted segments, at most one each. They change only with the
	// manifest.
	Deletions []Deletion `json:"deletions,omitempty"`
	// Sidecars are the further objects that the settled segments need, each with its bucket.
	Sidecars []Sidecar `json:"sidecars,omitempty"`
	// Absorbed are all commits that the manifest absorbs, by position, each once.
	Absorbed []AbsorbedRange `json:"absorbed"`
	// LastCompaction is how the settled segments were made, as the planner wrote it (JSON, with the cutting of segments): what
	// tells a chunk that needs no work from one that does. Swaps that leave the settled segments alone keep it.
	LastCompaction json.RawMessage `json:"lastCompaction,omitempty"`
	// Previous are the manifests that this one replaced: where its writer died before the marker, they tell what went.
	Previous []PreviousManifest `json:"previous,omitempty"`
	// Totals count what has happened to these buckets up to this manifest.
	Totals Totals `json:"totals"`
}

// PreviousManifest names a manifest that has been live.
type PreviousManifest struct {
	Object string `json:"object"`
	SHA256 string `json:"sha256"`
}

// Totals are sums over the life of a bucket, or of a group of buckets.
type Totals struct {
	AbsorbedSegments int64 `json:"absorbedSegments"` // data segments of absorbed commits
	AbsorbedRows     int64 `json:"absorbedRows"`     // records that they stand for
	AbsorbedBytes    int64 `json:"absorbedBytes"`
	WrittenSegments  int64 `json:"writtenSegments"` // data segments that compaction wrote
	WrittenBytes     int64 `json:"writtenBytes"`    // of them, sidecars included
	Duplicates       int64 `json:"duplicates"`      // records removed as copies of others
	Filtered         int64 `json:"filtered"`        // records removed by the plan's filter, or marked unused
}

// Add returns the field-wise sum.
func (t Totals) Add(o Totals) Totals {
	return Totals{
		AbsorbedSegments: t.AbsorbedSegments + o.AbsorbedSegments, AbsorbedRows: t.AbsorbedRows + o.AbsorbedRows,
		AbsorbedBytes: t.AbsorbedBytes + o.AbsorbedBytes, WrittenSegments: t.WrittenSegments + o.WrittenSegments,
		WrittenBytes: t.WrittenBytes + o.WrittenBytes, Duplicates: t.Duplicates + o.Duplicates, Filtered: t.Filtered + o.Filtered,
	}
}

// Deletion names the object that lists the dead rows of one segment.
type Deletion struct {
	Segment string `json:"segment"` // object key of the segment
	Object  string `json:"object"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	Rows    int64  `json:"rows"` // dead rows
}

// Sidecar names an object that holds sorted identities of settled rows.
type Sidecar struct {
	Bucket segment.Bucket `json:"bucket"`
	Object string         `json:"object"`
	Bytes  int64          `json:"bytes"`
	SHA256 string         `json:"sha256"`
	Rows   int64          `json:"rows"`
}

// Floors are a datasource's floors in event time (key floor/{datasource}); 0: none. They only ever rise.
type Floors struct {
	RetentionMillis int64 `json:"retention"`
	DedupMillis     int64 `json:"dedup"`
}

// AbsorbedRange is one absorbed commit, as a rebuild needs it. The uuid tells the commit from an orphan that begins at
// the same offset, which is why ranges are never joined.
type AbsorbedRange struct {
	Supervisor string `json:"supervisor"`
	segment.OffsetRange
	UUID string `json:"uuid"`
}

// Datasource is a datasource's constant part, fixed when its first spec is accepted (key datasource/{name}).
type Datasource struct {
	Name               string `json:"name"`
	SegmentGranularity string `json:"segmentGranularity"` // of its buckets, for ever; as spec.ParseGranularity reads it
	HashKey            string `json:"hashKey"`            // 32 hex digits: keys the identity hash
	CreatedMillis      int64  `json:"created"`
	// Plan is the plan number 0 of every bucket: the canonical JSON of a rollup.Definition; nil: rows as ingested.
	Plan json.RawMessage `json:"plan,omitempty"`
}

// Supervisor is one running spec (key spec/{id} holds the newest version; spec/{id}/{version} each of them, unchanged).
type Supervisor struct {
	ID         string `json:"id"`
	Datasource string `json:"datasource"`
	Version    int64  `json:"version"` // 1, 2, …
	SchemaID   int32  `json:"schema"`
	Suspended  bool   `json:"suspended"`
	Spec       []byte `json:"spec"` // canonical JSON, as spec.Parse accepts it
}

// Node is one live process (key node/{id}, under its lease).
type Node struct {
	ID      string   `json:"id"`
	Address string   `json:"address"` // host:port of its HTTP interface
	Roles   []string `json:"roles"`
	Version string   `json:"version"`
	// FlightAddress is host:port where other processes ask it (package peer); empty: nobody can.
	FlightAddress string `json:"flightAddress,omitempty"`
	// Leaving says that the process is about to stop: it acquires nothing more, and others take over what it gives up.
	Leaving bool `json:"leaving,omitempty"`
	// Unable names the supervisors that the process cannot read now: others read their partitions, where any can.
	Unable map[string]Unable `json:"unable,omitempty"`
	// Instance tells two processes of one id apart. Register sets it.
	Instance string `json:"instance,omitempty"`
}

// Unable is why a process cannot read a supervisor's partitions, and since when.
type Unable struct {
	SinceMillis int64  `json:"sinceMillis"`
	Reason      string `json:"reason"`
}
