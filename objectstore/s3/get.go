package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"drumlin/objectstore"
)

// Get is objectstore.Store's. Where a download breaks the reader goes on from there with another request.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	object, err := s.objectKey("get", key)
	if err != nil {
		return nil, err
	}
	if offset < 0 || length < -1 {
		return nil, fmt.Errorf("get %q: %d bytes from %d: an offset of 0 or more, and a length of −1 or more", key, length, offset)
	}
	if length == 0 {
		return s.emptyRange(ctx, key, object, offset, length)
	}
	end := int64(math.MaxInt64)
	if length > 0 && length < end-offset {
		end = offset + length
	}
	first, err := s.open(ctx, key, object, offset, end, "")
	if outcomeOf(err) == outcomeRange {
		return s.emptyRange(ctx, key, object, offset, length)
	}
	if err != nil {
		return nil, err
	}
	r := &reader{store: s, key: key, stream: first, size: first.size, at: offset, end: min(end, first.size)}
	if offset > first.size {
		return nil, errors.Join(rangeError(key, first.size, offset, length), r.Close())
	}
	r.reopen = func(at int64) (*stream, error) { return s.open(ctx, key, object, at, r.end, first.etag) }
	r.pause = func(failed int, err error) error { return s.pause(ctx, "get", failed, outcomeNetwork, err) }
	return r, nil
}

// emptyRange answers a range that holds nothing, or says that it lies past the end.
func (s *Store) emptyRange(ctx context.Context, key, object string, offset, length int64) (io.ReadCloser, error) {
	d, err := s.describe(ctx, key, object)
	if err != nil {
		return nil, err
	}
	if n, err := objectstore.ValidateRange(key, d.bytes, offset, length); err != nil || n == 0 {
		return io.NopCloser(strings.NewReader("")), err
	}
	return nil, fmt.Errorf("get %q in %s: the service refuses %d bytes from %d of an object of %d bytes", key, s.place, length, offset, d.bytes)
}

func rangeError(key string, size, offset, length int64) error {
	_, err := objectstore.ValidateRange(key, size, offset, length)
	return err
}

// stream is one download. It begins where it was asked to.
type stream struct {
	body   io.ReadCloser
	cancel context.CancelFunc
	stall  *time.Timer // ends the download where it has fired
	limit  time.Duration
	size   int64 // of the whole object
	etag   string
}

// read waits at most the limit for more.
func (d *stream) read(p []byte) (int, error) {
	d.stall.Reset(d.limit)
	n, err := d.body.Read(p)
	d.stall.Stop()
	return n, err
}

func (d *stream) close() error {
	d.stall.Stop()
	err := d.body.Close()
	d.cancel()
	return err
}

// open begins a download of what lies from at to end. With an etag it is refused where the object is another.
func (s *Store) open(ctx context.Context, key, object string, at, end int64, etag string) (*stream, error) {
	var opened *stream
	err := s.do(ctx, call{verb: "get", key: key}, func(attempt context.Context) error {
		// The attempt's end bounds the wait for the beginning only.
		live, cancel := context.WithCancel(httptrace.WithClientTrace(ctx, httptrace.ContextClientTrace(attempt)))
		unlink := context.AfterFunc(attempt, cancel)
		out, err := s.client.GetObject(live, s.getInput(object, at, end, etag))
		if err == nil {
			opened, err = newStream(out, at, cancel, s.options.RequestTimeout)
		}
		if !unlink() && err == nil {
			err = errors.Join(attempt.Err(), opened.close())
		}
		if err != nil {
			cancel()
		}
		return err
	})
	return opened, err
}

func (s *Store) getInput(object string, at, end int64, etag string) *s3.GetObjectInput {
	in := &s3.GetObjectInput{Bucket: &s.options.Bucket, Key: &object}
	switch {
	case end != math.MaxInt64:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", at, end-1))
	case at > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", at))
	}
	if etag != "" && !strings.HasPrefix(etag, "W/") {
		in.IfMatch = &etag
	}
	return in
}

// newStream makes sure that the download begins at the offset, also where the service has sent the whole object.
func newStream(out *s3.GetObjectOutput, at int64, cancel context.CancelFunc, limit time.Duration) (*stream, error) {
	d := &stream{body: out.Body, cancel: cancel, stall: time.AfterFunc(time.Hour, cancel), limit: limit, etag: aws.ToString(out.ETag)}
	d.stall.Stop()
	begin, err := int64(0), error(nil)
	switch {
	case out.ContentRange != nil:
		begin, d.size, err = parseContentRange(*out.ContentRange)
	case out.ContentLength != nil:
		d.size = *out.ContentLength
	default:
		err = errNoLength
	}
	if err == nil && begin > at {
		err = fmt.Errorf("the reply begins at %d, not at %d", begin, at)
	}
	if err == nil && begin < at && at <= d.size {
		_, err = io.CopyN(io.Discard, readerFunc(d.read), at-begin)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// parseContentRange reads "bytes FIRST-LAST/SIZE".
func parseContentRange(text string) (begin, size int64, err error) {
	span, total, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	first, _, dash := strings.Cut(span, "-")
	if begin, err = strconv.ParseInt(first, 10, 64); err == nil {
		size, err = strconv.ParseInt(total, 10, 64)
	}
	if !ok || !dash || err != nil || begin < 0 || size < begin {
		return 0, 0, fmt.Errorf("content range %q: want bytes FIRST-LAST/SIZE", text)
	}
	return begin, size, nil
}
