package peer

import (
	"encoding/json"
	"fmt"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/segment"
)

// The types of actions.
const (
	actionStatus     = "drumlin.status"
	actionHandoff    = "drumlin.handoff"
	actionAcceptLoss = "drumlin.acceptLoss"
	actionTaskLog    = "drumlin.taskLog"
)

// actionNames are the short names, as metrics show them.
var actionNames = map[string]string{
	actionStatus: "status", actionHandoff: "handoff", actionAcceptLoss: "acceptLoss", actionTaskLog: "taskLog",
}

type statusRequest struct {
	header
	Keys []catalog.PartitionKey `json:"keys"`
}

// statusReply holds the partitions that the process reads; what was asked for and is missing it does not read.
type statusReply struct {
	header
	Partitions []partitionStatus `json:"partitions"`
}

type handoffRequest struct {
	header
	Key  catalog.PartitionKey `json:"key"`
	UpTo int64                `json:"upTo"`
}

type handoffReply struct {
	header
	Revision int64 `json:"revision"`
}

type acceptLossRequest struct {
	header
	Key  catalog.PartitionKey `json:"key"`
	From int64                `json:"from"`
	To   int64                `json:"to"`
}

type taskLogRequest struct {
	header
	ID string `json:"id"`
}

// partitionStatus is a consumer.PartitionStatus on the wire.
type partitionStatus struct {
	Key        catalog.PartitionKey `json:"key"`
	State      consumer.State       `json:"state"`
	Generation int32                `json:"generation"`
	TopicID    string               `json:"topicId"`
	Facts      segment.Facts        `json:"facts"`
	Position   int64                `json:"position"`
	Committed  int64                `json:"committed"`
	Revision   int64                `json:"revision"`
	CatchUp    int64                `json:"catchUp"`
	StableEnd  int64                `json:"stableEnd"`
	Lag        int64                `json:"lag"`
	Undecided  int64                `json:"undecided,omitempty"`
	Since      time.Time            `json:"undecidedSince,omitzero"`
	Counters   segment.Counters     `json:"counters"`
	HotRows    int64                `json:"hotRows"`
	HotBytes   int64                `json:"hotBytes"`
	Handoffs   int                  `json:"handoffs"`
	Halt       *halt                `json:"halt,omitempty"`
	LastError  string               `json:"lastError,omitempty"`
	LastAt     time.Time            `json:"lastAt,omitzero"`
	Failing    time.Time            `json:"failingSince,omitzero"`
	Attempts   int                  `json:"failedAttempts,omitempty"`
	Silent     time.Time            `json:"silentSince,omitzero"`
}

type halt struct {
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	From    int64     `json:"from"`
	To      int64     `json:"to"`
	Since   time.Time `json:"since,omitzero"`
}

func toWire(s consumer.PartitionStatus) partitionStatus {
	out := partitionStatus{
		Key: s.Key, State: s.State, Generation: s.Generation, TopicID: s.TopicID, Facts: s.Facts, Position: s.Position,
		Committed: s.Committed, Revision: s.Revision, CatchUp: s.CatchUp, StableEnd: s.StableEnd, Lag: s.Lag, Counters: s.Counters,
		HotRows: s.HotRows, HotBytes: s.HotBytes, Handoffs: s.Handoffs, LastError: s.LastError, LastAt: s.LastAt,
		Undecided: s.Undecided, Since: s.UndecidedSince, Failing: s.FailingSince, Attempts: s.FailedAttempts, Silent: s.SilentSince,
	}
	if s.Halt != nil {
		h := halt(*s.Halt)
		out.Halt = &h
	}
	return out
}

func fromWire(s partitionStatus) consumer.PartitionStatus {
	out := consumer.PartitionStatus{
		Key: s.Key, State: s.State, Generation: s.Generation, TopicID: s.TopicID, Facts: s.Facts, Position: s.Position,
		Committed: s.Committed, Revision: s.Revision, CatchUp: s.CatchUp, StableEnd: s.StableEnd, Lag: s.Lag, Counters: s.Counters,
		HotRows: s.HotRows, HotBytes: s.HotBytes, Handoffs: s.Handoffs, LastError: s.LastError, LastAt: s.LastAt,
		Undecided: s.Undecided, UndecidedSince: s.Since, FailingSince: s.Failing, FailedAttempts: s.Attempts, SilentSince: s.Silent,
	}
	if s.Halt != nil {
		h := consumer.Halt(*s.Halt)
		out.Halt = &h
	}
	return out
}

// encodeAction makes the body of an action or of its reply.
func encodeAction(what string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return text, nil
}
