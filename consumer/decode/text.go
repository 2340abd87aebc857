package decode

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	eachByte = 0x0101010101010101
	topBits  = 0x80 * eachByte
)

// str reads a string from behind its first quote to behind its last one, and says whether it holds an escape.
func (s *scanner) str(i int) (end int, escaped bool) {
	data := s.data
	for {
		// Eight bytes at a time: the lowest top bit that is set marks the first quote, backslash or control character.
		for i+8 <= len(data) {
			w := binary.LittleEndian.Uint64(data[i : i+8])
			quote, slash := w^('"'*eachByte), w^('\\'*eachByte)
			m := ((quote - eachByte) &^ quote) | ((slash - eachByte) &^ slash) | ((w - ' '*eachByte) &^ w)
			if m &= topBits; m != 0 {
				i += bits.TrailingZeros64(m) / 8
				if data[i] == '"' {
					return i + 1, escaped
				}
				break
			}
			i += 8
		}
		for i < len(data) && data[i] != '"' && data[i] != '\\' && data[i] >= ' ' {
			i++
		}
		if i >= len(data) {
			return s.expected(i, "the end of a string"), false
		}
		switch data[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			if i = s.escape(i); i < 0 {
				return i, false
			}
		default:
			return s.expected(i, "a string without control characters"), false
		}
	}
}

// escape checks the escape whose backslash stands at i. Surrogates must come in pairs.
func (s *scanner) escape(i int) int {
	if i+1 >= len(s.data) {
		return s.expected(i+1, "an escape")
	}
	switch s.data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return s.expected(i+1, "an escape")
	}
	r := hex4(s.data, i+2)
	if r < 0 {
		return s.expected(i+2, "four hexadecimal digits")
	}
	if !utf16.IsSurrogate(r) {
		return i + 6
	}
	if i+7 < len(s.data) && s.data[i+6] == '\\' && s.data[i+7] == 'u' {
		if utf16.DecodeRune(r, hex4(s.data, i+8)) != utf8.RuneError {
			return i + 12
		}
	}
	return s.fail(ReasonLoneSurrogate, i, "%s is half of a surrogate pair without the other half", s.data[i:i+6])
}

// hex4 reads four hexadecimal digits; −1: they are not there.
func hex4(data []byte, i int) rune {
	if i+4 > len(data) {
		return -1
	}
	var r rune
	for _, c := range data[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape returns the characters of a string that str has accepted, given without its quotes.
func (a *arena) unescape(raw []byte) []byte {
	from := len(a.buf)
	buf := a.buf
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			end := i + 1
			for end < len(raw) && raw[end] != '\\' {
				end++
			}
			buf = append(buf, raw[i:end]...)
			i = end
			continue
		}
		c := raw[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(raw, i)
			i += 4
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, hex4(raw, i+2))
				i += 6
			}
			buf = utf8.AppendRune(buf, r)
			continue
		}
		buf = append(buf, c)
	}
	a.buf = buf
	return buf[from:len(buf):len(buf)]
}

// integer returns the decimal digits of v.
func (a *arena) integer(v int64) []byte {
	from := len(a.buf)
	a.buf = strconv.AppendInt(a.buf, v, 10)
	return a.buf[from:len(a.buf):len(a.buf)]
}

// quote returns the text as a JSON string.
func (a *arena) quote(text []byte) []byte {
	from := len(a.buf)
	buf := append(a.buf, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			buf = append(buf, '\\', c)
		case c < ' ':
			const digits = "0123456789abcdef"
			buf = append(buf, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			buf = append(buf, c)
		}
	}
	a.buf = append(buf, '"')
	return a.buf[from:len(a.buf):len(a.buf)]
}

// maxShownBytes is how much of an offending text a message shows.
const maxShownBytes = 64

// shorten quotes the text for a message: valid UTF-8 on one line, cut where it is long.
func shorten(text []byte) string {
	if len(text) <= maxShownBytes {
		return strconv.Quote(string(text))
	}
	cut := maxShownBytes
	for cut > maxShownBytes-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.Quote(string(text[:cut])) + "… (" + strconv.Itoa(len(text)) + " bytes)"
}

func firstInvalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}
