package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// putParts sends the object in parts and completes it. An upload that is not completed is aborted, unless it may be.
func (s *Store) putParts(ctx context.Context, u *upload) error {
	id, err := s.createUpload(ctx, u)
	if err != nil {
		return err
	}
	parts, err := s.sendParts(ctx, u, id)
	if err == nil {
		err = s.completeUpload(ctx, u, id, parts)
	}
	if err == nil || unknown(err) {
		return err
	}
	// The caller's context may be what ended the upload.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.RequestTimeout)
	defer cancel()
	if aborted := s.abortUpload(last, u.key, u.object, id); aborted != nil {
		s.log.Warn("an unfinished upload is left in the bucket until it is swept", "key", u.key, "error", aborted)
	}
	return err
}

func (s *Store) createUpload(ctx context.Context, u *upload) (id string, err error) {
	in := &s3.CreateMultipartUploadInput{Bucket: &s.options.Bucket, Key: &u.object, Metadata: map[string]string{sumMetadata: u.sha256}}
	if u.support.MultipartChecksums.usable() {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
		in.ChecksumType = types.ChecksumTypeComposite
	}
	err = s.do(ctx, call{verb: "create_upload", key: u.key}, func(ctx context.Context) error {
		out, err := s.client.CreateMultipartUpload(ctx, in)
		if err == nil {
			id = aws.ToString(out.UploadId)
		}
		return err
	})
	if err == nil && id == "" {
		err = fmt.Errorf("put %q in %s: the service began an upload without an id", u.key, s.place)
	}
	return id, err
}

// sendParts sends the parts, some at the same time. The first that fails ends the others.
func (s *Store) sendParts(ctx context.Context, u *upload, id string) ([]types.CompletedPart, error) {
	parts := make([]types.CompletedPart, len(u.sums))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.options.Concurrency)
	for i := range u.sums {
		group.Go(func() (err error) {
			if ctx.Err() != nil {
				return ctx.Err() // another part has failed, and tells why
			}
			parts[i], err = s.sendPart(ctx, u, id, i)
			return err
		})
	}
	return parts, group.Wait()
}

func (s *Store) sendPart(ctx context.Context, u *upload, id string, i int) (types.CompletedPart, error) {
	from := int64(i) * u.partBytes
	size := min(u.partBytes, u.size-from)
	part := types.CompletedPart{PartNumber: aws.Int32(int32(i + 1))}
	if u.support.MultipartChecksums.usable() {
		part.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(u.sums[i][:]))
	}
	// A part that may have arrived is sent again under its number: it changes nothing that is seen.
	err := s.do(ctx, call{verb: "put_part", key: u.key, bytes: size}, func(ctx context.Context) error {
		out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.options.Bucket, Key: &u.object, UploadId: &id, PartNumber: part.PartNumber,
			Body: io.NewSectionReader(u.body, from, size), ContentLength: &size, ChecksumSHA256: part.ChecksumSHA256,
		}, signedContent(hex.EncodeToString(u.sums[i][:])))
		if err == nil {
			part.ETag = out.ETag
		}
		return err
	})
	return part, err
}

func (s *Store) completeUpload(ctx context.Context, u *upload, id string, parts []types.CompletedPart) error {
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &s.options.Bucket, Key: &u.object, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}
	if u.support.ConditionalComplete.usable() {
		in.IfNoneMatch = aws.String("*")
	}
	// After a conflict the service wants the parts again.
	return s.do(ctx, call{verb: "complete_upload", key: u.key, changes: true, final: []outcome{outcomeConflict}}, func(ctx context.Context) error {
		_, err := s.client.CompleteMultipartUpload(ctx, in)
		return err
	})
}

func (s *Store) abortUpload(ctx context.Context, key, object, id string) error {
	err := s.do(ctx, call{verb: "abort_upload", key: key}, func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.options.Bucket, Key: &object, UploadId: &id})
		return err
	})
	if result := outcomeOf(err); result == outcomeNoUpload || result == outcomeNotFound {
		return nil
	}
	return err
}

// AbortUploads aborts the multipart uploads below the store's prefix that began before a time, and says how many. They are
// what processes that died have left. Those that may still be under way must have begun later.
func (s *Store) AbortUploads(ctx context.Context, before time.Time) (int, error) {
	aborted := 0
	var errs []error
	in := &s3.ListMultipartUploadsInput{Bucket: &s.options.Bucket, Prefix: &s.prefix}
	for {
		var page *s3.ListMultipartUploadsOutput
		err := s.do(ctx, call{verb: "list_uploads"}, func(ctx context.Context) (err error) {
			page, err = s.client.ListMultipartUploads(ctx, in)
			return err
		})
		if err != nil {
			return aborted, errors.Join(append(errs, err)...)
		}
		for _, found := range page.Uploads {
			object, id := aws.ToString(found.Key), aws.ToString(found.UploadId)
			if found.Initiated == nil || !found.Initiated.Before(before) || object == "" || id == "" {
				continue
			}
			if err := s.abortUpload(ctx, object, object, id); err != nil {
				errs = append(errs, err)
				continue
			}
			aborted++
		}
		if !aws.ToBool(page.IsTruncated) {
			return aborted, errors.Join(errs...)
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}
