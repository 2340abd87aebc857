package rollup

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"math/bits"
	"strings"
)

// truthOf is Druid's: a number is true where it is positive, a text where it reads true. Null is unknown.
func truthOf(v Scalar) uint8 {
	switch v.Type {
	case ScalarLong:
		return truth(v.Long > 0)
	case ScalarDouble:
		return truth(v.Double > 0)
	case ScalarText:
		return truth(strings.EqualFold(string(v.Text), "true"))
	}
	return isUnknown
}

func truthScalar(t uint8) Scalar {
	if t == isUnknown {
		return Scalar{}
	}
	return boolScalar(t == isTrue)
}

// evalLogical is && or ||, with SQL's unknown. The right side is not evaluated where the left one decides.
func evalLogical(or bool, left, right evalFunc) evalFunc {
	decides := isFalse
	if or {
		decides = isTrue
	}
	return func(e *exprEnv) Scalar {
		a := truthOf(left(e))
		if a == decides {
			return truthScalar(a)
		}
		b := truthOf(right(e))
		if b == decides {
			return truthScalar(b)
		}
		if a == isUnknown || b == isUnknown {
			return Scalar{}
		}
		return truthScalar(b)
	}
}

func evalNot(inner evalFunc) evalFunc {
	return func(e *exprEnv) Scalar { return truthScalar(isTrue - truthOf(inner(e))) }
}

// evalComparison compares texts by their bytes, and anything else as numbers. Null gives null.
func evalComparison(op string, left, right evalFunc) evalFunc {
	holds := map[string]func(int) bool{
		"<": func(c int) bool { return c < 0 }, "<=": func(c int) bool { return c <= 0 },
		">": func(c int) bool { return c > 0 }, ">=": func(c int) bool { return c >= 0 },
		"==": func(c int) bool { return c == 0 }, "!=": func(c int) bool { return c != 0 },
	}[op]
	return func(e *exprEnv) Scalar {
		c, ok := compareScalars(left(e), right(e))
		if !ok {
			return Scalar{}
		}
		return boolScalar(holds(c))
	}
}

// compareScalars orders two values; ok is false where one is null, or a text beside a number is none.
func compareScalars(a, b Scalar) (c int, ok bool) {
	if a.Type == ScalarText && b.Type == ScalarText {
		return bytes.Compare(a.Text, b.Text), true
	}
	a, b = numberOf(a), numberOf(b)
	if a.Type == ScalarNull || b.Type == ScalarNull {
		return 0, false
	}
	return compareNumbers(a, b), true
}

// compareNumbers is exact, also between a long and a double. NaN equals itself and is the greatest; zeros are equal.
func compareNumbers(a, b Scalar) int {
	switch {
	case a.Type == ScalarLong && b.Type == ScalarLong:
		return cmp.Compare(a.Long, b.Long)
	case a.Type == ScalarLong:
		return -compareDoubleLong(b.Double, a.Long)
	case b.Type == ScalarLong:
		return compareDoubleLong(a.Double, b.Long)
	}
	switch aNaN, bNaN := math.IsNaN(a.Double), math.IsNaN(b.Double); {
	case aNaN && bNaN:
		return 0
	case aNaN:
		return 1
	case bNaN:
		return -1
	}
	return cmp.Compare(a.Double, b.Double)
}

func compareDoubleLong(d float64, n int64) int {
	switch {
	case math.IsNaN(d) || d >= -math.MinInt64:
		return 1
	case d < math.MinInt64:
		return -1
	}
	whole := math.Trunc(d)
	return cmp.Or(cmp.Compare(int64(whole), n), cmp.Compare(d, whole))
}

var (
	errOverflow = errors.New("the result does not fit 64 bits: cast a side to 'DOUBLE'")
	errDivision = errors.New("division by zero: use safe_divide, or cast a side to 'DOUBLE'")
)

// evalArithmetic computes in longs where both sides are longs, else in doubles; + joins two texts.
func evalArithmetic(op byte, left, right evalFunc) evalFunc {
	return func(e *exprEnv) Scalar {
		a, b := left(e), right(e)
		if op == '+' && a.Type == ScalarText && b.Type == ScalarText {
			return e.join(a.Text, b.Text)
		}
		return e.arithmetic(op, numberOf(a), numberOf(b))
	}
}

func (e *exprEnv) arithmetic(op byte, a, b Scalar) Scalar {
	switch {
	case a.Type == ScalarNull || b.Type == ScalarNull:
		return Scalar{}
	case a.Type == ScalarLong && b.Type == ScalarLong:
		v, err := longArithmetic(op, a.Long, b.Long)
		if err != nil && e.err == nil {
			e.err = err
		}
		return longScalar(v)
	}
	x, y := asDouble(a), asDouble(b)
	switch op {
	case '+':
		x += y
	case '-':
		x -= y
	case '*':
		x *= y
	case '/':
		x /= y
	case '%':
		x = math.Mod(x, y)
	default:
		return e.doublePower(x, y)
	}
	return doubleScalar(x)
}

func longArithmetic(op byte, a, b int64) (int64, error) {
	switch op {
	case '+':
		if sum := a + b; (sum > a) == (b > 0) {
			return sum, nil
		}
	case '-':
		if difference := a - b; (difference < a) == (b > 0) {
			return difference, nil
		}
	case '*':
		return longProduct(a, b)
	case '/':
		switch {
		case b == 0:
			return 0, errDivision
		case a != math.MinInt64 || b != -1:
			return a / b, nil
		}
	case '%':
		if b == 0 {
			return 0, errDivision
		}
		return a % b, nil
	default:
		return longPower(a, b)
	}
	return 0, errOverflow
}

func longProduct(a, b int64) (int64, error) {
	high, low := bits.Mul64(magnitude(a), magnitude(b))
	negative := (a < 0) != (b < 0)
	switch {
	case high != 0 || low > 1<<63 || low == 1<<63 && !negative:
		return 0, errOverflow
	case negative:
		return -int64(low), nil
	}
	return int64(low), nil
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// longPower is exact. A power below one is cut to a whole number, as a division of longs is.
func longPower(base, exponent int64) (int64, error) {
	switch {
	case base == 1 || exponent == 0:
		return 1, nil
	case base == -1:
		return 1 - 2*(exponent&1), nil
	case exponent < 0 && base == 0:
		return 0, errDivision
	case exponent < 0, base == 0:
		return 0, nil
	}
	out := int64(1)
	for ; exponent > 0; exponent-- { // at most 63 rounds: then it has overflowed
		var err error
		if out, err = longProduct(out, base); err != nil {
			return 0, err
		}
	}
	return out, nil
}

const maxDoubleExponent = 1024

// doublePower multiplies: library functions for other exponents differ between machines in their last bit, and a record
// must give the same row everywhere.
func (e *exprEnv) doublePower(x, y float64) Scalar {
	if y != math.Trunc(y) || math.Abs(y) > maxDoubleExponent {
		return e.fail("the exponent %v is not a whole number from -%d to %d: powers of doubles need one", y, maxDoubleExponent, maxDoubleExponent)
	}
	out := 1.0
	for range int(math.Abs(y)) {
		out *= x
	}
	if y < 0 {
		out = 1 / out
	}
	return doubleScalar(out)
}

func evalNegative(inner evalFunc) evalFunc {
	return func(e *exprEnv) Scalar {
		switch v := numberOf(inner(e)); v.Type {
		case ScalarLong:
			if v.Long == math.MinInt64 {
				e.err = cmp.Or(e.err, errOverflow)
			}
			return longScalar(-v.Long)
		case ScalarDouble:
			return doubleScalar(-v.Double)
		}
		return Scalar{}
	}
}

// join puts texts together.
func (e *exprEnv) join(texts ...[]byte) Scalar {
	size := 0
	for _, t := range texts {
		size += len(t)
	}
	if !e.reserve(size) {
		return Scalar{}
	}
	from := len(e.made)
	for _, t := range texts {
		e.made = append(e.made, t...)
	}
	return e.finish(from)
}
