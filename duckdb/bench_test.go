package duckdb

import (
	"context"
	"fmt"
	"testing"

	"drumlin/segment"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// BenchmarkScan reads a million rows in batches of 2,048.
func BenchmarkScan(b *testing.B) {
	const rows = 1 << 20
	db := openDB(b, Options{Threads: 1})
	s := openSession(b, db)
	_, r := smallScan(memory.DefaultAllocator, rows, func(i int) string { return fmt.Sprintf("one of a thousand strings %d", i%1000) })
	part := ScanPart{Columns: []int{0, 1, 2}}
	for at := int64(0); at < rows; at += 2048 {
		part.Records = append(part.Records, r.NewSlice(at, at+2048))
		part.Bounds = append(part.Bounds, TimeBounds{at * 1000, (at + 2047) * 1000})
	}
	defer func() {
		for _, r := range part.Records {
			r.Release()
		}
		r.Release()
	}()
	scan := Scan{
		Columns: []ScanColumn{{segment.TimeColumn, segment.TypeTime}, {"s", segment.TypeString}, {"n", segment.TypeLong}},
		Parts:   []ScanPart{part},
	}
	token, err := s.AddScan(scan)
	if err != nil {
		b.Fatal(err)
	}
	for name, sql := range map[string]string{
		"count": "SELECT count(*) FROM drumlin_scan(%d)",
		"sum":   "SELECT sum(n) FROM drumlin_scan(%d)",
		"group": "SELECT s, count(*) FROM drumlin_scan(%d) GROUP BY s",
		"where": "SELECT count(*) FROM drumlin_scan(%d) WHERE __time < TIMESTAMP '1970-01-01 00:00:10'",
		"range": "SELECT count(*) FROM drumlin_scan(%d, to_micros := 10000000)",
		"floor": "SELECT TIME_FLOOR(__time, 'PT1M'), count(*) FROM drumlin_scan(%d) GROUP BY 1",
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				r, err := s.Query(context.Background(), fmt.Sprintf(sql, token), nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
	b.Run("add", func(b *testing.B) {
		for range b.N {
			s := openSession(b, db)
			if _, err := s.AddScan(scan); err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
