package app

import (
	"context"
	"errors"

	"drumlin/api"
	"drumlin/consumer"
	"drumlin/coordinator"
	"drumlin/peer"
)

// gaps fits the coordinator's halted partitions to the HTTP interface.
type gaps struct{ cluster *coordinator.Coordinator }

func (g gaps) Gaps(ctx context.Context, supervisor string) (out []api.Gap, unanswered []string, err error) {
	list, err := g.cluster.Gaps(ctx, supervisor)
	var silent *coordinator.UnansweredError
	if errors.As(err, &silent) {
		for _, e := range silent.Errs {
			unanswered = append(unanswered, e.Error())
		}
		err = nil
	}
	for _, h := range list {
		out = append(out, api.Gap{
			Topic: h.Topic, Partition: h.Partition, Owner: h.Owner, Reason: h.Reason, Message: h.Message, From: h.From, To: h.To,
			Since: h.Since,
		})
	}
	return out, unanswered, gapError(err)
}

func (g gaps) AcceptGap(ctx context.Context, supervisor string, r api.GapRange) error {
	return gapError(g.cluster.AcceptGap(ctx, supervisor, r.Topic, r.Partition, r.From, r.To))
}

func gapError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, consumer.ErrNotHalted), errors.Is(err, consumer.ErrOtherLoss):
		return &api.Error{
			Category: api.Conflict, Code: "otherLoss", Message: err.Error(), Hint: "List the gaps again: a loss is accepted exactly as it is.",
		}
	case errors.Is(err, consumer.ErrNotRunning), errors.Is(err, peer.ErrUnreachable):
		return &api.Error{Category: api.ServiceUnavailable, Code: "unavailable", Message: err.Error(), Err: err}
	}
	return supervisorError(err)
}
