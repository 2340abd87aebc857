package spec

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ParseInterval reads an ISO 8601 interval, which holds its start and not its end: start/end, start/period or
// period/end, UTC where an instant names no zone.
func ParseInterval(s string) (Interval, error) {
	from, to, ok := strings.Cut(s, "/")
	if !ok || strings.Contains(to, "/") {
		return Interval{}, fmt.Errorf("%s is not an interval such as 2026-01-01/2026-02-01 or 2026-01-01/P1M", shown(s))
	}
	var out Interval
	var errFrom, errTo error
	switch {
	case strings.HasPrefix(from, "P") && strings.HasPrefix(to, "P"):
		return Interval{}, fmt.Errorf("%s has two periods: one of the two must be an instant", shown(s))
	case strings.HasPrefix(from, "P"):
		var p Period
		p, errFrom = ParseCalendarPeriod(from)
		out.EndMillis, errTo = parseInstant(to)
		out.StartMillis = p.Before(out.EndMillis)
	case strings.HasPrefix(to, "P"):
		var p Period
		out.StartMillis, errFrom = parseInstant(from)
		p, errTo = ParseCalendarPeriod(to)
		out.EndMillis = p.After(out.StartMillis)
	default:
		out.StartMillis, errFrom = parseInstant(from)
		out.EndMillis, errTo = parseInstant(to)
	}
	switch {
	case errFrom != nil || errTo != nil:
		return Interval{}, errors.Join(errFrom, errTo)
	case out.StartMillis < minYearMillis || out.EndMillis > maxYearMillis:
		return Interval{}, fmt.Errorf("%s reaches outside the years 0000 to 9999", shown(s))
	case out.StartMillis >= out.EndMillis:
		return Interval{}, fmt.Errorf("%s is empty: its start must lie before its end", shown(s))
	}
	return out, nil
}

// The instants that four digits of a year can write.
const (
	minYearMillis = -62_167_219_200_000 // 0000-01-01
	maxYearMillis = 253_402_300_799_999 // the last millisecond of 9999
)

// String returns the interval in Druid's form, which ParseInterval reads.
func (i Interval) String() string {
	return FormatInstant(i.StartMillis) + "/" + FormatInstant(i.EndMillis)
}

// FormatInstant writes Unix milliseconds in Druid's form: in UTC, with milliseconds.
func FormatInstant(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// Overlaps says whether the two share an instant.
func (i Interval) Overlaps(o Interval) bool {
	return i.StartMillis < o.EndMillis && o.StartMillis < i.EndMillis
}

// Contains says whether all of the other lies within this one.
func (i Interval) Contains(o Interval) bool {
	return i.StartMillis <= o.StartMillis && o.EndMillis <= i.EndMillis
}
