package interop

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/duckdb"
	"drumlin/segment"
)

var schema = &segment.Schema{
	ID: 1, Dedup: true, SortBy: []string{"__time"},
	Columns: []segment.Column{
		{ID: 100, Name: "event", Type: segment.TypeString},
		{ID: 101, Name: "n", Type: segment.TypeLong},
		{ID: 102, Name: "price", Type: segment.TypeDouble},
		{ID: 103, Name: "ratio", Type: segment.TypeFloat},
		{ID: 104, Name: "extra", Type: segment.TypeJSON},
	},
	Dimensions: []string{"event", "n", "price", "ratio", "extra"},
}

// writeSegment makes a file of 3,000 rows: every tenth price and ratio is NaN, the others are at most zero; every
// thirteenth value of a column that may be null is.
func writeSegment(t *testing.T) string {
	t.Helper()
	layout := segment.FileArrowSchema(schema)
	b := array.NewRecordBuilder(memory.DefaultAllocator, layout)
	defer b.Release()
	for i := range 3000 {
		for c, f := range layout.Fields() {
			if f.Nullable && i%13 == 5 {
				b.Field(c).AppendNull()
				continue
			}
			number := -float64(i % 100)
			if i%10 == 0 {
				number = math.NaN()
			}
			switch fb := b.Field(c).(type) {
			case *array.TimestampBuilder:
				fb.Append(arrow.Timestamp(1_700_000_000_000_000 + int64(i)*1000))
			case *array.Int64Builder:
				fb.Append(int64(i))
			case *array.Int32Builder:
				fb.Append(7)
			case *array.Float64Builder:
				fb.Append(number)
			case *array.Float32Builder:
				fb.Append(float32(number))
			case *array.FixedSizeBinaryBuilder:
				fb.Append([]byte("0123456789abcdef"))
			case *array.StringBuilder:
				fb.Append(`{"é":` + strings.Repeat("1", i%30+1) + `}`)
			}
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	path := filepath.Join(t.TempDir(), "segment.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := segment.NewWriter(f, segment.WriterOptions{Schema: layout, SortBy: schema.SortBy})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDuckDBReadsSegments: types, values and, above all, filters, which DuckDB checks against a row group's bounds before
// it reads the rows.
func TestDuckDBReadsSegments(t *testing.T) {
	path := writeSegment(t)
	db, err := duckdb.Open(duckdb.Options{MemoryLimitBytes: 1 << 30, Threads: 1, AllowedDirs: []string{filepath.Dir(path)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := db.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	file := "read_parquet('" + path + "')"
	want := []string{
		"__time TIMESTAMP", "__id_hi BIGINT", "__id_lo BIGINT", "__key_uuid UUID", "__key VARCHAR", "__topic VARCHAR",
		"__generation INTEGER", "__partition INTEGER", "__offset BIGINT", "event VARCHAR", "n BIGINT", "price DOUBLE",
		"ratio FLOAT", "extra VARCHAR",
	}
	if got := rows(t, s, "SELECT column_name || ' ' || column_type FROM (DESCRIBE SELECT * FROM "+file+")"); !slices.Equal(got, want) {
		t.Errorf("columns %q, want %q", got, want)
	}
	if got := rows(t, s, "SELECT __key_uuid FROM "+file+" LIMIT 1"); !slices.Equal(got, []string{"30313233-3435-3637-3839-616263646566"}) {
		t.Errorf("uuid %q", got)
	}
	value := func(i int) bool { return i%13 != 5 }
	nan := func(i int) bool { return value(i) && i%10 == 0 }
	for filter, selects := range map[string]func(i int) bool{
		"price > 5": nan, "price >= 'NaN'::DOUBLE": nan, "price = 'NaN'::DOUBLE": nan, "ratio > 0": nan, "isnan(ratio)": nan,
		"price < -50":           func(i int) bool { return value(i) && !nan(i) && i%100 > 50 },
		"ratio <> -1":           func(i int) bool { return value(i) && i%100 != 1 },
		"price IS NULL":         func(i int) bool { return !value(i) },
		"n IS NULL":             func(i int) bool { return !value(i) },
		"n BETWEEN 100 AND 200": func(i int) bool { return value(i) && i >= 100 && i <= 200 },
		"event = '{\"é\":111}'": func(i int) bool { return value(i) && i%30 == 2 },
		"__time >= TIMESTAMP '2023-11-14 22:13:22'": func(i int) bool { return i >= 2000 },
		"__offset < 10":        func(i int) bool { return i < 10 },
		"(extra->>'é') = '11'": func(i int) bool { return value(i) && i%30 == 1 },
		"__topic = 'x'":        func(int) bool { return false },
		"__partition = 7":      func(int) bool { return true },
	} {
		want := 0
		for i := range 3000 {
			if selects(i) {
				want++
			}
		}
		if got := rows(t, s, "SELECT count(*) FROM "+file+" WHERE "+filter); !slices.Equal(got, []string{strconv.Itoa(want)}) {
			t.Errorf("WHERE %s selects %q rows, want %d", filter, got, want)
		}
	}
}

func rows(t *testing.T, s *duckdb.Session, sql string) []string {
	t.Helper()
	r, err := s.Query(t.Context(), sql, nil)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer r.Close()
	var out []string
	for r.Next() {
		for i := range r.Rows() {
			out = append(out, string(r.AppendText(nil, i, 0)))
		}
	}
	return out
}
