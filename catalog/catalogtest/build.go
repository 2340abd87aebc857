package catalogtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"drumlin/catalog"
	"drumlin/segment"
)

const hourMillis = 3_600_000

// Hour is the n-th hour since 1970 as a bucket.
func Hour(n int64) segment.Bucket {
	return segment.Bucket{StartMillis: n * hourMillis, EndMillis: (n + 1) * hourMillis}
}

// Sum is the SHA-256 of a text, lower-case hex.
func Sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

// Segment describes rows of one bucket under a name that the incarnation and epoch begin.
func Segment(incarnation string, epoch int64, name, datasource string, kind segment.Kind, bucket segment.Bucket,
	rows int64, source segment.OffsetRange,
) segment.Meta {
	object := fmt.Sprintf("%s/table=%s/%d/%s-e%d-%s.parquet", kind, datasource, bucket.StartMillis, incarnation, epoch, name)
	return segment.Meta{
		Object: object, Bytes: 100 * rows, SHA256: Sum(object), Kind: kind, Datasource: datasource, Bucket: bucket, Rows: rows,
		SchemaID: 1, MinMillis: bucket.StartMillis, MaxMillis: bucket.EndMillis - 1, Sources: []segment.OffsetRange{source},
	}
}

// Writer appends commits to one partition as its owner would.
type Writer struct {
	C          *catalog.Catalog
	Owner      catalog.Owner
	Datasource string
	Offset     catalog.Offset
	Revision   int64 // mod_revision of the offset
	n          int
}

// Supervise publishes version 1 of a supervisor with a datasource of hourly buckets.
func Supervise(t testing.TB, c *catalog.Catalog, supervisor, datasource string) {
	t.Helper()
	change := catalog.SupervisorChange{
		Supervisor:    catalog.Supervisor{ID: supervisor, Datasource: datasource, Version: 1, SchemaID: 1, Spec: []byte(`{}`)},
		NewDatasource: &catalog.Datasource{Name: datasource, SegmentGranularity: "hour", HashKey: Sum(datasource)[:32]},
		NewSchema:     Schema(1, "page"),
	}
	if _, err := c.PutSupervisor(t.Context(), change); err != nil {
		t.Fatalf("put supervisor: %v", err)
	}
}

// Schema is a schema of string columns.
func Schema(id int32, columns ...string) *segment.Schema {
	s := &segment.Schema{ID: id, Dimensions: columns, SortBy: append([]string{segment.TimeColumn}, columns...), Dedup: true}
	for i, name := range columns {
		s.Columns = append(s.Columns, segment.Column{
			ID: segment.FirstUserColumnID + int32(i), Name: name, Type: segment.TypeString,
		})
	}
	return s
}

// Register registers a node whose session ends with the test.
func Register(t testing.TB, c *catalog.Catalog, id string) *catalog.Session {
	t.Helper()
	s, err := c.Register(t.Context(), catalog.Node{ID: id, Address: "127.0.0.1:1", Version: "test"}, time.Minute)
	if err != nil {
		t.Fatalf("register %s: %v", id, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close session: %v", err)
		}
	})
	return s
}

// Write acquires the partition and begins it, or goes on where it stands.
func Write(t testing.TB, c *catalog.Catalog, s *catalog.Session, k catalog.PartitionKey) *Writer {
	t.Helper()
	owner, err := s.Acquire(t.Context(), k)
	if err != nil {
		t.Fatalf("acquire: %v", err)
	}
	v, err := c.Refresh(t.Context())
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	sup := v.Supervisors[k.Supervisor]
	w := &Writer{C: c, Owner: owner, Datasource: sup.Datasource}
	off, rev, found, err := c.ReadOffset(t.Context(), k)
	if err != nil {
		t.Fatalf("read offset: %v", err)
	}
	if !found {
		ds := v.Datasources[sup.Datasource]
		off = catalog.Offset{TopicID: Sum(k.Topic)[:32], LeaderEpoch: -1, Facts: segment.Facts{
			SpecVersion: sup.Version, RetentionFloorMillis: ds.RetentionFloorMillis, DedupFloorMillis: ds.DedupFloorMillis,
		}}
		if rev, err = c.Begin(t.Context(), owner, off); err != nil {
			t.Fatalf("begin: %v", err)
		}
	}
	w.Offset, w.Revision = off, rev
	return w
}

// Request builds a valid append: rowsPerBucket[i] rows of buckets[i], then rejected rejects in the rejects bucket.
func (w *Writer) Request(rejectsBucket segment.Bucket, rejected int64, rows map[segment.Bucket]int64) catalog.AppendRequest {
	w.n++
	from := w.Offset.Next
	var stored int64
	for _, n := range rows {
		stored += n
	}
	skipped := int64(1)
	r := segment.OffsetRange{
		Topic: w.Owner.Topic, Generation: w.Offset.Generation, Partition: w.Owner.Partition,
		From: from, To: from + stored + rejected + skipped,
	}
	c := &catalog.Commit{
		UUID: uuid.NewString(), Datasource: w.Datasource,
		Supervisor: w.Owner.Supervisor, Range: r, Epoch: w.Owner.Epoch, Facts: w.Offset.Facts,
		Counters:      segment.Counters{Stored: stored, Rejected: rejected, Skipped: skipped},
		RejectsBucket: rejectsBucket,
	}
	add := func(kind segment.Kind, b segment.Bucket, n int64) {
		if n > 0 {
			name := fmt.Sprintf("%s-%d-%d-%d-%d", w.Owner.Topic, w.Owner.Partition, r.From, r.To, w.n)
			c.Segments = append(c.Segments, Segment(w.C.Incarnation(), w.Owner.Epoch, name, w.Datasource, kind, b, n, r))
		}
	}
	for b, n := range rows {
		add(segment.KindData, b, n)
	}
	add(segment.KindRejects, rejectsBucket, rejected)
	next := w.Offset
	next.Next, next.Counters = r.To, w.Offset.Counters.Add(c.Counters)
	next.ClockMillis = w.Offset.ClockMillis + 1
	return catalog.AppendRequest{Owner: w.Owner, Commit: c, Prev: w.Offset, PrevRevision: w.Revision, Next: next}
}

// Append appends the request and moves on.
func (w *Writer) Append(ctx context.Context, r catalog.AppendRequest) (int64, error) {
	rev, err := w.C.Append(ctx, r)
	if err != nil {
		return 0, err
	}
	w.Offset, w.Revision = r.Next, rev
	return rev, nil
}

// MustAppend appends n rows to the bucket.
func (w *Writer) MustAppend(t testing.TB, bucket segment.Bucket, n int64) int64 {
	t.Helper()
	rev, err := w.Append(t.Context(), w.Request(bucket, 0, map[segment.Bucket]int64{bucket: n}))
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return rev
}
