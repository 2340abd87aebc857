package duckdb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// TestScanWithParquet joins and unites a scan with a file of the same rows, through temporary views.
func TestScanWithParquet(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, Options{Threads: 2, AllowedDirs: []string{dir}})
	s := openSession(t, db)
	scan, r := smallScan(memory.DefaultAllocator, 5000, longText)
	token, err := s.AddScan(scan)
	r.Release()
	if err != nil {
		t.Fatal(err)
	}
	file := quote(filepath.Join(dir, "rows.parquet"))
	setup := fmt.Sprintf(`COPY (SELECT * FROM drumlin_scan(%d)) TO %s (FORMAT parquet);
		CREATE TEMP VIEW hot AS SELECT * FROM drumlin_scan(%d);
		CREATE TEMP VIEW cold AS SELECT * FROM read_parquet(%s);
		CREATE TEMP VIEW both_ AS SELECT * FROM hot WHERE n >= 2500 UNION ALL SELECT * FROM cold WHERE n < 2500`, token, file, token, file)
	if err := s.Exec(context.Background(), setup); err != nil {
		t.Fatal(err)
	}
	wantLines(t, s, "SELECT count(*), sum(n), count(DISTINCT s), max(s) FROM both_", "5000|12497500|5000|a text that is not kept in place 999")
	wantLines(t, s, "SELECT count(*) FROM hot JOIN cold USING (n, s, __time)", "5000")
	wantLines(t, s, "SELECT count(*) FROM hot h WHERE EXISTS (SELECT 1 FROM both_ b WHERE b.s = h.s AND b.n = h.n + 0)", "5000")
	wantLines(t, s, "SELECT count(*) FROM (SELECT * FROM hot EXCEPT SELECT * FROM cold)", "0")
	wantLines(t, s, "SELECT any_value(s), n FROM both_ GROUP BY n ORDER BY n DESC LIMIT 1", longText(4999)+"|4999")
}

func TestScanRefusesWhatItCannotRead(t *testing.T) {
	db := openDB(t, Options{Threads: 1})
	s := openSession(t, db)
	good, r := smallScan(memory.DefaultAllocator, 3, longText)
	defer r.Release()
	cases := map[string]func(*Scan){
		"no columns":          func(x *Scan) { x.Columns = nil },
		"unknown type":        func(x *Scan) { x.Columns[1].Type = "map" },
		"column out of range": func(x *Scan) { x.Parts[0].Columns[1] = 3 },
		"wrong Arrow type":    func(x *Scan) { x.Parts[0].Columns[1] = 2 },
		"too few columns":     func(x *Scan) { x.Parts[0].Columns = []int{0, 1} },
		"too few bounds":      func(x *Scan) { x.Parts[0].Bounds = []TimeBounds{} },
		"constant's type":     func(x *Scan) { x.Parts[0].Columns[1], x.Parts[0].Constants = -1, []any{nil, int64(1), nil} },
		"constant not UTF-8":  func(x *Scan) { x.Parts[0].Columns[1], x.Parts[0].Constants = -1, []any{nil, "\xff", nil} },
		"too few constants":   func(x *Scan) { x.Parts[0].Columns[1], x.Parts[0].Constants = -1, []any{nil} },
	}
	for name, spoil := range cases {
		bad := Scan{Columns: slices.Clone(good.Columns), Parts: slices.Clone(good.Parts)}
		bad.Parts[0].Columns = slices.Clone(good.Parts[0].Columns)
		spoil(&bad)
		if _, err := s.AddScan(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// A range needs a time column, and another session's token is no token.
	noTime := Scan{Columns: good.Columns[1:], Parts: []ScanPart{{Records: good.Parts[0].Records, Columns: []int{1, 2}}}}
	token, err := s.AddScan(noTime)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lines(s, fmt.Sprintf("SELECT * FROM drumlin_scan(%d, from_micros := 1)", token)); err == nil {
		t.Error("a time range over a scan without times was accepted")
	}
	wantLines(t, s, fmt.Sprintf("SELECT count(*) FROM drumlin_scan(%d)", token), "3")
	other := openSession(t, db)
	var e *SQLError
	if _, err := lines(other, fmt.Sprintf("SELECT * FROM drumlin_scan(%d)", token)); !errors.As(err, &e) || e.Kind != KindBinder {
		t.Errorf("another session's scan: %v, want a binder error", err)
	}
}

// TestScanTextThatIsNotUTF8 shows that a malformed string fails its own query and nothing else.
func TestScanTextThatIsNotUTF8(t *testing.T) {
	db := openDB(t, Options{Threads: 2})
	for _, bad := range []string{"\xff", "a long text that ends badly \xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf"} {
		s := openSession(t, db)
		scan, r := smallScan(memory.DefaultAllocator, 3000, func(i int) string {
			if i == 2500 {
				return bad
			}
			return "Zürich"
		})
		token, err := s.AddScan(scan)
		r.Release()
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{
			"SELECT upper(s), count(*) FROM drumlin_scan(%d) GROUP BY 1",
			"SELECT s FROM drumlin_scan(%d, from_micros := 2400000)",
		} {
			_, err := lines(s, fmt.Sprintf(sql, token))
			if err == nil || errors.Is(err, ErrFatal) || !strings.Contains(err.Error(), `"s"`) {
				t.Fatalf("%q: %v, want an error that names the column", bad, err)
			}
		}
		// Rows and columns that a query does not touch are not its problem.
		wantLines(t, s, fmt.Sprintf("SELECT count(*), sum(n) FROM drumlin_scan(%d)", token), "3000|4498500")
		wantLines(t, s, fmt.Sprintf("SELECT count(s) FROM drumlin_scan(%d, to_micros := 1000000)", token), "1000")
	}
}
