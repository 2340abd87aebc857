package segment

import "github.com/apache/arrow-go/v18/arrow"

// Facts are what the catalog has recorded about how records from an offset on are judged (law 2: purity). Hot rows
// whose facts differ from those of the partition's committed offset at the cut are not used.
type Facts struct {
	SpecVersion          int64 `json:"specVersion"`
	RetentionFloorMillis int64 `json:"retentionFloor"` // buckets that end at or before it are rejected; 0: none
	DedupFloorMillis     int64 `json:"dedupFloor"`     // buckets below it are beyond the horizon; 0: none
}

// HotRequest asks the owner of a partition for the rows that a cut needs.
type HotRequest struct {
	Supervisor string
	Topic      string
	Generation int32
	Partition  int32
	From       int64 // the partition's committed offset at the cut's revision
	Facts      Facts // as recorded in that offset
	Revision   int64 // the cut's revision

	// What the asker needs of these rows. An owner in the same process may ignore all of it, since it copies nothing: more
	// rows and columns than asked for are right, fewer are not.
	Columns     []string // names of the data columns; identity, offset and time always come too. nil: all
	WithRejects bool     // the rejects are wanted
	FromMillis  int64    // rows of event time in [FromMillis, ToMillis) are needed; both 0: all
	ToMillis    int64
	// Since and Reading say that the asker holds the rows of [From, Since) of this reading, and needs those from Since on.
	// Empty: he holds none.
	Since   int64
	Reading string
}

// HotRows are the rows of [From, To) of one partition, in immutable batches. The receiver owns one reference and
// calls Release once.
type HotRows struct {
	OffsetRange
	Counters Counters   // what became of [From, To); Duplicates are not known yet and stand in Stored
	Data     []HotBatch // in offset order; the first may hold rows below From: a reader cuts by __offset
	Rejects  []HotBatch
	// Reading names the rows' reading: rows of one reading and offset are the same whenever they are asked for. Another owner,
	// another epoch, or an owner who begins anew has another one. Empty: nothing is known of that.
	Reading string
}

// HotBatch is a small immutable batch of rows of one partition. Its columns are those of HotArrowSchema (data) or
// HotRejectsArrowSchema (rejects); topic, generation and partition are constant and not stored.
type HotBatch struct {
	Record     arrow.RecordBatch
	SchemaID   int32
	FromOffset int64 // offset of the first row
	ToOffset   int64 // offset of the last row + 1
	MinMillis  int64
	MaxMillis  int64
	Buckets    []BucketRows // rows by bucket, ascending
}

// BucketRows counts rows of one bucket. Bytes is an estimate of the Arrow bytes they occupy.
type BucketRows struct {
	Bucket Bucket
	Rows   int64
	Bytes  int64
}

// Release gives back the receiver's reference to every batch.
func (h *HotRows) Release() {
	for _, b := range h.Data {
		b.Record.Release()
	}
	for _, b := range h.Rejects {
		b.Record.Release()
	}
}

// HotStatus says why an owner cannot give the hot rows that a cut needs.
type HotStatus int

// The reasons, each with what the asker does about it.
const (
	// HotStaleView: the rows from the asked offset on are committed and gone from memory, or the facts have changed:
	// wait for the view at Revision and plan again.
	HotStaleView HotStatus = iota + 1
	// HotCatchingUp: the owner is still reading up to the high watermark that it saw when it acquired the partition;
	// it has reached At. Ask again within a budget.
	HotCatchingUp
	// HotWrongGeneration: the topic's generation has changed: plan again.
	HotWrongGeneration
	// HotNotOwner: this process does not own the partition (any more, or yet): plan again within a budget.
	HotNotOwner
	// HotHalted: the owner has stopped reading before that high watermark, at At, until somebody decides: waiting does not help.
	HotHalted
)

// HotUnavailable is the error with which an owner refuses hot rows; no rows come with it.
type HotUnavailable struct {
	Status   HotStatus
	Revision int64 // HotStaleView: the view to wait for
	At       int64 // HotCatchingUp, HotHalted: the offset reached
	Detail   string
}

func (e *HotUnavailable) Error() string { return e.Detail }
