package query

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"drumlin/rollup"
	"drumlin/segment"
)

// filterSQL writes a definition's filter as an SQL condition over the columns of raw rows. It is true, false or unknown
// (null) exactly where the filter is: what differs between the two, such as NaN, is written out.
func filterSQL(f *rollup.Filter, types map[string]segment.ColumnType) (string, error) {
	switch f.Type {
	case "not":
		inner, err := filterSQL(f.Field, types)
		return "(NOT " + inner + ")", err
	case "and", "or":
		parts := make([]string, len(f.Fields))
		for i, field := range f.Fields {
			var err error
			if parts[i], err = filterSQL(field, types); err != nil {
				return "", err
			}
		}
		return "(" + strings.Join(parts, " "+strings.ToUpper(f.Type)+" ") + ")", nil
	}
	column := quoteName(f.Column)
	switch typ := types[f.Column]; typ {
	case segment.TypeString, segment.TypeJSON:
		return textCondition(f, column)
	case segment.TypeLong, segment.TypeTime:
		return longCondition(f, column, typ == segment.TypeTime)
	case segment.TypeDouble, segment.TypeFloat:
		return doubleCondition(f, "CAST("+column+" AS DOUBLE)")
	}
	return "", fmt.Errorf("the filter reads the column %q, which cannot be compared", f.Column)
}

// listed is a condition over a column that equals one of the values, given as SQL. A null is unknown unless it is listed.
func listed(f *rollup.Filter, column string, values []string) string {
	out := never(column)
	if len(values) > 0 {
		out = fmt.Sprintf("(%s IN (%s))", column, strings.Join(values, ", "))
	}
	for _, v := range f.Values {
		if v == nil {
			return fmt.Sprintf("(%s IS NULL OR coalesce(%s, false))", column, out)
		}
	}
	return out
}

// never is false for every value, and unknown for null.
func never(column string) string { return fmt.Sprintf("(%[1]s <> %[1]s)", column) }

func textCondition(f *rollup.Filter, column string) (string, error) {
	if f.Type != "bound" {
		var values []string
		for _, v := range f.Values {
			if v != nil {
				values = append(values, textLiteral(*v))
			}
		}
		return listed(f, column, values), nil
	}
	if f.Numeric {
		return numericTextCondition(f, column)
	}
	var parts []string
	if f.Lower != nil {
		parts = append(parts, column+above(f.LowerStrict)+textLiteral(*f.Lower))
	}
	if f.Upper != nil {
		parts = append(parts, column+below(f.UpperStrict)+textLiteral(*f.Upper))
	}
	return "(" + strings.Join(parts, " AND ") + ")", nil
}

func above(strict bool) string {
	if strict {
		return " > "
	}
	return " >= "
}

func below(strict bool) string {
	if strict {
		return " < "
	}
	return " <= "
}

// Forms of text that strconv.ParseFloat reads, after the spaces around them have gone.
const (
	decimalForm  = `[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?`
	infiniteForm = `[+-]?[iI][nN][fF]([iI][nN][iI][tT][yY])?`
	otherForm    = `[+-]?(0[xX][0-9a-fA-F_.]*[pP][+-]?[0-9_]+|[0-9_.]*_[0-9_.]*([eE][+-]?[0-9_]+)?|[0-9_.]+[eE][+-]?[0-9_]*_[0-9_]*)`
)

// numericTextCondition compares texts as numbers. Text that is no number is unknown, and so is one past the doubles'
// range. Go reads hexadecimal numbers and those with underscores, and DuckDB does not: they are an error, not a guess.
func numericTextCondition(f *rollup.Filter, column string) (string, error) {
	trimmed := fmt.Sprintf("trim(%s, %s)", column, textLiteral(trimmedSpaces()))
	number := fmt.Sprintf("CASE WHEN regexp_full_match(%[1]s, '%[2]s') THEN CASE WHEN isinf(TRY_CAST(%[1]s AS DOUBLE)) THEN NULL ELSE TRY_CAST(%[1]s AS DOUBLE) END"+
		" WHEN regexp_full_match(%[1]s, '%[3]s') THEN CASE WHEN starts_with(%[1]s, '-') THEN CAST('-inf' AS DOUBLE) ELSE CAST('inf' AS DOUBLE) END"+
		" WHEN regexp_full_match(%[1]s, '%[4]s') THEN CAST(error('the plan''s filter cannot compare the text ' || %[1]s || ' as a number in a query') AS DOUBLE) END",
		trimmed, decimalForm, infiniteForm, otherForm)
	return doubleCondition(f, "("+number+")")
}

// trimmedSpaces are the characters that strings.TrimSpace removes.
func trimmedSpaces() string {
	var b strings.Builder
	for _, r16 := range unicode.White_Space.R16 {
		for r := rune(r16.Lo); r <= rune(r16.Hi); r += rune(r16.Stride) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// doubleCondition compares numbers. No bound holds for NaN.
func doubleCondition(f *rollup.Filter, value string) (string, error) {
	if f.Type != "bound" {
		var values []string
		for _, v := range f.Values {
			if v == nil {
				continue
			}
			d, err := strconv.ParseFloat(*v, 64)
			if err != nil || math.IsNaN(d) {
				return "", fmt.Errorf("the filter compares the column %q as a number with %q, which is none", f.Column, *v)
			}
			values = append(values, doubleLiteral(d))
		}
		return listed(f, value, values), nil
	}
	parts := []string{"NOT isnan(" + value + ")"}
	for _, b := range []struct {
		text *string
		op   string
	}{{f.Lower, above(f.LowerStrict)}, {f.Upper, below(f.UpperStrict)}} {
		if b.text == nil {
			continue
		}
		d, err := strconv.ParseFloat(*b.text, 64)
		if err != nil || math.IsNaN(d) {
			return "", fmt.Errorf("the filter compares the column %q as a number with %q, which is none", f.Column, *b.text)
		}
		parts = append(parts, value+b.op+doubleLiteral(d))
	}
	return "(" + strings.Join(parts, " AND ") + ")", nil
}

// longCondition compares whole numbers, and times by their milliseconds. Fractions in bounds are rounded inwards.
func longCondition(f *rollup.Filter, column string, isTime bool) (string, error) {
	if f.Type != "bound" {
		var values []string
		for _, v := range f.Values {
			if v == nil {
				continue
			}
			n, exact, err := wholeNumberOf(f, *v, math.Ceil)
			if err != nil {
				return "", err
			}
			if sql, ok := longLiteral(n, isTime); ok && exact {
				values = append(values, sql)
			}
		}
		return listed(f, column, values), nil
	}
	lower, upper, some, err := longBounds(f)
	if err != nil {
		return "", err
	}
	if !some {
		return never(column), nil
	}
	var parts []string
	if sql, ok := longLiteral(lower, isTime); ok && lower != math.MinInt64 {
		parts = append(parts, column+" >= "+sql)
	} else if !ok && lower > 0 {
		return never(column), nil
	}
	if sql, ok := longLiteral(upper, isTime); ok && upper != math.MaxInt64 {
		parts = append(parts, column+" <= "+sql)
	} else if !ok && upper < 0 {
		return never(column), nil
	}
	if len(parts) == 0 {
		return "(" + column + " = " + column + ")", nil
	}
	return "(" + strings.Join(parts, " AND ") + ")", nil
}

// longBounds gives the bounds as whole numbers, both inclusive; some is false where nothing lies between them.
func longBounds(f *rollup.Filter) (lower, upper int64, some bool, err error) {
	lower, upper, some = math.MinInt64, math.MaxInt64, true
	if f.Lower != nil {
		n, exact, err := wholeNumberOf(f, *f.Lower, math.Ceil)
		if err != nil {
			return 0, 0, false, err
		}
		switch {
		case exact && f.LowerStrict && n == math.MaxInt64, !exact && n == math.MaxInt64:
			some = false
		case exact && f.LowerStrict:
			n++
		}
		lower = n
	}
	if f.Upper != nil {
		n, exact, err := wholeNumberOf(f, *f.Upper, math.Floor)
		if err != nil {
			return 0, 0, false, err
		}
		switch {
		case exact && f.UpperStrict && n == math.MinInt64, !exact && n == math.MinInt64:
			some = false
		case exact && f.UpperStrict:
			n--
		}
		upper = n
	}
	return lower, upper, some && lower <= upper, nil
}

// wholeNumberOf reads a number as a whole one, rounded as asked where it has a fraction, and at the end of the range
// where 64 bits cannot hold it.
func wholeNumberOf(f *rollup.Filter, text string, round func(float64) float64) (n int64, exact bool, err error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true, nil
	}
	d, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(d) {
		return 0, false, fmt.Errorf("the filter compares the column %q as a number with %q, which is none", f.Column, text)
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

// longLiteral writes a whole number, or the time of so many milliseconds; false: no row has such a time.
func longLiteral(n int64, isTime bool) (string, bool) {
	if !isTime {
		return fmt.Sprintf("CAST('%d' AS BIGINT)", n), true
	}
	if n > maxCalendarMicros/1000 || n < -maxCalendarMicros/1000 {
		return "", false
	}
	return fmt.Sprintf("make_timestamp(%d)", n*1000), true
}

func doubleLiteral(d float64) string {
	switch {
	case math.IsInf(d, 1):
		return "CAST('inf' AS DOUBLE)"
	case math.IsInf(d, -1):
		return "CAST('-inf' AS DOUBLE)"
	}
	return "CAST('" + strconv.FormatFloat(d, 'g', -1, 64) + "' AS DOUBLE)"
}

// textLiteral writes a text that a plan holds. Characters that DuckDB's parser would end the statement at, or change, are
// given by their bytes.
func textLiteral(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || isWideSpace(r) || unicode.IsSpace(r) && r != ' ' }) < 0 {
		return quoteText(s)
	}
	return fmt.Sprintf("decode(from_hex('%x'))", s)
}
