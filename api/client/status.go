package client

import (
	"context"
	"encoding/json"
	"fmt"
)

// Status is a supervisor's status report: Druid's fields, and Drumlin's facts about each partition.
type Status struct {
	ID             string        `json:"id"`
	GenerationTime string        `json:"generationTime"`
	Payload        StatusPayload `json:"payload"`
}

// StatusPayload is the payload of a status report, as far as this client reads it.
type StatusPayload struct {
	DataSource      string            `json:"dataSource"`
	Stream          string            `json:"stream"`
	Suspended       bool              `json:"suspended"`
	Healthy         bool              `json:"healthy"`
	State           string            `json:"state"`
	DetailedState   string            `json:"detailedState"`
	AggregateLag    *int64            `json:"aggregateLag"` // nil: not known yet
	RecentErrors    []StatusError     `json:"recentErrors"`
	Warnings        []string          `json:"warnings"`
	PartitionStatus []PartitionStatus `json:"partitionStatus"`
}

// StatusError is one recent error of a supervisor.
type StatusError struct {
	Timestamp string `json:"timestamp"`
	Message   string `json:"message"`
}

// PartitionStatus is what became of one partition.
type PartitionStatus struct {
	Topic           string `json:"topic"`
	Partition       int32  `json:"partition"`
	Generation      int32  `json:"generation"`
	Owner           string `json:"owner"`           // node id; empty: nobody
	State           string `json:"state"`           // empty: read by another process, or by none
	CommittedOffset *int64 `json:"committedOffset"` // nil: it has not begun
	CurrentOffset   *int64 `json:"currentOffset"`   // read up to here; nil: not known
	LatestOffset    *int64 `json:"latestOffset"`    // the broker's end; nil: not known
	Lag             *int64 `json:"lag"`
	HotRows         int64  `json:"hotRows"`
	HotBytes        int64  `json:"hotBytes"`
	Counters        struct {
		Lost int64 `json:"lost"` // offsets that were accepted as lost
	} `json:"counters"`
	UndecidedRecords int64  `json:"undecidedRecords"` // behind an open transaction: nobody may read them yet
	UndecidedSince   string `json:"undecidedSince"`   // when the end of what is decided last moved; empty: nothing is undecided

	LastCommit string `json:"lastCommit"` // ISO 8601; empty: never
	Halted     string `json:"halted"`     // why reading has stopped; empty: it has not
	Error      string `json:"error"`      // what went wrong last, and is being retried unless it has halted
}

// Status returns a supervisor's status report.
func (c *Client) Status(ctx context.Context, id string) (*Status, error) {
	text, err := c.StatusJSON(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &Status{}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("the status of supervisor %s cannot be read: %w", id, err)
	}
	return out, nil
}
