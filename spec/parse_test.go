package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"drumlin/internal/testkit"
)

// TestParse shows what becomes of a spec: `parse` prints its problems, or its warnings and what it means. `parse base`
// first lays the text over a valid spec: each line is a path and a JSON value ("null" takes the field away).
func TestParse(t *testing.T) {
	datadriven.Walk(t, "testdata/parse", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			text := d.Input
			if d.HasArg("base") {
				text = overBase(t, d.Input)
			}
			s, warnings, err := Parse([]byte(text))
			if err != nil {
				var problems Problems
				if !errors.As(err, &problems) || len(problems) == 0 {
					t.Fatalf("the error is no Problems: %v", err)
				}
				var out strings.Builder
				for _, p := range problems {
					fmt.Fprintln(&out, p)
				}
				return out.String()
			}
			checkCanonical(t, s)
			var out strings.Builder
			for _, w := range warnings {
				fmt.Fprintln(&out, "warning:", w)
			}
			if d.HasArg("show") {
				writeSupervisor(&out, s)
			} else {
				fmt.Fprintln(&out, "ok")
			}
			return out.String()
		})
	})
}

const baseSpec = `{"type":"kafka","spec":{"dataSchema":{"dataSource":"t","timestampSpec":{"column":"ts","format":"iso"},
"dimensionsSpec":{"dimensions":["a"]},"granularitySpec":{"rollup":false}},
"ioConfig":{"topic":"t","inputFormat":{"type":"json"}}}}`

func overBase(t *testing.T, input string) string {
	var root map[string]any
	if err := json.Unmarshal([]byte(baseSpec), &root); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(input) {
		path, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		at, names := root, strings.Split(path, "/")
		for _, name := range names[:len(names)-1] {
			if _, ok := at[name]; !ok {
				at[name] = map[string]any{}
			}
			at = at[name].(map[string]any)
		}
		if v == nil {
			delete(at, names[len(names)-1])
		} else {
			at[names[len(names)-1]] = v
		}
	}
	out, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func writeSupervisor(out *strings.Builder, s *Supervisor) {
	fmt.Fprintf(out, "id=%s suspended=%t datasource=%s\n", s.ID, s.Suspended, s.DataSchema.DataSource)
	ts := s.DataSchema.Timestamp
	fmt.Fprintf(out, "time: column=%s format=%s missing=%s\n", ts.Column, ts.Format, optional(ts.MissingMillis))
	fmt.Fprintf(out, "dimensions: %v sort: %v chunk: %s\n", s.DataSchema.Dimensions, s.DataSchema.SortBy,
		s.DataSchema.SegmentGranularity)
	if ds := s.DataSchema; ds.Rollup || !ds.QueryGranularity.IsZero() || ds.Transforms != nil {
		fmt.Fprintf(out, "rollup: %t query: %s metrics: %s transforms: %s\n", ds.Rollup, ds.QueryGranularity, ds.Metrics,
			ds.Transforms)
	}
	if s.DataSchema.Dedup != nil {
		fmt.Fprintf(out, "dedup: %+v\n", *s.DataSchema.Dedup)
	}
	fmt.Fprintf(out, "io: topic=%s pattern=%s earliest=%t late=%d start=%s early=%d properties=%d\n", s.IO.Topic,
		s.IO.TopicPattern, s.IO.UseEarliestOffset, s.IO.LateRejectionMillis, optional(s.IO.LateRejectionStartMillis),
		s.IO.EarlyRejectionMillis, len(s.IO.ConsumerProperties))
	fmt.Fprintf(out, "value: %+v\n", s.IO.Input.Value)
	if s.IO.Input.Kafka != nil {
		kafka := *s.IO.Input.Kafka
		if kafka.KeyFormat != nil {
			fmt.Fprintf(out, "key: %+v\n", *kafka.KeyFormat)
			kafka.KeyFormat = nil
		}
		fmt.Fprintf(out, "kafka: %+v\n", kafka)
	}
	fmt.Fprintf(out, "tuning: %+v\n", s.Tuning)
}

func optional(p *int64) string {
	if p == nil {
		return "none"
	}
	return fmt.Sprint(*p)
}

// checkCanonical holds for every spec that is accepted.
func checkCanonical(t *testing.T, s *Supervisor) {
	t.Helper()
	again, _, err := Parse(s.Canonical)
	if err != nil {
		t.Fatalf("the canonical spec is not accepted: %v\n%s", err, s.Canonical)
	}
	if !reflect.DeepEqual(s, again) {
		t.Fatalf("the canonical spec means something else:\n%s\n%s", s.Canonical, again.Canonical)
	}
	if redacted, err := RedactedSpec(s.Canonical); err != nil || !json.Valid(s.Canonical) || !json.Valid(redacted) {
		t.Fatalf("not JSON: %v\n%s", err, s.Canonical)
	}
}

func TestConfigs(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(testkit.RepoRoot(t), "configs", "specs", "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no specs in configs/specs: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, warnings, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if len(warnings) > 0 {
			t.Errorf("%s: an example should have no warnings: %v", path, warnings)
		}
		checkCanonical(t, s)
		if s.DataSchema.DataSource+".yaml" != filepath.Base(path) {
			t.Errorf("%s is of datasource %s", path, s.DataSchema.DataSource)
		}
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	const secret = "hunter2"
	good := overBase(t, `spec/ioConfig/consumerProperties {"security.protocol":"SASL_SSL","sasl.mechanism":"PLAIN",`+
		`"sasl.jaas.config":"x required username=\"u\" password=\"`+secret+`\";"}`)
	s, warnings, err := Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	redacted, err := RedactedSpec(s.Canonical)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		string(redacted), fmt.Sprint(s), fmt.Sprint(*s), fmt.Sprintf("%+v %#v", *s, *s), fmt.Sprintf("%+v %#v", s.IO, s.IO),
		fmt.Sprint(warnings), s.LogValue().String(), s.IO.LogValue().String(),
	}
	bad := []string{
		strings.ReplaceAll(good, "SASL_SSL", secret), strings.ReplaceAll(good, "sasl.mechanism", "sasl.mecanism"),
		strings.ReplaceAll(good, `"kafka"`, `"kinesis"`), good[:len(good)-2],
		"a: b\n  sasl.jaas.config: " + secret + "\n x", "password: [" + secret, "password: '" + secret,
		overBase(t, `spec/ioConfig/consumerProperties {"bootstrap.servers":"`+secret+`","isolation.level":"`+secret+`"}`),
		overBase(t, `spec/ioConfig/consumerProperties {"ssl.key.password":"`+secret+`","x":["`+secret+`"]}`),
	}
	for _, text := range bad {
		_, warnings, err := Parse([]byte(text))
		if err == nil {
			t.Errorf("accepted: %s", text)
		}
		texts = append(texts, fmt.Sprint(err, warnings))
	}
	for _, text := range texts {
		if strings.Contains(text, secret) {
			t.Errorf("shows a secret: %s", text)
		}
	}
	if !strings.Contains(string(s.Canonical), secret) {
		t.Error("the canonical spec must keep the secret: the client needs it")
	}
}

func TestTooLargeTooDeep(t *testing.T) {
	n := 100_000
	for _, text := range []string{
		strings.Repeat("[", n), strings.Repeat("{a: ", n/4), strings.Repeat("- ", n/2), strings.Repeat("? ", n/2),
		strings.Repeat("&a ", n/3), strings.Repeat("!a ", n/3), strings.Repeat(" ", maxSpecBytes+1), strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
		"a: &a [x, x, x, x, x, x, x, x]\n" + "b: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n" + "c: &c [*b, *b, *b, *b, *b, *b, *b]\n" +
			"d: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e]\n",
		"a: &a\n  b: *a\n", "a: *b", "<<: {type: kafka}", "type: !!str kafka", "--- {}\n--- {}", "", "null", "\xff", "? [a]\n: b",
	} {
		if _, _, err := Parse([]byte(text)); err == nil {
			t.Errorf("accepted: %.60q", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(baseSpec))
	paths, err := filepath.Glob(filepath.Join(testkit.RepoRoot(f), "configs", "specs", "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [1, 0x1f, 1e3, .inf, ~]\nb: *a\n? c\n: |\n  d\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _, err := Parse(data)
		if err == nil {
			checkCanonical(t, s)
		}
	})
}

func TestScalarsKeepWhatWasWritten(t *testing.T) {
	s, _, err := Parse([]byte(`
type: kafka
suspended: TRUE
spec:
  dataSchema:
    dataSource: 0123
    timestampSpec: {column: True, format: iso}
    dimensionsSpec: {dimensions: [a]}
    granularitySpec: {rollup: False}
  ioConfig: {topic: t, inputFormat: {type: json}, consumerProperties: {client.rack: True}}
`))
	if err != nil {
		t.Fatal(err)
	}
	checkCanonical(t, s)
	if !s.Suspended || s.DataSchema.Rollup || s.DataSchema.DataSource != "0123" || s.DataSchema.Timestamp.Column != "True" ||
		s.IO.ConsumerProperties["client.rack"] != "True" {
		t.Errorf("%s: %s", s, s.Canonical)
	}
}
