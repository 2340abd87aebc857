package query

import (
	"math"
	"strings"

	"drumlin/segment"
)

// timeRange is [from, to) in microseconds.
type timeRange struct{ from, to int64 }

var allTime = timeRange{math.MinInt64, math.MaxInt64}

func (r timeRange) empty() bool { return r.from >= r.to }

func (r timeRange) overlapsMillis(fromMillis, toMillis int64) bool {
	return !r.empty() && satMicros(toMillis) > r.from && satMicros(fromMillis) < r.to
}

// satMicros turns milliseconds into microseconds, staying at the ends of the range.
func satMicros(millis int64) int64 {
	switch {
	case millis > math.MaxInt64/1000:
		return math.MaxInt64
	case millis < math.MinInt64/1000:
		return math.MinInt64
	}
	return millis * 1000
}

// timeOf intersects what the conditions say of __time.
func timeOf(conditions []condition) timeRange {
	r := allTime
	for _, c := range conditions {
		if foldName(c.column) != segment.TimeColumn {
			continue
		}
		one, ok := timeRangeOf(c)
		if ok {
			r.from, r.to = max(r.from, one.from), min(r.to, one.to)
		}
	}
	return r
}

func timeRangeOf(c condition) (timeRange, bool) {
	r := timeRange{math.MaxInt64, math.MinInt64}
	for _, v := range c.constants {
		at := v.long
		switch v.kind {
		case timeConstant:
		case textConstant: // DuckDB reads a text beside a timestamp as one
			var ok bool
			if at, ok = parseTimestamp(v.text); !ok {
				return allTime, false
			}
		default:
			return allTime, false
		}
		one := around(c.op, at)
		r.from, r.to = min(r.from, one.from), max(r.to, one.to)
	}
	return r, true
}

func around(op comparison, at int64) timeRange {
	next := at
	if at < math.MaxInt64 {
		next = at + 1
	}
	switch op {
	case equal:
		return timeRange{at, next}
	case less:
		return timeRange{math.MinInt64, at}
	case lessOrEqual:
		return timeRange{math.MinInt64, next}
	case greater:
		return timeRange{next, math.MaxInt64}
	default:
		return timeRange{at, math.MaxInt64}
	}
}

// columnsByName finds columns as DuckDB does: whatever their case (foldName).
type columnsByName map[string]segment.Column

// mayMatch says whether any row of the segment can satisfy all conditions. newest finds columns by name; own is the
// schema that the segment was written with, nil where it is not known.
func mayMatch(m *segment.Meta, conditions []condition, newest columnsByName, own *segment.Schema) bool {
	if !timeOf(conditions).overlapsMillis(m.MinMillis, satAdd(m.MaxMillis, 1)) {
		return false
	}
	for _, c := range conditions {
		column, ok := newest[foldName(c.column)]
		if ok && !columnMayMatch(m, column, c, own) {
			return false
		}
	}
	return true
}

func satAdd(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func columnMayMatch(m *segment.Meta, column segment.Column, c condition, own *segment.Schema) bool {
	if !comparable(column.Type, c.constants) {
		return true
	}
	for i := range m.Columns {
		if s := &m.Columns[i]; s.ID == column.ID {
			return statsMayMatch(s, m.Rows, column.Type, c)
		}
	}
	// A column that the file lacks holds nulls only, and no comparison is true of a null.
	return own == nil || hasColumn(own, column.ID)
}

func hasColumn(s *segment.Schema, id int32) bool {
	for _, c := range s.Columns {
		if c.ID == id {
			return true
		}
	}
	return false
}

// comparable says whether DuckDB compares the column with these constants in the order that its bounds are kept in,
// without first converting the column.
func comparable(t segment.ColumnType, constants []constant) bool {
	for _, v := range constants {
		switch t {
		case segment.TypeLong:
			if v.kind != longConstant {
				return false
			}
		case segment.TypeDouble:
			if v.kind != longConstant && v.kind != doubleConstant {
				return false
			}
		case segment.TypeString:
			if v.kind != textConstant {
				return false
			}
		default: // floats are widened, JSON is compared by its text: no bounds
			return false
		}
	}
	return true
}

func statsMayMatch(s *segment.ColumnStats, rows int64, t segment.ColumnType, c condition) bool {
	// NaN sorts above every number and equals itself.
	if s.HasNaN && (c.op == greater || c.op == greaterOrEqual || anyNaN(c.constants)) {
		return true
	}
	if s.Min == nil || s.Max == nil {
		return s.HasNaN && c.op == equal && anyNaN(c.constants) || s.Nulls != rows && !s.HasNaN
	}
	for _, v := range c.constants {
		if boundsMayMatch(s, t, c.op, v) {
			return true
		}
	}
	return false
}

func anyNaN(constants []constant) bool {
	for _, v := range constants {
		if v.kind == doubleConstant && math.IsNaN(v.double) {
			return true
		}
	}
	return false
}

func boundsMayMatch(s *segment.ColumnStats, t segment.ColumnType, op comparison, v constant) bool {
	low, okLow := compareBound(s.Min, t, v)
	high, okHigh := compareBound(s.Max, t, v)
	if !okLow || !okHigh {
		return true
	}
	switch op {
	case equal:
		return low <= 0 && high >= 0
	case less:
		return low < 0
	case lessOrEqual:
		return low <= 0
	case greater:
		return high > 0
	default:
		return high >= 0
	}
}

// compareBound orders a bound against a constant; false: they cannot be ordered.
func compareBound(b *segment.Bound, t segment.ColumnType, v constant) (int, bool) {
	switch {
	case t == segment.TypeLong && b.Long != nil:
		return order(*b.Long, v.long), true
	case t == segment.TypeDouble && b.Double != nil:
		d := v.double
		if v.kind == longConstant {
			d = float64(v.long)
		}
		return order(*b.Double, d), !math.IsNaN(d)
	case t == segment.TypeString && b.String != nil:
		return strings.Compare(*b.String, v.text), true
	}
	return 0, false
}

func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
