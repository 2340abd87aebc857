package decode

import (
	"math"
	"strconv"
)

func (s *scanner) literal(i int, word string) int {
	if len(s.data)-i < len(word) || string(s.data[i:i+len(word)]) != word {
		return s.fail(ReasonMalformedJSON, i, "expected %s, found %s", word, shorten(s.data[i:]))
	}
	return i + len(word)
}

// number reads a number, or fails where none begins.
func (s *scanner) number(i int) (end int, kind captureKind) {
	start := i
	if s.data[i] == '-' {
		i++
	}
	first := i
	i = digits(s.data, i)
	switch {
	case i == first && first == start:
		return s.expected(start, "a value"), 0
	case i == first:
		return s.expected(i, "a digit"), 0
	case s.data[first] == '0' && i > first+1:
		return s.fail(ReasonMalformedJSON, start, "a number must not begin with a zero before other digits"), 0
	}
	kind = capInteger
	if i < len(s.data) && s.data[i] == '.' {
		kind = capNumber
		first = i + 1
		if i = digits(s.data, first); i == first {
			return s.expected(i, "a digit"), 0
		}
	}
	if i < len(s.data) && (s.data[i] == 'e' || s.data[i] == 'E') {
		kind = capNumber
		i++
		if i < len(s.data) && (s.data[i] == '+' || s.data[i] == '-') {
			i++
		}
		first = i
		if i = digits(s.data, first); i == first {
			return s.expected(i, "a digit"), 0
		}
	}
	return i, kind
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// decimal is a decimal number taken apart: ±(whole.fraction) × 10^exponent.
type decimal struct {
	negative        bool
	whole, fraction []byte // digits; not both empty
	exponent        int64  // at most ±maxExponent
}

// maxExponent limits exponents: with larger ones a number is zero or out of every range, whatever its digits (a record has
// fewer digits than that).
const maxExponent = 1 << 40

// parseDecimal takes apart a number as JSON or a numeric string writes it: a sign, digits with a point perhaps, an exponent.
func parseDecimal(text []byte) (d decimal, ok bool) {
	i := 0
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		d.negative = text[i] == '-'
		i++
	}
	end := digits(text, i)
	d.whole = text[i:end]
	if i = end; i < len(text) && text[i] == '.' {
		end = digits(text, i+1)
		d.fraction = text[i+1 : end]
		i = end
	}
	if len(d.whole)+len(d.fraction) == 0 {
		return d, false
	}
	if i == len(text) {
		return d, true
	}
	if text[i] != 'e' && text[i] != 'E' {
		return d, false
	}
	i++
	negative := false
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		negative = text[i] == '-'
		i++
	}
	end = digits(text, i)
	if end == i || end != len(text) {
		return d, false
	}
	for _, c := range text[i:] {
		d.exponent = min(d.exponent*10+int64(c-'0'), maxExponent)
	}
	if negative {
		d.exponent = -d.exponent
	}
	return d, true
}

// digit returns the i-th digit of whole and fraction together.
func (d *decimal) digit(i int) byte {
	if i < len(d.whole) {
		return d.whole[i] - '0'
	}
	return d.fraction[i-len(d.whole)] - '0'
}

// scaled returns the number × 10^shift as an integer, rounded down. exact says whether that dropped nothing; ok whether it
// fits in 64 bits.
func (d *decimal) scaled(shift int64) (v int64, exact, ok bool) {
	count := len(d.whole) + len(d.fraction)
	// How many of the digits, zeros appended perhaps, stand before the point.
	point := int64(len(d.whole)) + d.exponent + shift
	var u uint64
	exact = true
	for i := range count {
		c := uint64(d.digit(i))
		if int64(i) >= point {
			exact = exact && c == 0
			continue
		}
		if u > (math.MaxUint64-c)/10 {
			return 0, false, false
		}
		u = u*10 + c
	}
	for i := int64(count); i < point && u != 0; i++ {
		if u > math.MaxUint64/10 {
			return 0, false, false
		}
		u *= 10
	}
	if !d.negative {
		return int64(u), exact, u <= math.MaxInt64
	}
	if u > 1<<63 {
		return 0, false, false
	}
	if !exact {
		u++ // down, for a negative number, is away from zero
	}
	return -int64(u), exact, u <= 1<<63
}

// parseLong reads a number as JSON or a numeric string writes it; ok is false where it is no number, not whole, or does
// not fit.
func parseLong(text []byte) (v int64, ok bool) {
	if v, ok = parseShortInteger(text); ok {
		return v, true
	}
	d, ok := parseDecimal(text)
	if !ok {
		return 0, false
	}
	v, exact, ok := d.scaled(0)
	return v, ok && exact
}

// parseShortInteger reads a minus sign perhaps and up to 18 digits, which always fit.
func parseShortInteger(text []byte) (v int64, ok bool) {
	i := 0
	if len(text) > 0 && text[0] == '-' {
		i = 1
	}
	if n := len(text) - i; n == 0 || n > 18 {
		return 0, false
	}
	for _, c := range text[i:] {
		if c -= '0'; c > 9 {
			return 0, false
		}
		v = v*10 + int64(c)
	}
	if i == 1 {
		v = -v
	}
	return v, true
}

// parseDouble reads a number as JSON or a numeric string writes it, rounded once to the nearest of so many bits.
func parseDouble(text []byte, bitSize int) (v float64, ok bool) {
	if n, short := parseShortInteger(text); short && n > -1<<24 && n < 1<<24 && text[0] != '-' {
		return float64(n), true
	}
	// strconv accepts more than decimal numbers: hexadecimal, underscores, names of infinity.
	if _, ok = parseDecimal(text); !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), bitSize)
	return v, err == nil
}

// parseSpecialDouble reads the strings for what JSON has no number for.
func parseSpecialDouble(text []byte) (v float64, ok bool) {
	switch string(text) {
	case "NaN", "+NaN", "-NaN":
		return math.NaN(), true
	case "Infinity", "+Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	return 0, false
}
