package coordinator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"drumlin/catalog"
	"drumlin/consumer/decode"
	"drumlin/rollup"
	"drumlin/spec"
)

// submitAttempts bounds how often a submission decides again after others came first.
const submitAttempts = 10

// Submit reads a spec and puts it into force. It returns when the newest view has it. A spec that is refused is an error of
// type spec.Problems, and has changed nothing.
func (c *Coordinator) Submit(ctx context.Context, data []byte) (id string, warnings []string, err error) {
	s, warnings, err := spec.Parse(data)
	if err != nil {
		return "", warnings, withProblems(err, documentProblems(spec.DocumentsOf(data)))
	}
	if _, problems := define(s); len(problems) > 0 {
		return "", warnings, problems
	}
	if _, err := decode.New(s); err != nil {
		return "", warnings, decoderProblems(err)
	}
	more, err := c.put(ctx, s)
	return s.ID, append(warnings, more...), err
}

// documentProblems says what is wrong inside a spec's metrics and transforms, whatever its form is.
func documentProblems(d spec.Documents) spec.Problems {
	var out spec.Problems
	if d.Metrics != nil {
		if _, _, err := rollup.ParseMetrics(d.Metrics); err != nil {
			out = append(out, problemsOf(err)...)
		}
	}
	if d.Transforms != nil {
		if _, _, err := rollup.ParseTransforms(d.Transforms); err != nil {
			out = append(out, problemsOf(err)...)
		}
	}
	return out
}

// withProblems adds to a refusal what else is wrong, one problem for each place. Any other error stays as it is.
func withProblems(err error, more spec.Problems) error {
	var problems spec.Problems
	if !errors.As(err, &problems) {
		return err
	}
	for _, p := range more {
		if !slices.ContainsFunc(problems, func(o spec.Problem) bool { return o.Path == p.Path }) {
			problems = append(problems, p)
		}
	}
	return problems
}

// put decides and publishes, again and again while others come first.
func (c *Coordinator) put(ctx context.Context, s *spec.Supervisor) (warnings []string, err error) {
	for range submitAttempts {
		view, err := c.o.Catalog.Refresh(ctx)
		if err != nil {
			return nil, fmt.Errorf("submit supervisor %s: %w", s.ID, err)
		}
		key, err := c.o.HashKey()
		if err != nil {
			return nil, fmt.Errorf("submit supervisor %s: %w", s.ID, err)
		}
		d, problems := decide(view, s, newDatasource{hashKey: key, nowMillis: c.o.Now().UnixMilli()})
		if len(problems) > 0 {
			return nil, problems
		}
		if d.unchanged {
			return d.warnings, nil
		}
		revision, err := c.o.Catalog.PutSupervisor(ctx, d.change)
		if errors.Is(err, catalog.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("submit supervisor %s: %w", s.ID, err)
		}
		c.o.Logger.Info("supervisor submitted", "supervisor", s.ID, "version", d.change.Supervisor.Version,
			"datasource", d.change.Supervisor.Datasource, "schema", d.change.Supervisor.SchemaID, "suspended", s.Suspended)
		if _, err := c.o.Catalog.WaitRevision(ctx, revision); err != nil {
			return nil, fmt.Errorf("supervisor %s is in force, but not visible here yet: %w", s.ID, err)
		}
		return d.warnings, nil
	}
	return nil, fmt.Errorf("submit supervisor %s: %w: others changed it %d times meanwhile: try again", s.ID,
		catalog.ErrConflict, submitAttempts)
}

// Suspend stops reading; what is hot is handed off. Resume goes on where it ended.
func (c *Coordinator) Suspend(ctx context.Context, id string) error {
	return c.setSuspended(ctx, id, true)
}

// Resume starts to read again.
func (c *Coordinator) Resume(ctx context.Context, id string) error {
	return c.setSuspended(ctx, id, false)
}

func (c *Coordinator) setSuspended(ctx context.Context, id string, suspended bool) error {
	old, err := c.supervisor(id)
	if err != nil {
		return err
	}
	s, err := spec.WithSuspended(old.Spec, suspended)
	if err != nil {
		return fmt.Errorf("change supervisor %s: %w", id, err)
	}
	_, err = c.put(ctx, s)
	return err
}

func randomHashKey() (string, error) {
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", fmt.Errorf("make a hash key: %w", err)
	}
	return hex.EncodeToString(key[:]), nil
}
