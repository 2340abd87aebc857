package decode

import (
	"fmt"
	"strings"
)

// jodaPattern is a compiled pattern of Joda's DateTimeFormat, for reading.
type jodaPattern struct {
	tokens []jodaToken
}

// jodaToken is a run of one letter, or a literal where letter is 0.
type jodaToken struct {
	letter  byte
	count   int
	literal string
	most    int // for numbers: how many digits at most
}

// jodaDigits gives the most digits of each letter that reads a number. Month and day of week read names where they are
// written with three letters or more.
func jodaDigits(letter byte) int {
	switch letter {
	case 'y', 'Y':
		return 9
	case 'D':
		return 3
	case 'M', 'd', 'H', 'k', 'K', 'h', 'm', 's':
		return 2
	default:
		return 0
	}
}

func parseJodaPattern(pattern string) (*jodaPattern, error) {
	p := &jodaPattern{}
	hasYear := false
	for rest := pattern; rest != ""; {
		c := rest[0]
		switch {
		case c == '\'':
			literal, after, err := jodaLiteral(rest)
			if err != nil {
				return nil, fmt.Errorf("format %q: %w", pattern, err)
			}
			p.tokens = append(p.tokens, jodaToken{literal: literal})
			rest = after
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			count := len(rest) - len(strings.TrimLeft(rest, string(c)))
			if jodaDigits(c) == 0 && strings.IndexByte("aSZzE", c) < 0 {
				return nil, fmt.Errorf("format %q: the letter %q is not supported; use auto, iso, posix, millis, micro, nano, "+
					"ruby, or a Joda pattern of y, M, d, D, E, a, H, h, K, k, m, s, S, Z, z and 'quoted text'", pattern, c)
			}
			hasYear = hasYear || c == 'y' || c == 'Y'
			p.tokens = append(p.tokens, jodaToken{letter: c, count: count})
			rest = rest[count:]
		default:
			p.tokens = append(p.tokens, jodaToken{literal: rest[:1]})
			rest = rest[1:]
		}
	}
	if !hasYear {
		return nil, fmt.Errorf("format %q: a pattern needs a year (yyyy)", pattern)
	}
	p.limitDigits()
	return p, nil
}

// jodaLiteral reads quoted text; two quotes stand for one, within quotes and outside.
func jodaLiteral(rest string) (literal, after string, err error) {
	if strings.HasPrefix(rest, "''") {
		return "'", rest[2:], nil
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] != '\'' {
			b.WriteByte(rest[i])
			continue
		}
		if i+1 < len(rest) && rest[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), rest[i+1:], nil
	}
	return "", "", fmt.Errorf("the quote is not closed")
}

// numeric says whether the token reads digits.
func (t *jodaToken) numeric() bool {
	named := (t.letter == 'M') && t.count >= 3
	return t.letter == 'S' || jodaDigits(t.letter) > 0 && !named
}

// limitDigits keeps a year from taking the digits of what follows it at once.
func (p *jodaPattern) limitDigits() {
	for i := range p.tokens {
		t := &p.tokens[i]
		t.most = jodaDigits(t.letter)
		if (t.letter == 'y' || t.letter == 'Y') && i+1 < len(p.tokens) && p.tokens[i+1].numeric() {
			t.most = t.count
		}
	}
}

// jodaFields are what a text says.
type jodaFields struct {
	year           int64
	month, day     int
	dayOfYear      int // 0: not given
	hour           int
	halfHour       int // of 12, where halfDay counts; −1: not given
	afternoon      bool
	minute, second int
	fractionMillis int64
	offsetMillis   int64
}

func (p *jodaPattern) parse(text []byte) (millis int64, ok bool) {
	r := isoReader{text: text}
	f := jodaFields{month: 1, day: 1, halfHour: -1}
	for i := range p.tokens {
		p.tokens[i].read(&r, &f)
		if r.failed {
			return 0, false
		}
	}
	if len(r.text) > 0 {
		return 0, false
	}
	return f.instant()
}

func (f *jodaFields) instant() (millis int64, ok bool) {
	days := civilDays(f.year, f.month, f.day)
	switch {
	case f.dayOfYear > daysInYear(f.year) || f.day > daysInMonth(f.year, f.month):
		return 0, false
	case f.dayOfYear > 0:
		days = civilDays(f.year, 1, 1) + int64(f.dayOfYear) - 1
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

// read takes the token from the text.
func (t *jodaToken) read(r *isoReader, f *jodaFields) {
	switch t.letter {
	case 0:
		for i := range len(t.literal) {
			if !r.next(t.literal[i]) {
				r.failed = true
				return
			}
		}
	case 'y', 'Y':
		f.year = t.readYear(r)
	case 'M':
		if t.count >= 3 {
			f.month = 1 + r.name(monthNames())
			return
		}
		f.month = r.number(1, t.most, 1, 12)
	case 'd':
		f.day = r.number(1, t.most, 1, 31)
	case 'D':
		f.dayOfYear = r.number(1, t.most, 1, 366)
	case 'E':
		r.name(dayNames())
	case 'Z', 'z':
		f.offsetMillis = r.patternOffset()
	default:
		t.readTime(r, f)
	}
}

func (t *jodaToken) readTime(r *isoReader, f *jodaFields) {
	switch t.letter {
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
		end := min(digits(r.text, 0), t.count)
		part := isoReader{text: r.text[:end]}
		f.fractionMillis = part.fraction(millisPerSecond)
		r.failed = part.failed
		r.text = r.text[end:]
	}
}

// readYear reads a year. Exactly two digits where the pattern has two lie in 1970 to 2069: a fixed window, so that a text
// means the same for ever.
func (t *jodaToken) readYear(r *isoReader) int64 {
	const twoDigitYearsFrom = 70
	if t.count == 2 && min(digits(r.text, 0), t.most) == 2 {
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
func (r *isoReader) name(names []string) int {
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
func (r *isoReader) patternOffset() int64 {
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
