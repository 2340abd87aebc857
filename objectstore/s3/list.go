package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"drumlin/objectstore"
)

var errUnordered = errors.New("the service lists objects out of order")

// List is objectstore.Store's. Objects in the bucket whose keys no Put here can have made are left out.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) bool) error {
	if err := objectstore.ValidatePrefix(prefix); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if !s.support.Load().OrderedList.usable() {
		return s.listSorted(ctx, prefix, fn)
	}
	last := ""
	var unordered error
	err := s.pages(ctx, prefix, func(info objectstore.Info) bool {
		if info.Key <= last {
			unordered = fmt.Errorf("list %q in %s: %w: %q after %q", prefix, s.place, errUnordered, info.Key, last)
			return false
		}
		last = info.Key
		return fn(info)
	})
	return errors.Join(err, unordered)
}

// listSorted holds the whole list in memory.
func (s *Store) listSorted(ctx context.Context, prefix string, fn func(objectstore.Info) bool) error {
	var all []objectstore.Info
	if err := s.pages(ctx, prefix, func(info objectstore.Info) bool { all = append(all, info); return true }); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b objectstore.Info) int { return strings.Compare(a.Key, b.Key) })
	for _, info := range slices.CompactFunc(all, func(a, b objectstore.Info) bool { return a.Key == b.Key }) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !fn(info) {
			return nil
		}
	}
	return nil
}

// pages calls fn for the objects as the service lists them, until it returns false.
func (s *Store) pages(ctx context.Context, prefix string, fn func(objectstore.Info) bool) error {
	in := &s3.ListObjectsV2Input{Bucket: &s.options.Bucket, Prefix: aws.String(s.prefix + prefix)}
	for {
		var page *s3.ListObjectsV2Output
		err := s.do(ctx, call{verb: "list", key: prefix}, func(ctx context.Context) (err error) {
			page, err = s.client.ListObjectsV2(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			key, ours := strings.CutPrefix(aws.ToString(object.Key), s.prefix)
			if !ours || objectstore.ValidateKey(key) != nil {
				continue
			}
			if !fn(objectstore.Info{Key: key, Bytes: aws.ToInt64(object.Size)}) {
				return nil
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		if in.ContinuationToken = page.NextContinuationToken; aws.ToString(in.ContinuationToken) == "" {
			return fmt.Errorf("list %q in %s: the service says that there is more, and not where it goes on", prefix, s.place)
		}
	}
}
