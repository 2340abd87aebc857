package rollup

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type exprTokenKind uint8

const (
	tokenEnd exprTokenKind = iota
	tokenLong
	tokenDouble
	tokenText       // in single quotes
	tokenName       // an identifier as it stands
	tokenQuotedName // an identifier in double quotes: never a function or null
	tokenOperator
)

// exprToken is one word of an expression. text is unescaped.
type exprToken struct {
	kind exprTokenKind
	text string
	at   int // byte
}

func (t exprToken) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenText:
		return "the text '" + t.text + "'"
	}
	return strconv.Quote(t.text)
}

// exprOperators are those that are known, longest first.
var exprOperators = [...]string{"<=", ">=", "==", "!=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "^", "!", "(", ")", ","}

// tokenize takes an expression apart.
func tokenize(text string) ([]exprToken, error) {
	if len(text) > maxExpressionBytes {
		return nil, fmt.Errorf("the expression has %d bytes; at most %d are allowed", len(text), maxExpressionBytes)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("the expression is not UTF-8 text")
	}
	var out []exprToken
	for i := 0; ; {
		for i < len(text) && strings.IndexByte(" \t\r\n", text[i]) >= 0 {
			i++
		}
		if i == len(text) {
			return append(out, exprToken{kind: tokenEnd, at: i}), nil
		}
		t, end, err := nextToken(text, i)
		if err != nil {
			return nil, err
		}
		out, i = append(out, t), end
	}
}

func nextToken(text string, i int) (t exprToken, end int, err error) {
	switch c := text[i]; {
	case c >= '0' && c <= '9':
		return numberToken(text, i)
	case c == '\'' || c == '"':
		return quotedToken(text, i)
	case isNameByte(c):
		end = i + 1
		for end < len(text) && (isNameByte(text[end]) || text[end] >= '0' && text[end] <= '9') {
			end++
		}
		return exprToken{kind: tokenName, text: text[i:end], at: i}, end, nil
	}
	for _, op := range exprOperators {
		if strings.HasPrefix(text[i:], op) {
			return exprToken{kind: tokenOperator, text: op, at: i}, i + len(op), nil
		}
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	switch r {
	case '=':
		return t, 0, exprError(i, "= is not an operator: compare with ==")
	case '[', ']':
		return t, 0, exprError(i, "arrays are not supported")
	case '&', '|':
		return t, 0, exprError(i, "%c is not an operator: write %c%c", r, r, r)
	case '.':
		return t, 0, exprError(i, "a name with a dot needs double quotes; a number needs a digit before its point")
	}
	return t, 0, exprError(i, "the character %q has no meaning here; names of other letters need double quotes", r)
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$'
}

func numberToken(text string, i int) (t exprToken, end int, err error) {
	digits := func(at int) int {
		for at < len(text) && text[at] >= '0' && text[at] <= '9' {
			at++
		}
		return at
	}
	t = exprToken{kind: tokenLong, at: i}
	end = digits(i)
	if end < len(text) && text[end] == '.' {
		t.kind = tokenDouble
		end = digits(end + 1)
	}
	if end < len(text) && (text[end] == 'e' || text[end] == 'E') {
		t.kind = tokenDouble
		exponent := end + 1
		if exponent < len(text) && (text[exponent] == '+' || text[exponent] == '-') {
			exponent++
		}
		if end = digits(exponent); end == exponent {
			return t, 0, exprError(i, "the number %s has no digits in its exponent", text[i:end])
		}
	}
	if end < len(text) && isNameByte(text[end]) {
		return t, 0, exprError(i, "the number %s is followed at once by %q; a name that begins with a digit needs double quotes",
			text[i:end], text[end])
	}
	t.text = text[i:end]
	return t, end, nil
}

// quotedToken reads a text in single quotes or a name in double ones, with the escapes of JSON and \'.
func quotedToken(text string, i int) (t exprToken, end int, err error) {
	quote := text[i]
	t = exprToken{kind: tokenText, at: i}
	if quote == '"' {
		t.kind = tokenQuotedName
	}
	var b strings.Builder
	for at := i + 1; at < len(text); {
		switch c := text[at]; c {
		case quote:
			t.text = b.String()
			if t.kind == tokenQuotedName && t.text == "" {
				return t, 0, exprError(i, "the name in double quotes is empty; texts have single quotes")
			}
			return t, at + 1, nil
		case '\\':
			r, next, err := escapeSequence(text, at)
			if err != nil {
				return t, 0, err
			}
			b.WriteRune(r)
			at = next
		default:
			b.WriteByte(c)
			at++
		}
	}
	return t, 0, exprError(i, "the quote %c is not closed", quote)
}

// escapeSequence reads the escape whose backslash stands at i.
func escapeSequence(text string, i int) (r rune, end int, err error) {
	if i+1 < len(text) {
		const escapes, meanings = `'"\/bfnrt`, "'\"\\/\b\f\n\r\t"
		if at := strings.IndexByte(escapes, text[i+1]); at >= 0 {
			return rune(meanings[at]), i + 2, nil
		}
		if text[i+1] == 'u' && i+6 <= len(text) {
			v, err := strconv.ParseUint(text[i+2:i+6], 16, 16)
			if err == nil && utf8.ValidRune(rune(v)) {
				return rune(v), i + 6, nil
			}
		}
	}
	return 0, 0, exprError(i, `the backslash begins no escape: known are \' \" \\ \/ \b \f \n \r \t and \uXXXX; a backslash itself is \\`)
}

// exprError says what is wrong at a byte of an expression.
func exprError(at int, format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", at, fmt.Sprintf(format, args...))
}
