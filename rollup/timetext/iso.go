package timetext

// ParseISOFast reads the shapes 2006-01-02T15:04:05Z and 2006-01-02T15:04:05.000Z. What it does not read, ParseISO may.
func ParseISOFast(t []byte) (millis int64, ok bool) {
	if len(t) != 20 && len(t) != 24 {
		return 0, false
	}
	if t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' || t[len(t)-1] != 'Z' {
		return 0, false
	}
	year := twoDigits(t, 0)*100 + twoDigits(t, 2)
	month, day := twoDigits(t, 5), twoDigits(t, 8)
	hour, minute, second := twoDigits(t, 11), twoDigits(t, 14), twoDigits(t, 17)
	fraction := 0
	if len(t) == 24 {
		if t[19] != '.' || t[22]-'0' > 9 {
			return 0, false
		}
		fraction = twoDigits(t, 20)*10 + int(t[22]-'0')
	}
	// A character that is no digit has made its number negative.
	if year < 0 || month < 1 || day < 1 || hour < 0 || minute < 0 || second < 0 || fraction < 0 {
		return 0, false
	}
	if month > 12 || hour > 23 || minute > 59 || second > 59 || day > 28 && day > daysInMonth(int64(year), month) {
		return 0, false
	}
	return civilDays(int64(year), month, day)*millisPerDay +
		int64(hour*millisPerHour+minute*millisPerMinute+second*millisPerSecond+fraction), true
}

// notDigits is what twoDigits returns for anything else: low enough to stay negative in sums of products.
const notDigits = -1 << 20

func twoDigits(t []byte, i int) int {
	a, b := t[i]-'0', t[i+1]-'0'
	if a > 9 || b > 9 {
		return notDigits
	}
	return int(a)*10 + int(b)
}

// reader reads an ISO 8601 text from front to back; failed is final.
type reader struct {
	text   []byte
	failed bool
}

// ParseISO reads an ISO 8601 date, or a date and a time with or without an offset.
func ParseISO(text []byte) (millis int64, ok bool) {
	r := reader{text: text}
	days := r.date()
	var timeMillis, offsetMillis int64
	if !r.failed && len(r.text) > 0 {
		if c := r.text[0]; c != 'T' && c != 't' && c != ' ' {
			return 0, false
		}
		r.text = r.text[1:]
		timeMillis = r.timeOfDay()
		offsetMillis = r.offset()
	}
	if r.failed || len(r.text) > 0 {
		return 0, false
	}
	return instant(days, timeMillis, offsetMillis)
}

// next takes the character if it comes next.
func (r *reader) next(c byte) bool {
	if len(r.text) == 0 || r.text[0] != c {
		return false
	}
	r.text = r.text[1:]
	return true
}

// number takes least to most digits, as many as there are, and checks the range.
func (r *reader) number(least, most, low, high int) int {
	v, n := 0, 0
	for n < most && n < len(r.text) && r.text[n]-'0' <= 9 {
		v = v*10 + int(r.text[n]-'0')
		n++
	}
	if n < least || v < low || v > high {
		r.failed = true
		return low
	}
	r.text = r.text[n:]
	return v
}

// date takes a calendar, ordinal or week date and returns its day. A year has four digits, or up to nine behind a sign.
func (r *reader) date() (days int64) {
	var year int64
	switch {
	case r.next('-'):
		year = -int64(r.number(4, 9, 0, 999_999_999))
	case r.next('+'):
		year = int64(r.number(4, 9, 0, 999_999_999))
	default:
		year = int64(r.number(4, 4, 0, 9999))
	}
	if !r.next('-') {
		return civilDays(year, 1, 1)
	}
	if r.next('W') {
		return r.weekDate(year)
	}
	if digits(r.text, 0) == 3 {
		return civilDays(year, 1, 1) + int64(r.number(3, 3, 1, daysInYear(year))) - 1
	}
	month, day := r.number(1, 2, 1, 12), 1
	if r.next('-') {
		day = r.number(1, 2, 1, daysInMonth(year, month))
	}
	return civilDays(year, month, day)
}

func (r *reader) weekDate(year int64) (days int64) {
	start := weekYearStart(year)
	weeks := (weekYearStart(year+1) - start) / 7
	week, day := r.number(2, 2, 1, int(weeks)), 1
	if r.next('-') {
		day = r.number(1, 1, 1, 7)
	}
	return start + int64(week-1)*7 + int64(day-1)
}

// timeOfDay takes hours, perhaps minutes, perhaps seconds; the last of them may have a fraction.
func (r *reader) timeOfDay() (millis int64) {
	millis = int64(r.number(1, 2, 0, 23)) * millisPerHour
	unit := int64(millisPerHour)
	if r.next(':') {
		millis += int64(r.number(1, 2, 0, 59)) * millisPerMinute
		unit = millisPerMinute
		if r.next(':') {
			millis += int64(r.number(1, 2, 0, 59)) * millisPerSecond
			unit = millisPerSecond
		}
	}
	if r.next('.') || r.next(',') {
		millis += r.fraction(unit)
	}
	return millis
}

// fraction takes digits behind a point and returns the part of the unit, rounded down.
func (r *reader) fraction(unitMillis int64) int64 {
	const maxUsedDigits = 12 // unitMillis × 10^12 fits in 64 bits
	end := digits(r.text, 0)
	if end == 0 {
		r.failed = true
	}
	v, scale := int64(0), int64(1)
	for _, c := range r.text[:min(end, maxUsedDigits)] {
		v = v*10 + int64(c-'0')
		scale *= 10
	}
	r.text = r.text[end:]
	return v * unitMillis / scale
}

// offset takes a zone: nothing, Z, ±15, ±15:04 or ±1504, perhaps behind a space, or behind one UTC or GMT.
func (r *reader) offset() (millis int64) {
	if r.next(' ') {
		switch string(r.text) {
		case "":
			r.failed = true
			return 0
		case "UTC", "GMT":
			r.text = nil
			return 0
		}
	}
	if len(r.text) == 0 || r.next('Z') || r.next('z') {
		return 0
	}
	sign := int64(1)
	if r.next('-') {
		sign = -1
	} else if !r.next('+') {
		r.failed = true
		return 0
	}
	millis = int64(r.number(2, 2, 0, 23)) * millisPerHour
	if r.next(':') || len(r.text) > 0 {
		millis += int64(r.number(2, 2, 0, 59)) * millisPerMinute
	}
	return sign * millis
}

func digits(text []byte, i int) int {
	for i < len(text) && text[i]-'0' <= 9 {
		i++
	}
	return i
}
