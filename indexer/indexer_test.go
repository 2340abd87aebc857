package indexer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"drumlin/catalog"
	"drumlin/internal/failpoint"
	"drumlin/internal/testkit"
	"drumlin/objectstore/mem"
	"drumlin/segment"
	"drumlin/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testRequest(t testing.TB, schema *segment.Schema, data, rejects []segment.HotBatch) Request {
	hour, err := spec.ParseGranularity("hour")
	if err != nil {
		t.Fatal(err)
	}
	return Request{
		Datasource: catalog.Datasource{Name: "events", SegmentGranularity: "hour"}, Schema: schema,
		Incarnation: "abc123", Epoch: 7, Range: segment.OffsetRange{Topic: "clicks", Generation: 1, Partition: 3, To: 1 << 40},
		Data: data, Rejects: rejects, Granularity: hour,
		RejectsFallback: segment.Bucket{StartMillis: 0, EndMillis: 3_600_000},
	}
}

func testIndexer(t testing.TB, objects Uploader, mem memory.Allocator, points *failpoint.Set) *Indexer {
	ix, err := New(Options{Objects: objects, TempDir: t.TempDir(), Allocator: mem, Failpoints: points})
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// TestBuildKeepsEveryRow is the property: rows in = rows out + copies, sorted, in their buckets, cut exactly.
func TestBuildKeepsEveryRow(t *testing.T) {
	for seed := range uint64(testkit.Rounds(24, 6)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer checked.AssertSize(t, 0)
			rng := rand.New(rand.NewPCG(seed, 1))
			schema := testSchema(rng)
			rows := randomRows(rng, schema, 1+rng.IntN(3000))
			batches := makeBatches(checked, rng, schema, rows)
			defer releaseBatches(batches)
			r := testRequest(t, schema, batches, nil)
			r.MaxRowsPerSegment = int64(rng.IntN(3) * 100)
			r.Range.From = int64(rng.IntN(50))
			store := mem.New()
			result, err := testIndexer(t, store, checked, nil).Build(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			checkResult(t, schema, r, result, rows, readBack(t, store, result))
		})
	}
}

func checkResult(t *testing.T, schema *segment.Schema, r Request, result *Result, rows []testRow, got [][]testRow) {
	t.Helper()
	var want []testRow
	seen := map[[2]int64]bool{}
	var duplicates, keyless int64
	for _, row := range rows {
		if row.offset < r.Range.From {
			continue
		}
		if schema.Dedup && row.keyed {
			id := [2]int64{row.hi, row.lo}
			if seen[id] {
				duplicates++
				continue
			}
			seen[id] = true
		} else if schema.Dedup {
			keyless++
		}
		want = append(want, row)
	}
	slices.SortStableFunc(want, func(a, b testRow) int { return compareRows(schema, r.Granularity, a, b) })
	if result.Stored != int64(len(want)) || result.Duplicates != duplicates || result.Keyless != keyless {
		t.Errorf("stored %d, duplicates %d, keyless %d; want %d, %d, %d",
			result.Stored, result.Duplicates, result.Keyless, len(want), duplicates, keyless)
	}
	var all []testRow
	for i, meta := range result.Segments {
		all = append(all, got[i]...)
		full := i+1 < len(result.Segments) && result.Segments[i+1].Bucket == meta.Bucket
		if limit := r.MaxRowsPerSegment; limit > 0 && (meta.Rows > limit || full && meta.Rows != limit) {
			t.Errorf("segment %d has %d rows with a limit of %d", i, meta.Rows, limit)
		} else if limit == 0 && full {
			t.Errorf("bucket %v has two segments without a limit", meta.Bucket)
		}
	}
	if len(all) != len(want) {
		t.Fatalf("%d rows out, want %d", len(all), len(want))
	}
	for i := range want {
		if !want[i].equal(schema, all[i]) {
			t.Fatalf("row %d (sorted by %v) is\n%+v, want\n%+v", i, schema.SortBy, all[i], want[i])
		}
	}
}

func TestBuildGivesEqualBytesForEqualRows(t *testing.T) {
	sums := map[string]bool{}
	for try := range uint64(3) {
		rng := rand.New(rand.NewPCG(5, 5))
		schema := testSchema(rng)
		rows := randomRows(rng, schema, 4000)
		// The cut into batches differs from try to try.
		batches := makeBatches(memory.DefaultAllocator, rand.New(rand.NewPCG(try, 9)), schema, rows)
		result, err := testIndexer(t, mem.New(), nil, nil).Build(t.Context(), testRequest(t, schema, batches, nil))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, m := range result.Segments {
			all = append(all, m.SHA256)
		}
		sums[strings.Join(all, " ")] = true
		releaseBatches(batches)
	}
	if len(sums) != 1 {
		t.Errorf("equal rows gave %d different contents", len(sums))
	}
}

func TestBuildOfManyBuckets(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	rng := rand.New(rand.NewPCG(1, 1))
	schema := testSchema(rng)
	rows := randomRows(rng, schema, 1800)
	for i := range rows {
		rows[i].millis = int64(i%600) * 3_600_000
		rows[i].keyed = false
	}
	batches := makeBatches(checked, rng, schema, rows)
	defer releaseBatches(batches)
	store := mem.New()
	result, err := testIndexer(t, store, checked, nil).Build(t.Context(), testRequest(t, schema, batches, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Segments) != 600 || result.Stored != 1800 {
		t.Errorf("%d segments with %d rows", len(result.Segments), result.Stored)
	}
	for i, m := range result.Segments {
		if m.Bucket.StartMillis != int64(i)*3_600_000 || m.Rows != 3 {
			t.Fatalf("segment %d: bucket %v, %d rows", i, m.Bucket, m.Rows)
		}
	}
}

func TestBuildOfRejects(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	rejects := makeRejects(checked, []int64{-1, 3_600_000, 3_600_001, 10, 1 << 52})
	defer releaseBatches(rejects)
	rng := rand.New(rand.NewPCG(1, 1))
	r := testRequest(t, testSchema(rng), nil, rejects)
	r.RejectsFallback = segment.Bucket{StartMillis: 7_200_000, EndMillis: 10_800_000}
	store := mem.New()
	result, err := testIndexer(t, store, checked, nil).Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range result.Segments {
		got = append(got, fmt.Sprintf("%s %d: %d", m.Kind, m.Bucket.StartMillis, m.Rows))
		if !strings.HasPrefix(m.Object, "rejects/table=events/") {
			t.Errorf("object %s", m.Object)
		}
	}
	if want := []string{"rejects 0: 1", "rejects 3600000: 2", "rejects 7200000: 2"}; !slices.Equal(got, want) {
		t.Errorf("segments %v, want %v", got, want)
	}
	if result.Rejected != 5 || result.Stored != 0 {
		t.Errorf("rejected %d, stored %d", result.Rejected, result.Stored)
	}
}

func TestBuildOfNothing(t *testing.T) {
	result, err := testIndexer(t, mem.New(), nil, nil).Build(t.Context(), testRequest(t, testSchema(rand.New(rand.NewPCG(1, 1))), nil, nil))
	if err != nil || len(result.Segments) != 0 || result.Stored != 0 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestBuildReleasesEverythingWhenItFails(t *testing.T) {
	boom := errors.New("boom")
	for _, point := range []string{"handoff.before_upload", "handoff.after_upload"} {
		checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
		rng := rand.New(rand.NewPCG(3, 3))
		schema := testSchema(rng)
		batches := makeBatches(checked, rng, schema, randomRows(rng, schema, 500))
		points := failpoint.New()
		points.Arm(point, 1, func(string) error { return boom })
		_, err := testIndexer(t, mem.New(), checked, points).Build(t.Context(), testRequest(t, schema, batches, nil))
		if !errors.Is(err, boom) {
			t.Errorf("%s: %v", point, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := testIndexer(t, mem.New(), checked, nil).Build(ctx, testRequest(t, schema, batches, nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		releaseBatches(batches)
		checked.AssertSize(t, 0)
	}
}

func TestBuildRefusesWrongInput(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	schema := testSchema(rng)
	rows := randomRows(rng, schema, 10)
	batches := makeBatches(memory.DefaultAllocator, rng, schema, rows)
	twice := append(slices.Clone(batches), batches...)
	other := *schema
	other.Dedup = !schema.Dedup
	for _, test := range []struct {
		change func(*Request)
		want   string
	}{
		{func(r *Request) { r.Data = twice }, "offset order"},
		{func(r *Request) { r.Schema = &other }, "column"},
		{func(r *Request) { r.Schema = nil }, "no schema"},
		{func(r *Request) { r.Range.To = 0 }, "empty"},
		{func(r *Request) { r.Rejects = batches }, "rejects"},
	} {
		r := testRequest(t, schema, batches, nil)
		test.change(&r)
		if _, err := testIndexer(t, mem.New(), nil, nil).Build(t.Context(), r); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want %q, got %v", test.want, err)
		}
	}
}
