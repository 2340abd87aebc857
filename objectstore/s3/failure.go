package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"drumlin/objectstore"
)

// outcome is what an attempt came to, as far as anything is decided by it. It is also the label of the metrics.
type outcome string

const (
	outcomeOK          outcome = "ok"
	outcomeNotFound    outcome = "not_found"
	outcomeTaken       outcome = "taken"       // 412: a precondition did not hold
	outcomeConflict    outcome = "conflict"    // 409: another request for the key is under way
	outcomeNoUpload    outcome = "no_upload"   // the multipart upload is completed, aborted or never was
	outcomeRange       outcome = "range"       // 416: the range begins at the object's end or after it
	outcomeUnsupported outcome = "unsupported" // the service does not know a header or a request
	outcomeCorrupt     outcome = "corrupt"     // what arrived had another checksum or length
	outcomeSkewed      outcome = "skewed"      // the clocks differ; the SDK has learned the service's time from the reply
	outcomeThrottled   outcome = "throttled"
	outcomeServer      outcome = "server_error"
	outcomeNetwork     outcome = "network"
	outcomeTimeout     outcome = "timeout"
	outcomeRefused     outcome = "refused"   // any other 4xx
	outcomeLocal       outcome = "local"     // it failed before it was sent, for a reason that stays
	outcomeCancelled   outcome = "cancelled" // the caller gave up
)

// retried says whether the same request may end otherwise next time.
func (o outcome) retried() bool {
	switch o {
	case outcomeConflict, outcomeCorrupt, outcomeSkewed, outcomeThrottled, outcomeServer, outcomeNetwork, outcomeTimeout:
		return true
	}
	return false
}

// applied says whether a request that was sent may have taken effect although it failed so.
func (o outcome) applied() bool {
	switch o {
	case outcomeServer, outcomeThrottled, outcomeNetwork, outcomeTimeout, outcomeCancelled:
		return true
	}
	return false
}

// failure is a call that did not succeed.
type failure struct {
	call     call
	place    string // bucket and prefix
	outcome  outcome
	attempts int
	unknown  bool // one of the attempts may have taken effect
	err      error
}

func (f *failure) Error() string {
	text := fmt.Sprintf("%s %q in %s: %v", f.call.verb, f.call.key, f.place, f.err)
	if f.attempts > 1 {
		text = fmt.Sprintf("%s (%d attempts)", text, f.attempts)
	}
	if f.unknown {
		text += ": " + objectstore.ErrUnknown.Error()
	}
	return text
}

// Unwrap makes the errors that callers decide by visible.
func (f *failure) Unwrap() []error {
	errs := []error{f.err}
	if f.unknown {
		errs = append(errs, objectstore.ErrUnknown)
	}
	if f.outcome == outcomeNotFound {
		errs = append(errs, objectstore.ErrNotFound)
	}
	return errs
}

// outcomeOf is the outcome of a call's error.
func outcomeOf(err error) outcome {
	var f *failure
	switch {
	case err == nil:
		return outcomeOK
	case errors.As(err, &f):
		return f.outcome
	}
	return outcomeLocal
}

// unknown says whether a call may have taken effect although it failed.
func unknown(err error) bool { return errors.Is(err, objectstore.ErrUnknown) }

// classify judges an attempt's error. sent: the request had a connection; ctx is the caller's, attempt the attempt's own.
func classify(err error, ctx, attempt context.Context, sent bool) outcome {
	var response *smithyhttp.ResponseError
	var netError net.Error
	var decoding *smithy.DeserializationError
	switch {
	case err == nil:
		return outcomeOK
	case ctx.Err() != nil:
		return outcomeCancelled
	case errors.As(err, &response) && response.HTTPStatusCode() != 0:
		return byResponse(response.HTTPStatusCode(), errorCode(err))
	case attempt.Err() != nil:
		return outcomeTimeout
	case sent, errors.As(err, &netError), errors.As(err, &decoding):
		return outcomeNetwork
	}
	return outcomeLocal
}

func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func byResponse(status int, code string) outcome {
	switch code {
	case "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded":
		return outcomeThrottled
	case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidChunkSizeError":
		return outcomeCorrupt
	case "RequestTimeout", "InternalError", "ServiceUnavailable":
		return outcomeServer
	case "RequestTimeTooSkewed":
		return outcomeSkewed
	case "NoSuchUpload":
		return outcomeNoUpload
	case "NoSuchBucket", "AccessDenied":
		return outcomeRefused
	case "NotImplemented":
		return outcomeUnsupported
	}
	return byStatus(status)
}

func byStatus(status int) outcome {
	switch {
	case status == http.StatusNotFound:
		return outcomeNotFound
	case status == http.StatusPreconditionFailed:
		return outcomeTaken
	case status == http.StatusConflict:
		return outcomeConflict
	case status == http.StatusRequestedRangeNotSatisfiable:
		return outcomeRange
	case status == http.StatusTooManyRequests:
		return outcomeThrottled
	case status == http.StatusRequestTimeout:
		return outcomeServer
	case status == http.StatusNotImplemented:
		return outcomeUnsupported
	case status >= 300 && status < 500: // of a redirect too: the region or the endpoint is another
		return outcomeRefused
	}
	return outcomeServer // also a 2xx whose content is an error or cannot be read
}

// retryAfter is what the service asks for in a refusal; 0 where it does not.
func retryAfter(err error) time.Duration {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil || response.Response.Response == nil {
		return 0
	}
	seconds, err := strconv.Atoi(response.Response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0 // a date, or nothing: the delay is our own
	}
	return min(time.Duration(seconds)*time.Second, maxBackoff)
}
