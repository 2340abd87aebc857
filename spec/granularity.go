package spec

import (
	"fmt"
	"strings"
	"time"
)

// Granularity cuts time, in UTC, into consecutive chunks: of a fixed length counted from 1970 (weeks from Monday
// 1970-01-05), or of whole calendar months. The zero value is "none", where every millisecond is a chunk of its own.
type Granularity struct {
	name        string
	fixedMillis int64 // length, where fixed
	originShift int64 // start of a chunk, modulo fixedMillis
	months      int   // length in months, where not fixed
}

const (
	dayMillis  = 24 * 60 * 60 * 1000
	hourMillis = 60 * 60 * 1000
)

// granularities are Druid's names, each with its ISO 8601 period.
var granularities = []struct {
	name, period string
	granularity  Granularity
}{
	{"second", "PT1S", Granularity{fixedMillis: 1000}},
	{"minute", "PT1M", Granularity{fixedMillis: 60_000}},
	{"five_minute", "PT5M", Granularity{fixedMillis: 5 * 60_000}},
	{"ten_minute", "PT10M", Granularity{fixedMillis: 10 * 60_000}},
	{"fifteen_minute", "PT15M", Granularity{fixedMillis: 15 * 60_000}},
	{"thirty_minute", "PT30M", Granularity{fixedMillis: 30 * 60_000}},
	{"hour", "PT1H", Granularity{fixedMillis: hourMillis}},
	{"six_hour", "PT6H", Granularity{fixedMillis: 6 * hourMillis}},
	{"eight_hour", "PT8H", Granularity{fixedMillis: 8 * hourMillis}},
	{"day", "P1D", Granularity{fixedMillis: dayMillis}},
	{"week", "P1W", Granularity{fixedMillis: 7 * dayMillis, originShift: 4 * dayMillis}},
	{"month", "P1M", Granularity{months: 1}},
	{"quarter", "P3M", Granularity{months: 3}},
	{"year", "P1Y", Granularity{months: 12}},
}

// ParseGranularity reads one of Druid's granularity names, in any case, or the ISO 8601 period of one.
func ParseGranularity(s string) (Granularity, error) {
	for _, g := range granularities {
		if strings.EqualFold(s, g.name) || strings.EqualFold(s, g.period) {
			out := g.granularity
			out.name = g.name
			return out, nil
		}
	}
	return Granularity{}, fmt.Errorf("granularity %q is not known: use second, minute, five_minute, ten_minute, "+
		"fifteen_minute, thirty_minute, hour, six_hour, eight_hour, day, week, month, quarter or year", s)
}

// noGranularity is the name of the zero value.
const noGranularity = "none"

// ParseQueryGranularity reads what ParseGranularity does, or none.
func ParseQueryGranularity(s string) (Granularity, error) {
	if strings.EqualFold(s, noGranularity) {
		return Granularity{}, nil
	}
	g, err := ParseGranularity(s)
	if err != nil {
		return g, fmt.Errorf("%w; or none", err)
	}
	return g, nil
}

// IsZero says that this is none.
func (g Granularity) IsZero() bool { return g == Granularity{} }

// Divides says that every chunk of the other granularity is a union of this one's chunks. None divides all.
func (g Granularity) Divides(coarser Granularity) bool {
	switch {
	case g.IsZero():
		return true
	case coarser.IsZero():
		return false
	case g.months > 0:
		return coarser.months%g.months == 0 && coarser.months > 0
	case coarser.months > 0: // of whole days, from any one on
		return g.originShift == 0 && dayMillis%g.fixedMillis == 0
	}
	return coarser.fixedMillis%g.fixedMillis == 0 && (coarser.originShift-g.originShift)%g.fixedMillis == 0
}

// String returns the granularity's name in lower case, which ParseQueryGranularity reads.
func (g Granularity) String() string {
	if g.IsZero() {
		return noGranularity
	}
	return g.name
}

// Chunk returns the chunk [start, end) that holds the instant, all in Unix milliseconds.
func (g Granularity) Chunk(millis int64) (start, end int64) {
	if g.IsZero() {
		return millis, millis + 1
	}
	if g.months == 0 {
		shifted := millis - g.originShift
		rem := shifted % g.fixedMillis
		if rem < 0 {
			rem += g.fixedMillis
		}
		return millis - rem, millis - rem + g.fixedMillis
	}
	t := time.UnixMilli(millis).UTC()
	month := (t.Year()*12 + int(t.Month()) - 1) / g.months * g.months
	from := time.Date(month/12, time.Month(month%12+1), 1, 0, 0, 0, 0, time.UTC)
	return from.UnixMilli(), from.AddDate(0, g.months, 0).UnixMilli()
}
