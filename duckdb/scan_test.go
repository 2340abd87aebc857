package duckdb

import (
	"context"
	"fmt"
	"testing"

	"drumlin/segment"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestScanSmoke(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	db, err := Open(Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "__time", Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(mem, schema)
	for i := range 5000 {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(i * 1000))
		if i%7 == 0 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("name of something %d", i%10))
		}
		b.Field(2).(*array.Int64Builder).Append(int64(i))
	}
	rec := b.NewRecordBatch()
	b.Release()
	token, err := s.AddScan(Scan{
		Columns: []ScanColumn{{segment.TimeColumn, segment.TypeTime}, {"n", segment.TypeLong}, {"name", segment.TypeString}, {"__topic", segment.TypeString}},
		Parts:   []ScanPart{{Records: []arrow.RecordBatch{rec}, Columns: []int{0, 2, 1, -1}, Constants: []any{nil, nil, nil, "the topic"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rec.Release()
	for _, q := range []string{
		"select count(*), sum(n), count(name), min(__topic), max(__time) from drumlin_scan(1)",
		"select name, count(*), sum(n) from drumlin_scan(1) group by name order by 1",
		"select count(*), min(n), max(n) from drumlin_scan(1, from_micros := 1000000, to_micros := 2000000)",
		"select count(*) from drumlin_scan(1) a join drumlin_scan(1) b using (n)",
		"select * from drumlin_scan(1) order by n limit 2",
		"select count(*) from drumlin_scan(2)",
	} {
		r, err := s.Query(context.Background(), q, nil)
		if err != nil {
			t.Logf("%s\n   => %v", q, err)
			continue
		}
		for r.Next() {
			for i := range r.Rows() {
				var line []byte
				for c := range r.Columns() {
					line = append(r.AppendJSON(line, i, c), ' ')
				}
				t.Logf("%s", line)
			}
		}
	}
	_ = token
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
