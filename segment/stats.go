package segment

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// maxBoundBytes is the length past which the bounds of strings are cut.
const maxBoundBytes = 64

// columnStats gathers the bounds of one column over the batches of a file.
type columnStats struct {
	id                   int32
	nulls                int64
	some                 bool // a value that is neither null nor NaN has been seen
	hasNaN               bool
	minLong, maxLong     int64
	minDouble, maxDouble float64
	minText, maxText     string
	kind                 boundKind
	unbounded            bool
}

type boundKind uint8

const (
	boundNone boundKind = iota // no value yet, or unbounded
	boundLong
	boundDouble
	boundText
)

// unbounded says that a column has no bounds: those of identities, keys and counts of records would prune nothing, and those
// of states would prune wrongly, since what is merged with other states lies elsewhere.
func unbounded(f arrow.Field) bool {
	switch id, _ := FieldID(f); id {
	case IDHighColumnID, IDLowColumnID, KeyColumnID, EventsColumnID:
		return true
	}
	return len(ownMetadata(f)) > 0
}

// add takes in one batch's values. It fails on text that is not UTF-8, which no reader would accept later.
func (c *columnStats) add(values arrow.Array) error {
	c.nulls += int64(values.NullN())
	if _, isText := values.(*array.String); c.unbounded && !isText {
		return nil
	}
	switch a := values.(type) {
	case *array.Timestamp:
		addLongs(c, a, a.Values())
	case *array.Int64:
		addLongs(c, a, a.Values())
	case *array.Int32:
		addLongs(c, a, a.Values())
	case *array.Float64:
		addDoubles(c, a, a.Values())
	case *array.Float32:
		addDoubles(c, a, a.Values())
	case *array.String:
		return c.addTexts(a)
	}
	return nil
}

func addLongs[T ~int32 | ~int64](c *columnStats, a arrow.Array, values []T) {
	c.kind = boundLong
	nulls := a.NullN() > 0
	for i, raw := range values {
		if nulls && a.IsNull(i) {
			continue
		}
		v := int64(raw)
		if !c.some {
			c.some, c.minLong, c.maxLong = true, v, v
			continue
		}
		c.minLong, c.maxLong = min(c.minLong, v), max(c.maxLong, v)
	}
}

func addDoubles[T ~float32 | ~float64](c *columnStats, a arrow.Array, values []T) {
	c.kind = boundDouble
	nulls := a.NullN() > 0
	for i, raw := range values {
		if nulls && a.IsNull(i) {
			continue
		}
		v := float64(raw)
		switch {
		case math.IsNaN(v):
			c.hasNaN = true
		case !c.some:
			c.some, c.minDouble, c.maxDouble = true, v, v
		default:
			c.minDouble, c.maxDouble = min(c.minDouble, v), max(c.maxDouble, v)
		}
	}
}

func (c *columnStats) addTexts(a *array.String) error {
	bounded := !c.unbounded
	if bounded {
		c.kind = boundText
	}
	lowest, highest, some := c.minText, c.maxText, c.some
	for i := range a.Len() {
		if a.IsNull(i) {
			continue
		}
		v := a.Value(i)
		if !utf8.ValidString(v) {
			return fmt.Errorf("row %d is not valid UTF-8", i)
		}
		switch {
		case !some:
			lowest, highest, some = v, v, true
		case v < lowest:
			lowest = v
		case v > highest:
			highest = v
		}
	}
	if bounded && some {
		// The texts point into the batch, which goes away.
		c.minText, c.maxText, c.some = strings.Clone(lowest), strings.Clone(highest), true
	}
	return nil
}

func (c *columnStats) stats() ColumnStats {
	out := ColumnStats{ID: c.id, Nulls: c.nulls, HasNaN: c.hasNaN}
	if !c.some {
		return out
	}
	switch c.kind {
	case boundLong:
		lo, hi := c.minLong, c.maxLong
		out.Min, out.Max = &Bound{Long: &lo}, &Bound{Long: &hi}
	case boundDouble:
		lo, hi := c.minDouble, c.maxDouble
		out.Min, out.Max = &Bound{Double: &lo}, &Bound{Double: &hi}
	case boundText:
		lo, hi := lowerBound(c.minText), upperBound(c.maxText)
		out.Min, out.Max = &Bound{String: &lo}, &Bound{String: &hi}
	}
	return out
}

// lowerBound cuts a long text to a prefix of whole characters, which sorts before it.
func lowerBound(s string) string {
	if len(s) <= maxBoundBytes {
		return s
	}
	return s[:cutAt(s)]
}

// upperBound cuts a long text to a prefix and raises its last character that can be raised, so that the result sorts
// after every text with that prefix. A text of nothing but the highest character is kept whole.
func upperBound(s string) string {
	if len(s) <= maxBoundBytes {
		return s
	}
	prefix := s[:cutAt(s)]
	for prefix != "" {
		r, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		if r < utf8.MaxRune {
			r++
			if r == 0xD800 { // surrogates are no characters
				r = 0xE000
			}
			return prefix + string(r)
		}
	}
	return s
}

// cutAt is the length of the longest prefix of whole characters within maxBoundBytes.
func cutAt(s string) int {
	n := maxBoundBytes
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}
