package duckdb

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFootersOfReplacedFilesAreReadAgain: another file under a known path counts at once, whether it is as young as the
// first one or both are old.
func TestFootersOfReplacedFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, Options{AllowedDirs: []string{dir}, KeepFooters: true})
	path := filepath.Join(dir, "rows.parquet")
	for i, age := range []time.Duration{0, 0, time.Hour, time.Minute, 0} {
		rows := int64(10 * (i + 1))
		s := openSession(t, db)
		next := filepath.Join(dir, "next.parquet")
		if err := s.Exec(t.Context(), fmt.Sprintf("COPY (SELECT range AS n FROM range(%d)) TO '%s' (FORMAT parquet)", rows, next)); err != nil {
			t.Fatal(err)
		}
		if age > 0 {
			then := time.Now().Add(-age)
			if err := os.Chtimes(next, then, then); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from what was kept
			r, err := s.Query(t.Context(), fmt.Sprintf("SELECT count(*), sum(n)::BIGINT FROM read_parquet('%s')", path), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !r.Next() {
				t.Fatal("no row")
			}
			count, _ := r.Int64(0, 0)
			sum, _ := r.Int64(0, 1)
			r.Close()
			if count != rows || sum != rows*(rows-1)/2 {
				t.Errorf("file %d: %d rows with sum %d, want %d and %d", i, count, sum, rows, rows*(rows-1)/2)
			}
		}
	}
}
