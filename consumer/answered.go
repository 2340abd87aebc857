package consumer

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// refusals are answers by which brokers refuse this process, whoever it says that it is: another one may be served.
var refusals = []error{
	kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
	kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed,
}

// Answered says whether the brokers have served this process, by what a question to them came to: with what was asked, or
// with an error of their own, such as that a partition has no leader, which they would tell any process.
func Answered(err error) bool {
	if err == nil {
		return true
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return false
		}
	}
	if _, own := errors.AsType[*kerr.Error](err); own {
		return true
	}
	_, truncated := errors.AsType[*TruncatedError](err)
	return truncated || errors.Is(err, ErrOutOfRange) || errors.Is(err, ErrNoTopic) || errors.Is(err, ErrBatchTooLarge) ||
		errors.Is(err, errRecreated)
}

// heard notes whether the brokers have answered a question about the partition that was put at the time asked.
func (w *worker) heard(asked time.Time, err error) {
	switch {
	case Answered(err):
		w.silentSince = time.Time{}
	case w.silentSince.IsZero():
		w.silentSince = asked
	}
}
