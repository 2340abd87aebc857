package rollup

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

func TestParseTransformsProblems(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`7`, "transformSpec: must be an object"},
		{`{"transform": []}`, "transformSpec.transform: is not known here; known are transforms, filter"},
		{`{"transforms": {}}`, "transformSpec.transforms: must be a list of transforms"},
		{`{"transforms": [3]}`, "transformSpec.transforms[0]: must be an object"},
		{`{"transforms": [{"type": "expression", "name": "a"}]}`, "transformSpec.transforms[0].expression: is missing"},
		{`{"transforms": [{"type": "expression", "name": "__offset", "expression": "1"}]}`, "transformSpec.transforms[0].name: must not begin with two underscores"},
		{`{"transforms": [{"type": "expression", "expression": "1"}]}`, "transformSpec.transforms[0].name: is missing"},
		{`{"filter": {"type": "bound", "dimension": "__time", "lower": "2020"}}`, "say ordering: numeric"},
		{`{"filter": {"type": "bound", "dimension": "n", "lower": "x", "ordering": "numeric"}}`, `"x", which is none`},
		{`{"filter": {"type": "not", "field": {"type": "or", "fields": []}}}`, "is missing or empty"},
	} {
		_, _, err := ParseTransforms([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.text, err, test.want)
		}
	}
}

// transformer returns one over a record of fields.
func transformer(t *testing.T, text string, record map[string]any) *Transformer {
	t.Helper()
	parsed, _, err := ParseTransforms([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	fields := parsed.Fields()
	run := parsed.NewTransformer(func(i int) (Scalar, error) {
		if record[fields[i]] == "broken" {
			return Scalar{}, fmt.Errorf("the field %s is broken", fields[i])
		}
		return scalarOf(record[fields[i]]), nil
	})
	run.Begin()
	return run
}

func TestTransformsSeeFieldsOnly(t *testing.T) {
	record := map[string]any{"a": "x", "b": json.Number("5"), "c": "broken", "yes": true}
	run := transformer(t, `{"transforms": [
		{"type": "expression", "name": "a", "expression": "concat(a, b)"},
		{"type": "expression", "name": "b", "expression": "concat(a, '!')"},
		{"type": "expression", "name": "d", "expression": "if(b == 5, 'five', c)"},
		{"type": "expression", "name": "e", "expression": "concat(c, 1)"}],
		"filter": {"type": "and", "fields": [
			{"type": "selector", "dimension": "a", "value": "x5"},
			{"type": "selector", "dimension": "yes", "value": "true"},
			{"type": "in", "dimension": "b", "values": ["x!", "y"]},
			{"type": "bound", "dimension": "__time", "lower": 1000, "ordering": "numeric"}]}}`, record)
	for i, want := range []string{`"x5"`, `"x!"`, `"five"`} {
		if v, err := run.Value(i); err != nil || showScalar(v) != want {
			t.Errorf("transform %d: got %s, %v, want %s", i, showScalar(v), err, want)
		}
	}
	if _, err := run.Value(3); err == nil || !strings.Contains(err.Error(), `transform "e": the field c is broken`) {
		t.Errorf("a broken field gave %v", err)
	}
	for millis, want := range map[int64]bool{1000: true, 999: false} {
		if kept, err := run.Keeps(millis); err != nil || kept != want {
			t.Errorf("at %d: kept %t, %v", millis, kept, err)
		}
	}
}

// TestRowFilterAgreesWithBatches compares a filter over records with the same filter over columns of their types.
func TestRowFilterAgreesWithBatches(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	columns := map[string]segment.ColumnType{"s": segment.TypeString, "n": segment.TypeLong, "d": segment.TypeDouble}
	kept := 0
	for range 2000 {
		filter := randomRowFilter(rng, 3)
		text, err := json.Marshal(filter)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseFilter(text)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		predicate, err := compileFilter(parsed, columns)
		if err != nil {
			continue // what a typed column refuses
		}
		record := map[string]Scalar{"s": randomText(rng), "n": randomLong(rng), "d": randomDouble(rng)}
		want := evalBatch(t, predicate, record)
		transforms, _, err := ParseTransforms([]byte(`{"filter": ` + string(text) + `}`))
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		fields := transforms.Fields()
		run := transforms.NewTransformer(func(i int) (Scalar, error) { return record[fields[i]], nil })
		run.Begin()
		got, err := run.Keeps(0)
		if err != nil || got != want {
			t.Fatalf("seed %d: %s over %v: got %t, %v, want %t", seed, text, record, got, err, want)
		}
		if got {
			kept++
		}
	}
	if kept == 0 {
		t.Errorf("seed %d: no record was ever kept", seed)
	}
}

func evalBatch(t *testing.T, p predicate, record map[string]Scalar) bool {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "d", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, f := range schema.Fields() {
		switch v := record[f.Name]; v.Type {
		case ScalarNull:
			b.Field(i).AppendNull()
		case ScalarText:
			b.Field(i).(*array.StringBuilder).Append(string(v.Text))
		case ScalarLong:
			b.Field(i).(*array.Int64Builder).Append(v.Long)
		case ScalarDouble:
			b.Field(i).(*array.Float64Builder).Append(v.Double)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	var run batch
	run.reset(Rows{Record: rec}, 0, 1)
	out := make([]uint8, 1)
	if err := p.eval(&run, out); err != nil {
		t.Fatal(err)
	}
	return out[0] == isTrue
}

var filterValues = []string{"", "a", "b", "5", "-3", "2.5", "1e3", "9223372036854775807", "9223372036854775808", "x"}

func randomRowFilter(rng *rand.Rand, depth int) map[string]any {
	if depth > 0 && rng.IntN(3) > 0 {
		switch rng.IntN(3) {
		case 0:
			return map[string]any{"type": "not", "field": randomRowFilter(rng, depth-1)}
		case 1:
			return map[string]any{"type": "and", "fields": []any{randomRowFilter(rng, depth-1), randomRowFilter(rng, depth-1)}}
		}
		return map[string]any{"type": "or", "fields": []any{randomRowFilter(rng, depth-1), randomRowFilter(rng, depth-1)}}
	}
	value := func() any {
		if rng.IntN(6) == 0 {
			return nil
		}
		return filterValues[rng.IntN(len(filterValues))]
	}
	column := []string{"s", "n", "d"}[rng.IntN(3)]
	switch rng.IntN(3) {
	case 0:
		return map[string]any{"type": "selector", "dimension": column, "value": value()}
	case 1:
		return map[string]any{"type": "in", "dimension": column, "values": []any{value(), value(), value()}}
	}
	out := map[string]any{"type": "bound", "dimension": column, "lower": filterValues[3+rng.IntN(4)], "lowerStrict": rng.IntN(2) == 0}
	if rng.IntN(2) == 0 {
		out["upper"], out["upperStrict"] = filterValues[3+rng.IntN(6)], rng.IntN(2) == 0
	}
	if column != "s" || rng.IntN(2) == 0 {
		out["ordering"] = "numeric"
	}
	return out
}

func randomText(rng *rand.Rand) Scalar {
	if rng.IntN(6) == 0 {
		return Scalar{}
	}
	return textScalar([]byte(filterValues[rng.IntN(len(filterValues))]))
}

func randomLong(rng *rand.Rand) Scalar {
	return []Scalar{{}, longScalar(5), longScalar(-3), longScalar(1000), longScalar(math.MaxInt64), longScalar(2)}[rng.IntN(6)]
}

func randomDouble(rng *rand.Rand) Scalar {
	return []Scalar{{}, doubleScalar(5), doubleScalar(-3), doubleScalar(2.5), doubleScalar(1 << 63), doubleScalar(1000)}[rng.IntN(6)]
}

// FuzzTransforms reads any text as a transformSpec and runs it over one record.
func FuzzTransforms(f *testing.F) {
	f.Add([]byte(`{"transforms": [{"type": "expression", "name": "a", "expression": "a + b"}], "filter": {"type": "selector", "dimension": "a", "value": 3}}`))
	f.Add([]byte(`{"transforms": [{"type": "expression", "name": "__time", "expression": "__time + 1"}], "filter": {"type": "not", "field": {"type": "in", "dimension": "__time", "values": [null, 2]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, _, err := ParseTransforms(data)
		if err != nil {
			return
		}
		if err := parsed.CheckTypes(nil); err != nil {
			return
		}
		values := []Scalar{{}, longScalar(3), textScalar([]byte("x")), doubleScalar(math.NaN())}
		run := parsed.NewTransformer(func(i int) (Scalar, error) { return values[i%len(values)], nil })
		for range 2 {
			run.Begin()
			for i := range parsed.Names() {
				if v, err := run.Value(i); err == nil && !validText(v.Text) {
					t.Errorf("transform %d gives %q", i, v.Text)
				}
			}
			if _, err := run.Keeps(7); err != nil && err.Error() == "" {
				t.Error("an error says nothing")
			}
		}
	})
}

// TestTransformsAllocateNothing: on records like earlier ones the memory is there already.
func TestTransformsAllocateNothing(t *testing.T) {
	parsed, _, err := ParseTransforms([]byte(`{"transforms": [
		{"type": "expression", "name": "host", "expression": "lower(substring(url, 8, strpos(url, '/', 8) - 8))"},
		{"type": "expression", "name": "hour", "expression": "timestamp_floor(__time, 'PT1H')"},
		{"type": "expression", "name": "label", "expression": "concat(if(n > 3, 'many', 'few'), '-', n)"},
		{"type": "expression", "name": "day", "expression": "timestamp_format(__time, 'yyyy-MM-dd')"}],
		"filter": {"type": "in", "dimension": "label", "values": ["many-7", "few-1"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	record := map[string]Scalar{"url": textScalar([]byte("https://Shop.Example.com/items/7")), "n": longScalar(7), "__time": longScalar(1442018818771)}
	fields := parsed.Fields()
	values := make([]Scalar, len(fields))
	for i, f := range fields {
		values[i] = record[f]
	}
	run := parsed.NewTransformer(func(i int) (Scalar, error) { return values[i], nil })
	one := func() {
		run.Begin()
		for i := range 4 {
			if _, err := run.Value(i); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := run.Keeps(0); err != nil || !kept {
			t.Fatal(kept, err)
		}
	}
	one()
	if n := testing.AllocsPerRun(100, one); n > 0 {
		t.Errorf("%v allocations a record", n)
	}
	var got []string
	for i := range 4 {
		v, _ := run.Value(i)
		got = append(got, showScalar(v))
	}
	want := []string{strconv.Quote("shop.example.com"), "1442016000000", strconv.Quote("many-7"), strconv.Quote("2015-09-12")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
