package s3

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
)

// idleConnections per host are kept: as many as requests are usually under way at the same time.
const idleConnections = 64

// newClient returns a client that sends every request once, and its transport, which the caller closes.
func newClient(ctx context.Context, o Options) (*s3.Client, *http.Transport, error) {
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(
			o.AccessKeyID, o.SecretAccessKey.Reveal(), o.SessionToken.Reveal())))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, nil, fmt.Errorf("read the AWS configuration of the environment: %w", err)
	}
	if cfg.Region == "" {
		if o.Endpoint == "" {
			return nil, nil, fmt.Errorf("bucket %q: no region is named, neither in the options nor in the environment", o.Bucket)
		}
		cfg.Region = fallbackRegion
	}
	transport := newTransport(cfg.HTTPClient, o)
	client := s3.NewFromConfig(cfg, func(s *s3.Options) {
		s.HTTPClient = &http.Client{Transport: transport, CheckRedirect: noRedirect}
		s.Retryer = aws.NopRetryer{}
		s.UsePathStyle = o.PathStyle
		if o.Endpoint != "" {
			s.BaseEndpoint = aws.String(o.Endpoint)
		}
		// The checksums are this package's own, and the caller of a Get verifies whole objects.
		s.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		s.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		s.DisableLogOutputChecksumValidationSkipped = true
	})
	return client, transport, nil
}

// newTransport starts from the SDK's, which trusts what AWS_CA_BUNDLE names.
func newTransport(client aws.HTTPClient, o Options) *http.Transport {
	buildable, ok := client.(*awshttp.BuildableClient)
	if !ok {
		buildable = awshttp.NewBuildableClient()
	}
	transport := buildable.GetTransport()
	transport.MaxIdleConnsPerHost = idleConnections
	transport.ExpectContinueTimeout = time.Second
	transport.DisableCompression = true
	if o.TLS != nil {
		transport.TLSClientConfig = o.TLS.Clone()
	}
	return transport
}

// noRedirect: a signature holds for one host only; the SDK makes an error of the reply.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// signedContent has a request signed over the SHA-256 of its content, lower-case hex, instead of over what the SDK would
// find by reading the content once more, or, with TLS, over nothing.
func signedContent(sha256Hex string) func(*s3.Options) {
	set := middleware.FinalizeMiddlewareFunc("drumlinSignedContent",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			return next.HandleFinalize(v4.SetPayloadHash(ctx, sha256Hex), in)
		})
	return s3.WithAPIOptions(func(stack *middleware.Stack) error { return stack.Finalize.Add(set, middleware.Before) })
}
