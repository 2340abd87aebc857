package duckdb

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/internal/testkit"
	"drumlin/segment"
)

// every is one column of each type, in the order of everySchema's fields.
var every = []ScanColumn{
	{segment.TimeColumn, segment.TypeTime},
	{"s", segment.TypeString},
	{"l", segment.TypeLong},
	{"d", segment.TypeDouble},
	{"f", segment.TypeFloat},
	{"j", segment.TypeJSON},
	{"i", segment.TypeInt},
	{"u", segment.TypeUUID},
	{"b", segment.TypeBinary},
	{"n", segment.TypeLong}, // row number over the whole scan, never null
}

func everySchema() *arrow.Schema {
	types := []arrow.DataType{
		&arrow.TimestampType{Unit: arrow.Microsecond}, arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64,
		arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float32, arrow.BinaryTypes.String,
		arrow.PrimitiveTypes.Int32, &arrow.FixedSizeBinaryType{ByteWidth: 16}, arrow.BinaryTypes.Binary,
		arrow.PrimitiveTypes.Int64,
	}
	fields := make([]arrow.Field, len(types))
	for i, t := range types {
		fields[i] = arrow.Field{Name: every[i].Name, Type: t, Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// batch is a record and the text that each of its values must read as; "NULL" is null.
type batch struct {
	record arrow.RecordBatch
	rows   [][]string
	micros []int64
}

var words = []string{"", "a", "exactly12byt", "thirteen byte", "Zürich", "日本語のテキスト", "🚲", strings.Repeat("long ", 50)}

// randomBatch makes a record of the given rows, sliced out of a larger one at an odd place.
func randomBatch(rng *rand.Rand, mem memory.Allocator, rows int, next *int64) batch {
	b := array.NewRecordBuilder(mem, everySchema())
	defer b.Release()
	before, after := rng.IntN(70), rng.IntN(10)
	nulls := []float64{0, 0.1, 1}[rng.IntN(3)]
	out := batch{}
	// Half of the batches cover a small part of the whole range only, so that bounds decide about them.
	spread := []int64{1e6, 1e4}[rng.IntN(2)]
	base := rng.Int64N(1e6-spread+1) - 5e5
	for i := range before + rows + after {
		line, micros := randomRow(rng, b, nulls, *next, (base+rng.Int64N(spread))*1e3)
		if i >= before && i < before+rows {
			*next++
			out.rows = append(out.rows, line)
			out.micros = append(out.micros, micros)
		}
	}
	whole := b.NewRecordBatch()
	defer whole.Release()
	out.record = whole.NewSlice(int64(before), int64(before+rows))
	return out
}

// randomRow appends one row and returns its values as text, and its time.
func randomRow(rng *rand.Rand, b *array.RecordBuilder, nulls float64, number, micros int64) ([]string, int64) {
	line := make([]string, len(every))
	b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(micros))
	line[0] = time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000Z")
	for i := 1; i < len(every)-1; i++ {
		if rng.Float64() < nulls {
			b.Field(i).AppendNull()
			line[i] = "NULL"
			continue
		}
		switch f := b.Field(i).(type) {
		case *array.StringBuilder:
			line[i] = words[rng.IntN(len(words))]
			f.Append(line[i])
		case *array.Int64Builder:
			v := int64(rng.Uint64())
			f.Append(v)
			line[i] = fmt.Sprint(v)
		case *array.Int32Builder:
			v := int32(rng.Uint32())
			f.Append(v)
			line[i] = fmt.Sprint(v)
		case *array.Float64Builder:
			v := math.Float64frombits(rng.Uint64()>>2 | 0x3000<<48) // always finite
			f.Append(v)
			line[i] = string(appendFloatText(nil, v, 64))
		case *array.Float32Builder:
			v := rng.Float32()
			f.Append(v)
			line[i] = string(appendFloatText(nil, float64(v), 32))
		case *array.FixedSizeBinaryBuilder:
			v := make([]byte, 16)
			for k := range v {
				v[k] = byte(rng.Uint32())
			}
			f.Append(v)
			line[i] = base64.StdEncoding.EncodeToString(v)
		case *array.BinaryBuilder:
			v := make([]byte, rng.IntN(30)) // seldom UTF-8
			for k := range v {
				v[k] = byte(rng.Uint32())
			}
			f.Append(v)
			line[i] = base64.StdEncoding.EncodeToString(v)
		}
	}
	b.Field(len(every) - 1).(*array.Int64Builder).Append(number)
	line[len(every)-1] = fmt.Sprint(number)
	return line, micros
}

// TestScanAgainstReference reads random batches back in every way and compares each value.
func TestScanAgainstReference(t *testing.T) {
	db := openDB(t, Options{Threads: 2})
	for range testkit.Rounds(16, 4) {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { checkRandomScan(t, db, rand.New(rand.NewPCG(seed, 0))) })
		if t.Failed() {
			return
		}
	}
}

func checkRandomScan(t *testing.T, db *DB, rng *rand.Rand) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	s := openSession(t, db)
	scan := Scan{Columns: append(slices.Clone(every), ScanColumn{"__topic", segment.TypeString}, ScanColumn{"__partition", segment.TypeInt})}
	var want [][]string
	var micros []int64
	var next int64
	for part := range 1 + rng.IntN(3) {
		topic := any(fmt.Sprintf("a topic with a long name %d", part))
		topicText := topic
		if rng.IntN(4) == 0 {
			topic, topicText = nil, "NULL"
		}
		p := ScanPart{Columns: []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1}, Constants: make([]any, 12)}
		p.Constants[10], p.Constants[11] = topic, int32(part)
		missing := -1 // a column that this part's schema does not have
		if rng.IntN(2) == 0 {
			missing = 1 + rng.IntN(8)
			p.Columns[missing] = -1
		}
		for range rng.IntN(8) {
			b := randomBatch(rng, mem, []int{0, 1, 63, 64, 65, 500, 2048, 2049, 5000}[rng.IntN(9)], &next)
			p.Records = append(p.Records, b.record)
			for i, line := range b.rows {
				if missing >= 0 {
					line[missing] = "NULL"
				}
				want = append(want, append(line, fmt.Sprint(topicText), fmt.Sprint(part)))
				micros = append(micros, b.micros[i])
			}
			bounds := TimeBounds{math.MinInt64, math.MaxInt64}
			if len(b.micros) > 0 && rng.IntN(4) > 0 {
				bounds = TimeBounds{slices.Min(b.micros), slices.Max(b.micros)}
			}
			p.Bounds = append(p.Bounds, bounds)
		}
		if rng.IntN(3) == 0 {
			p.Bounds = nil
		}
		scan.Parts = append(scan.Parts, p)
	}
	token, err := s.AddScan(scan)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range scan.Parts {
		for _, r := range p.Records {
			r.Release()
		}
	}
	compareScan(t, s, rng, fmt.Sprintf("drumlin_scan(%d)", token), want)
	for range 4 {
		from, to := randomRange(rng, scan)
		var within [][]string
		for i, m := range micros {
			if m >= from && m < to {
				within = append(within, want[i])
			}
		}
		compareScan(t, s, rng, fmt.Sprintf("drumlin_scan(%d, from_micros := %d, to_micros := %d)", token, from, to), within)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// randomRange picks limits anywhere, or at the bounds of a batch and one microsecond beside them.
func randomRange(rng *rand.Rand, scan Scan) (from, to int64) {
	pick := func() int64 {
		if p := scan.Parts[rng.IntN(len(scan.Parts))]; len(p.Bounds) > 0 && rng.IntN(4) > 0 {
			b := p.Bounds[rng.IntN(len(p.Bounds))]
			if b.MinMicros != math.MinInt64 {
				return []int64{b.MinMicros, b.MaxMicros}[rng.IntN(2)] + rng.Int64N(3) - 1
			}
		}
		return (rng.Int64N(1e6) - 5e5) * 1e3
	}
	from, to = pick(), pick()
	if from > to && rng.IntN(8) > 0 {
		from, to = to, from
	}
	return from, to
}

// compareScan reads all columns, and some columns in another order, and compares with want by row number.
func compareScan(t *testing.T, s *Session, rng *rand.Rand, source string, want [][]string) {
	t.Helper()
	order := rng.Perm(12)[:1+rng.IntN(12)]
	for _, columns := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, order} {
		names := make([]string, 0, len(columns))
		for _, c := range columns {
			names = append(names, append(slices.Clone(every), ScanColumn{Name: "__topic"}, ScanColumn{Name: "__partition"})[c].Name)
		}
		sql := "SELECT " + strings.Join(names, ", ") + " FROM " + source + " ORDER BY n"
		got, err := lines(s, sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d rows, want %d", sql, len(got), len(want))
		}
		for i, w := range want {
			values := make([]string, 0, len(columns))
			for _, c := range columns {
				values = append(values, w[c])
			}
			if line := strings.Join(values, "|"); line != got[i] {
				t.Fatalf("%s row %d:\n got %s\nwant %s", sql, i, got[i], line)
			}
		}
	}
	wantLines(t, s, "SELECT count(*) FROM "+source, fmt.Sprint(len(want)))
	checkGroups(t, s, source, want)
}

// checkGroups groups by a string column and counts in Go as well; the join mentions the source twice.
func checkGroups(t *testing.T, s *Session, source string, want [][]string) {
	t.Helper()
	counts := map[string]int{}
	for _, w := range want {
		counts[w[1]]++
	}
	groups := make([]string, 0, len(counts))
	for k, n := range counts {
		groups = append(groups, fmt.Sprintf("%s|%d", k, n))
	}
	slices.SortFunc(groups, cmp.Compare)
	got, err := lines(s, "SELECT s, count(*) FROM "+source+" GROUP BY s")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if !slices.Equal(got, groups) {
		t.Fatalf("group by string over %s:\n got %q\nwant %q", source, got, groups)
	}
	wantLines(t, s, "SELECT count(*) FROM "+source+" a JOIN "+source+" b USING (n)", fmt.Sprint(len(want)))
}

// smallScan makes a scan of rows numbered from 0 with a string that is not inlined, and returns its one record.
func smallScan(mem memory.Allocator, rows int, text func(int) string) (Scan, arrow.RecordBatch) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: segment.TimeColumn, Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
		{Name: "s", Type: arrow.BinaryTypes.String},
		{Name: "n", Type: arrow.PrimitiveTypes.Int64},
	}, nil)
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(i * 1000))
		b.Field(1).(*array.StringBuilder).Append(text(i))
		b.Field(2).(*array.Int64Builder).Append(int64(i))
	}
	r := b.NewRecordBatch()
	return Scan{
		Columns: []ScanColumn{{segment.TimeColumn, segment.TypeTime}, {"s", segment.TypeString}, {"n", segment.TypeLong}},
		Parts:   []ScanPart{{Records: []arrow.RecordBatch{r}, Columns: []int{0, 1, 2}}},
	}, r
}

func longText(i int) string { return fmt.Sprintf("a text that is not kept in place %d", i) }
