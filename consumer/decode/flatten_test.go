package decode

import (
	"bytes"
	"strings"
	"testing"

	"drumlin/spec"
)

func TestFlatten(t *testing.T) {
	const record = `{"t":1, "a":"root", "o":{"a":{"b":"deep"},"a b":[{"c":7},null,[1, 2]],"a.b":"dot","it's":1,"":"empty"},"n":null,"list":[10,20]}`
	for _, test := range []struct{ expr, want string }{
		{`$.a`, "text root"},
		{`$.o.a.b`, "text deep"},
		{`$['o']['a']["b"]`, "text deep"},
		{`$.o['a b'][0].c`, "text 7"},
		{`$.o['a b'][2]`, "text [1, 2]"},
		{`$.o['a b'][2][1]`, "text 2"},
		{`$.o['a b'][1]`, "null"},
		{`$.o['a b'][3]`, "null"},
		{`$.o['a.b']`, "text dot"},
		{`$.o['it\'s']`, "text 1"},
		{`$['o']['']`, "text empty"},
		{`$.o.a`, `text {"b":"deep"}`},
		{`$.n`, "null"},
		{`$.n.x`, "null"},
		{`$.a.x`, "null"},
		{`$.a[0]`, "null"},
		{`$.list.x`, "null"},
		{`$.list[1]`, "text 20"},
		{`$.absent`, "null"},
		{`$`, "text " + record},
	} {
		s := testSpec()
		s.IO.Input.Value.Fields = []spec.FlattenField{{Type: "path", Name: "s", Expr: test.expr}}
		row, reject := decodeText(mustNew(t, s), " "+record+"\n")
		if reject != nil {
			t.Errorf("%s: %s", test.expr, reject.Message)
		} else if got := row.Values[0].show(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.expr, got, test.want)
		}
	}
}

func TestListedFieldsWin(t *testing.T) {
	s := testSpec()
	s.IO.Input.Value.Fields = []spec.FlattenField{
		{Type: "path", Name: "s", Expr: "$.o.s"},
		{Type: "path", Name: "t", Expr: "$.o.t"},
		{Type: "path", Name: "id", Expr: "$.o.id"},
		{Type: "root", Name: "l", Expr: "other"},
	}
	d := mustNew(t, s)
	row, reject := decodeText(d, `{"s":"root","t":1,"id":"r","l":1,"other":2,"o":{"s":"nested","t":5,"id":"n"}}`)
	if reject != nil || string(row.Values[0].Bytes) != "nested" || row.TimeMillis != 5 || string(row.Key) != "n" || row.Values[1].Long != 2 {
		t.Errorf("got %+v %+v", row, reject)
	}
	row, reject = decodeText(d, `{"s":"root","id":"r","o":{"t":5}}`)
	if reject != nil || row.Values[0].Kind != Null || row.HasKey {
		t.Errorf("a listed field that finds nothing: got %+v %+v", row, reject)
	}
}

func TestWithoutDiscovery(t *testing.T) {
	s := testSpec()
	s.IO.Input.Value = spec.FlattenSpec{Fields: []spec.FlattenField{{Type: "root", Name: "t"}, {Type: "root", Name: "s"}}}
	row, reject := decodeText(mustNew(t, s), `{"t":1,"s":"x","l":5,"id":"k"}`)
	if reject != nil || row.Values[0].show() != "text x" || row.Values[1].Kind != Null || row.HasKey {
		t.Errorf("got %+v %+v", row, reject)
	}
}

// TestRepeatedKeysBelowTheRoot: they are rejected exactly in objects that a path steps through with a name.
func TestRepeatedKeysBelowTheRoot(t *testing.T) {
	s := testSpec()
	s.IO.Input.Value.Fields = []spec.FlattenField{{Type: "path", Name: "s", Expr: "$.o.list[1].x"}}
	d := mustNew(t, s)
	for text, want := range map[string]string{
		`{"t":1,"o":{"y":1,"y":2}}`:                      ReasonDuplicateKey,
		`{"t":1,"o":{"list":[0,{"y":1,"y":2}]}}`:         ReasonDuplicateKey,
		`{"t":1,"o":{"list":[{"y":1,"y":2}]}}`:           "",
		`{"t":1,"o":{"z":{"y":1,"y":2}}}`:                "",
		`{"t":1,"o":{"list":[0,{"x":[{"y":1,"y":2}]}]}}`: "",
	} {
		_, reject := decodeText(d, text)
		got := ""
		if reject != nil {
			got = reject.Reason
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestSpecsRefused(t *testing.T) {
	for name, change := range map[string]func(*spec.Supervisor){
		"a wildcard": func(s *spec.Supervisor) {
			s.IO.Input.Value.Fields = []spec.FlattenField{{Type: "path", Name: "s", Expr: "$.a[*]"}}
		},
		"an unread bad path": func(s *spec.Supervisor) {
			s.IO.Input.Value.Fields = []spec.FlattenField{{Type: "path", Name: "unread", Expr: "a"}}
		},
		"a field type": func(s *spec.Supervisor) {
			s.IO.Input.Value.Fields = []spec.FlattenField{{Type: "jq", Name: "s", Expr: ".a"}}
		},
		"a field twice": func(s *spec.Supervisor) {
			s.IO.Input.Value.Fields = []spec.FlattenField{{Type: "root", Name: "s"}, {Type: "root", Name: "s"}}
		},
		"a dimension type": func(s *spec.Supervisor) { s.DataSchema.Dimensions[0].Type = "auto" },
		"a nameless key":   func(s *spec.Supervisor) { s.DataSchema.Dedup.Key = "" },
	} {
		s := testSpec()
		change(s)
		if _, err := New(s); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func kafkaSpec(key *spec.FlattenSpec, asString bool) *spec.Supervisor {
	s := testSpec()
	s.DataSchema.Timestamp.Column = "kafka.timestamp"
	s.DataSchema.Dimensions = nil
	for _, name := range []string{
		"kafka.timestamp", "kafka.topic", "kafka.partition", "kafka.offset", "kafka.header.env", "kafka.header.zone", "kafka.key", "page",
	} {
		s.DataSchema.Dimensions = append(s.DataSchema.Dimensions, spec.Dimension{Name: name, Type: spec.DimString})
	}
	s.DataSchema.Dedup.Key = "kafka.key"
	s.IO.Input.Kafka = &spec.KafkaFormat{
		KeyColumn: "kafka.key", KeyFormat: key, KeyAsString: asString, HeaderPrefix: "kafka.header.", Headers: true,
		TimestampColumn: "kafka.timestamp", TopicColumn: "kafka.topic", PartitionColumn: "kafka.partition", OffsetColumn: "kafka.offset",
	}
	return s
}

func kafkaRecord(value string) *Record {
	return &Record{
		Topic: "wiki-edits", Partition: 3, Offset: 42, TimestampMillis: 1680795276351, Key: []byte("wiki-edit"), Value: []byte(value),
		Headers: []Header{{"env", []byte("old")}, {"env", []byte("development")}, {"zone", []byte("z1")}},
	}
}

func showRow(row *Row, reject *Reject) string {
	if reject != nil {
		return reject.Reason
	}
	var out []string
	for _, v := range row.Values {
		out = append(out, strings.TrimPrefix(v.show(), "text "))
	}
	return strings.Join(out, "|") + "|key=" + string(row.Key)
}

func TestKafkaFormat(t *testing.T) {
	d := mustNew(t, kafkaSpec(nil, true))
	const head = "1680795276351|wiki-edits|3|42|development|z1|wiki-edit|"
	row, reject := d.Decode(kafkaRecord(`{"page":"Main"}`))
	if got, want := showRow(row, reject), head+"Main|key=wiki-edit"; got != want || row.TimeMillis != 1680795276351 {
		t.Errorf("got %s, want %s", got, want)
	}
	tombstone := kafkaRecord("")
	tombstone.Value = nil
	if got, want := showRow(d.Decode(tombstone)), head+"null|key=wiki-edit"; got != want {
		t.Errorf("tombstone: got %s, want %s", got, want)
	}
	if got := showRow(d.Decode(kafkaRecord(""))); got != ReasonEmptyRecord {
		t.Errorf("empty value: got %s", got)
	}
	got := showRow(d.Decode(kafkaRecord(`{"kafka.topic":"mine","kafka.header.env":null,"kafka.timestamp":7,"kafka.key":"k"}`)))
	if want := "7|mine|3|42|null|z1|k|null|key=k"; got != want {
		t.Errorf("fields of the value stand before: got %s, want %s", got, want)
	}
	bare := &Record{Topic: "x", Value: []byte(`{}`)}
	if got, want := showRow(d.Decode(bare)), "0|x|0|0|null|null|null|null|key="; got != want {
		t.Errorf("no key and no headers: got %s, want %s", got, want)
	}
	bad := kafkaRecord(`{}`)
	bad.Headers = []Header{{"zone", []byte("\xff")}}
	if got := showRow(d.Decode(bad)); got != ReasonInvalidUTF8 {
		t.Errorf("a header that is no text: got %s", got)
	}
	bad.Headers = []Header{{"unread", []byte("\xff")}, {"zone", nil}}
	if got, want := showRow(d.Decode(bad)), "1680795276351|wiki-edits|3|42|null|null|wiki-edit|null|key=wiki-edit"; got != want {
		t.Errorf("an unread header: got %s, want %s", got, want)
	}
	bad.Key = []byte{0xc3}
	if got := showRow(d.Decode(bad)); got != ReasonInvalidUTF8 {
		t.Errorf("a key that is no text: got %s", got)
	}
}

func TestKafkaKeyInJSON(t *testing.T) {
	first := mustNew(t, kafkaSpec(&spec.FlattenSpec{Discovery: true}, false))
	listed := mustNew(t, kafkaSpec(&spec.FlattenSpec{Fields: []spec.FlattenField{{Type: "path", Name: "x", Expr: "$.b.c"}}}, false))
	for _, test := range []struct{ key, first, listed string }{
		{`{"a":"A\u0031","b":{"c":2}}`, "A1", "2"},
		{` {"b" : {"c":2},"a":1} `, `{"c":2}`, "2"},
		{`{}`, "null", "null"},
		{`{"a":null}`, "null", "null"},
		{`"text"`, ReasonInvalidKafkaKey, ReasonInvalidKafkaKey},
		{``, ReasonInvalidKafkaKey, ReasonInvalidKafkaKey},
		{`{"a":1,"a":2}`, ReasonInvalidKafkaKey, ReasonInvalidKafkaKey},
		{"{\"a\":\"\xff\"}", ReasonInvalidKafkaKey, ReasonInvalidKafkaKey},
	} {
		for d, want := range map[*Decoder]string{first: test.first, listed: test.listed} {
			rec := kafkaRecord(`{}`)
			rec.Key = []byte(test.key)
			row, reject := d.Decode(rec)
			got := showRow(row, reject)
			if reject == nil {
				got = strings.Split(got, "|")[6]
			}
			if got != want {
				t.Errorf("key %q: got %s, want %s", test.key, got, want)
			}
		}
	}
}

func TestKafkaColumnsConvert(t *testing.T) {
	s := kafkaSpec(nil, true)
	s.DataSchema.Dimensions = []spec.Dimension{
		{Name: "kafka.offset", Type: spec.DimLong},
		{Name: "kafka.offset", Type: spec.DimJSON},
		{Name: "kafka.header.zone", Type: spec.DimLong},
		{Name: "kafka.topic", Type: spec.DimJSON},
		{Name: "kafka.partition", Type: spec.DimDouble},
	}
	rec := kafkaRecord(`{}`)
	rec.Topic = "a\"b\\\n"
	rec.Headers = []Header{{"zone", []byte("17")}}
	if got, want := showRow(mustNew(t, s).Decode(rec)), `long 42|42|long 17|"a\"b\\\u000a"|double 3|key=wiki-edit`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRowsSurviveUnescapingAndTheRecordIsNotTouched: every value of a row holds although later ones grow the scratch memory.
func TestRowsSurviveUnescapingAndTheRecordIsNotTouched(t *testing.T) {
	s := testSpec()
	s.DataSchema.Dimensions = nil
	var text strings.Builder
	text.WriteString(`{"t":1`)
	for i := range 200 {
		name := "c" + strings.Repeat("x", i)
		s.DataSchema.Dimensions = append(s.DataSchema.Dimensions, spec.Dimension{Name: name, Type: spec.DimString})
		text.WriteString(`,"` + name + `":"\u0041` + strings.Repeat("b", i*10) + `"`)
	}
	text.WriteString("}")
	record := []byte(text.String())
	before := bytes.Clone(record)
	row, reject := mustNew(t, s).Decode(&Record{Value: record})
	if reject != nil {
		t.Fatal(reject.Message)
	}
	for i, v := range row.Values {
		if string(v.Bytes) != "A"+strings.Repeat("b", i*10) {
			t.Fatalf("value %d is %.40q", i, v.Bytes)
		}
	}
	if !bytes.Equal(record, before) {
		t.Error("the record was changed")
	}
}
