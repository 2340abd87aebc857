package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

const supervisorPath = "/druid/indexer/v1/supervisor"

// Submitted is the answer to a spec.
type Submitted struct {
	ID       string   `json:"id"`
	Warnings []string `json:"warnings"`
}

// Supervisor is one supervisor as lists show it.
type Supervisor struct {
	ID            string          `json:"id"`
	State         string          `json:"state"`
	DetailedState string          `json:"detailedState"`
	Healthy       bool            `json:"healthy"`
	Suspended     bool            `json:"suspended"`
	DataSource    string          `json:"dataSource"`
	Spec          json.RawMessage `json:"spec"`
}

// Submit hands in a spec, in YAML or JSON.
func (c *Client) Submit(ctx context.Context, spec []byte) (*Submitted, error) {
	resp, err := c.do(ctx, http.MethodPost, "application/yaml", spec, supervisorPath)
	if err != nil {
		return nil, err
	}
	out := &Submitted{}
	return out, readJSON(resp, out)
}

// Supervisors returns all supervisors, with their specs.
func (c *Client) Supervisors(ctx context.Context) ([]Supervisor, error) {
	target := c.base.JoinPath(supervisorPath)
	target.RawQuery = "full"
	resp, err := c.send(ctx, http.MethodGet, target, "", nil)
	if err != nil {
		return nil, err
	}
	var out []Supervisor
	return out, readJSON(resp, &out)
}

// Spec returns a supervisor's spec as JSON, without its secrets.
func (c *Client) Spec(ctx context.Context, id string) (json.RawMessage, error) {
	resp, err := c.do(ctx, http.MethodGet, "", nil, supervisorPath, pathEscape(id))
	if err != nil {
		return nil, err
	}
	var out json.RawMessage
	return out, readJSON(resp, &out)
}

// StatusJSON returns a supervisor's status report as the server sends it.
func (c *Client) StatusJSON(ctx context.Context, id string) (json.RawMessage, error) {
	resp, err := c.do(ctx, http.MethodGet, "", nil, supervisorPath, pathEscape(id), "status")
	if err != nil {
		return nil, err
	}
	var out json.RawMessage
	return out, readJSON(resp, &out)
}

// Handoff commits every record that the brokers hold at this moment and returns when the commits are visible. Groups
// name partitions; none means all.
func (c *Client) Handoff(ctx context.Context, id string, groups []int) error {
	if groups == nil {
		groups = []int{}
	}
	body, err := json.Marshal(map[string][]int{"taskGroupIds": groups})
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	resp, err := c.do(ctx, http.MethodPost, "application/json", body, supervisorPath, pathEscape(id), "taskGroups", "handoff")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Control sends one of the verbs suspend and resume.
func (c *Client) Control(ctx context.Context, id, verb string) error {
	resp, err := c.do(ctx, http.MethodPost, "", nil, supervisorPath, pathEscape(id), verb)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Ready returns nil once the server can answer; an *Error says why it cannot yet.
func (c *Client) Ready(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodGet, "", nil, "/status/health")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func pathEscape(s string) string { return url.PathEscape(s) }
