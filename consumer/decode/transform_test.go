package decode

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/datadriven"

	"drumlin/spec"
)

// TestTransformedRows decodes records by specs with transforms: `spec` gives the dataSchema's fields behind dataSource, one a
// line, `decode` the values of records.
func TestTransformedRows(t *testing.T) {
	var d *Decoder
	datadriven.RunTest(t, "testdata/transforms", func(t *testing.T, td *datadriven.TestData) string {
		switch td.Cmd {
		case "spec":
			format := "{type: json}"
			if td.HasArg("kafka") {
				format = "{type: kafka, valueFormat: {type: json}}"
			}
			s, _, err := spec.Parse([]byte("type: kafka\nspec:\n  ioConfig: {topic: t, inputFormat: " + format + "}\n  dataSchema:\n    dataSource: d\n    " +
				strings.ReplaceAll(td.Input, "\n", "\n    ")))
			if err != nil {
				t.Fatalf("%s: %v", td.Pos, err)
			}
			if d, err = New(s); err != nil {
				return "refused: " + err.Error() + "\n"
			}
			var names []string
			for _, c := range d.Columns() {
				names = append(names, c.Name+" "+string(c.Type))
			}
			return strings.Join(names, ", ") + "\n"
		case "decode":
			var out strings.Builder
			for line := range strings.SplitSeq(td.Input, "\n") {
				fmt.Fprintln(&out, decodedText(d, line))
			}
			return out.String()
		}
		t.Fatalf("%s: %s is not known", td.Pos, td.Cmd)
		return ""
	})
}

func decodedText(d *Decoder, value string) string {
	row, reject := d.Decode(&Record{Topic: "t", Partition: 2, Offset: 9, TimestampMillis: 1000, Value: []byte(value)})
	if reject != nil {
		return reject.Reason + ": " + reject.Message
	}
	parts := []string{fmt.Sprint(row.TimeMillis)}
	if row.HasKey {
		parts = append(parts, "key="+string(row.Key))
	}
	for i, v := range row.Values {
		parts = append(parts, d.columns[i].Name+"="+v.show())
	}
	if row.Filtered {
		parts = append(parts, "(filtered)")
	}
	return strings.Join(parts, " ")
}

// TestTransformsKeepNoHistory: a record gives the same row whatever was decoded before it.
func TestTransformsKeepNoHistory(t *testing.T) {
	text := `
type: kafka
spec:
  ioConfig: {topic: t, inputFormat: {type: json}}
  dataSchema:
    dataSource: d
    timestampSpec: {column: ts, format: auto}
    dimensionsSpec: {dimensions: [a, {name: n, type: double}]}
    granularitySpec: {rollup: false}
    transformSpec:
      transforms:
      - {type: expression, name: a, expression: "concat(upper(a), '-', n)"}
      - {type: expression, name: n, expression: "n / m"}
      filter: {type: not, field: {type: selector, dimension: a, value: X-1}}
`
	s, _, err := spec.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	values := []string{
		`{"ts": 1, "a": "x", "n": 1, "m": 2}`, `{"ts": 1, "a": "x", "n": 1, "m": 0}`, `{"ts": 2}`, `{"ts": 3, "a": "long` + strings.Repeat("er", 3000) + `"}`,
		`{"ts": "never"}`, `{"ts": 4, "a": "\u00e4\u00df", "n": "7.5", "m": 2.5}`, `{`, `{"ts": 5, "a": [1, 2], "n": 1e400, "m": 1}`,
	}
	fresh := map[string]string{}
	for _, v := range values {
		fresh[v] = decodedText(mustNew(t, s), v)
	}
	d := mustNew(t, s)
	for i := range 200 {
		v := values[(i*i+i/3)%len(values)]
		if got := decodedText(d, v); got != fresh[v] {
			t.Fatalf("%.60s: got %s, a fresh decoder %s", v, got, fresh[v])
		}
	}
}

// BenchmarkTransforms decodes with three transforms and a filter; BenchmarkDecode is the same without.
func BenchmarkTransforms(b *testing.B) {
	s, records := benchEvents()
	s.DataSchema.Transforms = []byte(`{"transforms": [
		{"type": "expression", "name": "country", "expression": "lower(country)"},
		{"type": "expression", "name": "page", "expression": "regexp_extract(page, '/products/([0-9]+)', 1)"},
		{"type": "expression", "name": "price", "expression": "price * 1.19"}],
		"filter": {"type": "selector", "dimension": "event", "value": "Product Viewed"}}`)
	d := mustNew(b, s)
	rec := &Record{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		rec.Value = records[i%len(records)]
		if row, reject := d.Decode(rec); reject != nil || row.Filtered {
			b.Fatal("a record was not accepted")
		}
	}
}

// FuzzTransformed decodes any value by a spec with transforms: no panic, one of row and reject, valid texts, the same twice.
func FuzzTransformed(f *testing.F) {
	f.Add([]byte(`{"ts": 5, "a": "x", "n": 3, "tags": ["p", "q"]}`))
	f.Add([]byte(`{"ts": 5, "a": "\u0000\ud83d\ude00", "n": "1e3", "tags": true}`))
	text := `
type: kafka
spec:
  ioConfig: {topic: t, inputFormat: {type: json}}
  dataSchema:
    dataSource: d
    timestampSpec: {column: ts, format: auto}
    dimensionsSpec: {dimensions: [a, {name: n, type: long}, {name: f, type: float}, {name: j, type: json}]}
    granularitySpec: {rollup: false}
    transformSpec:
      transforms:
      - {type: expression, name: a, expression: "concat(substring(a, 1, n), regexp_replace(tags, '[a-z]', '$0$0'), cast(n, 'STRING'))"}
      - {type: expression, name: n, expression: "round(n * 1.5)"}
      - {type: expression, name: f, expression: "nvl(n, a) ^ 3"}
      - {type: expression, name: j, expression: "greatest(a, n, tags)"}
      - {type: expression, name: __time, expression: "timestamp_shift(timestamp_floor(__time, 'P1M'), 'PT1H', n)"}
      filter: {type: not, field: {type: in, dimension: a, values: [x, null, "3"]}}
`
	s, _, err := spec.Parse([]byte(text))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		d := mustNew(t, s)
		first := decodedText(d, string(value))
		if again := decodedText(d, string(value)); again != first {
			t.Errorf("%q gives %s, then %s", value, first, again)
		}
		row, reject := d.Decode(&Record{Value: value})
		if (row == nil) == (reject == nil) {
			t.Fatalf("%q gives %v and %v", value, row, reject)
		}
		if row == nil {
			return
		}
		for i, v := range row.Values {
			if !utf8.Valid(v.Bytes) || d.columns[i].Type == spec.DimJSON && v.Kind == Bytes && !json.Valid(v.Bytes) {
				t.Errorf("%q: column %s holds %q", value, d.columns[i].Name, v.Bytes)
			}
		}
	})
}
