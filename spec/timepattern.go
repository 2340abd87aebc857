package spec

import (
	"fmt"
	"strings"
)

// TimePatternItem is one part of a Joda time pattern: Count times the same letter, or text that stands for itself.
type TimePatternItem struct {
	Letter  byte // 0: Literal
	Count   int
	Literal string
}

// timePatternLetters are the letters that are read: year y Y x (week year), month M, day d D (of the year),
// week w with weekday e E, hour H h K k with half day a, minute m, second s, fraction S, zone z Z.
const timePatternLetters = "yYMdhHkKmsSaEDxwezZ"

// ParseTimePattern takes a Joda time pattern apart. Letters other than those above are refused; other characters stand
// for themselves, as does what stands between single quotes; two single quotes are one.
func ParseTimePattern(pattern string) ([]TimePatternItem, error) {
	var items []TimePatternItem
	literal := func(s string) {
		if n := len(items); n > 0 && items[n-1].Letter == 0 {
			items[n-1].Literal += s
			return
		}
		items = append(items, TimePatternItem{Literal: s})
	}
	letters := 0
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, rest, err := quoted(pattern[i+1:])
			if err != nil {
				return nil, err
			}
			literal(text)
			i = len(pattern) - len(rest)
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			if strings.IndexByte(timePatternLetters, c) < 0 {
				return nil, fmt.Errorf("the letter %c of the pattern is not known: quote text that stands for itself, "+
					"such as yyyy-MM-dd'T'HH:mm:ss", c)
			}
			n := 1
			for i+n < len(pattern) && pattern[i+n] == c {
				n++
			}
			items = append(items, TimePatternItem{Letter: c, Count: n})
			letters++
			i += n
		default:
			literal(pattern[i : i+1])
			i++
		}
	}
	if letters == 0 {
		return nil, fmt.Errorf("the pattern %s holds no letter that reads a part of a time", shown(pattern))
	}
	return items, nil
}

// quoted reads up to the closing quote; s begins after the opening one.
func quoted(s string) (text, rest string, err error) {
	if strings.HasPrefix(s, "'") {
		return "'", s[1:], nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			return b.String(), s[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("the pattern has a single quote that is not closed")
}

// namedTimeFormats are the formats that are not patterns.
var namedTimeFormats = []string{"auto", "iso", "posix", "millis", "micro", "nano", "ruby"}
