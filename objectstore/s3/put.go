package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"drumlin/objectstore"
)

const (
	// sumMetadata is the metadata that holds an object's SHA-256, lower-case hex.
	sumMetadata = "sha256"
	// maxRounds bounds how often a Put begins again since others work on its key at the same time.
	maxRounds = 4
	// maxSingleBytes is the largest object that goes up in one request.
	maxSingleBytes = 5 << 30
)

var (
	errNoLength = errors.New("the reply says no length")
	errCutShort = errors.New("the service took an upload and kept a part of it")
)

// upload is one Put.
type upload struct {
	key, object string // as the caller names it and in the bucket
	body        io.ReaderAt
	size        int64
	sha256      string
	partBytes   int64
	sums        []sum // of the parts
	support     Support
}

// Put is objectstore.Store's.
func (s *Store) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256Hex string) error {
	object, err := s.objectKey("put", key)
	if err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("put %q: size %d is negative", key, size)
	}
	u := &upload{key: key, object: object, body: body, size: size, sha256: sha256Hex, support: *s.support.Load()}
	if u.partBytes, err = s.partBytes(size, u.support); err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	if u.sums, err = sumParts(ctx, body, size, u.partBytes, sha256Hex); err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	return s.put(ctx, u)
}

// partBytes is the size of an object's parts; one that is not larger goes up in one request.
func (s *Store) partBytes(size int64, support Support) (int64, error) {
	if support.Multipart.usable() {
		return partBytesOf(size, s.options.PartBytes)
	}
	if size > maxSingleBytes {
		return 0, fmt.Errorf("%d bytes: the service takes no multipart uploads, and at most %d bytes in one request", size, int64(maxSingleBytes))
	}
	return maxSingleBytes, nil
}

// put uploads until the object is there, or something else is, or it fails for good. Whenever its own upload may have been
// the one that took the key, it looks what is there: the reply was lost, or what came was only that of a repetition.
func (s *Store) put(ctx context.Context, u *upload) error {
	for round := 1; ; round++ {
		err := s.putOnce(ctx, u)
		if err == nil || !unknown(err) && !again(err) {
			return err
		}
		there, readErr := s.holds(ctx, u)
		switch {
		case there:
			return nil
		case errors.Is(readErr, objectstore.ErrExists):
			return readErr
		case readErr != nil:
			return fmt.Errorf("%w; and reading back: %w: %w", err, readErr, objectstore.ErrUnknown)
		case unknown(err) || round == maxRounds:
			return err
		}
		if stopped := s.pause(ctx, "put", round, outcomeOf(err), err); stopped != nil {
			return fmt.Errorf("%w: %w", stopped, err)
		}
	}
}

// again says whether another upload may end otherwise after this error.
func again(err error) bool {
	switch outcomeOf(err) {
	case outcomeTaken, outcomeConflict, outcomeNoUpload:
		return true
	}
	return errors.Is(err, errCutShort)
}

// putOnce uploads unless the key is taken. Where the service cannot be asked to see to that, it is looked up before.
func (s *Store) putOnce(ctx context.Context, u *upload) error {
	single := u.size <= u.partBytes
	if single && !u.support.ConditionalPut.usable() || !single && !u.support.ConditionalComplete.usable() {
		if there, err := s.holds(ctx, u); there || err != nil {
			return err
		}
	}
	confirmed := false
	var err error
	if single {
		confirmed, err = s.putSingle(ctx, u)
	} else {
		err = s.putParts(ctx, u)
	}
	if err != nil || confirmed {
		return err
	}
	return s.readBack(ctx, u)
}

// putSingle sends the object in one request. confirmed: the service has answered with its checksum.
func (s *Store) putSingle(ctx context.Context, u *upload) (confirmed bool, err error) {
	raw, err := hex.DecodeString(u.sha256)
	if err != nil {
		return false, fmt.Errorf("put %q: %w", u.key, err)
	}
	encoded := base64.StdEncoding.EncodeToString(raw)
	err = s.do(ctx, call{verb: "put", key: u.key, bytes: u.size, changes: true}, func(ctx context.Context) error {
		in := &s3.PutObjectInput{
			Bucket: &s.options.Bucket, Key: &u.object, Body: io.NewSectionReader(u.body, 0, u.size),
			ContentLength: &u.size, Metadata: map[string]string{sumMetadata: u.sha256},
		}
		if u.support.ConditionalPut.usable() {
			in.IfNoneMatch = aws.String("*")
		}
		if u.support.Checksums.usable() {
			in.ChecksumSHA256 = &encoded
		}
		out, err := s.client.PutObject(ctx, in, signedContent(u.sha256))
		if err == nil {
			confirmed = aws.ToString(out.ChecksumSHA256) == encoded
		}
		return err
	})
	return confirmed, err
}

// readBack checks that what is there after an upload is what was sent. Where the service keeps no metadata, its length
// must do: the content was signed for. An object of this upload that arrived in part is taken away again.
func (s *Store) readBack(ctx context.Context, u *upload) error {
	d, err := s.describe(ctx, u.key, u.object)
	switch {
	case err != nil:
		return fmt.Errorf("put %q: read back: %w: %w", u.key, err, objectstore.ErrUnknown)
	case d.bytes == u.size && (d.sha256 == "" || d.sha256 == u.sha256):
		return nil
	case d.sha256 != u.sha256:
		return fmt.Errorf("put %q in %s: read back: %w: %d bytes with SHA-256 %q", u.key, s.place, objectstore.ErrExists, d.bytes, d.sha256)
	}
	err = fmt.Errorf("put %q in %s: %w: %d of %d bytes", u.key, s.place, errCutShort, d.bytes, u.size)
	if deleted := s.deleteObject(ctx, u.key, u.object); deleted != nil {
		return fmt.Errorf("%w, and it cannot be deleted: %w", err, deleted)
	}
	return err
}

// holds says whether the object is there with the upload's content. Other content is objectstore.ErrExists.
func (s *Store) holds(ctx context.Context, u *upload) (bool, error) {
	d, err := s.describe(ctx, u.key, u.object)
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	if d.bytes == u.size && d.sha256 == "" {
		if d.sha256, err = s.contentSum(ctx, u.key); err != nil {
			return false, err
		}
	}
	if d.bytes != u.size || d.sha256 != u.sha256 {
		return false, fmt.Errorf("put %q in %s: %w: %d bytes with SHA-256 %q", u.key, s.place, objectstore.ErrExists, d.bytes, d.sha256)
	}
	return true, nil
}

// contentSum reads an object that somebody else put, without the metadata.
func (s *Store) contentSum(ctx context.Context, key string) (string, error) {
	r, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		return "", errors.Join(err, r.Close())
	}
	return hex.EncodeToString(hash.Sum(nil)), r.Close()
}
