package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"drumlin/internal/retrying"
)

// Objects is the part of an object store that the catalog needs: to write records and manifests before the
// transactions that name them, and to read them back. objectstore.Store has it.
type Objects interface {
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
}

const (
	putAttempts    = 3
	putBackoff     = 100 * time.Millisecond
	maxObjectBytes = 1 << 30 // of a record or manifest; a larger one is corrupt
)

// putObject writes one object and returns its checksum. Putting the same content again succeeds, so that a lost reply
// is simply retried. No transaction names the object yet: a failure leaves at most an orphan.
func putObject(ctx context.Context, store Objects, key string, data []byte) (sum string, err error) {
	digest := sha256.Sum256(data)
	sum = hex.EncodeToString(digest[:])
	for attempt := 1; ; attempt++ {
		err = store.Put(ctx, key, bytes.NewReader(data), int64(len(data)), sum)
		if err == nil {
			return sum, nil
		}
		if attempt == putAttempts || ctx.Err() != nil {
			return "", fmt.Errorf("write %s: %w", key, err)
		}
		retrying.Failed(ctx, err)
		if err := sleep(ctx, time.Duration(attempt)*putBackoff); err != nil {
			return "", fmt.Errorf("write %s: %w", key, err)
		}
	}
}

// getObject reads one object whole and verifies its checksum.
func getObject(ctx context.Context, store Objects, key, sum string) (data []byte, err error) {
	body, err := store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	data, err = io.ReadAll(io.LimitReader(body, maxObjectBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	digest := sha256.Sum256(data)
	if got := hex.EncodeToString(digest[:]); got != sum {
		return nil, corruptf("object %s has checksum %s, the catalog says %s", key, got, sum)
	}
	return data, nil
}

// The names of the catalog's own objects. The epoch in a name is the one that the transaction naming it compares.

func commitRecordName(incarnation string, c *Commit) string {
	k := PartitionKey{Supervisor: c.Supervisor, Topic: c.Range.Topic, Partition: c.Range.Partition}
	return fmt.Sprintf("commits/%s/%s/%d/%020d-%020d-e%d-%s.json", incarnation, k.path(), c.Range.Generation,
		c.Range.From, c.Range.To, c.Epoch, escapePart(c.UUID))
}

func offsetRecordName(incarnation string, r *Record, uuid string) string {
	return fmt.Sprintf("offsets/%s/%s/%d/%020d-e%d-%s.json", incarnation, r.Key.path(), r.Offset.Generation,
		r.Offset.Next, r.Epoch, uuid)
}

// ManifestPrefix is what the names of all manifests of a datasource begin with; the start of the first bucket follows, in 20
// characters.
func ManifestPrefix(incarnation, datasource string) string {
	return fmt.Sprintf("manifests/%s/%s/", incarnation, escapePart(datasource))
}

// ManifestBucketStart is when the first bucket begins that a manifest's name tells; ok is false for any other name.
func ManifestBucketStart(object string) (millis int64, ok bool) {
	parts := strings.Split(object, "/")
	if len(parts) != 4 || parts[0] != "manifests" || len(parts[3]) < 20 {
		return 0, false
	}
	millis, err := strconv.ParseInt(parts[3][:20], 10, 64)
	return millis, err == nil
}

// recordPosition reads out of the name of a record, of a commit or of an offset, where its transaction begins.
func recordPosition(object string) (k PartitionKey, at Standing, ok bool) {
	parts := strings.Split(object, "/")
	if len(parts) != 7 || parts[0] != "commits" && parts[0] != "offsets" {
		return PartitionKey{}, Standing{}, false
	}
	k, err := parsePartitionKey(strings.Join(parts[2:5], "/"), "")
	if err != nil {
		return PartitionKey{}, Standing{}, false
	}
	digits, _, found := strings.Cut(parts[6], "-")
	generation, err := strconv.ParseInt(parts[5], 10, 32)
	next, nextErr := strconv.ParseInt(digits, 10, 64)
	ok = found && err == nil && nextErr == nil && generation >= 0 && next >= 0
	return k, Standing{Generation: int32(generation), Next: next}, ok
}

func manifestName(incarnation, datasource string, bucketStart, sequence, epoch int64, uuid string) string {
	return fmt.Sprintf("%s%020d-%d-e%d-%s.json", ManifestPrefix(incarnation, datasource), bucketStart, sequence, epoch, uuid)
}

// ObjectEpoch reads incarnation and epoch out of the name of a segment, record or manifest; ok is false for any other
// name. Segments carry both in their base name, {incarnation}-e{epoch}-…; the catalog's own objects have the
// incarnation as the second part of their path.
func ObjectEpoch(object string) (incarnation string, epoch int64, ok bool) {
	parts := strings.Split(object, "/")
	base := parts[len(parts)-1]
	switch {
	case len(parts) >= 3 && (parts[0] == "commits" || parts[0] == "offsets" || parts[0] == "manifests"):
		incarnation = parts[1]
	default:
		before, _, found := strings.Cut(base, "-")
		if !found {
			return "", 0, false
		}
		incarnation = before
	}
	for rest := base; ; {
		_, after, found := strings.Cut(rest, "-e")
		if !found {
			return "", 0, false
		}
		digits, _, more := strings.Cut(after, "-")
		epoch, err := strconv.ParseInt(digits, 10, 64)
		if more && err == nil && epoch > 0 && strconv.FormatInt(epoch, 10) == digits {
			return incarnation, epoch, incarnation != ""
		}
		rest = after
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
