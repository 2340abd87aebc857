package query

import (
	"strings"
	"unicode/utf8"
)

// plainSpaces puts ASCII spaces, as many bytes, in the place of the spaces of Unicode outside quotes. DuckDB takes them
// for spaces too, but shortens the text first: the places that its syntax tree names would not be those of the text.
func plainSpaces(sql string) string {
	if strings.IndexFunc(sql, isWideSpace) < 0 {
		return sql
	}
	out := []byte(sql)
	comment := 0 // the end of a comment /* … */, whose quotes are none and whose spaces are shortened too
	for at := 0; at < len(sql); {
		if at >= comment && strings.HasPrefix(sql[at:], "/*") {
			comment = at + 2 + max(strings.Index(sql[at+2:], "*/"), 0)
		}
		if end := skipQuoted(sql, at, before(out, at)); end > at && at >= comment {
			at = end
			continue
		}
		r, size := utf8.DecodeRuneInString(sql[at:])
		if isWideSpace(r) {
			for i := range size {
				out[at+i] = ' '
			}
		}
		at += size
	}
	return string(out)
}

// before is the two bytes in front of the offset, as they are after the change.
func before(out []byte, at int) string {
	padded := "  " + string(out[max(at-2, 0):at])
	return padded[len(padded)-2:]
}

// isWideSpace knows the spaces that DuckDB's parser takes out.
func isWideSpace(r rune) bool {
	switch r {
	case 0xA0, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF:
		return true
	}
	return 0x2000 <= r && r <= 0x200D
}

// skipQuoted returns the end of the literal or quoted name at the offset, or of a comment to the end of a line, whose
// quotes are none; the offset itself where there is nothing of the kind. before are the two bytes in front.
func skipQuoted(sql string, at int, before string) int {
	switch c := sql[at]; {
	case c == '\'':
		escapes := (before[1] == 'e' || before[1] == 'E') && !isNameByte(before[0])
		return closingQuote(sql, at+1, c, escapes)
	case c == '"':
		return closingQuote(sql, at+1, c, false)
	case c == '-' && strings.HasPrefix(sql[at:], "--"):
		if n := strings.IndexAny(sql[at:], "\r\n"); n >= 0 {
			return at + n
		}
		return len(sql)
	case c == '$' && !isNameByte(before[1]):
		return dollarQuote(sql, at)
	}
	return at
}

func closingQuote(sql string, at int, quote byte, escapes bool) int {
	for ; at < len(sql); at++ {
		switch {
		case escapes && sql[at] == '\\':
			at++
		case sql[at] == quote && at+1 < len(sql) && sql[at+1] == quote:
			at++
		case sql[at] == quote:
			return at + 1
		}
	}
	return len(sql)
}

// dollarQuote skips $tag$…$tag$.
func dollarQuote(sql string, at int) int {
	tag := strings.IndexByte(sql[at+1:], '$')
	if tag < 0 {
		return at
	}
	mark := sql[at : at+tag+2]
	if strings.ContainsFunc(mark[1:len(mark)-1], func(r rune) bool { return r < utf8.RuneSelf && !isNameByte(byte(r)) }) {
		return at
	}
	end := strings.Index(sql[at+len(mark):], mark)
	if end < 0 {
		return at
	}
	return at + 2*len(mark) + end
}
