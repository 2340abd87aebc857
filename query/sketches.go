package query

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"drumlin/duckdb"
	"drumlin/rollup"
)

// newSketches are what DuckDB's sketch functions work with: the states of folded rows, so that the answer over rows is the
// answer over any folding of them.
func newSketches() *duckdb.Sketches {
	return &duckdb.Sketches{
		Distinct: duckdb.SketchKind{
			New: func() duckdb.Sketch { return &distinctSketch{} },
			Value: func(s duckdb.Sketch, _ float64) (float64, bool, error) {
				return float64(s.(*distinctSketch).sketch.Estimate()), true, nil
			},
			Of: func(state []byte, _ float64) (float64, bool, error) {
				n, err := rollup.EstimateDistinct(state)
				return float64(n), true, err
			},
		},
		Quantiles: duckdb.SketchKind{
			New: func() duckdb.Sketch { return &quantilesSketch{} },
			Value: func(s duckdb.Sketch, fraction float64) (float64, bool, error) {
				return s.(*quantilesSketch).sketch.Quantile(fraction)
			},
			Of: rollup.QuantileOf,
		},
	}
}

// Guesses at the memory of a sketch of distinct values: at least, at most, and for each value until then.
const (
	leastDistinctBytes = 256
	mostDistinctBytes  = 20 << 10
	distinctValueBytes = 16
)

type distinctSketch struct {
	sketch rollup.Distinct
	bytes  int64
}

func (d *distinctSketch) Add(words []uint64) {
	for _, hash := range words {
		d.sketch.Add(hash)
	}
	d.grow(int64(len(words)) * distinctValueBytes)
}

func (d *distinctSketch) Merge(state []byte) error {
	if err := d.sketch.Merge(state); err != nil {
		return err
	}
	d.grow(2 * int64(len(state)))
	return nil
}

func (d *distinctSketch) MergeFrom(other duckdb.Sketch) error {
	o := other.(*distinctSketch)
	if err := d.sketch.MergeFrom(&o.sketch); err != nil {
		return err
	}
	d.grow(o.bytes)
	return nil
}

func (d *distinctSketch) grow(bytes int64) { d.bytes = min(d.bytes+bytes, mostDistinctBytes) }

func (d *distinctSketch) AppendState(dst []byte) ([]byte, error) {
	if d.sketch.Empty() {
		return dst, nil
	}
	return d.sketch.AppendState(dst)
}

func (d *distinctSketch) Bytes() int64 { return leastDistinctBytes + d.bytes }

// leastQuantilesBytes is what a sketch of quantiles takes beside its bins.
const leastQuantilesBytes = 256

type quantilesSketch struct{ sketch rollup.Quantiles }

// Add leaves out what has no place among quantiles: NaN and infinite values, as rollup does.
func (q *quantilesSketch) Add(words []uint64) {
	for _, bits := range words {
		q.sketch.Add(math.Float64frombits(bits))
	}
}

func (q *quantilesSketch) Merge(state []byte) error { return q.sketch.Merge(state) }

func (q *quantilesSketch) MergeFrom(other duckdb.Sketch) error {
	return q.sketch.MergeFrom(&other.(*quantilesSketch).sketch)
}

func (q *quantilesSketch) AppendState(dst []byte) ([]byte, error) {
	if q.sketch.Empty() {
		return dst, nil
	}
	return q.sketch.AppendState(dst), nil
}

func (q *quantilesSketch) Bytes() int64 { return leastQuantilesBytes + q.sketch.Bytes() }

// sketchNames are the functions that work with sketches, in lower case, each under the name that DuckDB knows it by: two
// of them are DuckDB's own names for functions with other states.
var sketchNames = map[string]string{
	"approx_count_distinct":        "APPROX_COUNT_DISTINCT_DS_HLL",
	"approx_count_distinct_ds_hll": "APPROX_COUNT_DISTINCT_DS_HLL",
	"approx_quantile":              "APPROX_QUANTILE_DS",
	"approx_quantile_ds":           "APPROX_QUANTILE_DS",
	"ds_hll":                       "DS_HLL",
	"ds_quantiles_sketch":          "DS_QUANTILES_SKETCH",
	"hll_sketch_estimate":          "HLL_SKETCH_ESTIMATE",
	"ds_get_quantile":              "DS_GET_QUANTILE",
}

// sketchCall is a place where a statement calls one of them.
type sketchCall struct {
	name     string // in lower case
	location int    // byte offset of the name
	argument string // the first argument where it is a column, as it was written
}

// noteSketch remembers a call of a sketch function. DuckDB gives an aggregate of ours one state for all rows, and no word
// that it does, where rows come in order or in a window: such calls would read past it.
func (a *admitted) noteSketch(n node, class, name string) *Error {
	_, ours := sketchNames[name]
	switch {
	case !ours:
		return nil
	case class == "WINDOW":
		return newError(Invalid, "compute it with GROUP BY in a subquery", "%s cannot be used with OVER", strings.ToUpper(name))
	case len(n.child("order_bys").list("orders")) > 0:
		return newError(Invalid, "leave ORDER BY out: the order of rows means nothing to it", "%s cannot be used with ORDER BY inside",
			strings.ToUpper(name))
	}
	call := sketchCall{name: name, location: n.location()}
	if arguments := n.list("children"); len(arguments) > 0 {
		var parts []string
		for _, part := range asNode(arguments[0]).list("column_names") {
			parts = append(parts, fmt.Sprint(part))
		}
		call.argument = strings.Join(parts, ".")
	}
	a.sketches = append(a.sketches, call)
	return nil
}

// edit puts DuckDB's name in the place of the function's.
func (c sketchCall) edit(sql string) (edit, *Error) {
	end, ok := skipQualifiedName(sql, c.location)
	if ok {
		written := sql[c.location:end]
		if ok = strings.HasSuffix(strings.ToLower(strings.Trim(written, `"`)), c.name); ok {
			return edit{c.location, end, sketchNames[c.name]}, nil
		}
	}
	return edit{}, newError(Invalid, "write its name alone, followed by its arguments", "the function %s cannot be found in the query", c.name)
}

// sketchError names the calls that may be meant by an error about a sketch: DuckDB knows values only.
func sketchError(e *Error, calls []sketchCall) *Error {
	_, text, found := strings.Cut(e.Message, "not a sketch of ")
	if found {
		e.Message = "a value is not a sketch of " + text
		e.Hint = "give it a column of HLLSketchBuild, hyperUnique or cardinality, or one without sketches"
	}
	distinct := strings.Contains(e.Message, "distinct values")
	if found && !distinct {
		e.Hint = "give it a column of quantilesDoublesSketch, or one of numbers"
	}
	var named []string
	for _, c := range calls {
		name := strings.ToUpper(c.name)
		if c.argument != "" {
			name += "(" + c.argument + ")"
		}
		if ofDistinct := !strings.Contains(c.name, "quantile"); ofDistinct == distinct && !slices.Contains(named, name) {
			named = append(named, name)
		}
	}
	e.Message = strings.Join(named, ", ") + ": " + e.Message
	return e
}
