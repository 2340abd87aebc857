package query

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/duckdb"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

var filterSchema = &segment.Schema{
	ID: 1, Columns: []segment.Column{
		{ID: 100, Name: "s", Type: segment.TypeString},
		{ID: 101, Name: "l", Type: segment.TypeLong},
		{ID: 102, Name: "d", Type: segment.TypeDouble},
		{ID: 103, Name: "f", Type: segment.TypeFloat},
		{ID: 104, Name: "j", Type: segment.TypeJSON},
	},
	Dimensions: []string{"s", "l", "d", "f", "j"}, SortBy: []string{segment.TimeColumn},
}

// TestFilterSQLAgreesWithTheFilter evaluates random filters over random rows in DuckDB and in package rollup.
func TestFilterSQLAgreesWithTheFilter(t *testing.T) {
	db, err := duckdb.Open(duckdb.Options{MemoryLimitBytes: 256 << 20, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, seed := range seeds(t, 3) {
		r := rand.New(rand.NewPCG(seed, 11))
		rec := filterRows(t, r, 300)
		s, err := db.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		columns := rawColumns(filterSchema)
		scan := duckdb.Scan{Columns: scanColumns(columns), Parts: []duckdb.ScanPart{newPart(columns, rec.Schema(), nil)}}
		scan.Columns = append(scan.Columns, duckdb.ScanColumn{Name: "row", Type: segment.TypeLong})
		scan.Parts[0].Columns = append(scan.Parts[0].Columns, int(rec.NumCols())-1)
		scan.Parts[0].Constants = append(scan.Parts[0].Constants, nil)
		scan.Parts[0].Records = []arrow.RecordBatch{rec}
		token, err := s.AddScan(scan)
		if err != nil {
			t.Fatal(err)
		}
		rec.Release()
		for range 150 {
			checkFilter(t, s, rec, token, randomFilter(r, 2), seed)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkFilter(t *testing.T, s *duckdb.Session, rec arrow.RecordBatch, token int64, f map[string]any, seed uint64) {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	filter, err := rollup.ParseFilter(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	plan, err := (&rollup.Definition{Filter: filter}).Compile(filterSchema)
	if err != nil {
		return // no number where one is needed: such a plan is never made
	}
	where, err := (&rules{plan}).where(rawColumns(filterSchema))
	if err != nil {
		t.Fatalf("seed %d: %s: %v", seed, text, err)
	}
	want, err := plan.Keep(rec)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]bool, len(want))
	res, err := s.Query(context.Background(), fmt.Sprintf("SELECT row FROM drumlin_scan(%d) WHERE %s", token, where[0]), nil)
	if err != nil {
		t.Fatalf("seed %d: %s\n%s\n%v", seed, text, where[0], err)
	}
	defer res.Close()
	for res.Next() {
		for i := range res.Rows() {
			row, _ := res.Int64(i, 0)
			got[row] = true
		}
	}
	for i := range want {
		if got[i] != want[i] {
			var row []string
			for c := range int(rec.NumCols()) {
				row = append(row, rec.Column(c).ValueStr(i))
			}
			t.Fatalf("seed %d: %s\n%s\nrow %q: SQL keeps it: %t, the filter: %t", seed, text, where[0], row, got[i], want[i])
		}
	}
}

func filterRows(t *testing.T, r *rand.Rand, n int) arrow.RecordBatch {
	t.Helper()
	layout, err := layoutOf(append(rawColumns(filterSchema), segment.Column{Name: "row", Type: segment.TypeLong}))
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.NewGoAllocator(), layout)
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp((t0 + r.Int64N(5)*1000) * 1000))
		b.Field(6).(*array.Int64Builder).Append(int64(i))
		for c := 1; c <= 5; c++ {
			if r.IntN(6) == 0 {
				b.Field(c).AppendNull()
				continue
			}
			switch f := b.Field(c).(type) {
			case *array.StringBuilder:
				f.Append(filterText(r))
			case *array.Int64Builder:
				f.Append(pick(r, 0, 1, 2, -5, math.MaxInt64, math.MinInt64, 1<<53, 1<<53+1, r.Int64()))
			case *array.Float64Builder:
				f.Append(pick(r, 0, math.Copysign(0, -1), 1, 2.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 5e-324, 0.1))
			case *array.Float32Builder:
				f.Append(float32(pick(r, 0, math.Copysign(0, -1), 1, 2.5, math.NaN(), math.Inf(1), math.Inf(-1), 0.1)))
			}
		}
	}
	return b.NewRecordBatch()
}

func filterText(r *rand.Rand) string {
	return pick(r, "", "a", "A", "b'c", "é", "日本", "a\x00b", "a\u00a0b", "1", " 2.5 ", "\u00a01\t", "1.", ".5", ".", "1e2", "+3", "-0", "nan", "inf",
		"-Infinity", "infinit", "1e400", "-1e400", "1e-400", "12345678901234567890", "true", "1 2", "--1", "1e", "0x10", "１", "\r\n7\v")
}

func randomFilter(r *rand.Rand, depth int) map[string]any {
	if depth > 0 && r.IntN(2) == 0 {
		if r.IntN(3) == 0 {
			return map[string]any{"type": "not", "field": randomFilter(r, depth-1)}
		}
		return map[string]any{"type": pick(r, "and", "or"), "fields": []any{randomFilter(r, depth-1), randomFilter(r, depth-1)}}
	}
	column := pick(r, "s", "l", "d", "f", "j", segment.TimeColumn)
	value := func() any {
		switch {
		case column == segment.TimeColumn:
			return fmt.Sprint(t0 + r.Int64N(6)*1000 - r.Int64N(2))
		case strings.Contains("sj", column):
			return filterText(r)
		}
		return pick(r, "0", "1", "2.5", "-5", "9223372036854775807", "-9223372036854775808", "1e300", "-1e300", "9007199254740993", "0.1", "inf", "-inf", "5e-324", "1e19")
	}
	maybe := func() any {
		if r.IntN(4) == 0 {
			return nil
		}
		return value()
	}
	switch r.IntN(3) {
	case 0:
		return map[string]any{"type": "selector", "dimension": column, "value": maybe()}
	case 1:
		return map[string]any{"type": "in", "dimension": column, "values": []any{maybe(), value(), value()}}
	}
	f := map[string]any{"type": "bound", "dimension": column, "ordering": "numeric", "lowerStrict": r.IntN(2) == 0, "upperStrict": r.IntN(2) == 0}
	if strings.Contains("sj", column) {
		if r.IntN(2) == 0 {
			f["ordering"] = "lexicographic"
		} else {
			f["lower"] = pick(r, "0", "1", "2.5", "-1e300", "inf", "-inf")
			return f
		}
	}
	if r.IntN(3) > 0 {
		f["lower"] = value()
	}
	if f["lower"] == nil || r.IntN(2) == 0 {
		f["upper"] = value()
	}
	return f
}

// TestNumbersThatDuckDBDoesNotReadAreErrors shows that texts which the filter takes for numbers and SQL does not are
// never compared wrongly.
func TestNumbersThatDuckDBDoesNotReadAreErrors(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	filter, err := rollup.ParseFilter([]byte(`{"type":"bound","dimension":"s","lower":"1","ordering":"numeric"}`))
	if err != nil {
		t.Fatal(err)
	}
	sql, err := filterSQL(filter, map[string]segment.ColumnType{"s": segment.TypeString})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.database().Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, text := range []string{"0x1p2", "1_000", "0x_1p1_0", "1e1_0", "-0X1.8P1"} {
		_, err := s.Query(context.Background(), fmt.Sprintf("SELECT * FROM (SELECT %s AS s) WHERE %s", quoteText(text), sql), nil)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestChunksOfSQLAreThoseOfGranularities floors random times both ways.
func TestChunksOfSQLAreThoseOfGranularities(t *testing.T) {
	db, err := duckdb.Open(duckdb.Options{MemoryLimitBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := db.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, seed := range seeds(t, 1) {
		r := rand.New(rand.NewPCG(seed, 12))
		for name := range periods {
			g, err := spec.ParseGranularity(name)
			if err != nil {
				t.Fatal(err)
			}
			var values, want []string
			for range 100 {
				millis := r.Int64N(4e12)
				start, _ := g.Chunk(millis)
				values, want = append(values, fmt.Sprintf("(%d, %d)", len(values), millis*1000)), append(want, fmt.Sprint(start*1000))
			}
			res, err := s.Query(context.Background(), fmt.Sprintf("SELECT epoch_us(%s) FROM (VALUES %s) v(i, t) ORDER BY i",
				floorSQL("make_timestamp(t)", g), strings.Join(values, ", ")), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Fields(resultText(res)); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("seed %d: %s: got %v, want %v", seed, name, got, want)
			}
			res.Close()
		}
	}
}
