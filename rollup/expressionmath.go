package rollup

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

func mathFunctions() []exprFunction {
	return []exprFunction{
		{"abs", 1, 1, "abs(number)", onNumber(absScalar)},
		{"floor", 1, 1, "floor(number)", onNumber(roundedBy(math.Floor))},
		{"ceil", 1, 1, "ceil(number)", onNumber(roundedBy(math.Ceil))},
		{"round", 1, 2, "round(number[, places])", compileRound},
		{"sqrt", 1, 1, "sqrt(number)", onNumber(func(_ *exprEnv, v Scalar) Scalar { return doubleScalar(math.Sqrt(asDouble(v))) })},
		{"min", 2, 2, "min(number, number)", onNumbers(func(_ *exprEnv, a, b Scalar) Scalar { return extremeOf(a, b, -1) })},
		{"max", 2, 2, "max(number, number)", onNumbers(func(_ *exprEnv, a, b Scalar) Scalar { return extremeOf(a, b, 1) })},
		{"least", 1, -1, "least(value, …)", compileExtreme(-1)},
		{"greatest", 1, -1, "greatest(value, …)", compileExtreme(1)},
		{"mod", 2, 2, "mod(number, number)", onNumbers(func(e *exprEnv, a, b Scalar) Scalar { return e.arithmetic('%', a, b) })},
		{"pow", 2, 2, "pow(number, exponent)", onNumbers(func(e *exprEnv, a, b Scalar) Scalar { return e.arithmetic('^', a, b) })},
		{"div", 2, 2, "div(number, number)", onNumbers(wholeDivision)},
		{"safe_divide", 2, 2, "safe_divide(number, number)", onNumbers(safeDivision)},
		{"parse_long", 1, 2, "parse_long(text[, radix])", compileParseLong},
	}
}

// onNumber makes a function of one number: null for null, and for a text that is none.
func onNumber(f func(*exprEnv, Scalar) Scalar) func(c *call) evalFunc {
	return func(c *call) evalFunc {
		arg := c.args[0].eval
		return func(e *exprEnv) Scalar {
			v := numberOf(arg(e))
			if v.Type == ScalarNull {
				return v
			}
			return f(e, v)
		}
	}
}

// onNumbers makes a function of two numbers.
func onNumbers(f func(e *exprEnv, a, b Scalar) Scalar) func(c *call) evalFunc {
	return func(c *call) evalFunc {
		left, right := c.args[0].eval, c.args[1].eval
		return func(e *exprEnv) Scalar {
			a, b := numberOf(left(e)), numberOf(right(e))
			if a.Type == ScalarNull || b.Type == ScalarNull {
				return Scalar{}
			}
			return f(e, a, b)
		}
	}
}

func absScalar(e *exprEnv, v Scalar) Scalar {
	switch {
	case v.Type == ScalarDouble:
		return doubleScalar(math.Abs(v.Double))
	case v.Long == math.MinInt64:
		return e.fail("%w", errOverflow)
	}
	return longScalar(max(v.Long, -v.Long))
}

// roundedBy keeps doubles doubles, as Druid does: cast makes longs of them.
func roundedBy(f func(float64) float64) func(*exprEnv, Scalar) Scalar {
	return func(_ *exprEnv, v Scalar) Scalar {
		if v.Type == ScalarLong {
			return v
		}
		return doubleScalar(f(v.Double))
	}
}

// extremeOf gives the lesser (−1) or greater (1) number, a double where one is.
func extremeOf(a, b Scalar, sign int) Scalar {
	out := a
	if compareNumbers(a, b)*sign < 0 {
		out = b
	}
	if a.Type == ScalarDouble || b.Type == ScalarDouble {
		return doubleScalar(asDouble(out))
	}
	return out
}

// compileExtreme leaves nulls out. Where one value is a text, all are compared as texts; a double makes doubles of all.
func compileExtreme(sign int) func(c *call) evalFunc {
	return func(c *call) evalFunc {
		args := c.args
		return func(e *exprEnv) Scalar {
			var few [8]Scalar
			values, isText := few[:0], false
			for _, a := range args {
				if v := a.eval(e); v.Type != ScalarNull {
					values = append(values, v)
					isText = isText || v.Type == ScalarText
				}
			}
			var out Scalar
			for i, v := range values {
				if isText {
					text, _ := e.asText(v)
					v = textScalar(text)
				}
				switch {
				case i == 0:
					out = v
				case !isText:
					out = extremeOf(out, v, sign)
				case bytes.Compare(out.Text, v.Text)*sign < 0:
					out = v
				}
			}
			return out
		}
	}
}

// wholeDivision is the quotient of what the numbers are as longs.
func wholeDivision(e *exprEnv, a, b Scalar) Scalar {
	x, okX := e.asLong(a)
	y, okY := e.asLong(b)
	if !okX || !okY {
		return Scalar{}
	}
	return e.arithmetic('/', longScalar(x), longScalar(y))
}

func safeDivision(e *exprEnv, a, b Scalar) Scalar {
	if asDouble(b) == 0 {
		return Scalar{}
	}
	return e.arithmetic('/', a, b)
}

func compileRound(c *call) evalFunc {
	const most = 400
	arg, places := c.args[0].eval, c.constLong(1, "the number of places", 0)
	if places > most || places < -most {
		c.fail(1, "the number of places must be from -%d to %d", most, most)
	}
	return func(e *exprEnv) Scalar {
		v := numberOf(arg(e))
		switch {
		case v.Type == ScalarLong && places < 0:
			n, ok := roundDecimal(strconv.AppendInt(nil, v.Long, 10), int(places))
			out, err := strconv.ParseInt(n, 10, 64)
			if err != nil || !ok {
				return e.fail("%w", errOverflow)
			}
			return longScalar(out)
		case v.Type == ScalarDouble && !math.IsNaN(v.Double) && !math.IsInf(v.Double, 0):
			if places == 0 {
				return doubleScalar(math.Round(v.Double))
			}
			text, _ := roundDecimal(strconv.AppendFloat(nil, v.Double, 'f', -1, 64), int(places))
			out, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return e.fail("rounding %s leaves the range of doubles", AppendDouble(nil, v.Double))
			}
			return doubleScalar(out)
		}
		return v
	}
}

// roundDecimal rounds a decimal number to so many places, halves away from zero, by its digits: 2.675 to two places is 2.68.
func roundDecimal(text []byte, places int) (out string, ok bool) {
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	whole, fraction, _ := strings.Cut(string(text), ".")
	if places >= len(fraction) {
		return sign + string(text), true
	}
	digits := whole + fraction
	keep := len(whole) + places // digits that stay
	if keep < 0 {
		return "0", true
	}
	kept := []byte("0" + digits[:keep])
	if digits[keep] >= '5' {
		i := len(kept) - 1
		for ; kept[i] == '9'; i-- {
			kept[i] = '0'
		}
		kept[i]++
	}
	if places >= 0 {
		at := len(kept) - places
		return sign + string(kept[:at]) + "." + string(kept[at:]) + "0", true
	}
	return sign + string(kept) + strings.Repeat("0", -places), true
}

// compileParseLong reads whole numbers in a radix; with radix 16 they may begin with 0x.
func compileParseLong(c *call) evalFunc {
	radix := c.constLong(1, "the radix", 10)
	if radix < 2 || radix > 36 {
		c.fail(min(1, len(c.args)-1), "the radix must be from 2 to 36")
	}
	return onText(func(_ *exprEnv, text []byte) Scalar {
		const longest = 66 // a sign and 64 digits, and one more
		if radix == 16 && len(text) > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') {
			text = text[2:]
		}
		if len(text) > longest {
			return Scalar{}
		}
		n, err := strconv.ParseInt(string(text), int(radix), 64)
		if err != nil {
			return Scalar{}
		}
		return longScalar(n)
	})(c)
}
