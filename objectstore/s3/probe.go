package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// probePrefix holds, below the store's prefix, what Probe puts.
const probePrefix = ".probe/"

// prober tries a service out on objects of its own.
type prober struct {
	store   *Store
	base    string // of its keys in the bucket
	support Support
}

// Probe finds out what the bucket's service supports, with a few small objects that it deletes again. From then on the
// store leaves out what is not supported. It fails where the bucket cannot be used at all.
func (s *Store) Probe(ctx context.Context) (Support, error) {
	var random [12]byte
	rand.Read(random[:])
	p := &prober{store: s, base: s.prefix + probePrefix + hex.EncodeToString(random[:]) + "/", support: fullSupport()}
	err := p.bucket(ctx)
	if err == nil {
		err = p.run(ctx)
		if cleaned := p.clean(ctx); err == nil {
			err = cleaned
		}
	}
	if err != nil {
		return Support{}, fmt.Errorf("probe the object store %s: %w", s.place, err)
	}
	found := p.support
	found.Warnings = s.bucketWarnings(ctx)
	s.support.Store(&found)
	return found, nil
}

func (p *prober) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.checksums, p.metadata, p.conditionalPut, p.ranges, p.order, p.multipart} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// bucket tells apart why a bucket cannot be used. A service that is not there is told at once: whoever waits for it asks again.
func (p *prober) bucket(ctx context.Context) error {
	asked := call{verb: "head_bucket", key: p.base, final: []outcome{outcomeCorrupt, outcomeNetwork, outcomeTimeout}}
	err := p.store.do(ctx, asked, func(ctx context.Context) error {
		_, err := p.store.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &p.store.options.Bucket})
		return err
	})
	switch outcomeOf(err) {
	case outcomeNotFound:
		return fmt.Errorf("there is no such bucket, or the endpoint is another service's; create the bucket first: %w", err)
	case outcomeRefused:
		return fmt.Errorf("the service does not let this access key use the bucket; check the key, its secret, what it may do, "+
			"the region, and this machine's clock: %w", err)
	}
	return err
}

var probeContent = []byte("drumlin probes what is supported")

// probeNames are in order, and in another one for a service that sorts by directories, or by letters without case.
var probeNames = []string{"o-1", "o/1", "o0", "oA", "oa"}

func encodedSum(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (p *prober) do(ctx context.Context, verb string, request func(context.Context) error) error {
	return p.store.do(ctx, call{verb: verb, key: p.base, final: []outcome{outcomeCorrupt}}, request)
}

// put puts the probe's content; change makes the request the one that is tried.
func (p *prober) put(ctx context.Context, name string, change func(*s3.PutObjectInput)) error {
	sum := sha256.Sum256(probeContent)
	return p.do(ctx, "put", func(ctx context.Context) error {
		in := &s3.PutObjectInput{
			Bucket: &p.store.options.Bucket, Key: aws.String(p.base + name), Body: bytes.NewReader(probeContent),
			Metadata: map[string]string{sumMetadata: hex.EncodeToString(sum[:])},
		}
		change(in)
		_, err := p.store.client.PutObject(ctx, in, signedContent(hex.EncodeToString(sum[:])))
		return err
	})
}

// rejects says whether the service has answered that it will not do what it was asked for.
func rejects(err error) bool {
	switch outcomeOf(err) {
	case outcomeRefused, outcomeUnsupported, outcomeCorrupt, outcomeTaken:
		return true
	}
	return false
}

// checksums leaves the object "o-1", with a checksum where that is taken.
func (p *prober) checksums(ctx context.Context) error {
	err := p.put(ctx, "o-1", func(in *s3.PutObjectInput) { in.ChecksumSHA256 = aws.String(encodedSum(probeContent)) })
	if rejects(err) {
		plain := p.put(ctx, "o-1", func(*s3.PutObjectInput) {})
		if plain != nil {
			return plain // it is not the checksum that the service rejects
		}
		p.support.Checksums = Refused
		return nil
	}
	if err != nil {
		return err
	}
	// A wrong one tells whether the service looks at it.
	wrong := p.put(ctx, "wrong", func(in *s3.PutObjectInput) { in.ChecksumSHA256 = aws.String(encodedSum(nil)) })
	switch {
	case wrong == nil:
		p.support.Checksums = Ignored
	case !rejects(wrong):
		return wrong
	}
	return nil
}

func (p *prober) metadata(ctx context.Context) error {
	d, err := p.store.describe(ctx, p.base+"o-1", p.base+"o-1")
	if err != nil {
		return err
	}
	if d.bytes != int64(len(probeContent)) {
		return fmt.Errorf("the service says that an object of %d bytes has %d", len(probeContent), d.bytes)
	}
	if sum := sha256.Sum256(probeContent); d.sha256 != hex.EncodeToString(sum[:]) {
		p.support.Metadata = Ignored
	}
	return nil
}

func (p *prober) conditionalPut(ctx context.Context) error {
	err := p.put(ctx, "o-1", func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
	switch {
	case err == nil:
		p.support.ConditionalPut = Ignored
	case outcomeOf(err) == outcomeTaken:
	case rejects(err):
		p.support.ConditionalPut = Refused
	default:
		return err
	}
	return nil
}

func (p *prober) ranges(ctx context.Context) error {
	ranged := false
	var content []byte
	err := p.do(ctx, "get", func(ctx context.Context) error {
		out, err := p.store.client.GetObject(ctx, &s3.GetObjectInput{
			Bucket: &p.store.options.Bucket, Key: aws.String(p.base + "o-1"), Range: aws.String("bytes=2-4"),
		})
		if err != nil {
			return err
		}
		ranged = out.ContentRange != nil
		content, err = io.ReadAll(io.LimitReader(out.Body, int64(len(probeContent))+1))
		return errors.Join(err, out.Body.Close())
	})
	switch {
	case err != nil:
		return err
	case ranged && bytes.Equal(content, probeContent[2:5]):
	case !ranged && bytes.Equal(content, probeContent):
		p.support.Ranges = Ignored
	default:
		return fmt.Errorf("the service answers a range of an object with %q instead of %q", content, probeContent[2:5])
	}
	return nil
}

// order looks whether a list comes in the order of keys.
func (p *prober) order(ctx context.Context) error {
	for _, name := range probeNames[1:] {
		if err := p.put(ctx, name, func(*s3.PutObjectInput) {}); err != nil {
			return err
		}
	}
	var names []string
	err := p.do(ctx, "list", func(ctx context.Context) error {
		out, err := p.store.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &p.store.options.Bucket, Prefix: aws.String(p.base + "o")})
		if err != nil {
			return err
		}
		names = nil
		for _, object := range out.Contents {
			names = append(names, aws.ToString(object.Key)[len(p.base):])
		}
		return nil
	})
	if err == nil && !slices.Equal(names, probeNames) {
		p.support.OrderedList = Ignored
	}
	return err
}

// multipart completes an upload under a free key, and tries another under one that is taken: a precondition that does not
// hold hides what else a service minds.
func (p *prober) multipart(ctx context.Context) error {
	for _, p.support.MultipartChecksums = range []Feature{Supported, Refused} {
		err := p.complete(ctx, "m-1", Refused)
		if err == nil {
			return p.conditionalComplete(ctx)
		}
		if !rejects(err) {
			return err
		}
	}
	p.support.Multipart = Refused
	return nil
}

func (p *prober) conditionalComplete(ctx context.Context) error {
	err := p.complete(ctx, "m-1", Supported)
	switch {
	case err == nil:
		p.support.ConditionalComplete = Ignored
	case outcomeOf(err) == outcomeTaken:
	case rejects(err):
		p.support.ConditionalComplete = Refused
	default:
		return err
	}
	return nil
}

// complete uploads the probe's content as one part.
func (p *prober) complete(ctx context.Context, name string, conditional Feature) error {
	u := &upload{
		key: p.base + name, object: p.base + name, body: bytes.NewReader(probeContent), size: int64(len(probeContent)),
		partBytes: int64(len(probeContent)), sums: []sum{sha256.Sum256(probeContent)}, support: p.support,
	}
	u.support.ConditionalComplete = conditional
	return p.store.putParts(ctx, u)
}

// clean deletes what the probe has put, also where the probe was told to end.
func (p *prober) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.store.options.RequestTimeout)
	defer cancel()
	var errs []error
	for _, name := range append([]string{"wrong", "m-1"}, probeNames...) {
		errs = append(errs, p.store.deleteObject(ctx, p.base+name, p.base+name))
	}
	return errors.Join(errs...)
}
