package rollup

import (
	"math"
	"slices"
	"strconv"
	"unsafe"

	"drumlin/segment"
)

// rowPredicate is a filter over one record; it gives a truth value. Errors are left in the transformer's environment.
type rowPredicate func(r *Transformer) uint8

// eachLeaf calls fn for every filter that reads a column.
func (f *Filter) eachLeaf(fn func(*Filter)) {
	if f.Column != "" {
		fn(f)
	}
	if f.Field != nil {
		f.Field.eachLeaf(fn)
	}
	for _, g := range f.Fields {
		g.eachLeaf(fn)
	}
}

// compileRowFilter compiles a filter over records, whose fields have the types that each record gives them: texts are compared
// as the filter over a text column compares, numbers as the filter over a number column does.
func compileRowFilter(f *Filter, transforms []string, slots *fieldSlots) (rowPredicate, error) {
	switch f.Type {
	case "not":
		inner, err := compileRowFilter(f.Field, transforms, slots)
		return func(r *Transformer) uint8 { return isTrue - inner(r) }, err
	case "and", "or":
		decides := isFalse
		if f.Type == "or" {
			decides = isTrue
		}
		var inner []rowPredicate
		for _, field := range f.Fields {
			p, err := compileRowFilter(field, transforms, slots)
			if err != nil {
				return nil, err
			}
			inner = append(inner, p)
		}
		return joinRows(inner, decides), nil
	}
	return compileRowLeaf(f, rowColumn(f.Column, transforms, slots))
}

// joinRows is and (decided by false) or or (decided by true).
func joinRows(inner []rowPredicate, decides uint8) rowPredicate {
	return func(r *Transformer) uint8 {
		out := isTrue - decides
		for _, p := range inner {
			switch v := p(r); v {
			case decides:
				return decides
			case isUnknown:
				out = isUnknown
			}
		}
		return out
	}
}

// rowColumn finds what a filter reads: the final time, a transform, or a field.
func rowColumn(name string, transforms []string, slots *fieldSlots) func(r *Transformer) Scalar {
	if name == segment.TimeColumn {
		return func(r *Transformer) Scalar { return longScalar(r.millis) }
	}
	if i := slices.Index(transforms, name); i >= 0 {
		return func(r *Transformer) Scalar {
			before := r.env.err
			v, err := r.Value(i)
			if r.env.err = before; err != nil && before == nil {
				r.env.err = err
			}
			return v
		}
	}
	slot := slots.slot(name)
	return func(r *Transformer) Scalar { return r.env.field(slot) }
}

func compileRowLeaf(f *Filter, column func(r *Transformer) Scalar) (rowPredicate, error) {
	if f.Column == segment.TimeColumn {
		if err := f.needNumeric(); err != nil {
			return nil, err
		}
	}
	onNull := isUnknown
	if f.Type != "bound" {
		onNull = f.nullTruth()
	}
	compiled, err := compileText(f)
	if err != nil {
		return nil, err
	}
	test := compiled.(textPredicate).test
	text := func(t []byte) uint8 { return test(unsafe.String(unsafe.SliceData(t), len(t))) }
	number, err := f.numberTest(text)
	if err != nil {
		return nil, err
	}
	return func(r *Transformer) uint8 {
		switch v := column(r); {
		case v.Type == ScalarNull:
			return onNull
		case v.Type == ScalarText, v.Text != nil:
			return text(v.Text)
		default:
			return number(&r.env, v)
		}
	}, nil
}

// numberTest compiles a leaf for numbers. Bounds that are not numeric compare the text of a number, as Druid does.
func (f *Filter) numberTest(text func([]byte) uint8) (func(*exprEnv, Scalar) uint8, error) {
	if f.Type == "bound" && !f.Numeric {
		return func(e *exprEnv, v Scalar) uint8 {
			t, ok := e.asText(v)
			if !ok {
				return isUnknown
			}
			return text(t)
		}, nil
	}
	numbers := *f
	if f.Type != "bound" {
		numbers.Values = slices.DeleteFunc(slices.Clone(f.Values), func(v *string) bool {
			if v == nil {
				return true
			}
			d, err := strconv.ParseFloat(*v, 64)
			return err != nil || math.IsNaN(d)
		})
	}
	longs, err := compileLong(&numbers)
	if err != nil {
		return nil, err
	}
	doubles, err := compileDouble(&numbers)
	if err != nil {
		return nil, err
	}
	long, double := longs.(longPredicate), doubles.(doublePredicate)
	return func(_ *exprEnv, v Scalar) uint8 {
		switch {
		case v.Type == ScalarDouble && math.IsNaN(v.Double):
			return isUnknown
		case v.Type == ScalarDouble:
			return truth(double.within(v.Double))
		case long.values != nil:
			_, ok := slices.BinarySearch(long.values, v.Long)
			return truth(ok)
		}
		return truth(v.Long >= long.lower && v.Long <= long.upper)
	}, nil
}
