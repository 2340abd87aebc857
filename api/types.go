package api

import (
	"context"
	"encoding/json"
)

// Queries answers SQL.
type Queries interface {
	// Query runs one statement. Errors that are not an *Error are taken for ours (500), except context errors.
	Query(ctx context.Context, q Query) (*Answer, error)
}

// Query is one SQL request. Numbers in Parameters and Context are int64 or float64.
type Query struct {
	SQL        string
	Parameters []Parameter
	Context    map[string]any // holds sqlQueryId always
}

// Parameter is one value for a ? in the statement, in order.
type Parameter struct {
	Type  string // a SQL type name, as the caller wrote it
	Value any    // nil, bool, string, int64, float64, []any or map[string]any
}

// Answer is a complete result. The api closes Rows.
type Answer struct {
	Columns []Column
	Cut     any // marshalled to JSON for the header X-Drumlin-Cut; nil: none
	// Missing lists the partitions whose hot rows are not in the answer, each with the reason, where the query allowed that.
	Missing []string
	Rows    Rows
}

// Column is one column of an answer, with both of the type names that Druid shows.
type Column struct {
	Name      string
	SQLType   string // VARCHAR, BIGINT, TIMESTAMP, …
	DruidType string // STRING, LONG, DOUBLE, …
}

// Rows iterates over a complete result: Next moves to the next row; the others append one cell of the current row.
type Rows interface {
	Next() bool
	// AppendJSON appends the cell as one JSON value.
	AppendJSON(dst []byte, col int) []byte
	// AppendCSV appends the cell as one CSV field, quoted where it must be; NULL is empty.
	AppendCSV(dst []byte, col int) []byte
	Close() error
}

// Supervisors holds the running specs. Where an id is not known the error is an *Error of category NotFound.
type Supervisors interface {
	// Submit takes a spec in YAML or JSON. A refused spec is an *Error with every problem.
	Submit(ctx context.Context, spec []byte) (id string, warnings []string, err error)
	// List returns all supervisors by id.
	List(ctx context.Context) ([]Supervisor, error)
	// Status returns the payload of the status report, in Druid's shape with Drumlin's additions.
	Status(ctx context.Context, id string) (any, error)
	// Handoff commits every record that the brokers hold now and returns when the commits are visible. Groups name
	// task groups (partition numbers); none means all.
	Handoff(ctx context.Context, id string, groups []int) error
}

// Supervisor is one running spec as lists show it.
type Supervisor struct {
	ID            string
	State         string // Druid's: PENDING, RUNNING, SUSPENDED, UNHEALTHY_SUPERVISOR, …
	DetailedState string
	Healthy       bool
	Suspended     bool
	DataSource    string
	Spec          json.RawMessage // JSON, without secrets
}

// Controls makes supervisors stop reading, and read on.
type Controls interface {
	Suspend(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
}

// Health says whether the process can answer.
type Health interface {
	// Ready returns nil, or why not yet.
	Ready(ctx context.Context) error
}
