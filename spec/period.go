package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// endlessMillis is the length of P2147483647D, Druid's way to write "never".
const endlessMillis = 2147483647 * dayMillis

var periodForm = regexp.MustCompile(`^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?` +
	`(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,9}))?S)?)?$`)

// ParsePeriod reads an ISO 8601 period of fixed length, in milliseconds. Years and months are refused, as they have
// none. P2147483647D or longer means never, and is 0.
func ParsePeriod(s string) (millis int64, err error) {
	m := periodForm.FindStringSubmatch(s)
	if m == nil || s == "P" || s[len(s)-1] == 'T' {
		return 0, fmt.Errorf("%s is not an ISO 8601 period such as P1D, PT1H30M or PT10S", shown(s))
	}
	if m[1] != "" || m[2] != "" {
		return 0, errors.New("a period of years or months has no fixed length: write it in days, such as P30D")
	}
	units := [...]int64{0, 0, 0, 7 * dayMillis, dayMillis, hourMillis, 60_000, 1000}
	for i, unit := range units {
		if unit == 0 || m[i] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i], 10, 64)
		if err != nil || n > endlessMillis/unit {
			return 0, nil
		}
		millis += n * unit
	}
	if fraction := m[8]; fraction != "" {
		n, _ := strconv.ParseInt((fraction + "00")[:3], 10, 64) // digits only
		millis += n
	}
	if millis >= endlessMillis {
		return 0, nil
	}
	if millis == 0 {
		return 0, fmt.Errorf("%s is a period of no length", shown(s))
	}
	return millis, nil
}

// parseInstant reads an ISO 8601 date or date and time, UTC where it names no zone, or Unix milliseconds.
func parseInstant(s string) (millis int64, err error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) > 4 {
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
