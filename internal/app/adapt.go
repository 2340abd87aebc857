package app

import (
	"context"
	"errors"
	"strings"

	"drumlin/api"
	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/coordinator"
	"drumlin/peer"
	"drumlin/query"
	"drumlin/spec"
)

// queries fits the query engine to the HTTP interface.
type queries struct{ engine *query.Engine }

func (q queries) Query(ctx context.Context, r api.Query) (*api.Answer, error) {
	request := query.Request{SQL: r.SQL, Context: r.Context}
	for _, p := range r.Parameters {
		request.Parameters = append(request.Parameters, query.Parameter{Type: p.Type, Value: p.Value})
	}
	answer, err := q.engine.Query(ctx, request)
	if err != nil {
		return nil, queryError(err)
	}
	out := &api.Answer{Cut: answer.Cut, Missing: answer.Cut.Missing(), Rows: answer}
	for _, c := range answer.Columns {
		out.Columns = append(out.Columns, api.Column{Name: c.Name, SQLType: c.SQLType, DruidType: c.DruidType})
	}
	return out, nil
}

// states fits the coordinator to the query engine, which starts before it: nothing is asked until HTTP is up.
type states struct{ n *node }

func (s states) SupervisorStates(ctx context.Context) (map[string]query.SupervisorState, error) {
	list, err := s.n.cluster.List(ctx)
	out := make(map[string]query.SupervisorState, len(list))
	for _, v := range list {
		out[v.ID] = query.SupervisorState{State: string(v.State), Detailed: string(v.DetailedState), Healthy: v.Healthy}
	}
	return out, err
}

// category maps the kinds of query errors. What the caller got wrong is invalid input, be it a name, a forbidden
// function, or a statement that needs more memory than a query may use: asking again would not help.
func category(kind query.Kind) api.Category {
	switch kind {
	case query.Invalid, query.NotFound, query.Forbidden, query.OutOfMemory:
		return api.InvalidInput
	case query.Timeout:
		return api.Timeout
	case query.Canceled:
		return api.Canceled
	case query.LimitExceeded:
		return api.CapacityExceeded
	case query.Unavailable:
		return api.ServiceUnavailable
	}
	return api.RuntimeFailure
}

func queryError(err error) error {
	var e *query.Error
	if !errors.As(err, &e) {
		return err
	}
	out := &api.Error{Category: category(e.Kind), Code: e.Code, Message: e.Message, Hint: e.Hint, Err: e.Err}
	if len(e.Names) > 0 {
		out.Context = map[string]string{"names": strings.Join(e.Names, ", ")}
	}
	return out
}

// supervisors fits the coordinator to the HTTP interface.
type supervisors struct{ cluster *coordinator.Coordinator }

func (s supervisors) Submit(ctx context.Context, data []byte) (string, []string, error) {
	id, warnings, err := s.cluster.Submit(ctx, data)
	return id, warnings, supervisorError(err)
}

func (s supervisors) List(ctx context.Context) ([]api.Supervisor, error) {
	list, err := s.cluster.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.Supervisor, len(list))
	for i, v := range list {
		out[i] = api.Supervisor{
			ID: v.ID, State: string(v.State), DetailedState: string(v.DetailedState), Healthy: v.Healthy,
			Suspended: v.Suspended, DataSource: v.DataSource, Spec: v.Spec,
		}
	}
	return out, nil
}

func (s supervisors) Status(ctx context.Context, id string) (any, error) {
	status, err := s.cluster.Status(ctx, id)
	if err != nil {
		return nil, supervisorError(err)
	}
	return status, nil
}

func (s supervisors) Handoff(ctx context.Context, id string, groups []int) error {
	return supervisorError(s.cluster.Handoff(ctx, id, groups))
}

// controls fits the coordinator to the HTTP interface.
type controls struct{ cluster *coordinator.Coordinator }

func (c controls) Suspend(ctx context.Context, id string) error {
	return supervisorError(c.cluster.Suspend(ctx, id))
}

func (c controls) Resume(ctx context.Context, id string) error {
	return supervisorError(c.cluster.Resume(ctx, id))
}

func supervisorError(err error) error {
	var problems spec.Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problems):
		e := &api.Error{Category: api.InvalidInput, Code: "invalidInput", Message: "The spec is refused; nothing has changed."}
		for _, p := range problems {
			path := p.Path
			if path == "" {
				path = "the text"
			}
			e.Problems = append(e.Problems, api.Problem{Path: path, Message: p.Message})
		}
		return e
	case errors.Is(err, coordinator.ErrNoSupervisor), errors.Is(err, coordinator.ErrNoPartition):
		return &api.Error{Category: api.NotFound, Code: "notFound", Message: err.Error()}
	case errors.Is(err, coordinator.ErrSuspended):
		return &api.Error{Category: api.InvalidInput, Code: "suspended", Message: err.Error(), Hint: "Resume the supervisor first."}
	case errors.Is(err, catalog.ErrConflict):
		return &api.Error{Category: api.Conflict, Code: "conflict", Message: err.Error(), Hint: "Another change came first: look, and try again."}
	case errors.Is(err, consumer.ErrHalted):
		return &api.Error{Category: api.Conflict, Code: "halted", Message: err.Error()}
	case errors.Is(err, peer.ErrUnreachable):
		return &api.Error{Category: api.ServiceUnavailable, Code: "unreachable", Message: err.Error(), Err: err}
	case errors.Is(err, coordinator.ErrElsewhere):
		return &api.Error{Category: api.ServiceUnavailable, Code: "elsewhere", Message: err.Error(), Err: err}
	}
	return err
}
