package s3

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/internal/secure"
	"drumlin/objectstore"
)

// Defaults of Options.
const (
	DefaultMaxAttempts    = 8
	DefaultRequestTimeout = 15 * time.Second
	DefaultPartBytes      = 16 << 20
	DefaultConcurrency    = 4
)

// Limits of S3 and of this package.
const (
	minPartBytes   = 5 << 20
	maxPartBytes   = 5 << 30
	maxParts       = 10_000
	maxConcurrency = 64
	maxKeyBytes    = 1024 // with the prefix
	// fallbackRegion signs requests to services of an own endpoint where no region is named; they ignore it.
	fallbackRegion = "us-east-1"
)

// Options say which bucket a Store uses and how.
type Options struct {
	Bucket string
	Prefix string // of all keys in the bucket; a slash at its end is added
	Region string // empty: the SDK's chain; with an Endpoint, us-east-1
	// Endpoint is the URL of a service other than AWS.
	Endpoint  string
	PathStyle bool // the bucket in the path instead of the host's name
	// AccessKeyID and its secrets; empty: the SDK's chain of environment, shared files and the machine's role.
	AccessKeyID     string
	SecretAccessKey secure.Secret
	SessionToken    secure.Secret
	// MaxAttempts bounds how often one request is sent.
	MaxAttempts int
	// RequestTimeout bounds one attempt; one that carries content gets more time as it is larger. For a download it bounds
	// the wait for its beginning, and then every wait for more of it.
	RequestTimeout time.Duration
	PartBytes      int64 // larger objects go up in parts of this size
	Concurrency    int   // parts of one object on their way at the same time
	TLS            *tls.Config
	Logger         *slog.Logger
	Registerer     prometheus.Registerer // nil: no metrics
}

// withDefaults returns the options with their defaults, or all that is wrong with them.
func (o Options) withDefaults() (Options, error) {
	if o.MaxAttempts == 0 {
		o.MaxAttempts = DefaultMaxAttempts
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.PartBytes == 0 {
		o.PartBytes = DefaultPartBytes
	}
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Prefix = strings.TrimSuffix(o.Prefix, "/")
	return o, o.validate()
}

func (o Options) validate() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if o.Bucket == "" || strings.ContainsAny(o.Bucket, "/ ") {
		problem("bucket %q: name one bucket; what follows a slash belongs into the prefix", o.Bucket)
	}
	if err := objectstore.ValidatePrefix(o.Prefix); err != nil {
		problem("prefix: %w", err)
	}
	if err := validateEndpoint(o.Endpoint); err != nil {
		problems = append(problems, err)
	}
	if (o.AccessKeyID == "") != (o.SecretAccessKey == "") || o.SessionToken != "" && o.AccessKeyID == "" {
		problem("access key: name its id and its secret, or neither for the SDK's chain")
	}
	if o.MaxAttempts < 1 {
		problem("%d attempts: at least one", o.MaxAttempts)
	}
	if o.RequestTimeout < 0 {
		problem("request timeout %s is negative", o.RequestTimeout)
	}
	if o.PartBytes < minPartBytes || o.PartBytes > maxPartBytes {
		problem("parts of %d bytes: S3 takes %d to %d", o.PartBytes, int64(minPartBytes), int64(maxPartBytes))
	}
	if o.Concurrency < 1 || o.Concurrency > maxConcurrency {
		problem("%d parts at the same time: 1 to %d", o.Concurrency, maxConcurrency)
	}
	return errors.Join(problems...)
}

// validateEndpoint never repeats the URL where it may hold a password.
func validateEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return errors.New("endpoint: it is not a URL; give one like https://host:port")
	case u.User != nil:
		return errors.New("endpoint: it holds a user; give the access key by its own settings")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("endpoint: give a URL with http or https and a host, like https://host:port")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("endpoint: a URL without a query")
	}
	return nil
}
