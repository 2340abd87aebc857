package bridge

import (
	"context"
	"errors"
	"fmt"

	"drumlin/api"
	"drumlin/catalog"
	"drumlin/coordinator"
	"drumlin/spec"
)

// Supervisors answers the api's supervisor requests, and its controls, with a coordinator.
type Supervisors struct {
	c *coordinator.Coordinator
}

// NewSupervisors fits a coordinator to the api.
func NewSupervisors(c *coordinator.Coordinator) *Supervisors { return &Supervisors{c: c} }

var (
	_ api.Supervisors = (*Supervisors)(nil)
	_ api.Controls    = (*Supervisors)(nil)
	_ api.Health      = (*coordinator.Coordinator)(nil)
)

// Submit takes a spec.
func (s *Supervisors) Submit(ctx context.Context, text []byte) (id string, warnings []string, err error) {
	id, warnings, err = s.c.Submit(ctx, text)
	return id, warnings, supervisorError(err)
}

// List returns all supervisors by id.
func (s *Supervisors) List(ctx context.Context) ([]api.Supervisor, error) {
	list, err := s.c.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.Supervisor, 0, len(list))
	for _, sup := range list {
		out = append(out, api.Supervisor{
			ID: sup.ID, State: string(sup.State), DetailedState: string(sup.DetailedState), Healthy: sup.Healthy,
			Suspended: sup.Suspended, DataSource: sup.DataSource, Spec: sup.Spec,
		})
	}
	return out, nil
}

// Status returns the report of one supervisor.
func (s *Supervisors) Status(ctx context.Context, id string) (any, error) {
	report, err := s.c.Status(ctx, id)
	if err != nil {
		return nil, supervisorError(err)
	}
	return report, nil
}

// Handoff commits every record that the brokers hold now.
func (s *Supervisors) Handoff(ctx context.Context, id string, groups []int) error {
	return supervisorError(s.c.Handoff(ctx, id, groups))
}

// Suspend stops reading.
func (s *Supervisors) Suspend(ctx context.Context, id string) error {
	return supervisorError(s.c.Suspend(ctx, id))
}

// Resume reads on.
func (s *Supervisors) Resume(ctx context.Context, id string) error {
	return supervisorError(s.c.Resume(ctx, id))
}

// supervisorError says whose fault an error of the coordinator is. An error that joins several is judged by the first
// kind that is found in it.
func supervisorError(err error) error {
	var problems spec.Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problems):
		return problemsError(problems)
	case errors.Is(err, coordinator.ErrNoSupervisor):
		return &api.Error{Category: api.NotFound, Code: "notFound", Message: err.Error(), Err: err}
	case errors.Is(err, coordinator.ErrNoPartition), errors.Is(err, coordinator.ErrSuspended):
		return &api.Error{Category: api.InvalidInput, Code: "invalidInput", Message: err.Error(), Err: err}
	case errors.Is(err, coordinator.ErrElsewhere):
		return &api.Error{Category: api.ServiceUnavailable, Code: "unavailable", Message: err.Error(), Err: err}
	case errors.Is(err, catalog.ErrConflict):
		return &api.Error{Category: api.Conflict, Code: "conflict", Message: err.Error(), Err: err}
	}
	return err
}

// problemsError lists every problem, each by its path.
func problemsError(problems spec.Problems) *api.Error {
	out := &api.Error{Category: api.InvalidInput, Code: "invalidInput", Message: "The spec is refused, and nothing has changed."}
	if n := len(problems); n > 1 {
		out.Message = fmt.Sprintf("The spec is refused with %d problems, and nothing has changed.", n)
	}
	for _, p := range problems {
		path := p.Path
		if path == "" {
			path = "the text"
		}
		out.Problems = append(out.Problems, api.Problem{Path: path, Message: p.Message})
	}
	return out
}
