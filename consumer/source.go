package consumer

import (
	"context"
	"errors"
	"fmt"

	"drumlin/catalog"
	"drumlin/consumer/decode"
	"drumlin/spec"
)

// Broker is what a partition's worker needs of Kafka. *Kafka is the real one.
type Broker interface {
	// Open begins to read a partition at an offset; the caller closes the source.
	Open(ctx context.Context, r OpenRequest) (Source, error)
	// Bounds describes the partition's log as it is now.
	Bounds(ctx context.Context, s *spec.Supervisor, topic string, partition int32) (Bounds, error)
	// Advise commits offsets of one supervisor's partitions to its group, which only people's lag tools read.
	Advise(ctx context.Context, list []Advice) error
}

// Source delivers the records of one partition, in the order of their offsets, in read_committed mode with control
// records, so that positions pass them.
type Source interface {
	// Poll waits for records. Any error ends the source: ErrOutOfRange, a *TruncatedError, ErrBatchTooLarge, ErrNoTopic,
	// or something that opening a new source may cure.
	Poll(ctx context.Context) (Fetch, error)
	// Close ends fetching and waits for it.
	Close()
}

// OpenRequest says where to read.
type OpenRequest struct {
	Spec        *spec.Supervisor
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // of the record before Offset; −1: unknown, and no truncation can be noticed
}

// Record is one record of the log.
type Record struct {
	decode.Record
	LeaderEpoch int32
	Control     bool
}

// Fetch is what one poll brought. The records hold until the poll after the next returns.
type Fetch struct {
	Records   []Record
	TopicID   string // whose records these are; 32 hex digits
	LogStart  int64  // first offset that still exists; −1: unknown
	StableEnd int64  // end of what is decided (the last stable offset); −1: unknown
	End       int64  // high watermark; −1: unknown
}

// Bounds describes a partition's log.
type Bounds struct {
	TopicID   string // 32 hex digits
	LogStart  int64
	StableEnd int64 // end of what is decided (the last stable offset)
	End       int64 // high watermark
}

// Advice is a committed position for people's lag tools.
type Advice struct {
	Spec        *spec.Supervisor
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32
}

func (a Advice) key() catalog.PartitionKey {
	return catalog.PartitionKey{Supervisor: a.Spec.ID, Topic: a.Topic, Partition: a.Partition}
}

// Errors of sources and brokers; match them with errors.Is.
var (
	// ErrOutOfRange: the log does not hold the offset.
	ErrOutOfRange = errors.New("offset out of range")
	// ErrNoTopic: the topic or partition does not exist, or not under the id that it had.
	ErrNoTopic = errors.New("topic or partition does not exist")
	// ErrBatchTooLarge: a compressed batch would grow past the limit.
	ErrBatchTooLarge = errors.New("compressed batch is too large")
)

// TruncatedError says that the log has changed below a position that was read: records from ResetTo on are not the
// ones that were read before.
type TruncatedError struct {
	ConsumedTo, ResetTo int64
	ResetToEpoch        int32
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("the log was truncated: read to offset %d, but it differs from offset %d on", e.ConsumedTo, e.ResetTo)
}
