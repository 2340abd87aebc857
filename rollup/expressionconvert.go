package rollup

import (
	"math"
	"strconv"
	"strings"
)

// numberOf reads a text as a number: a long where it is written as a whole one that fits, else a double; null where it is no
// decimal number. Numbers and null stay.
func numberOf(v Scalar) Scalar {
	if v.Type != ScalarText {
		return v
	}
	text := v.Text
	if len(text) == 0 || len(text) > maxNumberBytes {
		return Scalar{}
	}
	whole := true
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9':
		case (c == '-' || c == '+') && i == 0:
		case c == '.' || c == 'e' || c == 'E' || c == '-' || c == '+':
			whole = false
		default:
			return Scalar{}
		}
	}
	if whole {
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return longScalar(n)
		}
	}
	d, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return Scalar{}
	}
	return doubleScalar(d)
}

// maxNumberBytes bounds a text that is read as a number.
const maxNumberBytes = 400

// asDouble converts a number.
func asDouble(v Scalar) float64 {
	if v.Type == ScalarLong {
		return float64(v.Long)
	}
	return v.Double
}

// asLong converts a value, cutting fractions off; ok is false where it is null or no number.
func (e *exprEnv) asLong(v Scalar) (n int64, ok bool) {
	switch v = numberOf(v); v.Type {
	case ScalarLong:
		return v.Long, true
	case ScalarDouble:
		n, state := cutLong(v.Double)
		if state != valueGood {
			e.fail("%s does not fit 64 bits as a whole number", AppendDouble(nil, v.Double))
			return 0, false
		}
		return n, true
	}
	return 0, false
}

// asText gives a value as a string column would show it; ok is false for null.
func (e *exprEnv) asText(v Scalar) (text []byte, ok bool) {
	const longestNumber = 32
	switch v.Type {
	case ScalarText:
		return v.Text, true
	case ScalarNull:
		return nil, false
	}
	if !e.reserve(longestNumber) {
		return nil, false
	}
	from := len(e.made)
	if v.Type == ScalarLong {
		e.made = strconv.AppendInt(e.made, v.Long, 10)
	} else {
		e.made = AppendDouble(e.made, v.Double)
	}
	return e.finish(from).Text, true
}

// AppendDouble appends a double as Java, and so Druid, writes it: 1.0, 1.0E10, NaN, Infinity. It is the shortest text that
// reads back as the same double.
func AppendDouble(out []byte, v float64) []byte {
	const plainFrom, plainBelow = 1e-3, 1e7
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return append(out, "NaN"...)
	case math.IsInf(v, 1):
		return append(out, "Infinity"...)
	case math.IsInf(v, -1):
		return append(out, "-Infinity"...)
	case a == 0 || a >= plainFrom && a < plainBelow:
		from := len(out)
		out = strconv.AppendFloat(out, v, 'f', -1, 64)
		if !strings.Contains(string(out[from:]), ".") {
			out = append(out, ".0"...)
		}
		return out
	}
	text := strconv.FormatFloat(v, 'E', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "E")
	out = append(out, mantissa...)
	if !strings.Contains(mantissa, ".") {
		out = append(out, ".0"...)
	}
	out = append(out, 'E')
	if exponent[0] == '-' {
		out = append(out, '-')
	}
	return append(out, strings.TrimLeft(exponent[1:], "0")...)
}
