package rollup

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

func textFunctions() []exprFunction {
	return []exprFunction{
		{"concat", 1, -1, "concat(text, …)", compileConcat},
		{"lower", 1, 1, "lower(text)", onText(func(e *exprEnv, t []byte) Scalar { return e.mapRunes(t, unicode.ToLower) })},
		{"upper", 1, 1, "upper(text)", onText(func(e *exprEnv, t []byte) Scalar { return e.mapRunes(t, unicode.ToUpper) })},
		{"strlen", 1, 1, "strlen(text)", onText(func(_ *exprEnv, t []byte) Scalar { return longScalar(int64(utf8.RuneCount(t))) })},
		{"substring", 2, 3, "substring(text, index[, length])", compileSubstring},
		{"left", 2, 2, "left(text, length)", compileLeft},
		{"right", 2, 2, "right(text, length)", compileRight},
		{"strpos", 2, 3, "strpos(text, part[, from])", compileStrpos},
		{"replace", 3, 3, "replace(text, part, replacement)", compileReplace},
		{"trim", 1, 2, "trim(text[, characters])", compileTrim(bytes.Trim)},
		{"ltrim", 1, 2, "ltrim(text[, characters])", compileTrim(bytes.TrimLeft)},
		{"rtrim", 1, 2, "rtrim(text[, characters])", compileTrim(bytes.TrimRight)},
		{"like", 2, 3, "like(text, pattern[, escape])", compileLike},
		{"contains_string", 2, 2, "contains_string(text, part)", compileContains(false)},
		{"icontains_string", 2, 2, "icontains_string(text, part)", compileContains(true)},
		{"regexp_like", 2, 2, "regexp_like(text, pattern)", compileRegexpLike},
		{"regexp_extract", 2, 3, "regexp_extract(text, pattern[, group])", compileRegexpExtract},
		{"regexp_replace", 3, 3, "regexp_replace(text, pattern, replacement)", compileRegexpReplace},
	}
}

// onText makes a function of its first argument as a text: null for null.
func onText(f func(e *exprEnv, text []byte) Scalar) func(c *call) evalFunc {
	return func(c *call) evalFunc {
		arg := c.args[0].eval
		return func(e *exprEnv) Scalar {
			text, ok := e.asText(arg(e))
			if !ok {
				return Scalar{}
			}
			return f(e, text)
		}
	}
}

func compileConcat(c *call) evalFunc {
	args := c.args
	return func(e *exprEnv) Scalar {
		var few [8][]byte
		texts := few[:0]
		for _, a := range args {
			text, ok := e.asText(a.eval(e))
			if !ok {
				return Scalar{}
			}
			texts = append(texts, text)
		}
		return e.join(texts...)
	}
}

// mapRunes replaces characters one by one.
func (e *exprEnv) mapRunes(text []byte, to func(rune) rune) Scalar {
	same := true
	for i := 0; i < len(text) && same; {
		r, size := utf8.DecodeRune(text[i:])
		same = to(r) == r
		i += size
	}
	if same {
		return textScalar(text)
	}
	if !e.reserve(utf8.UTFMax * len(text)) {
		return Scalar{}
	}
	from := len(e.made)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		e.made = utf8.AppendRune(e.made, to(r))
		i += size
	}
	return e.finish(from)
}

// characterAt returns the byte at which character n begins, or the length of the text where it has no more.
func characterAt(text []byte, n int64) int {
	i := 0
	for ; n > 0 && i < len(text); n-- {
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return i
}

func compileSubstring(c *call) evalFunc {
	arg, index, length := c.args[0].eval, c.args[1].eval, evalFunc(func(*exprEnv) Scalar { return longScalar(-1) })
	if len(c.args) == 3 {
		length = c.args[2].eval
	}
	return func(e *exprEnv) Scalar {
		text, ok := e.asText(arg(e))
		from, okFrom := e.asLong(index(e))
		n, okLength := e.asLong(length(e))
		if !ok || !okFrom || !okLength {
			return Scalar{}
		}
		if from < 0 {
			return e.fail("substring: the index %d is negative; the first character has index 0", from)
		}
		text = text[characterAt(text, from):]
		if n >= 0 {
			text = text[:characterAt(text, n)]
		}
		return textScalar(text)
	}
}

// textAndLength makes a function of a text and a length that may not be negative.
func textAndLength(c *call, f func(text []byte, n int64) []byte) evalFunc {
	arg, length, name := c.args[0].eval, c.args[1].eval, c.name
	return func(e *exprEnv) Scalar {
		text, ok := e.asText(arg(e))
		n, okLength := e.asLong(length(e))
		switch {
		case !ok || !okLength:
			return Scalar{}
		case n < 0:
			return e.fail("%s: the length %d is negative", name, n)
		}
		return textScalar(f(text, n))
	}
}

func compileLeft(c *call) evalFunc {
	return textAndLength(c, func(text []byte, n int64) []byte { return text[:characterAt(text, n)] })
}

func compileRight(c *call) evalFunc {
	return textAndLength(c, func(text []byte, n int64) []byte {
		return text[characterAt(text, int64(utf8.RuneCount(text))-n):]
	})
}

// compileStrpos finds a part and counts characters from 0; −1: not there.
func compileStrpos(c *call) evalFunc {
	arg, part, from := c.args[0].eval, c.args[1].eval, evalFunc(func(*exprEnv) Scalar { return longScalar(0) })
	if len(c.args) == 3 {
		from = c.args[2].eval
	}
	return func(e *exprEnv) Scalar {
		text, ok := e.asText(arg(e))
		find, okPart := e.asText(part(e))
		n, okFrom := e.asLong(from(e))
		if !ok || !okPart || !okFrom {
			return Scalar{}
		}
		start := characterAt(text, n)
		at := bytes.Index(text[start:], find)
		if at < 0 {
			return longScalar(-1)
		}
		return longScalar(int64(utf8.RuneCount(text[:start+at])))
	}
}

func compileReplace(c *call) evalFunc {
	arg, part, with := c.args[0].eval, c.args[1].eval, c.args[2].eval
	return func(e *exprEnv) Scalar {
		text, ok := e.asText(arg(e))
		find, okPart := e.asText(part(e))
		replacement, okWith := e.asText(with(e))
		if !ok || !okPart || !okWith {
			return Scalar{}
		}
		n := bytes.Count(text, find)
		if n == 0 || len(find) == 0 {
			return textScalar(text)
		}
		if !e.reserve(len(text) + n*max(0, len(replacement)-len(find))) {
			return Scalar{}
		}
		from := len(e.made)
		for {
			at := bytes.Index(text, find)
			if at < 0 {
				e.made = append(e.made, text...)
				return e.finish(from)
			}
			e.made = append(append(e.made, text[:at]...), replacement...)
			text = text[at+len(find):]
		}
	}
}

func compileTrim(trim func([]byte, string) []byte) func(c *call) evalFunc {
	return func(c *call) evalFunc {
		characters := c.constText(1, "the characters", " ")
		return onText(func(_ *exprEnv, text []byte) Scalar { return textScalar(trim(text, characters)) })(c)
	}
}

func compileContains(anyCase bool) func(c *call) evalFunc {
	return func(c *call) evalFunc {
		arg, part := c.args[0].eval, c.args[1].eval
		return func(e *exprEnv) Scalar {
			text, ok := e.asText(arg(e))
			find, okPart := e.asText(part(e))
			if !ok || !okPart {
				return Scalar{}
			}
			if anyCase {
				text, find = e.mapRunes(text, unicode.ToLower).Text, e.mapRunes(find, unicode.ToLower).Text
			}
			return boolScalar(bytes.Contains(text, find))
		}
	}
}

// pattern compiles the second argument as a regular expression.
func (c *call) pattern() *regexp.Regexp {
	text := c.constText(1, "the pattern", "")
	re, err := regexp.Compile(text)
	if err != nil {
		c.fail(1, "%s; patterns are RE2's: no look-around and no back references", err)
		return nil
	}
	return re
}

func compileRegexpLike(c *call) evalFunc {
	re := c.pattern()
	return onText(func(_ *exprEnv, text []byte) Scalar { return boolScalar(re.Match(text)) })(c)
}

// compileRegexpExtract gives a group of the first match; null where there is none.
func compileRegexpExtract(c *call) evalFunc {
	re, group := c.pattern(), c.constLong(2, "the group", 0)
	if re == nil {
		return nothing
	}
	if group < 0 || group > int64(re.NumSubexp()) {
		c.fail(2, "the pattern has %d groups; 0 is the whole match", re.NumSubexp())
	}
	return onText(func(_ *exprEnv, text []byte) Scalar {
		if group == 0 {
			at := re.FindIndex(text)
			if at == nil {
				return Scalar{}
			}
			return textScalar(text[at[0]:at[1]])
		}
		at := re.FindSubmatchIndex(text)
		if at == nil || at[2*group] < 0 {
			return Scalar{}
		}
		return textScalar(text[at[2*group]:at[2*group+1]])
	})(c)
}

// compileRegexpReplace replaces every match. As in Java, $n in the replacement is a group, and a backslash takes the next
// character as it is.
func compileRegexpReplace(c *call) evalFunc {
	re := c.pattern()
	if re == nil {
		return nothing
	}
	template := c.template(re)
	return onText(func(e *exprEnv, text []byte) Scalar {
		from, done := len(e.made), 0
		for _, at := range re.FindAllSubmatchIndex(text, -1) {
			before := len(e.made)
			e.made = append(e.made, text[done:at[0]]...)
			e.made = re.Expand(e.made, template, text, at)
			if done = at[1]; !e.reserve(len(e.made) - before) {
				return Scalar{}
			}
		}
		if done == 0 && len(e.made) == from {
			return textScalar(text)
		}
		if !e.reserve(len(text) - done) {
			return Scalar{}
		}
		e.made = append(e.made, text[done:]...)
		return e.finish(from)
	})(c)
}

// template turns Java's form of a replacement into Go's.
func (c *call) template(re *regexp.Regexp) []byte {
	text := c.constText(2, "the replacement", "")
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case ch == '\\' && i+1 < len(text):
			i++
			if out.WriteByte(text[i]); text[i] == '$' {
				out.WriteByte('$')
			}
		case ch == '$' && i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9':
			i++
			if int(text[i]-'0') > re.NumSubexp() {
				c.fail(2, "$%c names a group, and the pattern has %d", text[i], re.NumSubexp())
			}
			out.WriteString("${" + text[i:i+1] + "}")
		case ch == '$' || ch == '\\':
			c.fail(2, `%c stands alone: write $1 for a group, \\$ or \\\\ for the character itself`, ch)
		default:
			out.WriteByte(ch)
		}
	}
	return []byte(out.String())
}

// compileLike compiles SQL's pattern: % any characters, _ one.
func compileLike(c *call) evalFunc {
	pattern, escape := c.constText(1, "the pattern", ""), c.constText(2, "the escape", "")
	if utf8.RuneCountInString(escape) > 1 {
		c.fail(2, "the escape must be one character")
	}
	items := likeItems(pattern, escape)
	return onText(func(_ *exprEnv, text []byte) Scalar { return boolScalar(likeMatch(text, items)) })(c)
}

// likeItem is one character of a pattern, or one of the two below.
type likeItem rune

const (
	likeAny likeItem = -1 - iota // any characters
	likeOne
)

func likeItems(pattern, escape string) []likeItem {
	var out []likeItem
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			out, escaped = append(out, likeItem(r)), false
		case escape != "" && strings.HasPrefix(escape, string(r)):
			escaped = true
		case r == '%':
			if n := len(out); n == 0 || out[n-1] != likeAny {
				out = append(out, likeAny)
			}
		case r == '_':
			out = append(out, likeOne)
		default:
			out = append(out, likeItem(r))
		}
	}
	return out
}

// likeMatch goes back to the last % only, so that its time is at most the product of the lengths.
func likeMatch(text []byte, items []likeItem) bool {
	i, at := 0, 0
	lastAny, resume := -1, 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		switch {
		case i < len(items) && items[i] == likeAny:
			lastAny, resume = i, at
			i++
		case i < len(items) && (items[i] == likeOne || items[i] == likeItem(r)):
			i, at = i+1, at+size
		case lastAny >= 0:
			_, size = utf8.DecodeRune(text[resume:])
			resume += size
			i, at = lastAny+1, resume
		default:
			return false
		}
	}
	for i < len(items) && items[i] == likeAny {
		i++
	}
	return i == len(items)
}
