package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/internal/secure"
	"drumlin/segment"
)

var (
	// ErrUnreachable: the process could not be reached, or has fallen silent. An order that was under way may have been
	// carried out; all of them may be given again.
	ErrUnreachable = errors.New("the process cannot be reached")
	// ErrOtherCluster: the address has gone to a process of another cluster. It is an ErrUnreachable: nothing was done.
	ErrOtherCluster = fmt.Errorf("%w: another cluster's answers at its address", ErrUnreachable)
	// ErrMalformed: what came over the wire breaks the protocol. Nothing of it is used.
	ErrMalformed = errors.New("malformed answer")
	// ErrNoLog: the task does not run in the process that was asked.
	ErrNoLog = errors.New("the task has no live log in this process")
	// ErrPlainToken: the token would have to be sent without TLS to another machine.
	ErrPlainToken = errors.New("the token is not sent without TLS")
	// ErrHotBudget: the rows that this process holds for its queries leave no room for those that came.
	ErrHotBudget = errors.New("too many hot rows of other processes are held in memory")
	// ErrInternal: the process that was asked failed while it answered; its log says more.
	ErrInternal = errors.New("the process that was asked has failed")
)

// sentinels are the errors that are the same on both sides of the wire, by their names there. Names are never given anew.
var sentinels = []struct {
	name string
	err  error
	code codes.Code
}{
	{"fenced", catalog.ErrFenced, codes.Aborted},
	{"conflict", catalog.ErrConflict, codes.Aborted},
	{"unknownOutcome", catalog.ErrUnknown, codes.Aborted},
	{"owned", catalog.ErrOwned, codes.Aborted},
	{"sessionLost", catalog.ErrSessionLost, codes.Aborted},
	{"notRunning", consumer.ErrNotRunning, codes.NotFound},
	{"closed", consumer.ErrClosed, codes.FailedPrecondition},
	{"halted", consumer.ErrHalted, codes.FailedPrecondition},
	{"notHalted", consumer.ErrNotHalted, codes.FailedPrecondition},
	{"otherLoss", consumer.ErrOtherLoss, codes.FailedPrecondition},
	{"noLog", ErrNoLog, codes.NotFound},
	{"unauthenticated", secure.ErrUnauthenticated, codes.Unauthenticated},
	{"forbidden", secure.ErrForbidden, codes.PermissionDenied},
	{"otherCluster", ErrOtherCluster, codes.FailedPrecondition},
	{"malformed", ErrMalformed, codes.InvalidArgument},
	{"canceled", context.Canceled, codes.Canceled},
	{"deadline", context.DeadlineExceeded, codes.DeadlineExceeded},
}

const (
	causeHot      = "hotUnavailable"
	causeInternal = "internal"
)

// hotStatusNames are the names of a segment.HotStatus on the wire.
var hotStatusNames = map[segment.HotStatus]string{
	segment.HotStaleView:       "STALE_VIEW",
	segment.HotCatchingUp:      "CATCHING_UP",
	segment.HotWrongGeneration: "WRONG_GENERATION",
	segment.HotNotOwner:        "NOT_OWNER",
	segment.HotHalted:          "HALTED",
}

// failure is the JSON detail of a gRPC status: an error on the wire.
type failure struct {
	header
	Cause    string `json:"cause"` // a sentinel's name, causeHot or causeInternal
	Message  string `json:"message"`
	Status   string `json:"status,omitempty"`   // causeHot
	Revision int64  `json:"revision,omitempty"` // causeHot
	At       int64  `json:"at,omitempty"`       // causeHot
}

// toStatus makes an error fit for the wire.
func toStatus(err error) error {
	f, code := failure{header: header{wireFormat}, Cause: causeInternal, Message: err.Error()}, codes.Internal
	var hot *segment.HotUnavailable
	if errors.As(err, &hot) {
		f.Cause, f.Message, code = causeHot, hot.Detail, codes.FailedPrecondition
		f.Status, f.Revision, f.At = hotStatusNames[hot.Status], hot.Revision, hot.At
	} else {
		for _, s := range sentinels {
			if errors.Is(err, s.err) {
				f.Cause, code = s.name, s.code
				break
			}
		}
	}
	text, encodeErr := json.Marshal(f)
	if encodeErr != nil {
		return status.Error(codes.Internal, encodeErr.Error())
	}
	out, encodeErr := status.New(code, f.Message).WithDetails(wrapperspb.String(string(text)))
	if encodeErr != nil {
		return status.Error(codes.Internal, encodeErr.Error())
	}
	return out.Err()
}

// remoteError is an error that another process has told.
type remoteError struct {
	message string
	cause   error
}

func (e *remoteError) Error() string { return e.message }

func (e *remoteError) Unwrap() error { return e.cause }

// fromStatus is the error that the other process has told; nil where the status is gRPC's own word.
func fromStatus(s *status.Status) error {
	for _, detail := range s.Details() {
		text, ok := detail.(*wrapperspb.StringValue)
		if !ok {
			continue
		}
		var f failure
		if err := decode("an error", []byte(text.GetValue()), &f); err != nil {
			return &remoteError{err.Error() + ": " + s.Message(), ErrMalformed}
		}
		return f.error()
	}
	return nil
}

func (f failure) error() error {
	switch f.Cause {
	case causeHot:
		for known, name := range hotStatusNames {
			if name == f.Status {
				return &segment.HotUnavailable{Status: known, Revision: f.Revision, At: f.At, Detail: f.Message}
			}
		}
		return &remoteError{"hot rows were refused for a reason that this process does not know (" + f.Status + "): " + f.Message, ErrMalformed}
	case causeInternal:
		return &remoteError{f.Message, ErrInternal}
	}
	for _, s := range sentinels {
		if s.name == f.Cause {
			return &remoteError{f.Message, s.err}
		}
	}
	return &remoteError{f.Message, ErrInternal}
}
