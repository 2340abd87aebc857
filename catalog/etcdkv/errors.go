package etcdkv

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"drumlin/catalog"
)

// full is what to do about a database at its quota.
const full = "etcd's database is full (NOSPACE): writes fail until it is compacted (etcdctl compact REVISION), defragmented " +
	"(etcdctl defrag --cluster) and the alarm is disarmed (etcdctl alarm disarm)"

// txnError says what an error tells about a transaction. Only what was never sent, or what etcd refuses for certain, has
// not taken effect.
func (s *Store) txnError(err error, t *trace) error {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%w: %w", catalog.ErrKVTooLarge, err)
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("%w: %w", catalog.ErrKVLeaseNotFound, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: %s: %w", catalog.ErrKVUnavailable, full, err)
	case errors.Is(err, rpctypes.ErrTooManyRequests), errors.Is(err, rpctypes.ErrInvalidAuthToken), errors.Is(err, rpctypes.ErrAuthOldRevision):
		return fmt.Errorf("%w: %w", catalog.ErrKVUnavailable, err)
	case errors.Is(err, rpctypes.ErrDuplicateKey), errors.Is(err, rpctypes.ErrEmptyKey):
		return fmt.Errorf("etcd refused the transaction: %w", err)
	}
	if refused := s.refused(err); refused != nil {
		return refused
	}
	if !t.sent {
		return s.unreached(err, t)
	}
	return fmt.Errorf("%w: %w", catalog.ErrKVUnknown, err)
}

// readError is for requests that change nothing that matters.
func (s *Store) readError(what string, err error, t *trace) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%s: %w: %w", what, catalog.ErrKVCompacted, err)
	case errors.Is(err, rpctypes.ErrFutureRev):
		return fmt.Errorf("%s: %w: %w", what, catalog.ErrKVFutureRevision, err)
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("%s: %w: %w", what, catalog.ErrKVLeaseNotFound, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%s: %w: %s: %w", what, catalog.ErrKVUnavailable, full, err)
	}
	if refused := s.refused(err); refused != nil {
		return fmt.Errorf("%s: %w", what, refused)
	}
	if t.unreached() != nil {
		return fmt.Errorf("%s: %w", what, s.unreached(err, t))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w: no answer in time from etcd at %s: %w", what, catalog.ErrKVUnavailable, s.endpoints, err)
	}
	return fmt.Errorf("%s: %w: %w", what, catalog.ErrKVUnavailable, err)
}

// unreached is the error of a request that no member has taken.
func (s *Store) unreached(err error, t *trace) error {
	if why := t.unreached(); why != nil {
		return fmt.Errorf("%w: etcd at %s cannot be reached: %w: %w", catalog.ErrKVUnavailable, s.endpoints, err, why)
	}
	return fmt.Errorf("%w: etcd at %s cannot be reached: %w", catalog.ErrKVUnavailable, s.endpoints, err)
}

// refused says that etcd does not let this user do what it must; nil: that is not so.
func (s *Store) refused(err error) error {
	who := "the user that the client's certificate names"
	if s.user != "" {
		who = fmt.Sprintf("user %q", s.user)
	}
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return fmt.Errorf("%w: etcd does not accept the password of %s: %w", catalog.ErrKVRefused, who, err)
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("%w: etcd wants a user and a password: %w", catalog.ErrKVRefused, err)
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("%w: %s needs the permission readwrite on the prefix %s: %w", catalog.ErrKVRefused, who, s.prefix, err)
	}
	return nil
}

// again says whether a read that failed by itself may succeed at another member.
func again(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	var told rpctypes.EtcdError
	return errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &told) ||
		errors.Is(err, rpctypes.ErrTimeout) || errors.Is(err, rpctypes.ErrLeaderChanged) || errors.Is(err, rpctypes.ErrNoLeader) ||
		errors.Is(err, rpctypes.ErrStopped) || errors.Is(err, rpctypes.ErrTimeoutDueToLeaderFail) ||
		errors.Is(err, rpctypes.ErrTimeoutDueToConnectionLost)
}
