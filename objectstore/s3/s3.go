package s3

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"drumlin/objectstore"
)

// Store is an object store in a bucket.
type Store struct {
	options   Options
	prefix    string // of every key: empty or with a slash at its end
	place     string // bucket and prefix, for messages
	client    *s3.Client
	transport *http.Transport
	budget    *budget
	log       *slog.Logger
	metrics   *metrics
	support   atomic.Pointer[Support] // what Probe found; until then everything is taken to be supported
}

var _ objectstore.Store = (*Store)(nil)

// Open returns the store. It sends no request to the bucket: Probe says whether that can be reached. The caller closes it.
func Open(ctx context.Context, options Options) (*Store, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open the object store: %w", err)
	}
	client, transport, err := newClient(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open the object store: %w", err)
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("open the object store: register metrics: %w", err)
	}
	s := &Store{
		options: o, place: "s3://" + o.Bucket, client: client, transport: transport,
		budget: newBudget(time.Now()), log: o.Logger, metrics: m,
	}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
		s.place += "/" + o.Prefix
	}
	everything := fullSupport()
	s.support.Store(&everything)
	return s, nil
}

// Close closes connections. Calls that are under way go on.
func (s *Store) Close() { s.transport.CloseIdleConnections() }

// objectKey is the key in the bucket.
func (s *Store) objectKey(verb, key string) (string, error) {
	if err := objectstore.ValidateKey(key); err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	if n := len(s.prefix) + len(key); n > maxKeyBytes {
		return "", fmt.Errorf("%s: object key %q has %d bytes with the prefix of the store: at most %d", verb, key, n, maxKeyBytes)
	}
	return s.prefix + key, nil
}

// Head is objectstore.Store's.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	object, err := s.objectKey("head", key)
	if err != nil {
		return objectstore.Info{}, err
	}
	described, err := s.describe(ctx, key, object)
	return objectstore.Info{Key: key, Bytes: described.bytes}, err
}

// description is what the service says of an object.
type description struct {
	bytes  int64
	sha256 string // from the metadata; empty where it is not there
}

func (s *Store) describe(ctx context.Context, key, object string) (description, error) {
	var d description
	err := s.do(ctx, call{verb: "head", key: key}, func(ctx context.Context) error {
		out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.options.Bucket, Key: &object})
		if err != nil {
			return err
		}
		if out.ContentLength == nil {
			return errNoLength
		}
		d = description{bytes: *out.ContentLength, sha256: metadataSum(out.Metadata)}
		return nil
	})
	return d, err
}

// metadataSum finds the checksum in an object's metadata, whose names some services write in other letters.
func metadataSum(metadata map[string]string) string {
	for name, value := range metadata {
		if strings.EqualFold(name, sumMetadata) {
			return value
		}
	}
	return ""
}

// Delete is objectstore.Store's.
func (s *Store) Delete(ctx context.Context, key string) error {
	object, err := s.objectKey("delete", key)
	if err != nil {
		return err
	}
	return s.deleteObject(ctx, key, object)
}

func (s *Store) deleteObject(ctx context.Context, key, object string) error {
	err := s.do(ctx, call{verb: "delete", key: key, changes: true}, func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(s.options.Bucket), Key: &object})
		return err
	})
	if outcomeOf(err) == outcomeNotFound { // most services say that it is deleted
		return nil
	}
	return err
}
