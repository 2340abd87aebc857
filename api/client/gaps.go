package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Gaps are the halted partitions of one supervisor.
type Gaps struct {
	Gaps       []Gap    `json:"gaps"`
	Unanswered []string `json:"unanswered"` // processes that could not be asked
}

// Gap is one halted partition.
type Gap struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Owner     string `json:"owner"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	From      *int64 `json:"from"` // nil, as To: nothing is lost that could be accepted
	To        *int64 `json:"to"`
	Since     string `json:"since"` // ISO 8601; empty: not known
}

// GapRange are the lost offsets [From, To) of one partition.
type GapRange struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// Gaps lists the halted partitions of a supervisor.
func (c *Client) Gaps(ctx context.Context, id string) (*Gaps, error) {
	resp, err := c.do(ctx, http.MethodGet, "", nil, supervisorPath, pathEscape(id), "gaps")
	if err != nil {
		return nil, err
	}
	out := &Gaps{}
	return out, readJSON(resp, out)
}

// AcceptGap records a lost range, and returns when that is done.
func (c *Client) AcceptGap(ctx context.Context, id string, g GapRange) error {
	body, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	resp, err := c.do(ctx, http.MethodPost, "application/json", body, supervisorPath, pathEscape(id), "gaps", "accept")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
