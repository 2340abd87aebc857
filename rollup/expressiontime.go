package rollup

import (
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"drumlin/rollup/timetext"
)

func timeFunctions() []exprFunction {
	return []exprFunction{
		{"timestamp_floor", 2, 4, "timestamp_floor(millis, period[, origin[, zone]])", compileFloor(false)},
		{"timestamp_ceil", 2, 4, "timestamp_ceil(millis, period[, origin[, zone]])", compileFloor(true)},
		{"timestamp_shift", 3, 4, "timestamp_shift(millis, period, step[, zone])", compileShift},
		{"timestamp_extract", 2, 3, "timestamp_extract(millis, unit[, zone])", compileExtract},
		{"timestamp_parse", 1, 3, "timestamp_parse(text[, pattern[, zone]])", compileTimeParse},
		{"timestamp_format", 1, 3, "timestamp_format(millis[, pattern[, zone]])", compileTimeFormat},
	}
}

// onMillis makes a function of an instant.
func onMillis(c *call, f func(e *exprEnv, millis int64) Scalar) evalFunc {
	arg := c.args[0].eval
	return func(e *exprEnv) Scalar {
		millis, ok := e.asLong(arg(e))
		if !ok {
			return Scalar{}
		}
		return f(e, millis)
	}
}

// period is a step of time: whole months of the calendar, or a fixed length.
type period struct {
	months, millis int64
}

var exprPeriod = regexp.MustCompile(`^P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?` +
	`(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?$`)

// constPeriod reads a period that is known beforehand. Months beside days or less have no one meaning for every instant.
func (c *call) constPeriod(arg int) (p period) {
	text := c.constText(arg, "the period", "PT1S")
	m := exprPeriod.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(text, "T") {
		c.fail(arg, "%q is no ISO 8601 period such as PT1H, P1D or P1M", text)
		return period{millis: 1000}
	}
	for i, unit := range []period{
		{months: 12}, {months: 1}, {millis: 7 * 86_400_000}, {millis: 86_400_000}, {millis: 3_600_000}, {millis: 60_000}, {millis: 1000},
	} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i+1], 10, 64) // at most six digits
		if err != nil {
			c.fail(arg, "%s", err)
		}
		p.months += n * unit.months
		p.millis += n * unit.millis
	}
	switch {
	case p == period{}:
		c.fail(arg, "the period %s has no length", text)
		p.millis = 1000
	case p.months > 0 && p.millis > 0:
		c.fail(arg, "the period %s mixes months with days or less: use one of them", text)
	}
	return p
}

// compileFloor cuts time into steps: months from January 1970 on, weeks from Mondays, others from 1970-01-01; with an origin,
// all from there.
func compileFloor(ceil bool) func(c *call) evalFunc {
	return func(c *call) evalFunc {
		p := c.constPeriod(1)
		var origin int64
		if p == (period{millis: 7 * 86_400_000}) {
			origin = 4 * 86_400_000 // 1970-01-05 was the first Monday
		}
		if len(c.args) > 2 && (!c.args[2].constant || c.args[2].value.Type != ScalarNull) {
			origin = c.constOrigin(2)
		}
		c.noZone(3)
		return onMillis(c, func(e *exprEnv, millis int64) Scalar {
			start, end, ok := p.chunk(millis, origin)
			switch {
			case !ok:
				return e.fail("%s: a chunk of the instant %d does not fit 64 bits of milliseconds", c.name, millis)
			case ceil && start != millis:
				return longScalar(end)
			}
			return longScalar(start)
		})
	}
}

// constOrigin reads an instant that is known beforehand, as milliseconds or ISO 8601.
func (c *call) constOrigin(arg int) int64 {
	if n := c.args[arg]; n.constant && n.value.Type == ScalarLong {
		return n.value.Long
	}
	text := c.constText(arg, "the origin", "1970")
	millis, ok := timetext.ParseISO([]byte(text))
	if !ok {
		c.fail(arg, "%q is no ISO 8601 instant", text)
	}
	return millis
}

// chunk returns the step that holds the instant.
func (p period) chunk(millis, origin int64) (start, end int64, ok bool) {
	if p.months == 0 {
		distance, borrow := bits.Sub64(uint64(millis)^1<<63, uint64(origin)^1<<63, 0)
		if borrow == 1 { // before the origin
			back := (-distance + uint64(p.millis) - 1) / uint64(p.millis) * uint64(p.millis)
			start = origin - int64(back)
		} else {
			start = millis - int64(distance%uint64(p.millis))
		}
		return start, start + p.millis, start <= millis && start+p.millis > millis
	}
	n := (timetext.Months(millis) - timetext.Months(origin)) / p.months * p.months
	for {
		start, okStart := timetext.AddMonths(origin, n)
		end, okEnd := timetext.AddMonths(origin, n+p.months)
		switch {
		case !okStart || !okEnd:
			return 0, 0, false
		case start > millis:
			n -= p.months
		case end <= millis:
			n += p.months
		default:
			return start, end, true
		}
	}
}

func compileShift(c *call) evalFunc {
	p, step := c.constPeriod(1), c.args[2].eval
	c.noZone(3)
	return onMillis(c, func(e *exprEnv, millis int64) Scalar {
		n, ok := e.asLong(step(e))
		if !ok {
			return Scalar{}
		}
		if p.months > 0 {
			months, err := longProduct(n, p.months)
			out, ok := timetext.AddMonths(millis, months)
			if err != nil || !ok {
				return e.fail("timestamp_shift: the instant does not fit 64 bits of milliseconds")
			}
			return longScalar(out)
		}
		distance, err := longProduct(n, p.millis)
		if err == nil {
			distance, err = longArithmetic('+', millis, distance)
		}
		if err != nil {
			return e.fail("timestamp_shift: the instant does not fit 64 bits of milliseconds")
		}
		return longScalar(distance)
	})
}

func compileExtract(c *call) evalFunc {
	unit := strings.ToUpper(c.constText(1, "the unit", ""))
	if !slices.Contains(timetext.Units(), unit) {
		c.fail(1, "the unit %q is not known: use %s", unit, strings.Join(timetext.Units(), ", "))
	}
	c.noZone(2)
	return onMillis(c, func(_ *exprEnv, millis int64) Scalar {
		v, _ := timetext.Extract(millis, unit)
		return longScalar(v)
	})
}

// timePattern returns the compiled pattern of the second argument; nil: ISO 8601.
func (c *call) timePattern() *timetext.Pattern {
	if len(c.args) < 2 || c.args[1].constant && c.args[1].value.Type == ScalarNull {
		return nil
	}
	p, err := timetext.ParsePattern(c.constText(1, "the pattern", timetext.ISO))
	if err != nil {
		c.fail(1, "%s", err)
	}
	return p
}

// compileTimeParse reads a time; null where the text is none.
func compileTimeParse(c *call) evalFunc {
	p := c.timePattern()
	c.noZone(2)
	return onText(func(_ *exprEnv, text []byte) Scalar {
		millis, ok := int64(0), false
		if p != nil {
			millis, ok = p.Parse(text)
		} else if millis, ok = timetext.ParseISOFast(text); !ok {
			millis, ok = timetext.ParseISO(text)
		}
		if !ok {
			return Scalar{}
		}
		return longScalar(millis)
	})(c)
}

func compileTimeFormat(c *call) evalFunc {
	p := c.timePattern()
	c.noZone(2)
	return onMillis(c, func(e *exprEnv, millis int64) Scalar {
		from := len(e.made)
		if p == nil {
			e.made = timetext.AppendISO(e.made, millis)
		} else {
			e.made = p.Append(e.made, millis)
		}
		if !e.reserve(len(e.made) - from) {
			return Scalar{}
		}
		return e.finish(from)
	})
}
