package duckdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metro "github.com/dgryski/go-metro"
)

// wordSet is a sketch that keeps everything, for tests of what carries words and states between DuckDB and Go.
type wordSet struct {
	words   map[uint64]int
	numbers []float64
}

func newWordSet() Sketch { return &wordSet{words: map[uint64]int{}} }

func (s *wordSet) Add(words []uint64) {
	for _, w := range words {
		s.words[w]++
		s.numbers = append(s.numbers, math.Float64frombits(w))
	}
}

var errWordSet = errors.New("no words")

func (s *wordSet) Merge(state []byte) error {
	if len(state)%8 != 0 || len(state) == 0 {
		return errWordSet
	}
	for ; len(state) > 0; state = state[8:] {
		s.Add([]uint64{binary.LittleEndian.Uint64(state)})
	}
	return nil
}

func (s *wordSet) MergeFrom(other Sketch) error {
	for _, v := range other.(*wordSet).numbers {
		s.Add([]uint64{math.Float64bits(v)})
	}
	return nil
}

func (s *wordSet) AppendState(dst []byte) ([]byte, error) {
	for _, v := range s.numbers {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	}
	return dst, nil
}

func (s *wordSet) Bytes() int64 { return int64(len(s.numbers)) * 24 }

func (s *wordSet) quantile(fraction float64) (float64, bool, error) {
	if len(s.numbers) == 0 {
		return 0, false, nil
	}
	sorted := slices.Sorted(slices.Values(s.numbers))
	return sorted[int(fraction*float64(len(sorted)-1))], true, nil
}

func wordSets() *Sketches {
	of := func(value func(Sketch, float64) (float64, bool, error)) func([]byte, float64) (float64, bool, error) {
		return func(state []byte, fraction float64) (float64, bool, error) {
			s := newWordSet()
			if state != nil {
				if err := s.Merge(state); err != nil {
					return 0, false, err
				}
			}
			return value(s, fraction)
		}
	}
	count := func(s Sketch, _ float64) (float64, bool, error) { return float64(len(s.(*wordSet).words)), true, nil }
	quantile := func(s Sketch, fraction float64) (float64, bool, error) { return s.(*wordSet).quantile(fraction) }
	return &Sketches{
		Distinct:  SketchKind{New: newWordSet, Value: count, Of: of(count)},
		Quantiles: SketchKind{New: newWordSet, Value: quantile, Of: of(quantile)},
	}
}

// TestSketchAggregatesSeeEveryValue compares sketches that keep everything with DuckDB's own exact functions.
func TestSketchAggregatesSeeEveryValue(t *testing.T) {
	s := openSession(t, openDB(t, Options{Threads: 4, Sketches: wordSets()}))
	for _, groups := range []int{1, 7, 9000} {
		rows := "(SELECT hash(i) % 5000 AS v, i % " + fmt.Sprint(groups) + " AS g, i FROM range(40000) t(i))"
		wantLines(t, s, `SELECT COUNT(*) FROM (SELECT g, approx_count_distinct_ds_hll(v) AS a, count(DISTINCT v) AS b, approx_count_distinct_ds_hll(v::VARCHAR) AS c,
			approx_quantile_ds(v, 0.25) AS d, quantile_disc(v, 0.25) AS e, approx_count_distinct_ds_hll(v) FILTER (WHERE v < 9) AS f,
			count(DISTINCT v) FILTER (WHERE v < 9) AS h, hll_sketch_estimate(ds_hll(v)) AS k, max(v) AS m, ds_get_quantile(ds_quantiles_sketch(v), 1) AS n
			FROM `+rows+` GROUP BY g) WHERE a <> b OR b <> c OR f <> h OR k <> b OR m <> n OR d > e`, "0")
	}
	wantLines(t, s, `SELECT approx_count_distinct_ds_hll(x), approx_quantile_ds(x::BIGINT, 0.5), ds_hll(x) FROM (SELECT NULL::BIGINT AS x FROM range(3000))`, "0|NULL|NULL")
	wantLines(t, s, `SELECT approx_count_distinct_ds_hll(x), ds_quantiles_sketch(x) FROM (SELECT 1 AS x) WHERE x > 1`, "0|NULL")
	wantLines(t, s, `SELECT approx_count_distinct_ds_hll(u) FROM (SELECT ds_hll(i) AS u FROM range(5000) t(i) GROUP BY i % 40 UNION ALL SELECT NULL)`, "5000")
	wantLines(t, s, `SELECT approx_quantile_ds(q, 1) FROM (SELECT ds_quantiles_sketch(i) AS q FROM range(5000) t(i) GROUP BY i % 40)`, "4999.0")
	wantLines(t, s, `SELECT g, approx_count_distinct_ds_hll(i) FROM (SELECT i, i % 2 AS g FROM range(4000) t(i)) GROUP BY GROUPING SETS ((), (g)) ORDER BY ALL`,
		"0|2000", "1|2000", "NULL|4000")
}

// TestSketchErrors says what is wrong, leaves the session usable and gives everything back: closing the database checks it.
func TestSketchErrors(t *testing.T) {
	s := openSession(t, openDB(t, Options{Sketches: wordSets(), MaxSketchBytes: 1 << 20}))
	for sql, want := range map[string]string{
		"SELECT approx_count_distinct_ds_hll('abc'::BLOB)":                              "no words",
		"SELECT approx_quantile_ds('abcdefghi'::BLOB, 0.5)":                             "no words",
		"SELECT hll_sketch_estimate(''::BLOB)":                                          "no words",
		"SELECT approx_quantile_ds(i, 2) FROM range(10) t(i)":                           "from 0 to 1",
		"SELECT approx_quantile_ds(i, 'nan'::DOUBLE) FROM range(10) t(i)":               "from 0 to 1",
		"SELECT approx_quantile_ds(i, NULL) FROM range(10) t(i)":                        "from 0 to 1, not null",
		"SELECT approx_quantile_ds(i, i / 10) FROM range(10) t(i)":                      "same for all rows",
		"SELECT approx_quantile_ds(i, i // 1e5) FROM range(300000) t(i) GROUP BY i % 2": "same for all rows",
	} {
		_, err := lines(s, sql)
		var refused *SQLError
		if !errors.As(err, &refused) || refused.Kind != KindSketch || !strings.Contains(refused.Message, want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if _, err := lines(s, "SELECT approx_quantile_ds(i, 0.5) FROM range(300000) t(i)"); !errors.Is(err, ErrOutOfMemory) {
		t.Error(err)
	}
	wantLines(t, s, "SELECT approx_quantile_ds(i, 0.5) FROM range(3) t(i)", "1.0")
}

// TestSketchHash holds the hash in C to the library's.
func TestSketchHash(t *testing.T) {
	s := openSession(t, openDB(t, Options{Sketches: wordSets()}))
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 150 {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte(' ' + r.IntN(90))
		}
		want := binary.LittleEndian.AppendUint64(nil, metro.Hash64(text, 1337))
		result, err := s.Query(context.Background(), "SELECT ds_hll(?::VARCHAR) = ?::BLOB", []any{string(text), want})
		if err != nil {
			t.Fatal(err)
		}
		if !result.Next() || string(result.AppendText(nil, 0, 0)) != "true" {
			t.Errorf("%q: another hash", text)
		}
		result.Close()
	}
}
