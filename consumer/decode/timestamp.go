package decode

import (
	"bytes"
	"fmt"

	"drumlin/rollup/timetext"
	"drumlin/spec"
)

type timestampFormat uint8

const (
	formatAuto timestampFormat = iota
	formatISO
	formatNumber
	formatPattern
)

// timestampReader reads __time.
type timestampReader struct {
	name          string // the format as the spec gives it, for messages
	format        timestampFormat
	shift         int64 // formatNumber: the value × 10^shift is in milliseconds
	pattern       *timetext.Pattern
	missingMillis *int64
}

func newTimestampReader(s *spec.TimestampSpec) (timestampReader, error) {
	r := timestampReader{name: s.Format, missingMillis: s.MissingMillis, format: formatNumber}
	switch s.Format {
	case "", "auto":
		r.name, r.format = "auto", formatAuto
	case "iso":
		r.format = formatISO
	case "posix", "ruby":
		r.shift = 3
	case "millis":
	case "micro":
		r.shift = -3
	case "nano":
		r.shift = -6
	default:
		pattern, err := timetext.ParsePattern(s.Format)
		if err != nil {
			return r, fmt.Errorf("format %q is none of auto, iso, posix, millis, micro, nano and ruby: %w", s.Format, err)
		}
		r.format, r.pattern = formatPattern, pattern
	}
	return r, nil
}

// time returns the row's event time.
func (d *Decoder) time() (int64, *Reject) {
	c := d.find(d.timeField)
	switch c.kind {
	case capMissing, capNull:
		if d.timestamp.missingMillis != nil {
			return *d.timestamp.missingMillis, nil
		}
		return 0, &Reject{Reason: ReasonMissingTimestamp, Message: "the timestamp is missing or null"}
	case capBool, capTree:
	case capInteger, capNumber:
		if millis, ok := d.timestamp.number(c.text); ok {
			return millis, nil
		}
	default:
		text, _ := d.text(c)
		if millis, ok := d.timestamp.text(text); ok {
			return millis, nil
		}
	}
	return 0, &Reject{
		Reason: ReasonBadTimestamp, Message: fmt.Sprintf("the timestamp %s cannot be read in format %q, or is out of range",
			shorten(c.text), d.timestamp.name),
	}
}

// number reads a JSON number.
func (r *timestampReader) number(text []byte) (millis int64, ok bool) {
	switch r.format {
	case formatAuto, formatNumber:
		return scaledNumber(text, r.shift)
	case formatISO:
		return timetext.ParseISO(text)
	default:
		return r.pattern.Parse(text)
	}
}

// text reads a string.
func (r *timestampReader) text(text []byte) (millis int64, ok bool) {
	if r.format == formatAuto || r.format == formatISO {
		if millis, ok = timetext.ParseISOFast(text); ok {
			return millis, true
		}
	}
	text = stripQuotes(text)
	switch r.format {
	case formatAuto:
		if isInteger(text) {
			return scaledNumber(text, 0)
		}
		return timetext.ParseISO(text)
	case formatISO:
		return timetext.ParseISO(text)
	case formatNumber:
		return scaledNumber(text, r.shift)
	default:
		return r.pattern.Parse(text)
	}
}

// scaledNumber reads a number × 10^shift, rounded down.
func scaledNumber(text []byte, shift int64) (v int64, ok bool) {
	if shift == 0 {
		if v, ok = parseShortInteger(text); ok {
			return v, true
		}
	}
	d, ok := parseDecimal(text)
	if !ok {
		return 0, false
	}
	v, _, ok = d.scaled(shift)
	return v, ok
}

// isInteger says whether the text is digits behind a sign perhaps.
func isInteger(text []byte) bool {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	return len(text) > 0 && digits(text, 0) == len(text)
}

// stripQuotes drops spaces around the text and then one pair of double quotes, as Druid does.
func stripQuotes(text []byte) []byte {
	text = bytes.TrimSpace(text)
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' {
		text = bytes.TrimSpace(text[1 : n-1])
	}
	return text
}
