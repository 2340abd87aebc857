package rollup

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cockroachdb/datadriven"

	"drumlin/segment"
)

// TestMetrics runs testdata/metrics. parse gives the canonical forms, warnings and problems; compile adds the check
// against columns event, user (string), n, at (long), price (double), ratio (float); narrow takes the stored metrics,
// a line of dashes, and the metrics that are asked for.
func TestMetrics(t *testing.T) {
	datadriven.Walk(t, "testdata/metrics", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "parse":
				metrics, warnings, err := ParseMetrics([]byte(d.Input))
				return shownMetrics(t, metrics, err) + strings.Join(append(warnings, ""), "\n")
			case "compile":
				metrics, _, err := ParseMetrics([]byte(d.Input))
				if err != nil {
					return err.Error()
				}
				plan, err := Compile(metrics, testColumns)
				if err != nil {
					return err.Error()
				}
				var out []string
				for _, f := range plan.StateFields() {
					out = append(out, f.Name+" "+f.Type.String())
				}
				return strings.Join(out, "\n")
			case "narrow":
				stored, asked, _ := strings.Cut(d.Input, "---")
				current, _, err := ParseMetrics([]byte(stored))
				if err != nil {
					return err.Error()
				}
				wanted, _, err := ParseMetrics([]byte(asked))
				if err != nil {
					return err.Error()
				}
				metrics, err := Narrow(current, wanted)
				return shownMetrics(t, metrics, err)
			}
			return "unknown command " + d.Cmd
		})
	})
}

func shownMetrics(t *testing.T, metrics []Metric, err error) string {
	t.Helper()
	if err != nil {
		return err.Error() + "\n"
	}
	var out string
	for _, m := range metrics {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out += string(text) + "\n"
	}
	return out
}

// TestFilters runs testdata/filters: each command is a filter, its output the numbers of the rows that it chooses, or
// why it is refused.
func TestFilters(t *testing.T) {
	rows := []testRow{
		{event: ref("a"), user: ref("5"), n: ref(int64(5)), price: ref(2.5)},
		{event: ref("b"), user: ref("10"), n: ref(int64(10)), price: ref(10.0)},
		{event: ref(""), user: ref("x"), n: ref(int64(-3)), price: ref(0.0)},
		{},
		{event: ref("é"), user: ref("2.5"), n: ref(int64(9007199254740993))},
	}
	rec := recordOf(memory.DefaultAllocator, rows)
	defer rec.Release()
	types := map[string]segment.ColumnType{"__time": segment.TypeTime, "id": segment.TypeUUID}
	for _, c := range testColumns {
		types[c.Name] = c.Type
	}
	datadriven.RunTest(t, "testdata/filters", func(t *testing.T, d *datadriven.TestData) string {
		f, err := ParseFilter([]byte(d.Input))
		if err != nil {
			return err.Error()
		}
		p, err := compileFilter(f, types)
		if err != nil {
			return err.Error()
		}
		var b batch
		b.reset(Rows{Record: rec}, 0, len(rows))
		out := make([]uint8, len(rows))
		if err := p.eval(&b, out); err != nil {
			return err.Error()
		}
		var text strings.Builder
		for _, v := range out {
			text.WriteByte("-?+"[v])
		}
		return text.String() + "\n"
	})
}
