package decode

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"drumlin/spec"
)

// testSpec has one dimension of each type, the timestamp t, and the dedup key id.
func testSpec() *spec.Supervisor {
	return &spec.Supervisor{
		ID: "test",
		DataSchema: spec.DataSchema{
			DataSource: "test",
			Timestamp:  spec.TimestampSpec{Column: "t", Format: "auto"},
			Dimensions: []spec.Dimension{
				{Name: "s", Type: spec.DimString},
				{Name: "l", Type: spec.DimLong},
				{Name: "d", Type: spec.DimDouble},
				{Name: "f", Type: spec.DimFloat},
				{Name: "j", Type: spec.DimJSON},
			},
			Dedup: &spec.DedupSpec{Key: "id"},
		},
		IO: spec.IOConfig{Input: spec.InputFormat{Value: spec.FlattenSpec{Discovery: true}}},
	}
}

func mustNew(t testing.TB, s *spec.Supervisor) *Decoder {
	t.Helper()
	d, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func decodeText(d *Decoder, text string) (*Row, *Reject) {
	return d.Decode(&Record{Topic: "events", Value: []byte(text)})
}

// show writes a value as the tables below do.
func (v Value) show() string {
	switch v.Kind {
	case Null:
		return "null"
	case Long:
		return "long " + strconv.FormatInt(v.Long, 10)
	case Double:
		return "double " + strconv.FormatFloat(v.Double, 'g', -1, 64)
	default:
		return "text " + string(v.Bytes)
	}
}

func TestConvertsValues(t *testing.T) {
	for _, test := range []struct{ field, value, want string }{
		{"s", `"plain"`, "text plain"},
		{"s", `""`, "text "},
		{"s", `null`, "null"},
		{"s", `"é 😀 \u00e9 \ud83d\ude00 \"\\\/\b\f\n\r\t"`, "text é 😀 é 😀 \"\\/\b\f\n\r\t"},
		{"s", `"nul \u0000 in text"`, "text nul \x00 in text"},
		{"s", `12`, "text 12"},
		{"s", `1.50`, "text 1.50"},
		{"s", `-1E+2`, "text -1E+2"},
		{"s", `123456789012345678901234567890`, "text 123456789012345678901234567890"},
		{"s", `true`, "text true"},
		{"s", `{"a" : [1, 2]}`, `text {"a" : [1, 2]}`},
		{"s", `[ ]`, "text [ ]"},
		{"l", `0`, "long 0"},
		{"l", `-0`, "long 0"},
		{"l", `-42`, "long -42"},
		{"l", `9223372036854775807`, "long 9223372036854775807"},
		{"l", `-9223372036854775808`, "long -9223372036854775808"},
		{"l", `9223372036854775807.0`, "long 9223372036854775807"},
		{"l", `9223372036854775808`, ReasonUnconvertibleValue},
		{"l", `-9223372036854775809`, ReasonUnconvertibleValue},
		{"l", `1e18`, "long 1000000000000000000"},
		{"l", `1e19`, ReasonUnconvertibleValue},
		{"l", `1.0`, "long 1"},
		{"l", `1.5`, ReasonUnconvertibleValue},
		{"l", `12.5e1`, "long 125"},
		{"l", `1200e-2`, "long 12"},
		{"l", `1201e-2`, ReasonUnconvertibleValue},
		{"l", `0e999999999999999999999999`, "long 0"},
		{"l", `1e999999999999999999999999`, ReasonUnconvertibleValue},
		{"l", `1e-999999999999999999999999`, ReasonUnconvertibleValue},
		{"l", `"17"`, "long 17"},
		{"l", `"+17"`, "long 17"},
		{"l", `"007"`, "long 7"},
		{"l", `"17.0"`, "long 17"},
		{"l", `"1\u0037"`, "long 17"},
		{"l", `""`, "null"},
		{"l", `" 17"`, ReasonUnconvertibleValue},
		{"l", `"0x11"`, ReasonUnconvertibleValue},
		{"l", `"1_000"`, ReasonUnconvertibleValue},
		{"l", `"abc"`, ReasonUnconvertibleValue},
		{"l", `"."`, ReasonUnconvertibleValue},
		{"l", `"NaN"`, ReasonUnconvertibleValue},
		{"l", `true`, "long 1"},
		{"l", `false`, "long 0"},
		{"l", `{}`, ReasonUnconvertibleValue},
		{"l", `[1]`, ReasonUnconvertibleValue},
		{"d", `1`, "double 1"},
		{"d", `-0`, "double -0"},
		{"d", `0.1`, "double 0.1"},
		{"d", `1e308`, "double 1e+308"},
		{"d", `1e309`, ReasonUnconvertibleValue},
		{"d", `1e-400`, "double 0"},
		{"d", `9007199254740993`, "double 9.007199254740992e+15"},
		{"d", `"2.5"`, "double 2.5"},
		{"d", `".5"`, "double 0.5"},
		{"d", `"5."`, "double 5"},
		{"d", `"NaN"`, "double NaN"},
		{"d", `"-Infinity"`, "double -Inf"},
		{"d", `"+Infinity"`, "double +Inf"},
		{"d", `"nan"`, ReasonUnconvertibleValue},
		{"d", `"inf"`, ReasonUnconvertibleValue},
		{"d", `"0x1p4"`, ReasonUnconvertibleValue},
		{"d", `"1_0"`, ReasonUnconvertibleValue},
		{"d", `""`, "null"},
		{"d", `true`, ReasonUnconvertibleValue},
		{"f", `0.1`, "double 0.10000000149011612"},
		{"f", `16777217`, "double 1.6777216e+07"},
		{"f", `1e39`, ReasonUnconvertibleValue},
		{"f", `false`, ReasonUnconvertibleValue},
		{"j", `null`, "null"},
		{"j", `"a\u0041"`, `text "a\u0041"`},
		{"j", `{"a": 1, "a": 2}`, `text {"a": 1, "a": 2}`},
		{"j", `-1.0`, `text -1.0`},
	} {
		d := mustNew(t, testSpec())
		row, reject := decodeText(d, `{"t": 1, "`+test.field+`": `+test.value+`}`)
		got := ""
		if reject != nil {
			got = reject.Reason
			if !strings.Contains(reject.Message, strconv.Quote(test.field)) {
				t.Errorf("%s = %s: the message names no column: %s", test.field, test.value, reject.Message)
			}
		} else {
			for i, dim := range testSpec().DataSchema.Dimensions {
				if dim.Name == test.field {
					got = row.Values[i].show()
				} else if row.Values[i].Kind != Null {
					t.Errorf("%s = %s: column %s is %s, want null", test.field, test.value, dim.Name, row.Values[i].show())
				}
			}
		}
		if got != test.want {
			t.Errorf("%s = %s: got %s, want %s", test.field, test.value, got, test.want)
		}
	}
}

func TestRejects(t *testing.T) {
	deep := func(n int) string { return `{"t":1,"s":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` }
	for _, test := range []struct{ text, want string }{
		{`{"t":1}`, ""},
		{" \t\r\n{\"t\":1 }\n", ""},
		{``, ReasonEmptyRecord},
		{" \n ", ReasonEmptyRecord},
		{`[{"t":1}]`, ReasonNotAnObject},
		{`"text"`, ReasonNotAnObject},
		{`17`, ReasonNotAnObject},
		{`null`, ReasonNotAnObject},
		{`nul`, ReasonMalformedJSON},
		{`{"t":1} {"t":1}`, ReasonMalformedJSON},
		{`{"t":1},`, ReasonMalformedJSON},
		{`{"t":1`, ReasonMalformedJSON},
		{`{"t":1,}`, ReasonMalformedJSON},
		{`{"t":1,"x":[1,]}`, ReasonMalformedJSON},
		{`{"t" 1}`, ReasonMalformedJSON},
		{`{t:1}`, ReasonMalformedJSON},
		{`{"t":01}`, ReasonMalformedJSON},
		{`{"t":1.}`, ReasonMalformedJSON},
		{`{"t":.1}`, ReasonMalformedJSON},
		{`{"t":+1}`, ReasonMalformedJSON},
		{`{"t":-}`, ReasonMalformedJSON},
		{`{"t":1e}`, ReasonMalformedJSON},
		{`{"t":NaN}`, ReasonMalformedJSON},
		{`{"t":-Infinity}`, ReasonMalformedJSON},
		{`{"t":'1'}`, ReasonMalformedJSON},
		{`{"t":"\x"}`, ReasonMalformedJSON},
		{`{"t":"\u12g4"}`, ReasonMalformedJSON},
		{`{"t":"\u12`, ReasonMalformedJSON},
		{`{"t":"\`, ReasonMalformedJSON},
		{`{"t":"abcdefgh`, ReasonMalformedJSON},
		{"{\"t\":\"line\nbreak\"}", ReasonMalformedJSON},
		{"{\"t\":1,\"s\":\"a long text with \x00 in it\"}", ReasonMalformedJSON},
		{"\ufeff{\"t\":1}", ReasonMalformedJSON},
		{`{"t":1}//`, ReasonMalformedJSON},
		{"{\"t\":1,\"x\":\"\xff\"}", ReasonInvalidUTF8},
		{"{\"t\":1,\"x\":\"\xed\xa0\x80\"}", ReasonInvalidUTF8},
		{"{\"t\":1,\"x\":\"\xc0\xaf\"}", ReasonInvalidUTF8},
		{"{\"t\":1,\"x\":\"\xe2\x82", ReasonInvalidUTF8},
		{`{"t":1,"x":"\ud800"}`, ReasonLoneSurrogate},
		{`{"t":1,"x":"\udc00\ud800"}`, ReasonLoneSurrogate},
		{`{"t":1,"x":"\ud800\u0041"}`, ReasonLoneSurrogate},
		{`{"t":1,"x":{"\ud800":1}}`, ReasonLoneSurrogate},
		{`{"t":1,"s":1,"s":2}`, ReasonDuplicateKey},
		{`{"t":1,"unread":1,"unread":1}`, ReasonDuplicateKey},
		{`{"t":1,"s":1,"\u0073":2}`, ReasonDuplicateKey},
		{`{"t":1,"":1,"":2}`, ReasonDuplicateKey},
		{`{"t":1,"x":{"a":1,"a":2}}`, ""},
		{deep(64), ""},
		{deep(65), ReasonNestingTooDeep},
		{strings.Repeat("[", 100_000), ReasonNestingTooDeep},
		{`{}`, ReasonMissingTimestamp},
		{`{"t":null}`, ReasonMissingTimestamp},
		{`{"t":""}`, ReasonBadTimestamp},
		{`{"t":true}`, ReasonBadTimestamp},
		{`{"t":[1]}`, ReasonBadTimestamp},
		{`{"t":"yesterday"}`, ReasonBadTimestamp},
		{`{"t":9223372036854775808}`, ReasonBadTimestamp},
	} {
		_, reject := decodeText(mustNew(t, testSpec()), test.text)
		got := ""
		if reject != nil {
			got = reject.Reason
			if reject.Message == "" || strings.ContainsAny(reject.Message, "\n\x00") {
				t.Errorf("%.80q: message %q", test.text, reject.Message)
			}
		}
		if got != test.want {
			t.Errorf("%.80q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func TestTombstoneAndLimit(t *testing.T) {
	d := mustNew(t, testSpec())
	d.maxRecordBytes = 32
	if _, reject := d.Decode(&Record{}); reject == nil || reject.Reason != ReasonTombstone {
		t.Errorf("tombstone: got %+v", reject)
	}
	fits := &Record{Value: []byte(`{"t":1,"s":"abc"}`), Key: []byte("1234567890"), Headers: []Header{{"abc", []byte("de")}}}
	if _, reject := d.Decode(fits); reject != nil {
		t.Errorf("32 bytes: got %+v", reject)
	}
	fits.Key = append(fits.Key, 'x')
	if _, reject := d.Decode(fits); reject == nil || reject.Reason != ReasonTooLarge {
		t.Errorf("33 bytes: got %+v", reject)
	}
	big := []byte(`{"t":1,"s":"` + strings.Repeat("x", 10<<20) + `"}`)
	if _, reject := mustNew(t, testSpec()).Decode(&Record{Value: big}); reject == nil || reject.Reason != ReasonTooLarge {
		t.Errorf("10 MiB: got %+v", reject)
	}
}

func TestMessagesAreShortAndValid(t *testing.T) {
	d := mustNew(t, testSpec())
	_, reject := decodeText(d, `{"t":1,"l":"`+strings.Repeat("ü", 5000)+`"}`)
	if reject == nil || len(reject.Message) > 400 || !strings.Contains(reject.Message, "ü") {
		t.Errorf("got %+v", reject)
	}
}

func TestDedupKey(t *testing.T) {
	for _, test := range []struct {
		value, want string
		has         bool
	}{
		{`"abc"`, "abc", true},
		{`"a\u0062c"`, "abc", true},
		{`17`, "17", true},
		{`17.0`, "17.0", true},
		{`false`, "false", true},
		{`{"a": 1}`, `{"a": 1}`, true},
		{`""`, "", false},
		{`null`, "", false},
	} {
		row, reject := decodeText(mustNew(t, testSpec()), `{"t":1,"id":`+test.value+`}`)
		if reject != nil || row.HasKey != test.has || string(row.Key) != test.want {
			t.Errorf("%s: got %+v %+v", test.value, row, reject)
		}
	}
	d := mustNew(t, testSpec())
	if row, _ := decodeText(d, `{"t":1,"id":"x"}`); !row.HasKey {
		t.Error("a key was lost")
	}
	if row, _ := decodeText(d, `{"t":1}`); row.HasKey || row.Key != nil {
		t.Error("the key of an earlier record remained")
	}
	s := testSpec()
	s.DataSchema.Dedup = nil
	if row, _ := decodeText(mustNew(t, s), `{"t":1,"id":"x"}`); row.HasKey {
		t.Error("a key without dedupSpec")
	}
}

func TestMissingTimestampValue(t *testing.T) {
	s := testSpec()
	missing := int64(math.MinInt64)
	s.DataSchema.Timestamp.MissingMillis = &missing
	for _, text := range []string{`{}`, `{"t":null}`} {
		if row, reject := decodeText(mustNew(t, s), text); reject != nil || row.TimeMillis != missing {
			t.Errorf("%s: got %+v %+v", text, row, reject)
		}
	}
	if _, reject := decodeText(mustNew(t, s), `{"t":"x"}`); reject == nil {
		t.Error("an unreadable timestamp counted as a missing one")
	}
}

// TestHistoryDoesNotMatter decodes records after thousands of others and expects what a fresh Decoder gives.
func TestHistoryDoesNotMatter(t *testing.T) {
	old := mustNew(t, testSpec())
	for i := range 3000 {
		var b strings.Builder
		b.WriteString(`{"t":1`)
		for k := range i % 7 {
			b.WriteString(`,"k` + strconv.Itoa(i*k) + `":` + strconv.Itoa(k))
		}
		if i%2 == 0 {
			b.WriteString(`,"s":"x"`)
		}
		b.WriteString(`}`)
		_, oldReject := decodeText(old, b.String())
		_, freshReject := decodeText(mustNew(t, testSpec()), b.String())
		if (oldReject == nil) != (freshReject == nil) {
			t.Fatalf("%s: got %+v, fresh %+v", b.String(), oldReject, freshReject)
		}
	}
	if n := len(old.root.keys.entries); n > maxLearnedKeys+1000 {
		t.Errorf("%d keys are remembered", n)
	}
	for i := range 50 {
		decodeText(old, `{"t":1,"`+strconv.Itoa(i)+strings.Repeat("k", 10_000)+`":1}`)
	}
	if n := old.root.keys.learned; n > maxLearnedKeyBytes+20_000 {
		t.Errorf("%d bytes of keys are remembered", n)
	}
	for _, key := range []string{`a\"b`, `a\\`, `a\u0022b`} {
		text := `{"t":1,"` + key + `":1,"l":5}`
		for range 2 {
			row, reject := decodeText(old, text)
			if reject != nil || row.Values[1].Long != 5 {
				t.Errorf("%s: got %+v %+v", text, row, reject)
			}
		}
	}
	if _, reject := decodeText(old, `{"t":1,"a"b":1}`); reject == nil || reject.Reason != ReasonMalformedJSON {
		t.Errorf("a quote within a key: got %+v", reject)
	}
}
