package decode

import (
	"fmt"
	"unicode/utf8"
)

// maxDepth is how many objects and arrays may enclose each other, the root included.
const maxDepth = 64

// noSlot is the slot of a capture that is never made: what is read from it is missing.
const noSlot = 0

// node is a place in a JSON value that something is read at or below.
type node struct {
	slot  int         // index of the capture made here; noSlot: none
	keys  *keyTable   // places below, if the value is an object; nil: none
	elems []elemChild // places below, if the value is an array, by ascending index
	first *node       // place of the object's first field, whatever its key; nil: not asked for
}

type elemChild struct {
	index int
	node  *node
}

// captureKind is what a captured value is.
type captureKind uint8

const (
	capMissing captureKind = iota
	capNull
	capBool
	capInteger // a number of digits and perhaps a minus sign
	capNumber  // any other number
	capString  // text with its quotes; escaped says whether a backslash is in it
	capText    // text as it is, of a Kafka column
	capTree    // an object or array
)

// capture is a value found in a record: its bytes as they stand there.
type capture struct {
	kind    captureKind
	escaped bool
	text    []byte
}

// scanner reads one JSON value in one pass. It checks everything and captures what the nodes ask for. Its methods take the
// index to start at and return the index after what they read, or −1 with the reject set.
type scanner struct {
	data     []byte
	captures []capture
	scratch  *arena
	reject   *Reject
}

// arena holds unescaped text until the next record. Growing leaves earlier slices valid: they keep the older array.
type arena struct {
	buf []byte
}

// scan reads the whole of data, whose root must be an object, and reports whether it was accepted.
func (s *scanner) scan(data []byte, root *node) bool {
	s.data, s.reject = data, nil
	if !utf8.Valid(data) {
		s.fail(ReasonInvalidUTF8, 0, "the bytes are not UTF-8 text from byte %d on", firstInvalidUTF8(data))
		return false
	}
	i := s.space(0)
	if i == len(data) {
		s.fail(ReasonEmptyRecord, i, "there is nothing but white space in %d bytes", len(data))
		return false
	}
	open := data[i] == '{'
	if i = s.value(i, 0, root); i < 0 {
		return false
	}
	if i = s.space(i); i != len(data) {
		s.fail(ReasonMalformedJSON, i, "%s follows the JSON value", s.what(i))
		return false
	}
	if !open {
		s.fail(ReasonNotAnObject, i, "the JSON value is no object: %s", shorten(data))
		return false
	}
	return true
}

func (s *scanner) fail(reason string, at int, format string, args ...any) int {
	message := fmt.Sprintf(format, args...)
	if reason != ReasonInvalidUTF8 && reason != ReasonEmptyRecord && reason != ReasonNotAnObject {
		message = fmt.Sprintf("at byte %d: %s", at, message)
	}
	s.reject = &Reject{Reason: reason, Message: message}
	return -1
}

// expected fails because something else stands at i.
func (s *scanner) expected(i int, what string) int {
	return s.fail(ReasonMalformedJSON, i, "expected %s, found %s", what, s.what(i))
}

// what describes the character at i.
func (s *scanner) what(i int) string {
	if i >= len(s.data) {
		return "the end"
	}
	r, _ := utf8.DecodeRune(s.data[i:])
	if r == '\uFEFF' {
		return "a byte order mark"
	}
	return fmt.Sprintf("%q", r)
}

// space skips white space. Most often there is none.
func (s *scanner) space(i int) int {
	if i < len(s.data) && s.data[i] > ' ' {
		return i
	}
	return s.spaces(i)
}

func (s *scanner) spaces(i int) int {
	for i < len(s.data) {
		switch s.data[i] {
		case ' ', '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}

// value reads the value that begins at i, inside depth objects and arrays. A nil node captures nothing.
func (s *scanner) value(i, depth int, n *node) int {
	if i >= len(s.data) {
		return s.expected(i, "a value")
	}
	var kind captureKind
	escaped := false
	start := i
	switch c := s.data[i]; c {
	case '"':
		kind = capString
		i, escaped = s.str(i + 1)
	case '{', '[':
		if depth == maxDepth {
			return s.fail(ReasonNestingTooDeep, i, "objects and arrays are nested deeper than %d", maxDepth)
		}
		kind = capTree
		i = s.tree(i+1, depth+1, n)
	case 't':
		kind = capBool
		i = s.literal(i, "true")
	case 'f':
		kind = capBool
		i = s.literal(i, "false")
	case 'n':
		kind = capNull
		i = s.literal(i, "null")
	default:
		i, kind = s.number(i)
	}
	if i >= 0 && n != nil && n.slot != noSlot {
		s.captures[n.slot] = capture{kind: kind, escaped: escaped, text: s.data[start:i:i]}
	}
	return i
}

// tree reads the rest of the object or array whose bracket stands before i.
func (s *scanner) tree(i, depth int, n *node) int {
	switch {
	case s.data[i-1] == '[' && n != nil && n.elems != nil:
		return s.array(i, depth, n.elems)
	case s.data[i-1] == '[':
		return s.array(i, depth, nil)
	case n != nil && n.keys != nil:
		return s.object(i, depth, n)
	default:
		return s.skipObject(i, depth)
	}
}

// skipObject reads an object that nothing is read from; its keys may repeat.
func (s *scanner) skipObject(i, depth int) int {
	i = s.space(i)
	if i < len(s.data) && s.data[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(s.data) || s.data[i] != '"' {
			return s.expected(i, "a key in quotes")
		}
		if i, _ = s.str(i + 1); i < 0 {
			return i
		}
		if i = s.colon(i); i < 0 {
			return i
		}
		if i = s.value(i, depth, nil); i < 0 {
			return i
		}
		i = s.space(i)
		if i < len(s.data) && s.data[i] == ',' {
			i = s.space(i + 1)
			continue
		}
		if i < len(s.data) && s.data[i] == '}' {
			return i + 1
		}
		return s.expected(i, "',' or '}'")
	}
}

// object reads an object that something is read from; its keys must differ.
func (s *scanner) object(i, depth int, n *node) int {
	t := n.keys
	t.begin()
	i = s.space(i)
	if i < len(s.data) && s.data[i] == '}' {
		return i + 1
	}
	last := int32(-1)
	for {
		if i >= len(s.data) || s.data[i] != '"' {
			return s.expected(i, "a key in quotes")
		}
		start, before := i, last
		if i, last = s.key(i+1, t, before); i < 0 {
			return i
		}
		e := &t.entries[last]
		if e.seen == t.visit {
			return s.fail(ReasonDuplicateKey, start, "the key %s occurs twice in one object", shorten([]byte(e.key)))
		}
		e.seen = t.visit
		child := e.node
		if before < 0 && n.first != nil {
			child = n.first
		}
		if i = s.colon(i); i < 0 {
			return i
		}
		if i = s.value(i, depth, child); i < 0 {
			return i
		}
		i = s.space(i)
		if i < len(s.data) && s.data[i] == ',' {
			i = s.space(i + 1)
			continue
		}
		if i < len(s.data) && s.data[i] == '}' {
			return i + 1
		}
		return s.expected(i, "',' or '}'")
	}
}

// key reads a key from behind its first quote and returns its entry in t. before is the entry of the key before it, or −1.
func (s *scanner) key(i int, t *keyTable, before int32) (end int, entry int32) {
	guess := t.first
	if before >= 0 {
		guess = t.entries[before].next
	}
	if int(guess) < len(t.entries) {
		e := &t.entries[guess]
		if end = i + len(e.key); e.plain && end < len(s.data) && s.data[end] == '"' && string(s.data[i:end]) == e.key {
			return end + 1, guess
		}
	}
	end, escaped := s.str(i)
	if end < 0 {
		return end, 0
	}
	key := s.data[i : end-1]
	if escaped {
		key = s.scratch.unescape(key)
	}
	entry = t.find(key)
	if before >= 0 {
		t.entries[before].next = entry
	} else {
		t.first = entry
	}
	return end, entry
}

func (s *scanner) colon(i int) int {
	i = s.space(i)
	if i >= len(s.data) || s.data[i] != ':' {
		return s.expected(i, "':'")
	}
	return s.space(i + 1)
}

// array reads an array; elems are the elements that something is read from.
func (s *scanner) array(i, depth int, elems []elemChild) int {
	i = s.space(i)
	if i < len(s.data) && s.data[i] == ']' {
		return i + 1
	}
	for index := 0; ; index++ {
		var child *node
		if len(elems) > 0 && elems[0].index == index {
			child, elems = elems[0].node, elems[1:]
		}
		if i = s.value(i, depth, child); i < 0 {
			return i
		}
		i = s.space(i)
		if i < len(s.data) && s.data[i] == ',' {
			i = s.space(i + 1)
			continue
		}
		if i < len(s.data) && s.data[i] == ']' {
			return i + 1
		}
		return s.expected(i, "',' or ']'")
	}
}
