package coordinator

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"drumlin/catalog"
	"drumlin/consumer/decode"
	"drumlin/segment"
	"drumlin/spec"
)

// TestDecide submits specs one after another to a view that follows the decisions: each `submit` gives a
// few fields of a spec, and its dimensions.
func TestDecide(t *testing.T) {
	datadriven.Walk(t, "testdata/decide", func(t *testing.T, path string) {
		view := emptyView()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s, _, err := spec.Parse([]byte(shortSpec(d)))
			if err != nil {
				t.Fatalf("%s: %v", d.Pos, err)
			}
			if _, err := decode.New(s); err != nil {
				if _, problems := define(s); len(problems) == 0 {
					return "decoder: " + decoderProblems(err).Error() + "\n"
				}
			}
			got, problems := decide(view, s, newDatasource{hashKey: strings.Repeat("ab", 16), nowMillis: 1})
			if len(problems) > 0 {
				var lines []string
				for _, p := range problems {
					lines = append(lines, p.String())
				}
				return strings.Join(lines, "\n") + "\n"
			}
			if !got.unchanged {
				apply(view, &got.change)
			}
			return describe(t, got)
		})
	})
}

func emptyView() *catalog.View {
	return &catalog.View{
		Datasources: map[string]*catalog.DatasourceView{}, Supervisors: map[string]*catalog.SupervisorView{},
	}
}

// shortSpec builds a spec from the arguments ds, id, chunk, key, time, rollup, query, …, and from the dimensions as input, one a
// line; the lines that begin with metrics: and transforms: hold the metricsSpec and the transformSpec.
func shortSpec(d *datadriven.TestData) string {
	arg := func(name, otherwise string) string {
		for _, a := range d.CmdArgs {
			if a.Key == name {
				return a.Vals[0]
			}
		}
		return otherwise
	}
	more := ""
	if key := arg("key", ""); key != "" {
		more = "dedupSpec: {key: " + key + "},"
	}
	var dimensions []string
	for line := range strings.SplitSeq(strings.TrimSpace(d.Input), "\n") {
		if metrics, ok := strings.CutPrefix(line, "metrics: "); ok {
			more += "metricsSpec: [" + metrics + "],"
		} else if transforms, ok := strings.CutPrefix(line, "transforms: "); ok {
			more += "transformSpec: {" + transforms + "},"
		} else {
			dimensions = append(dimensions, line)
		}
	}
	format := map[string]string{"json": "type: json", "kafka": "type: kafka, valueFormat: {type: json}"}
	return fmt.Sprintf(`{type: kafka, id: %s, suspended: %s, spec: {dataSchema: {dataSource: %s, %s
timestampSpec: {column: %s}, dimensionsSpec: {forceSegmentSortByTime: %s, dimensions: [%s]},
granularitySpec: {rollup: %s, segmentGranularity: %s, queryGranularity: %s}}, ioConfig: {topic: %s, inputFormat: {%s}}}}`,
		arg("id", arg("ds", "events")), arg("suspended", "false"), arg("ds", "events"), more, arg("time", "timestamp"),
		arg("sortbytime", "true"), strings.Join(dimensions, ", "), arg("rollup", "false"), arg("chunk", "hour"), arg("query", "none"),
		arg("topic", "events"), format[arg("format", "json")])
}

func apply(view *catalog.View, c *catalog.SupervisorChange) {
	name := c.Supervisor.Datasource
	ds := view.Datasources[name]
	if c.NewDatasource != nil {
		ds = &catalog.DatasourceView{Datasource: *c.NewDatasource, Schemas: map[int32]*segment.Schema{}}
		view.Datasources[name] = ds
	}
	if c.NewSchema != nil {
		ds.Schema = c.NewSchema
		ds.Schemas[c.NewSchema.ID] = c.NewSchema
	}
	view.Supervisors[c.Supervisor.ID] = &catalog.SupervisorView{Supervisor: c.Supervisor}
}

func describe(t *testing.T, d *decision) string {
	var b strings.Builder
	for _, w := range d.warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	if d.unchanged {
		fmt.Fprintf(&b, "unchanged at version %d\n", d.change.Supervisor.Version)
		return b.String()
	}
	v := d.change.Supervisor
	fmt.Fprintf(&b, "supervisor %s version %d after %d, datasource %s, schema %d, suspended %t\n", v.ID, v.Version,
		d.change.ExpectVersion, v.Datasource, v.SchemaID, v.Suspended)
	if d.change.NewDatasource != nil {
		fmt.Fprintf(&b, "new datasource: %s\n", asJSON(t, d.change.NewDatasource))
	}
	if d.change.NewSchema != nil {
		fmt.Fprintf(&b, "new schema: %s\n", asJSON(t, d.change.NewSchema))
	}
	return b.String()
}

func asJSON(t *testing.T, v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDecideOnAnUnreadableVersion(t *testing.T) {
	view := emptyView()
	view.Supervisors["events"] = &catalog.SupervisorView{Supervisor: catalog.Supervisor{
		ID: "events", Datasource: "events", Version: 3, Spec: []byte(`{"type":"of the future"}`),
	}}
	s, _, err := spec.Parse([]byte(shortSpec(&datadriven.TestData{Input: "a"})))
	if err != nil {
		t.Fatal(err)
	}
	_, problems := decide(view, s, newDatasource{})
	var asError error = problems
	var got spec.Problems
	if !errors.As(asError, &got) || len(got) != 1 || got[0].Path != "id" {
		t.Errorf("problems: %v", problems)
	}
}
