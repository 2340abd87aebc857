package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits of one transaction that every backend keeps: etcd refuses more than 128 compares or operations per branch,
// and requests past 1.5 MiB, of which some goes to what is around keys and values.
const (
	MaxTxnOps   = 128
	MaxTxnBytes = 1_400_000
)

// Errors of a backend; match them with errors.Is.
var (
	// ErrKVUnknown: the request may or may not have taken effect.
	ErrKVUnknown = errors.New("outcome of the catalog request is unknown")
	// ErrKVUnavailable: the request has not taken effect and may be sent again.
	ErrKVUnavailable = errors.New("catalog store is not available")
	// ErrKVCompacted: the revision asked for has been compacted away.
	ErrKVCompacted = errors.New("catalog revision has been compacted")
	// ErrKVFutureRevision: the revision asked for is not there yet.
	ErrKVFutureRevision = errors.New("catalog revision lies in the future")
	// ErrKVLeaseNotFound: the lease has expired or was revoked.
	ErrKVLeaseNotFound = errors.New("lease not found")
	// ErrKVRefused: the store does not admit this process: its user, its password, or what the user may do is wrong. The
	// request has not taken effect, and waiting does not help.
	ErrKVRefused = errors.New("the catalog store refuses access")
	// ErrKVTooLarge: the transaction is past the store's limits; it has not taken effect.
	ErrKVTooLarge = errors.New("catalog transaction is too large")
)

// KV is the part of a revisioned key-value store that the protocol needs. Keys are relative to the cluster's prefix.
// Every transaction that changes something gets the next revision. It is safe for concurrent use.
type KV interface {
	// Range reads all keys with the prefix at one revision, in key order; revision 0 is the newest, read linearizably.
	Range(ctx context.Context, prefix string, o RangeOptions) (*RangeResult, error)
	// Txn runs Then if all compares hold, else Else, as one step.
	Txn(ctx context.Context, t Txn) (*TxnResult, error)
	// Watch delivers every change of keys with the prefix from revision on, in order, whole revisions at a time, until
	// ctx ends or a batch with an error has been delivered; then the channel is closed. The caller drains it.
	Watch(ctx context.Context, prefix string, from int64) Watcher
}

// Leases give keys a life time: a key that was put with a lease goes when the lease does.
type Leases interface {
	Grant(ctx context.Context, ttl time.Duration) (lease int64, err error)
	// KeepAlive renews the lease for its whole time; ErrKVLeaseNotFound says that it is gone.
	KeepAlive(ctx context.Context, lease int64) error
	// Revoke ends the lease and deletes its keys in one revision; revoking what is gone succeeds.
	Revoke(ctx context.Context, lease int64) error
}

// Backend is what Open needs of a store.
type Backend interface {
	KV
	Leases
}

// RangeOptions narrow a Range.
type RangeOptions struct {
	Revision int64 // 0: the newest, read linearizably
	Exact    bool  // only the key that equals prefix
	KeysOnly bool  // leave values out
}

// KeyValue is one key at one revision.
type KeyValue struct {
	Key            string
	Value          []byte
	CreateRevision int64
	ModRevision    int64
	Version        int64 // 1 at creation, one more at each put
	Lease          int64 // 0: none
}

// RangeResult is the answer to a Range.
type RangeResult struct {
	Revision int64 // at which it was read
	KVs      []KeyValue
}

// CompareTarget is the property of a key that a compare reads.
type CompareTarget int

// The targets of compares. Both are 0 for a key that does not exist.
const (
	CompareCreate CompareTarget = iota + 1
	CompareMod
)

// Compare holds if the key's create or mod revision equals Revision.
type Compare struct {
	Key      string
	Target   CompareTarget
	Revision int64
}

// OpKind is what an operation does.
type OpKind int

// The kinds of operations.
const (
	OpPut OpKind = iota + 1
	OpDelete
	OpGet
)

// Op is one operation of a transaction, on one key.
type Op struct {
	Kind  OpKind
	Key   string
	Value []byte // OpPut
	Lease int64  // OpPut; 0: none
}

// Txn is a transaction.
type Txn struct {
	If   []Compare
	Then []Op
	Else []Op
}

// CheckLimits refuses what a backend must not even send.
func (t *Txn) CheckLimits() error {
	if max(len(t.If), len(t.Then), len(t.Else)) > MaxTxnOps {
		return fmt.Errorf("%w: more than %d compares or operations", ErrKVTooLarge, MaxTxnOps)
	}
	size := 0
	for _, ops := range [][]Op{t.Then, t.Else} {
		for _, op := range ops {
			size += len(op.Key) + len(op.Value)
		}
	}
	if size > MaxTxnBytes {
		return fmt.Errorf("%w: %d bytes of keys and values, the limit is %d", ErrKVTooLarge, size, MaxTxnBytes)
	}
	return nil
}

// TxnResult is the answer to a transaction. Gets holds the answers to OpGet of the branch that ran, by key.
type TxnResult struct {
	Succeeded bool
	Revision  int64
	Gets      map[string]KeyValue // keys that exist
}

// Watcher is a running watch. RequestProgress asks for a batch without events that carries the store's revision once
// everything up to it has been delivered.
type Watcher struct {
	Batches         <-chan WatchBatch
	RequestProgress func(ctx context.Context) error
}

// WatchBatch is a list of changes of whole revisions, or a progress report, or the watch's end.
type WatchBatch struct {
	Events   []Event
	Revision int64 // everything up to it has been delivered
	Err      error // the watch has ended: ErrKVCompacted, or why it broke
}

// Event is one change of one key. For a deletion only Key and ModRevision (of the deletion) are set.
type Event struct {
	Deleted bool
	KeyValue
}

// The helpers below keep transactions readable.

func ifCreated(key string, revision int64) Compare {
	return Compare{Key: key, Target: CompareCreate, Revision: revision}
}

func ifModified(key string, revision int64) Compare {
	return Compare{Key: key, Target: CompareMod, Revision: revision}
}

func ifAbsent(key string) Compare { return ifCreated(key, 0) }

func opPut(key string, value []byte) Op { return Op{Kind: OpPut, Key: key, Value: value} }

func opDelete(key string) Op { return Op{Kind: OpDelete, Key: key} }

func opGets(keys ...string) []Op {
	ops := make([]Op, len(keys))
	for i, k := range keys {
		ops[i] = Op{Kind: OpGet, Key: k}
	}
	return ops
}
