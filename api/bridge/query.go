package bridge

import (
	"context"
	"errors"
	"strings"

	"drumlin/api"
	"drumlin/query"
)

// engine is what is used of *query.Engine.
type engine interface {
	Query(ctx context.Context, r query.Request) (*query.Answer, error)
}

var _ engine = (*query.Engine)(nil)

// Queries answers the api's queries with an engine.
type Queries struct {
	engine engine
}

// NewQueries fits an engine to the api.
func NewQueries(e *query.Engine) *Queries { return &Queries{engine: e} }

var _ api.Queries = (*Queries)(nil)

// Query runs one statement.
func (q *Queries) Query(ctx context.Context, r api.Query) (*api.Answer, error) {
	req := query.Request{SQL: r.SQL, Context: r.Context}
	for _, p := range r.Parameters {
		req.Parameters = append(req.Parameters, query.Parameter{Type: p.Type, Value: p.Value})
	}
	answer, err := q.engine.Query(ctx, req)
	if err != nil {
		return nil, queryError(err)
	}
	out := &api.Answer{Cut: answer.Cut, Rows: answer, Columns: make([]api.Column, len(answer.Columns))}
	for i, c := range answer.Columns {
		out.Columns[i] = api.Column{Name: c.Name, SQLType: c.SQLType, DruidType: c.DruidType}
	}
	return out, nil
}

// categories say whose fault each kind of error is. Druid answers a statement that asks for what is forbidden or not
// there, or that needs more than it may use, as bad input (400).
var categories = map[query.Kind]api.Category{
	query.Invalid:       api.InvalidInput,
	query.NotFound:      api.InvalidInput,
	query.Forbidden:     api.InvalidInput,
	query.OutOfMemory:   api.InvalidInput,
	query.Timeout:       api.Timeout,
	query.Canceled:      api.Canceled,
	query.LimitExceeded: api.CapacityExceeded,
	query.Unavailable:   api.ServiceUnavailable,
	query.Internal:      api.RuntimeFailure,
}

func queryError(err error) error {
	var e *query.Error
	if !errors.As(err, &e) {
		return err
	}
	category, ok := categories[e.Kind]
	if !ok {
		category = api.RuntimeFailure
	}
	out := &api.Error{Category: category, Code: e.Code, Message: e.Message, Hint: e.Hint, Err: e.Err}
	if len(e.Names) > 0 {
		out.Context = map[string]string{"names": strings.Join(e.Names, ", ")}
	}
	return out
}
