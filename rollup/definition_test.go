package rollup

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"drumlin/segment"
	"drumlin/spec"
)

// storedMetrics are those of definitionSchema's datasource.
const storedMetrics = `[
	{"type":"count","name":"events"},
	{"type":"longSum","name":"clicks","fieldName":"clicks"},
	{"type":"doubleMax","name":"most","fieldName":"price"},
	{"type":"hyperUnique","name":"users","fieldName":"user"}
]`

// definitionSchema is that of a datasource with rollup, or without.
func definitionSchema(t testing.TB, rollup bool) *segment.Schema {
	t.Helper()
	s := &segment.Schema{
		ID: 2,
		Columns: []segment.Column{
			{ID: 100, Name: "country", Type: segment.TypeString},
			{ID: 101, Name: "city", Type: segment.TypeString},
			{ID: 102, Name: "age", Type: segment.TypeLong},
			{ID: 103, Name: "old", Type: segment.TypeString},
		},
		Dimensions: []string{"country", "city", "age"},
		SortBy:     []string{"__time", "country", "city", "age"},
	}
	if !rollup {
		return s
	}
	metrics, _, err := ParseMetrics([]byte(storedMetrics))
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := Inputs(metrics, s.Columns)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range inputs {
		c.ID = int32(110 + i)
		s.Columns = append(s.Columns, c)
		s.Inputs = append(s.Inputs, c.Name)
	}
	plan, err := Compile(metrics, s.Columns)
	if err != nil {
		t.Fatal(err)
	}
	if s.States, err = StateColumns(plan); err != nil {
		t.Fatal(err)
	}
	for i := range s.States {
		s.States[i].ID = int32(120 + i)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

// changeJSON is a Change as a task writes it.
type changeJSON struct {
	QueryGranularity *string         `json:"queryGranularity"`
	Rollup           *bool           `json:"rollup"`
	Dimensions       []string        `json:"dimensions"`
	SortBy           []string        `json:"sortBy"`
	Exclusions       []string        `json:"dimensionExclusions"`
	Metrics          json.RawMessage `json:"metricsSpec"`
	Filter           *Filter         `json:"filter"`
}

func parseChange(t testing.TB, text string) Change {
	t.Helper()
	var in changeJSON
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	out := Change{Rollup: in.Rollup, Dimensions: in.Dimensions, SortBy: in.SortBy, Exclusions: in.Exclusions, Filter: in.Filter}
	if in.QueryGranularity != nil {
		g, err := spec.ParseQueryGranularity(*in.QueryGranularity)
		if err != nil {
			t.Fatal(err)
		}
		out.QueryGranularity = &g
	}
	if in.Metrics != nil {
		var err error
		if out.Metrics, _, err = ParseMetrics(in.Metrics); err != nil {
			t.Fatal(err)
		}
		if out.Metrics == nil {
			out.Metrics = []Metric{}
		}
	}
	return out
}

// TestDefinitions runs testdata/definitions. rollup, as an argument, says that the datasource has rollup: its dimensions
// are country, city (string) and age (long), its metrics storedMetrics. Definitions are separated by dashes; null is one
// that keeps rows as ingested, STORED the datasource's own.
//
//	parse: gives the canonical form.
//	narrow: a definition, dashes, and the change that a task asks for.
//	meet: definitions.
//	inputs: a metricsSpec; gives the columns that raw rows need beside the dimensions.
//	compile: a definition; gives dimensions, order and the columns of folded rows.
func TestDefinitions(t *testing.T) {
	datadriven.Walk(t, "testdata/definitions", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return runDefinition(t, d)
		})
	})
}

func runDefinition(t *testing.T, d *datadriven.TestData) string {
	s := definitionSchema(t, d.HasArg("rollup"))
	parts := strings.Split(d.Input, "---")
	if d.Cmd == "inputs" {
		return shownInputs(t, s, d.Input)
	}
	last := len(parts)
	if d.Cmd == "narrow" {
		last--
	}
	var definitions []*Definition
	for _, text := range parts[:last] {
		definition, err := storedDefinition(t, s, strings.TrimSpace(text))
		if err != nil {
			return err.Error() + "\n"
		}
		definitions = append(definitions, definition)
	}
	switch d.Cmd {
	case "parse":
		return shownDefinition(t, definitions[0], nil)
	case "narrow":
		out, err := definitions[0].Narrow(parseChange(t, parts[last]), s)
		return shownDefinition(t, out, err)
	case "meet":
		out, err := Meet(s, definitions...)
		return shownDefinition(t, out, err)
	case "compile":
		plan, err := definitions[0].Compile(s)
		if err != nil {
			return err.Error() + "\n"
		}
		out := fmt.Sprintf("dimensions %v\nsorted by %v\norder %v\n", plan.Dimensions(), plan.SortBy(), plan.Order())
		if folded := plan.FoldedSchema(); folded != nil {
			for _, f := range folded.Fields() {
				id, _ := segment.FieldID(f)
				out += fmt.Sprintln(id, f.Name, f.Type)
			}
		}
		return out
	}
	return "unknown command " + d.Cmd
}

func storedDefinition(t testing.TB, s *segment.Schema, text string) (*Definition, error) {
	switch text {
	case "null":
		return nil, nil
	case "STORED":
		metrics, _, err := ParseMetrics([]byte(storedMetrics))
		if err != nil {
			t.Fatal(err)
		}
		hour, err := spec.ParseGranularity("hour")
		return &Definition{Rollup: true, QueryGranularity: hour, Dimensions: s.Dimensions, Metrics: metrics}, err
	}
	return ParseDefinition([]byte(text))
}

func shownDefinition(t testing.TB, d *Definition, err error) string {
	t.Helper()
	if err != nil {
		return err.Error() + "\n"
	}
	if d.Identity() {
		return "rows as ingested\n"
	}
	text, err := d.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseDefinition(text)
	if err != nil {
		t.Fatalf("%s is not read again: %s", text, err)
	}
	if once, err := again.Canonical(); err != nil || string(once) != string(text) {
		t.Fatalf("%s becomes %s, %v", text, once, err)
	}
	return string(text) + "\n"
}

func shownInputs(t testing.TB, s *segment.Schema, metrics string) string {
	t.Helper()
	list, _, err := ParseMetrics([]byte(metrics))
	if err != nil {
		return err.Error() + "\n"
	}
	columns, err := Inputs(list, s.Columns[:3])
	if err != nil {
		return err.Error() + "\n"
	}
	var out string
	for _, c := range columns {
		out += fmt.Sprintln(c.Name, c.Type)
	}
	return out
}
