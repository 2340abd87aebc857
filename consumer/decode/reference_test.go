package decode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"drumlin/spec"
)

// flattenTestSpec is a spec that the reference below knows: listed fields before discovered ones, paths through objects and
// arrays, the same place read twice, a listed field that hides a key of the root.
func flattenTestSpec(discovery bool) *spec.Supervisor {
	dims := func(kind spec.DimensionType, names ...string) (out []spec.Dimension) {
		for _, name := range names {
			out = append(out, spec.Dimension{Name: name, Type: kind})
		}
		return out
	}
	s := &spec.Supervisor{DataSchema: spec.DataSchema{
		Timestamp:  spec.TimestampSpec{Column: "t", Format: "millis"},
		Dimensions: dims(spec.DimString, "a", "b", "deep", "same", "whole", "hidden"),
		Dedup:      &spec.DedupSpec{Key: "id"},
	}}
	s.DataSchema.Dimensions = append(s.DataSchema.Dimensions, dims(spec.DimJSON, "c", "second", "quoted")...)
	s.DataSchema.Dimensions = append(s.DataSchema.Dimensions, dims(spec.DimLong, "l")...)
	s.DataSchema.Dimensions = append(s.DataSchema.Dimensions, dims(spec.DimDouble, "d")...)
	zero := int64(0)
	s.DataSchema.Timestamp.MissingMillis = &zero
	s.IO.Input.Value = spec.FlattenSpec{Discovery: discovery, Fields: []spec.FlattenField{
		{Type: "path", Name: "deep", Expr: "$.o.a.b"},
		{Type: "path", Name: "second", Expr: "$.o.list[1]"},
		{Type: "path", Name: "quoted", Expr: "$['o']['a b'][0].c"},
		{Type: "path", Name: "same", Expr: "$.a"},
		{Type: "path", Name: "whole", Expr: "$"},
		{Type: "root", Name: "hidden", Expr: "c"},
		{Type: "root", Name: "l", Expr: "l"},
	}}
	return s
}

// refField finds a field as text, the slow way; nil where it is missing.
func refField(s *spec.Supervisor, record []byte, name string) json.RawMessage {
	steps, found := []spec.PathStep(nil), s.IO.Input.Value.Discovery
	if found {
		steps = []spec.PathStep{{Name: name}}
	}
	for _, f := range s.IO.Input.Value.Fields {
		if f.Name == name {
			steps, found = []spec.PathStep{{Name: f.Expr}}, true
			if f.Type == "path" {
				steps, _ = spec.ParsePath(f.Expr)
			}
		}
	}
	at := json.RawMessage(bytes.TrimSpace(record))
	for _, step := range steps {
		var object map[string]json.RawMessage
		var array []json.RawMessage
		switch {
		case !step.IsIndex && json.Unmarshal(at, &object) == nil:
			at = object[step.Name]
		case step.IsIndex && json.Unmarshal(at, &array) == nil && step.Index < len(array):
			at = array[step.Index]
		default:
			return nil
		}
		if at == nil {
			return nil
		}
	}
	if !found {
		return nil
	}
	return at
}

// refValue converts a field's text, the slow way. ok is false where it cannot be.
func refValue(raw json.RawMessage, kind spec.DimensionType) (out string, ok bool) {
	if raw == nil || string(raw) == "null" {
		return "null", true
	}
	text := string(raw)
	isString := raw[0] == '"'
	if isString {
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", false
		}
	}
	switch kind {
	case spec.DimString:
		return "text " + text, true
	case spec.DimJSON:
		return "text " + string(raw), true
	case spec.DimLong:
		switch {
		case isString && text == "":
			return "null", true
		case !isString && text == "true":
			return "long 1", true
		case !isString && text == "false":
			return "long 0", true
		case strings.Trim(text, "0123456789+-.eE") != "" || len(text) > 60:
			return "", false
		}
		r, ok := new(big.Rat).SetString(text)
		if !ok || !r.IsInt() || !r.Num().IsInt64() {
			return "", false
		}
		return "long " + r.Num().String(), true
	default:
		if isString && text == "" {
			return "null", true
		}
		if !isString && strings.ContainsAny(text[:1], "tf[{") {
			return "", false
		}
		special := strings.TrimLeft(text, "+-")
		if isString && len(text)-len(special) <= 1 && (special == "NaN" || special == "Infinity") {
			f, err := strconv.ParseFloat(text, 64)
			if special == "NaN" {
				return "double NaN", true
			}
			return "double " + strconv.FormatFloat(f, 'g', -1, 64), err == nil
		}
		if strings.Trim(text, "0123456789+-.eE") != "" {
			return "", false
		}
		f, err := strconv.ParseFloat(text, 64)
		return "double " + strconv.FormatFloat(f, 'g', -1, 64), err == nil
	}
}

// checkAgainstReference compares one outcome of Decode with the standard library's view of the record.
func checkAgainstReference(s *spec.Supervisor, record []byte, row *Row, reject *Reject) error {
	if (row == nil) == (reject == nil) {
		return fmt.Errorf("row %v and reject %v", row, reject)
	}
	valid := json.Valid(record)
	var object map[string]json.RawMessage
	if reject != nil {
		if !utf8.ValidString(reject.Message) || reject.Message == "" || len(reject.Message) > 1000 {
			return fmt.Errorf("message %q", reject.Message)
		}
		switch reject.Reason {
		case ReasonMalformedJSON, ReasonEmptyRecord:
			if valid {
				return fmt.Errorf("rejected as %s, but it is valid JSON: %s", reject.Reason, reject.Message)
			}
		case ReasonInvalidUTF8:
			if utf8.Valid(record) {
				return fmt.Errorf("rejected as %s, but it is valid", reject.Reason)
			}
		case ReasonNotAnObject:
			if !valid || json.Unmarshal(record, &object) == nil && object != nil {
				return fmt.Errorf("rejected as %s, but it is an object", reject.Reason)
			}
		case ReasonUnconvertibleValue:
			for _, dim := range s.DataSchema.Dimensions {
				if _, ok := refValue(refField(s, record, dim.Name), dim.Type); !ok {
					return nil
				}
			}
			return fmt.Errorf("rejected, but every value converts: %s", reject.Message)
		case ReasonBadTimestamp, ReasonDuplicateKey, ReasonLoneSurrogate, ReasonNestingTooDeep:
		default:
			return fmt.Errorf("reason %s", reject.Reason)
		}
		return nil
	}
	if !valid || !utf8.Valid(record) {
		return fmt.Errorf("accepted, but it is no valid JSON")
	}
	for i, dim := range s.DataSchema.Dimensions {
		want, ok := refValue(refField(s, record, dim.Name), dim.Type)
		if got := row.Values[i].show(); !ok || got != want {
			return fmt.Errorf("column %s: got %q, want %q (%v)", dim.Name, got, want, ok)
		}
		if !utf8.Valid(row.Values[i].Bytes) {
			return fmt.Errorf("column %s is not UTF-8: %q", dim.Name, row.Values[i].Bytes)
		}
	}
	key, _ := refValue(refField(s, record, "id"), spec.DimString)
	key, isText := strings.CutPrefix(key, "text ")
	if row.HasKey != (isText && key != "") || row.HasKey && string(row.Key) != key {
		return fmt.Errorf("key: got %q (%v), want %q", row.Key, row.HasKey, key)
	}
	return nil
}

// jsonMaker writes random JSON, mostly valid, with keys that the test spec reads.
type jsonMaker struct {
	rng *rand.Rand
	buf []byte
}

func (m *jsonMaker) pick(texts ...string) { m.buf = append(m.buf, texts[m.rng.IntN(len(texts))]...) }

func (m *jsonMaker) space() {
	if m.rng.IntN(8) == 0 {
		m.pick(" ", "\n", "\t", "\r\n", "   ")
	}
}

func (m *jsonMaker) value(depth int) {
	m.space()
	switch n := m.rng.IntN(14); {
	case n < 3 && depth < 6:
		m.object(depth)
	case n < 5 && depth < 6:
		m.buf = append(m.buf, '[')
		m.list(depth, func() { m.value(depth + 1) })
		m.buf = append(m.buf, ']')
	case n < 8:
		m.pick(`"x"`, `""`, `"12"`, `"-7.0"`, `"\u00e9\ud83d\ude00"`, `"a\"\\\n\u0000"`, `"long text with é and 😀 in it"`, `"NaN"`,
			`"-Infinity"`, `"1e2"`, `"9223372036854775808"`, `"tab\there, and a quote \" behind sixteen bytes"`, `"0x10"`)
	case n < 12:
		m.pick(`0`, `-0`, `1`, `-12`, `3.25`, `1e3`, `1E-2`, `-1.50e+01`, `9223372036854775807`, `-9223372036854775808`,
			`9223372036854775808`, `1e400`, `100e-2`, `0.1`, `16777217`, `123456789012345678901234567890`)
	default:
		m.pick(`true`, `false`, `null`)
	}
	m.space()
}

func (m *jsonMaker) list(depth int, item func()) {
	for i := range m.rng.IntN(6 - depth/2) {
		if i > 0 {
			m.buf = append(m.buf, ',')
		}
		item()
	}
}

func (m *jsonMaker) object(depth int) {
	m.buf = append(m.buf, '{')
	m.list(depth, func() {
		m.space()
		m.pick(`"a"`, `"b"`, `"c"`, `"d"`, `"l"`, `"o"`, `"o"`, `"id"`, `"\u0061"`, `"a b"`, `"list"`, `"list"`, `"hidden"`, `"q\"q"`,
			`"unread"`, `"whole"`, `"t"`, `"other key of some length"`, `"other key of some lengtH"`)
		m.space()
		m.buf = append(m.buf, ':')
		m.value(depth + 1)
	})
	m.buf = append(m.buf, '}')
}

func TestRandomRecordsAgreeWithReference(t *testing.T) {
	seed := rand.Uint64()
	m := &jsonMaker{rng: rand.New(rand.NewPCG(seed, 0))}
	accepted := 0
	for _, discovery := range []bool{true, false} {
		s := flattenTestSpec(discovery)
		d := mustNew(t, s)
		for range 6_000 {
			m.buf = m.buf[:0]
			m.space()
			m.object(0)
			m.space()
			if m.rng.IntN(20) == 0 { // damage it
				at := m.rng.IntN(len(m.buf))
				m.buf[at] = byte(m.rng.UintN(256))
			}
			row, reject := d.Decode(&Record{Value: m.buf})
			if err := checkAgainstReference(s, m.buf, row, reject); err != nil {
				t.Fatalf("seed %d, discovery %v: %q: %v", seed, discovery, m.buf, err)
			}
			if row != nil {
				accepted++
			}
		}
	}
	if accepted < 4_000 {
		t.Errorf("seed %d: only %d of 12000 records were accepted", seed, accepted)
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"t":1,"a":"x","o":{"a":{"b":"\u00e9"},"list":[1,2]}}`, `{"o":{"a b":[{"c":1.5}]}}`, `{"l":"12","d":1e2,"id":7}`,
		"\ufeff{}", `[1]`, `{"a":1,"a":2}`, `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`, strings.Repeat(`{"o":`, 70), "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(text))
	}
	specs := []*spec.Supervisor{flattenTestSpec(true), flattenTestSpec(false)}
	decoders := []*Decoder{mustNew(f, specs[0]), mustNew(f, specs[1])}
	f.Fuzz(func(t *testing.T, record []byte) {
		for i, s := range specs {
			row, reject := decoders[i].Decode(&Record{Value: record})
			if record == nil {
				continue
			}
			if err := checkAgainstReference(s, record, row, reject); err != nil {
				t.Fatalf("discovery %v: %q: %v", i == 0, record, err)
			}
		}
	})
}
