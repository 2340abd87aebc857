package interop

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"

	"drumlin/duckdb"
	"drumlin/segment"
)

// TestRowGroupsAreSkippedByTheFirstSortColumn destroys the data of every row group but one. A filter on the first sort
// column that only the intact group can hold must answer all the same: the others have not been read. A query without it
// must fail, which shows that the destruction is seen where they are read.
func TestRowGroupsAreSkippedByTheFirstSortColumn(t *testing.T) {
	sorted := &segment.Schema{
		ID: 1, SortBy: []string{"event", "__time"}, Dimensions: []string{"event", "n"},
		Columns: []segment.Column{{ID: 100, Name: "event", Type: segment.TypeString}, {ID: 101, Name: "n", Type: segment.TypeLong}},
	}
	events := []string{"alpha", "bravo", "charlie", "delta"}
	const rowsPerEvent, intact = 5000, 2
	path := filepath.Join(t.TempDir(), "sorted.parquet")
	writeSorted(t, path, sorted, events, rowsPerEvent)
	destroyAllBut(t, path, intact)

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
	// As queries read segments: by field ids, behind a view and a union.
	table := "(SELECT event, n FROM read_parquet(['" + path + "'], hive_partitioning = false, schema = MAP {" +
		"100: {name: 'event', type: 'VARCHAR', default_value: NULL}, 101: {name: 'n', type: 'BIGINT', default_value: NULL}})" +
		" UNION ALL SELECT 'alpha', 0::BIGINT)"
	plain := "read_parquet('" + path + "')"
	for _, from := range []string{plain, table} {
		got := rows(t, s, "SELECT count(n) FROM "+from+" WHERE event = 'charlie'")
		if !slices.Equal(got, []string{"5000"}) {
			t.Errorf("the intact row group has %q rows", got)
		}
		if r, err := s.Query(t.Context(), "SELECT sum(n) FROM "+from+" WHERE event >= 'alpha'", nil); err == nil {
			r.Close()
			t.Error("a query over the destroyed row groups must fail")
		}
	}
}

// writeSorted makes a file with one row group per event.
func writeSorted(t *testing.T, path string, schema *segment.Schema, events []string, rowsPerEvent int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	layout := segment.FileArrowSchema(schema)
	w, err := segment.NewWriter(f, segment.WriterOptions{Schema: layout, SortBy: schema.SortBy})
	if err != nil {
		t.Fatal(err)
	}
	for group, event := range events {
		b := array.NewRecordBuilder(memory.DefaultAllocator, layout)
		for i := range rowsPerEvent {
			for c, field := range layout.Fields() {
				switch fb := b.Field(c).(type) {
				case *array.TimestampBuilder:
					fb.Append(arrow.Timestamp(1_700_000_000_000_000 + int64(i)*1000))
				case *array.Int64Builder:
					fb.Append(int64(group*rowsPerEvent+i) * 2654435761 % 1_000_003)
				case *array.Int32Builder:
					fb.Append(0)
				case *array.StringBuilder:
					if field.Name == "event" {
						fb.Append(event)
					} else {
						fb.Append("topic")
					}
				}
			}
		}
		rec := b.NewRecordBatch()
		if err := w.Write(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		rec.Release()
		b.Release()
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// destroyAllBut overwrites the pages of every row group but the given one.
func destroyAllBut(t *testing.T, path string, intact int) {
	t.Helper()
	reader, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	type span struct{ from, to int64 }
	var spans []span
	for group := range reader.NumRowGroups() {
		meta := reader.MetaData().RowGroup(group)
		for c := range meta.NumColumns() {
			chunk, err := meta.ColumnChunk(c)
			if err != nil {
				t.Fatal(err)
			}
			from := chunk.DataPageOffset()
			if chunk.HasDictionaryPage() {
				from = min(from, chunk.DictionaryPageOffset())
			}
			if group != intact {
				spans = append(spans, span{from, from + chunk.TotalCompressedSize()})
			}
		}
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spans {
		for i := s.from; i < s.to; i++ {
			data[i] = 0xff
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
