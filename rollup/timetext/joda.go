package timetext

import (
	"fmt"
	"strings"

	"drumlin/spec"
)

// Pattern is a compiled pattern of Joda's DateTimeFormat. It is immutable.
type Pattern struct {
	tokens []jodaToken
	// noYear: month and day alone are of the year 2000, a leap year; time alone is of 1970-01-01. As in Joda.
	noYear bool
}

// jodaToken is a run of one letter, or a literal.
type jodaToken struct {
	spec.TimePatternItem
	most int // for numbers: how many digits at most
}

// jodaDigits gives the most digits of each letter that reads a number. Month and day of week read names where they are
// written with three letters or more.
func jodaDigits(letter byte) int {
	switch letter {
	case 'y', 'Y', 'x':
		return 9
	case 'D':
		return 3
	case 'M', 'd', 'w', 'H', 'k', 'K', 'h', 'm', 's':
		return 2
	case 'e':
		return 1
	default:
		return 0
	}
}

// ParsePattern compiles a pattern, as spec.ParseTimePattern takes it apart.
func ParsePattern(pattern string) (*Pattern, error) {
	items, err := spec.ParseTimePattern(pattern)
	if err != nil {
		return nil, fmt.Errorf("the pattern %q is no Joda pattern: %w",
			pattern, err)
	}
	p := &Pattern{noYear: true}
	for i, item := range items {
		t := jodaToken{TimePatternItem: item, most: jodaDigits(item.Letter)}
		if t.isYear() {
			p.noYear = false
			// A year leaves the digits that follow it at once to the next letter.
			if i+1 < len(items) && (&jodaToken{TimePatternItem: items[i+1]}).numeric() {
				t.most = t.Count
			}
		}
		p.tokens = append(p.tokens, t)
	}
	return p, nil
}

func (t *jodaToken) isYear() bool { return t.Letter == 'y' || t.Letter == 'Y' || t.Letter == 'x' }

// numeric says whether the token reads digits.
func (t *jodaToken) numeric() bool {
	named := t.Letter == 'M' && t.Count >= 3
	return t.Letter == 'S' || jodaDigits(t.Letter) > 0 && !named
}

// jodaFields are what a text says. Of several ways to name a day the ordinal date counts before the week date, and that
// before month and day.
type jodaFields struct {
	year            int64
	month, day      int // 0: not given
	dayOfYear       int // 0: not given
	week, dayOfWeek int // 0: not given
	hour            int
	halfHour        int // of 12, where a half day is meant; −1: not given
	afternoon       bool
	minute, second  int
	fractionMillis  int64
	offsetMillis    int64
}

// Parse reads a text that the pattern fits as a whole.
func (p *Pattern) Parse(text []byte) (millis int64, ok bool) {
	r := reader{text: text}
	f := jodaFields{year: 1970, halfHour: -1}
	for i := range p.tokens {
		p.tokens[i].read(&r, &f)
		if r.failed {
			return 0, false
		}
	}
	if len(r.text) > 0 {
		return 0, false
	}
	if p.noYear && (f.month > 0 || f.day > 0) {
		f.year = 2000
	}
	days, ok := f.days()
	if !ok {
		return 0, false
	}
	hour := f.hour
	if f.halfHour >= 0 {
		hour = f.halfHour
		if f.afternoon {
			hour += 12
		}
	}
	time := int64(hour)*millisPerHour + int64(f.minute)*millisPerMinute + int64(f.second)*millisPerSecond
	return instant(days, time+f.fractionMillis, f.offsetMillis)
}

func (f *jodaFields) days() (days int64, ok bool) {
	switch {
	case f.dayOfYear > 0:
		return civilDays(f.year, 1, 1) + int64(f.dayOfYear) - 1, f.dayOfYear <= daysInYear(f.year)
	case f.week > 0:
		start := weekYearStart(f.year)
		weeks := (weekYearStart(f.year+1) - start) / 7
		return start + int64(f.week-1)*7 + int64(max(f.dayOfWeek, 1)-1), int64(f.week) <= weeks
	default:
		month, day := max(f.month, 1), max(f.day, 1)
		return civilDays(f.year, month, day), day <= daysInMonth(f.year, month)
	}
}

// read takes the token from the text.
func (t *jodaToken) read(r *reader, f *jodaFields) {
	switch t.Letter {
	case 0:
		for i := range len(t.Literal) {
			if !r.next(t.Literal[i]) {
				r.failed = true
				return
			}
		}
	case 'y', 'Y', 'x':
		f.year = t.readYear(r)
	case 'M':
		if t.Count >= 3 {
			f.month = 1 + r.name(monthNames())
			return
		}
		f.month = r.number(1, t.most, 1, 12)
	case 'd':
		f.day = r.number(1, t.most, 1, 31)
	case 'D':
		f.dayOfYear = r.number(1, t.most, 1, 366)
	case 'w':
		f.week = r.number(1, t.most, 1, 53)
	case 'e':
		f.dayOfWeek = r.number(1, t.most, 1, 7)
	case 'E':
		f.dayOfWeek = 1 + r.name(dayNames())
	case 'Z', 'z':
		f.offsetMillis = r.patternOffset()
	default:
		t.readTime(r, f)
	}
}

func (t *jodaToken) readTime(r *reader, f *jodaFields) {
	switch t.Letter {
	case 'H':
		f.hour = r.number(1, t.most, 0, 23)
	case 'k':
		f.hour = r.number(1, t.most, 1, 24) % 24
	case 'K':
		f.halfHour = r.number(1, t.most, 0, 11)
	case 'h':
		f.halfHour = r.number(1, t.most, 1, 12) % 12
	case 'a':
		f.afternoon = r.name([]string{"am", "pm"}) == 1
	case 'm':
		f.minute = r.number(1, t.most, 0, 59)
	case 's':
		f.second = r.number(1, t.most, 0, 59)
	case 'S':
		end := min(digits(r.text, 0), t.Count)
		part := reader{text: r.text[:end]}
		f.fractionMillis = part.fraction(millisPerSecond)
		r.failed = part.failed
		r.text = r.text[end:]
	}
}

// readYear reads a year. Exactly two digits where the pattern has two lie in 1970 to 2069: a fixed window, so that a text
// means the same for ever.
func (t *jodaToken) readYear(r *reader) int64 {
	const twoDigitYearsFrom = 70
	if t.Count == 2 && min(digits(r.text, 0), t.most) == 2 {
		year := r.number(2, 2, 0, 99)
		if year < twoDigitYearsFrom {
			return int64(2000 + year)
		}
		return int64(1900 + year)
	}
	sign := int64(1)
	if r.next('-') {
		sign = -1
	}
	return sign * int64(r.number(1, t.most, 0, 999_999_999))
}

// name takes one of the names, or its first three letters, in any case, and returns its index.
func (r *reader) name(names []string) int {
	for _, short := range []bool{false, true} {
		for i, name := range names {
			if short {
				name = name[:min(len(name), 3)]
			}
			if len(r.text) >= len(name) && strings.EqualFold(string(r.text[:len(name)]), name) {
				r.text = r.text[len(name):]
				return i
			}
		}
	}
	r.failed = true
	return 0
}

// patternOffset takes an offset, which a pattern with a zone demands.
func (r *reader) patternOffset() int64 {
	for _, name := range []string{"UTC", "GMT"} {
		if strings.HasPrefix(string(r.text), name) {
			r.text = r.text[len(name):]
			return 0
		}
	}
	if r.next('Z') || r.next('z') {
		return 0
	}
	sign := int64(1)
	if r.next('-') {
		sign = -1
	} else if !r.next('+') {
		r.failed = true
		return 0
	}
	millis := int64(r.number(2, 2, 0, 23)) * millisPerHour
	r.next(':')
	return sign * (millis + int64(r.number(2, 2, 0, 59))*millisPerMinute)
}

func monthNames() []string {
	return []string{
		"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
		"december",
	}
}

func dayNames() []string {
	return []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
}
