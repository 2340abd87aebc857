package timetext

import "strconv"

// ISO is the pattern of AppendISO: Druid's default for writing times.
const ISO = "yyyy-MM-dd'T'HH:mm:ss.SSSZ"

// AppendISO appends an instant as 2015-09-12T00:46:58.771Z; years beyond four digits are longer.
func AppendISO(out []byte, millis int64) []byte {
	c := civilOf(millis)
	out = appendPadded(out, c.year, 4)
	out = appendPadded(append(out, '-'), int64(c.month), 2)
	out = appendPadded(append(out, '-'), int64(c.day), 2)
	out = appendPadded(append(out, 'T'), c.millis/millisPerHour, 2)
	out = appendPadded(append(out, ':'), c.millis/millisPerMinute%60, 2)
	out = appendPadded(append(out, ':'), c.millis/millisPerSecond%60, 2)
	out = appendPadded(append(out, '.'), c.millis%millisPerSecond, 3)
	return append(out, 'Z')
}

// Append appends an instant as the pattern writes it, in UTC, names in English.
func (p *Pattern) Append(out []byte, millis int64) []byte {
	c := civilOf(millis)
	for i := range p.tokens {
		out = p.tokens[i].append(out, c)
	}
	return out
}

func (t *jodaToken) append(out []byte, c civil) []byte {
	switch t.Letter {
	case 0:
		return append(out, t.Literal...)
	case 'y', 'Y', 'x':
		year := c.year
		if t.Letter == 'x' {
			year, _ = c.isoWeek()
		}
		if t.Count == 2 {
			return appendPadded(out, (year%100+100)%100, 2)
		}
		return appendPadded(out, year, t.Count)
	case 'M':
		if t.Count >= 3 {
			return appendName(out, monthNames()[c.month-1], t.Count)
		}
		return appendPadded(out, int64(c.month), t.Count)
	case 'd':
		return appendPadded(out, int64(c.day), t.Count)
	case 'D':
		return appendPadded(out, int64(c.dayOfYear()), t.Count)
	case 'w':
		_, week := c.isoWeek()
		return appendPadded(out, int64(week), t.Count)
	case 'e':
		return appendPadded(out, int64(c.dayOfWeek()), t.Count)
	case 'E':
		return appendName(out, dayNames()[c.dayOfWeek()-1], t.Count)
	case 'Z':
		switch t.Count {
		case 1:
			return append(out, "+0000"...)
		case 2:
			return append(out, "+00:00"...)
		}
		return append(out, "UTC"...)
	case 'z':
		return append(out, "UTC"...)
	}
	return t.appendTime(out, c)
}

func (t *jodaToken) appendTime(out []byte, c civil) []byte {
	hour := c.millis / millisPerHour
	switch t.Letter {
	case 'H':
	case 'k':
		hour = (hour+23)%24 + 1
	case 'K':
		hour %= 12
	case 'h':
		hour = (hour+11)%12 + 1
	case 'a':
		if hour < 12 {
			return append(out, "AM"...)
		}
		return append(out, "PM"...)
	case 'm':
		return appendPadded(out, c.millis/millisPerMinute%60, t.Count)
	case 's':
		return appendPadded(out, c.millis/millisPerSecond%60, t.Count)
	case 'S':
		digits := appendPadded(make([]byte, 0, 3), c.millis%millisPerSecond, 3)
		for i := range t.Count {
			if i < len(digits) {
				out = append(out, digits[i])
			} else {
				out = append(out, '0')
			}
		}
		return out
	}
	return appendPadded(out, hour, t.Count)
}

// appendName appends a name with a capital, whole from four letters on, else its first three.
func appendName(out []byte, name string, count int) []byte {
	if count < 4 {
		name = name[:3]
	}
	return append(append(out, name[0]-'a'+'A'), name[1:]...)
}

// appendPadded appends a number with at least so many digits.
func appendPadded(out []byte, v int64, width int) []byte {
	if v < 0 {
		out = append(out, '-')
		v = -v
	}
	var text [20]byte
	number := strconv.AppendInt(text[:0], v, 10)
	for i := len(number); i < width; i++ {
		out = append(out, '0')
	}
	return append(out, number...)
}
