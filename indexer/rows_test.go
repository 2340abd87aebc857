package indexer

import (
	"bytes"
	"cmp"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/objectstore"
	"drumlin/segment"
	"drumlin/spec"
)

// testRow is a row as the tests see it. Nil pointers are nulls.
type testRow struct {
	millis, offset, hi, lo int64
	keyed                  bool
	uuid                   []byte
	key                    *string
	event, note            *string
	n                      *int64
	price                  *float64
	ratio                  *float32
}

func testSchema(rng *rand.Rand) *segment.Schema {
	s := &segment.Schema{
		ID: 2,
		Columns: []segment.Column{
			{ID: 100, Name: "event", Type: segment.TypeString},
			{ID: 101, Name: "note", Type: segment.TypeJSON},
			{ID: 102, Name: "n", Type: segment.TypeLong},
			{ID: 103, Name: "price", Type: segment.TypeDouble},
			{ID: 104, Name: "ratio", Type: segment.TypeFloat},
		},
		Dimensions: []string{"event", "note", "n", "price", "ratio"},
		Dedup:      rng.IntN(3) > 0,
	}
	s.SortBy = []string{"event", "__time", "note", "n", "price", "ratio"}
	rng.Shuffle(len(s.SortBy), func(i, j int) { s.SortBy[i], s.SortBy[j] = s.SortBy[j], s.SortBy[i] })
	s.SortBy = s.SortBy[:1+rng.IntN(len(s.SortBy))]
	if s.Dedup && rng.IntN(2) == 0 {
		s.KeyColumn = "event"
	}
	return s
}

func randomRows(rng *rand.Rand, s *segment.Schema, n int) []testRow {
	texts := []string{"", "a", "a\x00", "ab", "sevenby", "sevenbyt", "sevenbyte", "é", strings.Repeat("long", 40), strings.Repeat("long", 40) + "x"}
	doubles := []float64{0, math.Copysign(0, -1), 1.5, -2, math.NaN(), math.Inf(1), math.Inf(-1)}
	text := func() *string {
		if rng.IntN(8) == 0 {
			return nil
		}
		v := texts[rng.IntN(len(texts))]
		return &v
	}
	rows := make([]testRow, n)
	offset := int64(0)
	for i := range rows {
		offset += 1 + int64(rng.IntN(2))
		r := testRow{millis: int64(rng.IntN(4*3_600_000)) / 1000 * 1000, offset: offset, keyed: rng.IntN(10) > 0}
		r.hi, r.lo = int64(rng.IntN(3)-1), int64(rng.IntN(n))
		r.event, r.note = text(), text()
		if rng.IntN(2) == 0 {
			r.uuid = binaryText(rng)
		} else {
			r.key = text()
		}
		if rng.IntN(5) > 0 {
			n, d, f := int64(rng.IntN(5)-2), doubles[rng.IntN(len(doubles))], float32(doubles[rng.IntN(len(doubles))])
			r.n, r.price, r.ratio = &n, &d, &f
		}
		rows[i] = r
	}
	return rows
}

func binaryText(rng *rand.Rand) []byte {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(rng.IntN(256))
	}
	return b
}

func makeBatches(mem memory.Allocator, rng *rand.Rand, s *segment.Schema, rows []testRow) []segment.HotBatch {
	var out []segment.HotBatch
	for len(rows) > 0 {
		n := min(1+rng.IntN(500), len(rows))
		b := array.NewRecordBuilder(mem, segment.HotArrowSchema(s))
		for _, row := range rows[:n] {
			for i := range b.Schema().NumFields() {
				appendValue(b.Field(i), row.value(b.Schema().Field(i).Name))
			}
		}
		rec := b.NewRecordBatch()
		b.Release()
		if rng.IntN(3) == 0 && n > 1 { // slices: bitmaps begin at odd bits
			a, z := rec.NewSlice(0, 1), rec.NewSlice(1, int64(n))
			out = append(out, segment.HotBatch{Record: a}, segment.HotBatch{Record: z})
			rec.Release()
		} else {
			out = append(out, segment.HotBatch{Record: rec})
		}
		rows = rows[n:]
	}
	return out
}

func makeRejects(mem memory.Allocator, millis []int64) []segment.HotBatch {
	b := array.NewRecordBuilder(mem, segment.HotRejectsArrowSchema())
	defer b.Release()
	for i, m := range millis {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(m * 1000))
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		b.Field(2).(*array.StringBuilder).Append("bad_json")
		b.Field(3).(*array.StringBuilder).Append("unexpected end")
		b.Field(4).(*array.StringBuilder).Append("{")
		b.Field(5).(*array.Int64Builder).Append(1)
	}
	return []segment.HotBatch{{Record: b.NewRecordBatch()}}
}

func releaseBatches(batches []segment.HotBatch) {
	for _, b := range batches {
		b.Record.Release()
	}
}

func (r testRow) value(column string) any {
	switch column {
	case "__time":
		return r.millis
	case "__offset":
		return r.offset
	case "__id_hi", "__id_lo":
		if !r.keyed {
			return nil
		}
		if column == "__id_hi" {
			return r.hi
		}
		return r.lo
	case "__key_uuid":
		return r.uuid
	case "__key":
		return r.key
	case "event":
		return r.event
	case "note":
		return r.note
	case "n":
		return r.n
	case "price":
		return r.price
	default:
		return r.ratio
	}
}

func appendValue(b array.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.AppendNull()
	case int64:
		if t, ok := b.(*array.TimestampBuilder); ok {
			t.Append(arrow.Timestamp(v * 1000))
		} else {
			b.(*array.Int64Builder).Append(v)
		}
	case []byte:
		if v == nil {
			b.AppendNull()
		} else {
			b.(*array.FixedSizeBinaryBuilder).Append(v)
		}
	case *string:
		if v == nil {
			b.AppendNull()
		} else {
			b.(*array.StringBuilder).Append(*v)
		}
	case *int64:
		if v == nil {
			b.AppendNull()
		} else {
			b.(*array.Int64Builder).Append(*v)
		}
	case *float64:
		if v == nil {
			b.AppendNull()
		} else {
			b.(*array.Float64Builder).Append(*v)
		}
	case *float32:
		if v == nil {
			b.AppendNull()
		} else {
			b.(*array.Float32Builder).Append(*v)
		}
	}
}

// readBack reads every segment, checking checksum and description.
func readBack(t *testing.T, store objectstore.Store, result *Result) [][]testRow {
	t.Helper()
	var out [][]testRow
	for _, meta := range result.Segments {
		if err := meta.Validate(); err != nil {
			t.Fatal(err)
		}
		in, err := store.Get(t.Context(), meta.Object, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(segment.NewVerifyingReader(meta.Object, in, meta.Bytes, meta.SHA256))
		if err != nil {
			t.Fatal(err)
		}
		r, err := segment.OpenReader(meta.Object, bytes.NewReader(content), meta.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		var rows []testRow
		for g := range r.RowGroups() {
			rec, err := r.ReadRowGroup(t.Context(), g, nil)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, rowsOf(rec)...)
			rec.Release()
		}
		if int64(len(rows)) != meta.Rows {
			t.Errorf("%s has %d rows, its description says %d", meta.Object, len(rows), meta.Rows)
		}
		for _, row := range rows {
			if row.millis < meta.MinMillis || row.millis > meta.MaxMillis {
				t.Errorf("time %d lies outside %d to %d", row.millis, meta.MinMillis, meta.MaxMillis)
			}
		}
		out = append(out, rows)
	}
	return out
}

func rowsOf(rec arrow.RecordBatch) []testRow {
	rows := make([]testRow, rec.NumRows())
	for c, f := range rec.Schema().Fields() {
		for i := range rows {
			a := rec.Column(c)
			if a.IsNull(i) {
				continue
			}
			r := &rows[i]
			switch a := a.(type) {
			case *array.Timestamp:
				r.millis = int64(a.Value(i)) / 1000
			case *array.FixedSizeBinary:
				r.uuid = bytes.Clone(a.Value(i))
			case *array.Float64:
				v := a.Value(i)
				r.price = &v
			case *array.Float32:
				v := a.Value(i)
				r.ratio = &v
			case *array.String:
				v := strings.Clone(a.Value(i))
				switch f.Name {
				case "event":
					r.event = &v
				case "note":
					r.note = &v
				case "__key":
					r.key = &v
				}
			case *array.Int64:
				v := a.Value(i)
				switch f.Name {
				case "__offset":
					r.offset = v
				case "__id_hi":
					r.hi, r.keyed = v, true
				case "__id_lo":
					r.lo = v
				case "n":
					r.n = &v
				}
			}
		}
	}
	return rows
}

func (r testRow) equal(s *segment.Schema, o testRow) bool {
	same := r.millis == o.millis && r.offset == o.offset && equalText(r.event, o.event) && equalText(r.note, o.note) &&
		compareNull(r.n, o.n, cmp.Compare) == 0 && compareNull(r.price, o.price, sameDouble) == 0 &&
		compareNull(r.ratio, o.ratio, cmp.Compare) == 0
	if s.Dedup {
		same = same && r.keyed == o.keyed && (!r.keyed || r.hi == o.hi && r.lo == o.lo)
	}
	if s.Dedup && s.KeyColumn == "" {
		same = same && equalText(r.key, o.key) && bytes.Equal(r.uuid, o.uuid)
	}
	return same
}

func sameDouble(a, b float64) int { return cmp.Compare(math.Float64bits(a), math.Float64bits(b)) }

func equalText(a, b *string) bool { return compareNull(a, b, strings.Compare) == 0 }

func compareNull[T any](a, b *T, compare func(a, b T) int) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return compare(*a, *b)
}

// nanLast orders numbers as SQL does.
func nanLast[T ~float32 | ~float64](a, b T) int {
	switch {
	case a != a && b != b:
		return 0
	case a != a:
		return 1
	case b != b:
		return -1
	}
	return cmp.Compare(a, b)
}

func compareRows(s *segment.Schema, g spec.Granularity, a, b testRow) int {
	x, _ := g.Chunk(a.millis)
	y, _ := g.Chunk(b.millis)
	order := []int{cmp.Compare(x, y)}
	for _, name := range s.SortBy {
		switch name {
		case "__time":
			order = append(order, cmp.Compare(a.millis, b.millis))
		case "event":
			order = append(order, compareNull(a.event, b.event, strings.Compare))
		case "note":
			order = append(order, compareNull(a.note, b.note, strings.Compare))
		case "n":
			order = append(order, compareNull(a.n, b.n, cmp.Compare))
		case "price":
			order = append(order, compareNull(a.price, b.price, nanLast))
		case "ratio":
			order = append(order, compareNull(a.ratio, b.ratio, nanLast))
		}
	}
	i := slices.IndexFunc(order, func(c int) bool { return c != 0 })
	if i < 0 {
		return 0
	}
	return order[i]
}
