package duckdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// recordLayout is everySchema without the column of 16 bytes, which records do not carry.
func recordLayout() (*arrow.Schema, string) {
	var fields []arrow.Field
	var names []string
	for _, f := range everySchema().Fields() {
		if f.Type.ID() != arrow.FIXED_SIZE_BINARY {
			fields, names = append(fields, f), append(names, f.Name)
		}
	}
	return arrow.NewSchema(fields, nil), strings.Join(names, ", ")
}

// TestRecordsGiveBackWhatWasScanned sends random batches through DuckDB and compares every value.
func TestRecordsGiveBackWhatWasScanned(t *testing.T) {
	db := openDB(t, Options{Threads: 2})
	layout, names := recordLayout()
	for range 6 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 9))
		s := openSession(t, db)
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		var next int64
		var want []string
		scan := Scan{Columns: every, Parts: []ScanPart{{Columns: ascending(len(every))}}}
		for range 1 + rng.IntN(4) {
			b := randomBatch(rng, memory.NewGoAllocator(), 1+rng.IntN(15_000), &next)
			scan.Parts[0].Records = append(scan.Parts[0].Records, b.record)
			want = append(want, cells(t, layout, b.record)...)
		}
		token, err := s.AddScan(scan)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = s.Records(context.Background(), fmt.Sprintf("SELECT %s FROM drumlin_scan(%d)", names, token), layout, mem,
			func(rec arrow.RecordBatch) error {
				got = append(got, cells(t, layout, rec)...)
				return nil
			})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		sort.Strings(got)
		sort.Strings(want)
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("seed %d: %d rows came back, %d were there, and they differ", seed, len(got), len(want))
		}
		mem.AssertSize(t, 0)
	}
}

func ascending(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// cells writes each row as text.
func cells(t *testing.T, layout *arrow.Schema, rec arrow.RecordBatch) []string {
	t.Helper()
	out := make([]string, rec.NumRows())
	for _, f := range layout.Fields() {
		at := rec.Schema().FieldIndices(f.Name)
		if len(at) != 1 || !arrow.TypeEqual(rec.Column(at[0]).DataType(), f.Type) {
			t.Fatalf("column %s is missing or of another type", f.Name)
		}
		for i := range out {
			out[i] += "|" + rec.Column(at[0]).ValueStr(i)
		}
	}
	return out
}

func TestRecordsRefuseAndStop(t *testing.T) {
	db := openDB(t, Options{Threads: 2})
	s := openSession(t, db)
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	long := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	ignore := func(arrow.RecordBatch) error { return nil }
	for sql, want := range map[string]string{
		"SELECT 1, 2":         "2 columns",
		"SELECT 'a'":          "VARCHAR",
		"SELECT 1::INTEGER":   "INTEGER",
		"SELECT":              "error",
		"SELECT error('no')":  "no",
		"SELECT x FROM nowhr": "nowhr",
	} {
		if err := s.Records(context.Background(), sql, long, mem, ignore); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	stop, calls := errors.New("enough"), 0
	err := s.Records(context.Background(), "SELECT range FROM range(10000000)", long, mem, func(rec arrow.RecordBatch) error {
		if calls++; rec.NumRows() > recordRows+vectorRows || rec.Column(0).(*array.Int64).NullN() != 0 {
			t.Errorf("a record of %d rows", rec.NumRows())
		}
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	err = s.Records(ctx, "SELECT a.range FROM range(100000000) a, range(1000) b", long, mem, ignore)
	if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past its time: %v", err)
	}
	wantLines(t, s, "SELECT 7", "7")
}
