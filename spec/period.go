package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// endlessMillis is the length of P2147483647D, Druid's way to write "never".
const endlessMillis = 2147483647 * dayMillis

var periodForm = regexp.MustCompile(`^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?` +
	`(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,9}))?S)?)?$`)

// ParsePeriod reads an ISO 8601 period of fixed length, in milliseconds. Years and months are refused, as they have
// none. P2147483647D or longer means never, and is 0.
func ParsePeriod(s string) (millis int64, err error) {
	p, err := ParseCalendarPeriod(s)
	switch {
	case err != nil:
		return 0, err
	case p.Months != 0 || strings.ContainsAny(beforeTime(s), "YM"):
		return 0, errors.New("a period of years or months has no fixed length: write it in days, such as P30D")
	case p.Millis >= endlessMillis:
		return 0, nil
	case p.Millis == 0:
		return 0, fmt.Errorf("%s is a period of no length", shown(s))
	}
	return p.Millis, nil
}

// beforeTime is the part of a period that counts days and more.
func beforeTime(s string) string {
	date, _, _ := strings.Cut(s, "T")
	return date
}

// maxPeriodMonths is longer than time is.
const maxPeriodMonths = 12 * 10_000

// ParseCalendarPeriod reads any ISO 8601 period that is not negative, one of no length too. P2147483647D or longer, and
// ten thousand years or longer, are that long and no longer.
func ParseCalendarPeriod(s string) (Period, error) {
	m := periodForm.FindStringSubmatch(s)
	if m == nil || s == "P" || s[len(s)-1] == 'T' {
		return Period{}, fmt.Errorf("%s is not an ISO 8601 period such as P1D, PT1H30M or PT10S", shown(s))
	}
	var p Period
	months := [...]int{0, 12, 1}
	units := [...]int64{0, 0, 0, 7 * dayMillis, dayMillis, hourMillis, 60_000, 1000}
	for i, unit := range units {
		if i == 0 || m[i] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i], 10, 64)
		switch {
		case unit == 0 && (err != nil || n > maxPeriodMonths):
			p.Months = maxPeriodMonths
		case unit == 0:
			p.Months = min(p.Months+int(n)*months[i], maxPeriodMonths)
		case err != nil || n > endlessMillis/unit:
			p.Millis = endlessMillis
		default:
			p.Millis = min(p.Millis+n*unit, endlessMillis)
		}
	}
	if fraction := m[8]; fraction != "" {
		n, _ := strconv.ParseInt((fraction + "00")[:3], 10, 64) // digits only
		p.Millis = min(p.Millis+n, endlessMillis)
	}
	return p, nil
}

// IsZero says that the period has no length.
func (p Period) IsZero() bool { return p == Period{} }

// Before returns the instant that lies the period before another, in UTC: first the months, where a day that the month
// does not have becomes its last, then the rest.
func (p Period) Before(millis int64) int64 { return addMonths(millis, -p.Months) - p.Millis }

// After returns the instant that lies the period after another.
func (p Period) After(millis int64) int64 { return addMonths(millis, p.Months) + p.Millis }

func addMonths(millis int64, months int) int64 {
	if months == 0 {
		return millis
	}
	t := time.UnixMilli(millis).UTC()
	first := time.Date(t.Year(), t.Month(), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC).AddDate(0, months, 0)
	lastDay := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), lastDay)-1).UnixMilli()
}

// String returns the period in ISO 8601, which ParseCalendarPeriod reads.
func (p Period) String() string {
	if p.IsZero() {
		return "PT0S"
	}
	out := "P"
	for _, part := range []struct {
		n    int64
		unit string
	}{{int64(p.Months / 12), "Y"}, {int64(p.Months % 12), "M"}, {p.Millis / dayMillis, "D"}} {
		if part.n > 0 {
			out += strconv.FormatInt(part.n, 10) + part.unit
		}
	}
	rest := p.Millis % dayMillis
	if rest == 0 {
		return out
	}
	out += "T"
	for _, part := range []struct {
		n    int64
		unit string
	}{{rest / hourMillis, "H"}, {rest / 60_000 % 60, "M"}} {
		if part.n > 0 {
			out += strconv.FormatInt(part.n, 10) + part.unit
		}
	}
	switch rest %= 60_000; {
	case rest%1000 > 0:
		out += fmt.Sprintf("%d.%03dS", rest/1000, rest%1000)
	case rest > 0:
		out += fmt.Sprintf("%dS", rest/1000)
	}
	return out
}

// longestBareDate is the number of digits of 20260131, a date without hyphens.
const longestBareDate = 8

// parseInstant reads an ISO 8601 date or date and time, UTC where it names no zone, or Unix milliseconds. A number that could
// be a date without hyphens is refused: read as milliseconds it would lie in the first day of 1970.
func parseInstant(s string) (millis int64, err error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) > 4 {
		if n >= 0 && len(s) <= longestBareDate {
			return 0, fmt.Errorf("%s may be a date or Unix milliseconds: write a date such as 2026-01-31", shown(s))
		}
		return n, nil
	}
	for _, layout := range []string{
		"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05.999999999",
		"2006-01-02T15:04", "2006-01-02T15", "2006-01-02", "2006-01", "2006", "2006-01-02 15:04:05.999999999",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("%s is not an ISO 8601 instant such as 2026-01-31T00:00:00Z", shown(s))
}
