package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errSilent ends a call whose other side has shown no sign of life for SilentAfter.
var errSilent = errors.New("no sign of life")

// call runs f with a connection to the address. f calls alive at every sign of life of the other side; without one for
// SilentAfter its context ends. What comes out is an error that the other side has told, the caller's own end, or
// ErrUnreachable; each names the address.
func (c *Client) call(ctx context.Context, address string, f func(ctx context.Context, service flight.FlightServiceClient, alive func()) error) error {
	conn, err := c.connections.acquire(address)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	watching, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.options.SilentAfter, func() { cancel(errSilent) })
	err = f(watching, flight.NewFlightServiceClient(conn.conn), func() { silence.Reset(c.options.SilentAfter) })
	silence.Stop()
	silent := err != nil && errors.Is(context.Cause(watching), errSilent)
	// A connection on which nobody answers is not used again: what lies between may have forgotten it.
	c.connections.release(conn, silent)
	if err == nil {
		return nil
	}
	if silent {
		return fmt.Errorf("%w: %s has not been heard for %s", ErrUnreachable, address, c.options.SilentAfter)
	}
	return failed(ctx, address, err)
}

// failed sorts out what a call's error means.
func failed(ctx context.Context, address string, err error) error {
	s, ok := statusOf(err)
	if !ok { // ours: what came was not good
		return fmt.Errorf("ask %s: %w", address, err)
	}
	told := fromStatus(s)
	if errors.Is(told, context.Canceled) && ctx.Err() == nil { // not by the caller: the process stops
		return fmt.Errorf("%w: %s has broken off: %v", ErrUnreachable, address, told)
	}
	if told != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", address, told)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("ask %s: %w", address, ctx.Err())
	case s.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("ask %s: %w", address, context.DeadlineExceeded)
	case s.Code() == codes.ResourceExhausted, s.Code() == codes.Unimplemented:
		return fmt.Errorf("ask %s: %w: %s", address, ErrMalformed, s.Message())
	}
	return fmt.Errorf("%w: %s: %s", ErrUnreachable, address, s.Message())
}

// statusOf finds gRPC's own word in an error.
func statusOf(err error) (*status.Status, bool) {
	var has interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &has) {
		return nil, false
	}
	return has.GRPCStatus(), true
}
