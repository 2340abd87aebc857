package compaction

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

// sale is one record of the two-segment example.
type sale struct {
	minute         int
	fruit, country string
	sold           int64
	key            int64 // copies have the same
}

var saleColumns = []segment.Column{
	{ID: 100, Name: "fruit", Type: segment.TypeString},
	{ID: 101, Name: "country", Type: segment.TypeString},
	{ID: 102, Name: "sold", Type: segment.TypeLong},
}

const salePlan = `{"rollup":true,"queryGranularity":"minute","dimensions":["fruit","country"],` +
	`"metricsSpec":[{"type":"longSum","name":"sold","fieldName":"sold"}]}`

var saleHour = time.Date(2020, 8, 18, 1, 0, 0, 0, time.UTC)

// newSales is a stage with the real executor.
func newSales(t *testing.T, rolled, dedup bool) *stage {
	t.Helper()
	schema := &segment.Schema{
		ID: 1, Columns: saleColumns, Dimensions: []string{"fruit", "country", "sold"},
		SortBy: []string{segment.TimeColumn, "fruit", "country"}, Dedup: dedup,
	}
	plan := ""
	if rolled {
		plan = salePlan
		schema.Dimensions, schema.Inputs = []string{"fruit", "country"}, []string{"sold"}
		d, err := rollup.ParseDefinition([]byte(plan))
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := rollup.Compile(d.Metrics, saleColumns)
		if err != nil {
			t.Fatal(err)
		}
		if schema.States, err = rollup.StateColumns(compiled); err != nil {
			t.Fatal(err)
		}
		for i := range schema.States {
			schema.States[i].ID = int32(200 + i)
		}
	}
	s := openStage(t, schema, plan)
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { mem.AssertSize(t, 0) })
	executor, err := NewExecutor(ExecutorOptions{Objects: s.objects, TempDir: t.TempDir(), Allocator: mem})
	if err != nil {
		t.Fatal(err)
	}
	s.worker.o.Executor = executor
	return s
}

// handoff commits the records as one segment of the hour.
func (s *stage) handoff(t *testing.T, sales ...sale) {
	t.Helper()
	hour := segment.Bucket{StartMillis: saleHour.UnixMilli(), EndMillis: saleHour.Add(time.Hour).UnixMilli()}
	request := s.writer.Request(hour, 0, map[segment.Bucket]int64{hour: int64(len(sales))})
	meta := &request.Commit.Segments[0]
	schema := s.c.View().Datasources["wiki"].Schema
	b := array.NewRecordBuilder(memory.DefaultAllocator, segment.FileArrowSchema(schema))
	defer b.Release()
	for row, sale := range sales {
		for i, f := range b.Schema().Fields() {
			switch f.Name {
			case segment.TimeColumn:
				at := saleHour.Add(time.Duration(sale.minute)*time.Minute + time.Duration(row)*time.Second)
				b.Field(i).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
			case segment.IDHighColumn, segment.IDLowColumn:
				b.Field(i).(*array.Int64Builder).Append(sale.key)
			case segment.TopicColumn:
				b.Field(i).(*array.StringBuilder).Append("wiki")
			case segment.OffsetColumn:
				b.Field(i).(*array.Int64Builder).Append(request.Commit.Range.From + int64(row))
			case segment.GenerationColumn, segment.PartitionColumn:
				b.Field(i).(*array.Int32Builder).Append(0)
			case "fruit":
				b.Field(i).(*array.StringBuilder).Append(sale.fruit)
			case "country":
				b.Field(i).(*array.StringBuilder).Append(sale.country)
			case "sold":
				b.Field(i).(*array.Int64Builder).Append(sale.sold)
			default:
				b.Field(i).AppendNull()
			}
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	var file bytes.Buffer
	w, err := segment.NewWriter(&file, segment.WriterOptions{Schema: rec.Schema(), SortBy: []string{segment.OffsetColumn}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	summary, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	meta.Bytes, meta.SHA256, meta.Columns = summary.Bytes, summary.SHA256, summary.Columns
	meta.MinMillis, meta.MaxMillis = summary.MinMillis, summary.MaxMillis
	if err := s.objects.Put(t.Context(), meta.Object, bytes.NewReader(file.Bytes()), summary.Bytes, summary.SHA256); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.Append(t.Context(), request); err != nil {
		t.Fatal(err)
	}
}

// table reads the chunk's settled rows, without what differs from run to run.
func (s *stage) table(t *testing.T) (rows []string, u *catalog.BucketView) {
	t.Helper()
	v, err := s.c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := catalog.Verify(v); err != nil {
		t.Fatal(err)
	}
	u = v.Datasources["wiki"].Buckets[0]
	for _, m := range u.Settled {
		body, err := s.objects.Get(context.Background(), m.Object, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != m.SHA256 {
			t.Fatalf("%s is not what its description says", m.Object)
		}
		for _, row := range execTexts(t, m.Object, data) {
			fields := slices.DeleteFunc(strings.Fields(row), func(f string) bool { return strings.HasPrefix(f, "__") && !strings.HasPrefix(f, "__time") })
			rows = append(rows, strings.Join(fields, " "))
		}
	}
	return rows, u
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var (
	salesA = []sale{{1, "apple", "US", 1, 1}, {2, "pear", "CAN", 10, 2}}
	salesB = []sale{{1, "apple", "US", 2, 3}, {9, "banana", "CAN", 301, 4}}
)

func saleTask(more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"type":"compact","dataSource":"wiki","interval":"2020-08-18/2020-08-19"%s}`, more)
}

// TestTwoSegments is the example that rollup compaction is explained by, and what comes after it.
func TestTwoSegments(t *testing.T) {
	s := newSales(t, true, true)
	s.handoff(t, salesA...)
	s.handoff(t, salesB...)
	report, err := s.run(t, saleTask(""), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rows, u := s.table(t)
	example := []string{
		"__time=2020-08-18T01:01:00 fruit=apple country=US sold=3", "__time=2020-08-18T01:02:00 fruit=pear country=CAN sold=10",
		"__time=2020-08-18T01:09:00 fruit=banana country=CAN sold=301",
	}
	want(t, "the example", rows, example...)
	if len(u.Settled) != 1 || len(u.Tail) != 0 || report.After.Rows != 3 || report.After.Events != 4 || report.Before.Segments != 2 {
		t.Errorf("report %+v", report)
	}
	s.handoff(t, salesA[0], sale{9, "banana", "CAN", 1, 5}) // a copy of a folded row, and a late row
	if report, err = s.run(t, saleTask(""), RunOptions{}); err != nil || report.Stats.Duplicates != 1 {
		t.Fatalf("report %+v: %v", report, err)
	}
	rows, _ = s.table(t)
	want(t, "folded again", rows, append(example[:2:2], strings.Replace(example[2], "301", "302", 1))...)
	narrower := `"granularitySpec":{"segmentGranularity":"day","queryGranularity":"day"},"dimensionsSpec":{"dimensions":["country"]}`
	if report, err = s.run(t, saleTask(narrower), RunOptions{}); err != nil {
		t.Fatalf("report %+v: %v", report, err)
	}
	rows, u = s.table(t)
	want(t, "a day", rows, "__time=2020-08-18T00:00:00 country=CAN sold=312", "__time=2020-08-18T00:00:00 country=US sold=3")
	if len(u.Members) != 24 || u.Head.Plan != 1 {
		t.Errorf("head %+v", u.Head)
	}
	s.handoff(t, salesB...) // copies of rows that have been folded twice
	if report, err = s.run(t, saleTask(narrower), RunOptions{}); err != nil || report.Stats.Duplicates != 2 {
		t.Fatalf("report %+v: %v", report, err)
	}
	if again, err := s.run(t, saleTask(narrower), RunOptions{}); err != nil || again.Chunks[0].Outcome != OutcomeNothing {
		t.Errorf("asked twice: %+v: %v", again, err)
	}
	rows, u = s.table(t)
	want(t, "a day again", rows, "__time=2020-08-18T00:00:00 country=CAN sold=312", "__time=2020-08-18T00:00:00 country=US sold=3")
	if u.Manifest.Totals.Duplicates != 3 || u.Manifest.Totals.AbsorbedRows != 8 {
		t.Errorf("totals %+v", u.Manifest.Totals)
	}
}

// TestRawChunk takes a raw chunk through everything that can be done to it.
func TestRawChunk(t *testing.T) {
	s := newSales(t, false, true)
	s.handoff(t, salesA...)
	s.handoff(t, append(salesB, salesA[1])...)
	report, err := s.run(t, saleTask(""), RunOptions{})
	if err != nil || report.Stats.Duplicates != 1 || report.After.Rows != 4 {
		t.Fatalf("report %+v: %v", report, err)
	}
	filter := `"transformSpec":{"filter":{"type":"selector","dimension":"country","value":"US"}}`
	if report, err = s.run(t, saleTask(filter), RunOptions{}); err != nil || report.Stats.Filtered != 2 {
		t.Fatalf("report %+v: %v", report, err)
	}
	s.handoff(t, salesA...) // one copy of a row that is there, one of a row that the filter removed
	if report, err = s.run(t, saleTask(filter), RunOptions{}); err != nil || report.Stats.Duplicates != 2 {
		t.Fatalf("report %+v: %v", report, err)
	}
	rows, u := s.table(t)
	want(t, "filtered", rows, "__time=2020-08-18T01:01:00 fruit=apple country=US sold=1", "__time=2020-08-18T01:01:00 fruit=apple country=US sold=2")
	if u.Head.State != catalog.HeadRaw || u.Head.Plan != 1 || len(u.Manifest.Sidecars) != 1 {
		t.Errorf("head %+v", u.Head)
	}
	unused := strings.Replace(saleTask(""), "compact", "markUnused", 1)
	if report, err = s.run(t, unused, RunOptions{}); err != nil || report.Stats.Filtered != 2 {
		t.Fatalf("report %+v: %v", report, err)
	}
	s.handoff(t, salesB...)
	if report, err = s.run(t, saleTask(""), RunOptions{}); err != nil || report.Stats.Duplicates != 2 {
		t.Fatalf("report %+v: %v", report, err)
	}
	if rows, u = s.table(t); len(rows) != 0 || u.Manifest.Sidecars[0].Rows != 4 {
		t.Errorf("rows that were marked unused are back: %q, sidecars %+v", rows, u.Manifest.Sidecars)
	}
}

// TestPoliciesWithFiles lets both policies work on real files.
func TestPoliciesWithFiles(t *testing.T) {
	s := newSales(t, true, true)
	c, _, err := spec.ParseAutoCompaction([]byte(`{"dataSource":"wiki","skipOffsetFromLatest":"PT0S"}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(20) {
		s.handoff(t, sale{int(i % 3), "apple", "US", 1, i}, sale{4, "pear", "US", 1, i / 2 * 1000})
		s.auto(t, c, PolicyRecent)
		if i%7 == 0 {
			s.auto(t, c, PolicyHistorical)
		}
	}
	if report, err := s.run(t, saleTask(""), RunOptions{}); err != nil {
		t.Fatalf("report %+v: %v", report, err)
	}
	rows, u := s.table(t)
	// Key 0 is an apple and a pear: the apple came first.
	want(t, "rows", rows, "__time=2020-08-18T01:00:00 fruit=apple country=US sold=7", "__time=2020-08-18T01:01:00 fruit=apple country=US sold=7",
		"__time=2020-08-18T01:02:00 fruit=apple country=US sold=6", "__time=2020-08-18T01:04:00 fruit=pear country=US sold=9")
	if t2 := u.Manifest.Totals; t2.AbsorbedRows != 40 || t2.Duplicates != 11 {
		t.Errorf("totals %+v", t2)
	}
}
