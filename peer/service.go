package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/consumer"
	"drumlin/segment"
)

// service answers the calls of Arrow Flight that this protocol uses.
type service struct {
	flight.BaseFlightServer
	local      Local
	logs       TaskLogs
	aliveEvery time.Duration
	metrics    *metrics
	mem        memory.Allocator
}

// Handshake is not part of this protocol: every call carries its token.
func (s *service) Handshake(flight.FlightService_HandshakeServer) error {
	return toStatus(fmt.Errorf("%w: there is no handshake", ErrMalformed))
}

// DoGet sends hot rows.
func (s *service) DoGet(t *flight.Ticket, stream flight.FlightService_DoGetServer) (err error) {
	begun := time.Now()
	defer func() { s.metrics.done("hot", begun, err); err = wireError(err) }()
	request, err := decodeTicket(t.GetTicket())
	if err != nil {
		return malformed("%v", err)
	}
	if s.local == nil {
		return &segment.HotUnavailable{
			Status: segment.HotNotOwner, Revision: request.Revision, Detail: fmt.Sprintf("%s partition %d: the process that was asked reads no partitions",
				request.Topic, request.Partition),
		}
	}
	rows, err := s.local.Hot(stream.Context(), request)
	if err != nil {
		return err
	}
	defer rows.Release()
	out := &sender{to: stream, mem: s.mem}
	err = out.send(request, rows)
	s.metrics.moved(out.sent.Rows+out.sent.RejectRows, out.bytes)
	return err
}

// wireError makes what a handler returns fit for the wire.
func wireError(err error) error {
	if err == nil {
		return nil
	}
	return toStatus(err)
}

// DoAction answers a question or carries out an order.
func (s *service) DoAction(a *flight.Action, stream flight.FlightService_DoActionServer) (err error) {
	begun := time.Now()
	kind, known := actionNames[a.GetType()]
	if !known {
		return toStatus(malformed("the action %q is not known", a.GetType()))
	}
	defer func() { s.metrics.done(kind, begun, err); err = wireError(err) }()
	body, err := s.whileAlive(stream, func(ctx context.Context) ([]byte, error) { return s.act(ctx, a) })
	if err != nil {
		return err
	}
	for len(body) > 0 {
		n := min(len(body), maxSentBytes)
		if err := stream.Send(&flight.Result{Body: body[:n]}); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

// whileAlive runs f and meanwhile sends empty results, so that the asker knows that somebody works for him.
func (s *service) whileAlive(stream flight.FlightService_DoActionServer, f func(context.Context) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithCancel(stream.Context())
	var alive sync.WaitGroup
	stop := make(chan struct{})
	defer func() { close(stop); alive.Wait(); cancel() }()
	alive.Go(func() {
		tick := time.NewTicker(s.aliveEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if err := stream.Send(&flight.Result{}); err != nil {
				cancel() // the asker is gone: f ends with the reason
				return
			}
		}
	})
	return f(ctx)
}

func (s *service) act(ctx context.Context, a *flight.Action) ([]byte, error) {
	switch a.GetType() {
	case actionStatus:
		return s.status(a.GetBody())
	case actionTaskLog:
		return s.taskLog(ctx, a.GetBody())
	}
	if s.local == nil {
		return nil, fmt.Errorf("the process that was asked reads no partitions: %w", consumer.ErrNotRunning)
	}
	if a.GetType() == actionAcceptLoss {
		return nil, s.acceptLoss(ctx, a.GetBody())
	}
	return s.handoff(ctx, a.GetBody())
}

func (s *service) status(body []byte) ([]byte, error) {
	var q statusRequest
	if err := decode("a question for states", body, &q); err != nil {
		return nil, malformed("%v", err)
	}
	reply := statusReply{header: header{wireFormat}, Partitions: []partitionStatus{}}
	for _, key := range q.Keys {
		if s.local == nil {
			break
		}
		if state, ok := s.local.Status(key); ok {
			reply.Partitions = append(reply.Partitions, toWire(state))
		}
	}
	return encodeAction("states of partitions", reply)
}

func (s *service) handoff(ctx context.Context, body []byte) ([]byte, error) {
	var q handoffRequest
	if err := decode("an order to hand off", body, &q); err != nil {
		return nil, malformed("%v", err)
	}
	revision, err := s.local.Handoff(ctx, q.Key, q.UpTo)
	if err != nil {
		return nil, err
	}
	return encodeAction("a handoff", handoffReply{header: header{wireFormat}, Revision: revision})
}

func (s *service) acceptLoss(ctx context.Context, body []byte) error {
	var q acceptLossRequest
	if err := decode("an order to accept a loss", body, &q); err != nil {
		return malformed("%v", err)
	}
	return s.local.AcceptLoss(ctx, q.Key, q.From, q.To)
}

func (s *service) taskLog(ctx context.Context, body []byte) ([]byte, error) {
	var q taskLogRequest
	if err := decode("a question for a log", body, &q); err != nil {
		return nil, malformed("%v", err)
	}
	if s.logs == nil {
		return nil, fmt.Errorf("task %s: %w", q.ID, ErrNoLog)
	}
	text, err := s.logs.TaskLog(ctx, q.ID)
	if err != nil && !errors.Is(err, ErrNoLog) {
		return nil, fmt.Errorf("log of task %s: %w", q.ID, err)
	}
	return text, err
}
