package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

const (
	autoCompactionPath = "/druid/coordinator/v1/config/compaction"
	compactionPath     = "/druid/coordinator/v1/compaction"
	rulesPath          = "/druid/coordinator/v1/rules"
)

// CompactionStatus sums up a datasource's time chunks.
type CompactionStatus struct {
	DataSource         string `json:"dataSource"`
	ScheduleStatus     string `json:"scheduleStatus"`
	Message            string `json:"message"`
	BytesAwaiting      int64  `json:"bytesAwaitingCompaction"`
	SegmentsAwaiting   int64  `json:"segmentCountAwaitingCompaction"`
	IntervalsAwaiting  int64  `json:"intervalCountAwaitingCompaction"`
	IntervalsCompacted int64  `json:"intervalCountCompacted"`
	IntervalsSkipped   int64  `json:"intervalCountSkipped"`
}

// Explanation is what each policy makes of each time chunk of a datasource.
type Explanation struct {
	DataSource string              `json:"dataSource"`
	Enabled    bool                `json:"enabled"`
	Note       string              `json:"note"`
	Policies   []PolicyExplanation `json:"policies"`
}

// PolicyExplanation lists time chunks in the policy's order of preference.
type PolicyExplanation struct {
	Policy string             `json:"policy"`
	Chunks []ChunkExplanation `json:"chunks"`
}

// ChunkExplanation is the verdict on one time chunk.
type ChunkExplanation struct {
	Interval string `json:"interval"`
	Chosen   bool   `json:"chosen"`
	Skipped  bool   `json:"skipped"` // held back; neither chosen nor skipped: it needs nothing
	Reason   string `json:"reason"`
	Task     string `json:"task"` // that works on it, or waits to
	Segments int64  `json:"segments"`
	Rows     int64  `json:"rows"`
	TailRows int64  `json:"tailRows"`
	Bytes    int64  `json:"bytes"`
}

// SetAutoCompaction sets a datasource's auto-compaction config, in YAML or JSON.
func (c *Client) SetAutoCompaction(ctx context.Context, config []byte) (warnings []string, err error) {
	return c.set(ctx, config, autoCompactionPath)
}

// set posts a document and returns the warnings of the answer.
func (c *Client) set(ctx context.Context, document []byte, parts ...string) ([]string, error) {
	resp, err := c.do(ctx, http.MethodPost, "application/yaml", document, parts...)
	if err != nil {
		return nil, err
	}
	var out struct {
		Warnings []string `json:"warnings"`
	}
	err = readJSON(resp, &out)
	return out.Warnings, err
}

func (c *Client) getJSON(ctx context.Context, into any, parts ...string) error {
	resp, err := c.do(ctx, http.MethodGet, "", nil, parts...)
	if err != nil {
		return err
	}
	return readJSON(resp, into)
}

// AutoCompaction returns a datasource's auto-compaction config as JSON.
func (c *Client) AutoCompaction(ctx context.Context, datasource string) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.getJSON(ctx, &out, autoCompactionPath, pathEscape(datasource))
	return out, err
}

// DeleteAutoCompaction switches auto-compaction off for a datasource.
func (c *Client) DeleteAutoCompaction(ctx context.Context, datasource string) error {
	resp, err := c.do(ctx, http.MethodDelete, "", nil, autoCompactionPath, pathEscape(datasource))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// CompactionStatuses returns those of every datasource with auto-compaction.
func (c *Client) CompactionStatuses(ctx context.Context) ([]CompactionStatus, error) {
	var out struct {
		LatestStatus []CompactionStatus `json:"latestStatus"`
	}
	err := c.getJSON(ctx, &out, compactionPath, "status")
	return out.LatestStatus, err
}

// ExplainCompactionJSON returns what each policy makes of each time chunk as the server sends it.
func (c *Client) ExplainCompactionJSON(ctx context.Context, datasource string) (json.RawMessage, error) {
	target := c.base.JoinPath(compactionPath, "explain")
	target.RawQuery = url.Values{"dataSource": {datasource}}.Encode()
	resp, err := c.send(ctx, http.MethodGet, target, "", nil)
	if err != nil {
		return nil, err
	}
	var out json.RawMessage
	err = readJSON(resp, &out)
	return out, err
}

// SetRules sets a datasource's retention rules, a list in YAML or JSON.
func (c *Client) SetRules(ctx context.Context, datasource string, rules []byte) (warnings []string, err error) {
	return c.set(ctx, rules, rulesPath, pathEscape(datasource))
}

// Rules returns a datasource's retention rules as JSON.
func (c *Client) Rules(ctx context.Context, datasource string) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.getJSON(ctx, &out, rulesPath, pathEscape(datasource))
	return out, err
}
