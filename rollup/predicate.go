package rollup

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"drumlin/segment"
)

// Truth values of a filter over one row. Comparisons with null are unknown, and a row counts only where its filter is
// true; and, or and not follow SQL.
const (
	isFalse uint8 = iota
	isUnknown
	isTrue
)

// predicate is a compiled filter. It writes one truth value per row of the batch.
type predicate interface {
	eval(b *batch, out []uint8) error
}

// compileFilter checks a filter against the types of the columns. A column that is not known is refused.
func compileFilter(f *Filter, columns map[string]segment.ColumnType) (predicate, error) {
	switch f.Type {
	case "not":
		inner, err := compileFilter(f.Field, columns)
		return notPredicate{inner}, err
	case "and", "or":
		out := joinPredicate{weakest: isTrue}
		if f.Type == "or" {
			out = joinPredicate{or: true, weakest: isFalse}
		}
		for _, field := range f.Fields {
			inner, err := compileFilter(field, columns)
			if err != nil {
				return nil, err
			}
			out.inner = append(out.inner, inner)
		}
		return out, nil
	}
	typ, ok := columns[f.Column]
	if !ok {
		return nil, fmt.Errorf("the filter reads the column %q, which does not exist", f.Column)
	}
	switch typ {
	case segment.TypeString, segment.TypeJSON:
		return compileText(f)
	case segment.TypeLong, segment.TypeInt, segment.TypeTime:
		return compileLong(f)
	case segment.TypeDouble, segment.TypeFloat:
		return compileDouble(f)
	}
	return nil, fmt.Errorf("the filter reads the column %q of type %s, which cannot be compared", f.Column, typ)
}

type notPredicate struct{ inner predicate }

func (p notPredicate) eval(b *batch, out []uint8) error {
	if err := p.inner.eval(b, out); err != nil {
		return err
	}
	for i, v := range out {
		out[i] = isTrue - v
	}
	return nil
}

// joinPredicate is the least (and) or the greatest (or) of truth values.
type joinPredicate struct {
	or      bool
	weakest uint8
	inner   []predicate
}

func (p joinPredicate) eval(b *batch, out []uint8) error {
	for i := range out {
		out[i] = p.weakest
	}
	one := b.truths()
	defer func() { b.triUsed-- }()
	for _, inner := range p.inner {
		if err := inner.eval(b, one); err != nil {
			return err
		}
		for i, v := range one {
			if p.or {
				out[i] = max(out[i], v)
			} else {
				out[i] = min(out[i], v)
			}
		}
	}
	return nil
}

// textPredicate holds for strings that test accepts; a null matches where the filter lists null.
type textPredicate struct {
	column string
	onNull uint8
	test   func(string) uint8
}

func (p textPredicate) eval(b *batch, out []uint8) error {
	col, err := b.text(p.column)
	if err != nil {
		return err
	}
	for i := range out {
		if col == nil || col.IsNull(b.from+i) {
			out[i] = p.onNull
			continue
		}
		out[i] = p.test(col.Value(b.from + i))
	}
	return nil
}

func truth(ok bool) uint8 {
	if ok {
		return isTrue
	}
	return isFalse
}

// nullTruth is the truth of a selector or in over null: true where it lists null, else unknown.
func (f *Filter) nullTruth() uint8 {
	if slices.Contains(f.Values, nil) {
		return isTrue
	}
	return isUnknown
}

const fewValues = 8 // up to so many are compared one by one

func compileText(f *Filter) (predicate, error) {
	if f.Type == "bound" {
		if f.Numeric {
			return compileNumericText(f)
		}
		return textPredicate{f.Column, isUnknown, func(s string) uint8 {
			return truth((f.Lower == nil || s > *f.Lower || !f.LowerStrict && s == *f.Lower) &&
				(f.Upper == nil || s < *f.Upper || !f.UpperStrict && s == *f.Upper))
		}}, nil
	}
	var list []string
	set := map[string]bool{}
	for _, v := range f.Values {
		if v != nil {
			list = append(list, *v)
			set[*v] = true
		}
	}
	test := func(s string) uint8 { return truth(set[s]) }
	if len(list) <= fewValues {
		test = func(s string) uint8 { return truth(slices.Contains(list, s)) }
	}
	return textPredicate{f.Column, f.nullTruth(), test}, nil
}

// compileNumericText compares texts as numbers; a text that is none is unknown.
func compileNumericText(f *Filter) (predicate, error) {
	within, err := f.doubleBounds()
	if err != nil {
		return nil, err
	}
	return textPredicate{f.Column, isUnknown, func(s string) uint8 {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsNaN(v) {
			return isUnknown
		}
		return truth(within(v))
	}}, nil
}

// doubleBounds compiles the bounds as numbers.
func (f *Filter) doubleBounds() (func(float64) bool, error) {
	lower, upper := math.Inf(-1), math.Inf(1)
	for _, b := range []struct {
		text *string
		out  *float64
	}{{f.Lower, &lower}, {f.Upper, &upper}} {
		if b.text == nil {
			continue
		}
		v, err := f.number(*b.text)
		if err != nil {
			return nil, err
		}
		*b.out = v
	}
	return func(v float64) bool {
		return (v > lower || !f.LowerStrict && v == lower) && (v < upper || !f.UpperStrict && v == upper)
	}, nil
}

func (f *Filter) number(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) {
		return 0, fmt.Errorf("the filter compares the column %q as a number with %q, which is none", f.Column, text)
	}
	return v, nil
}

// needNumeric refuses to compare the texts of numbers, which is Druid's default and never what is meant.
func (f *Filter) needNumeric() error {
	if f.Type == "bound" && !f.Numeric {
		return fmt.Errorf("the filter bounds the column %q, which holds numbers: say ordering: numeric", f.Column)
	}
	return nil
}

type longPredicate struct {
	column string
	onNull uint8
	lower  int64
	upper  int64   // inclusive
	values []int64 // sorted; nil: the bounds count
}

func (p longPredicate) eval(b *batch, out []uint8) error {
	c, err := b.long(p.column)
	if err != nil {
		return err
	}
	for i := range out {
		switch v := c.values[i]; {
		case !c.all && c.state[i] == valueNull:
			out[i] = p.onNull
		case p.values != nil:
			_, ok := slices.BinarySearch(p.values, v)
			out[i] = truth(ok)
		default:
			out[i] = truth(v >= p.lower && v <= p.upper)
		}
	}
	return nil
}

func compileLong(f *Filter) (predicate, error) {
	if err := f.needNumeric(); err != nil {
		return nil, err
	}
	if f.Type != "bound" {
		values := []int64{}
		for _, text := range f.Values {
			if text == nil {
				continue
			}
			v, exact, err := f.whole(*text, math.Ceil)
			if err != nil {
				return nil, err
			}
			if exact {
				values = append(values, v)
			}
		}
		slices.Sort(values)
		return longPredicate{column: f.Column, onNull: f.nullTruth(), values: values}, nil
	}
	out := longPredicate{column: f.Column, onNull: isUnknown, lower: math.MinInt64, upper: math.MaxInt64}
	if f.Lower != nil {
		v, exact, err := f.whole(*f.Lower, math.Ceil)
		if err != nil {
			return nil, err
		}
		if out.lower = v; exact && f.LowerStrict {
			if v == math.MaxInt64 {
				out.values = []int64{} // nothing is greater
			}
			out.lower = v + 1
		}
		if over, _ := f.number(*f.Lower); !exact && over >= -math.MinInt64 {
			out.values = []int64{}
		}
	}
	if f.Upper != nil {
		v, exact, err := f.whole(*f.Upper, math.Floor)
		if err != nil {
			return nil, err
		}
		if out.upper = v; exact && f.UpperStrict {
			if v == math.MinInt64 {
				out.values = []int64{}
			}
			out.upper = v - 1
		}
		if under, _ := f.number(*f.Upper); !exact && under < math.MinInt64 {
			out.values = []int64{}
		}
	}
	return out, nil
}

// whole reads a number as a whole one, rounded as asked and held within 64 bits where it is none.
func (f *Filter) whole(text string, round func(float64) float64) (v int64, exact bool, err error) {
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return v, true, nil
	}
	d, err := f.number(text)
	if err != nil {
		return 0, false, err
	}
	switch r := round(d); {
	case r >= -math.MinInt64:
		return math.MaxInt64, false, nil
	case r < math.MinInt64:
		return math.MinInt64, false, nil
	default:
		return int64(r), r == d, nil
	}
}

type doublePredicate struct {
	column string
	onNull uint8
	within func(float64) bool
}

func (p doublePredicate) eval(b *batch, out []uint8) error {
	c, err := b.double(p.column)
	if err != nil {
		return err
	}
	for i := range out {
		if !c.all && c.state[i] == valueNull {
			out[i] = p.onNull
			continue
		}
		out[i] = truth(p.within(c.values[i]))
	}
	return nil
}

func compileDouble(f *Filter) (predicate, error) {
	if err := f.needNumeric(); err != nil {
		return nil, err
	}
	if f.Type == "bound" {
		within, err := f.doubleBounds()
		return doublePredicate{f.Column, isUnknown, within}, err
	}
	var values []float64
	for _, text := range f.Values {
		if text == nil {
			continue
		}
		v, err := f.number(*text)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return doublePredicate{f.Column, f.nullTruth(), func(v float64) bool { return slices.Contains(values, v) }}, nil
}
