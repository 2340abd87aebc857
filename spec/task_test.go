package spec

import (
	"bytes"
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

// TestTasks shows what becomes of tasks (`task`), auto-compaction configs (`auto`) and rules (`rules`): their problems, or
// their warnings and what they mean.
func TestTasks(t *testing.T) {
	datadriven.Walk(t, "testdata/tasks", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			switch d.Cmd {
			case "task":
				task, warnings, err := ParseTask([]byte(d.Input))
				if reportProblems(t, &out, warnings, err) {
					checkCanonicalTask(t, task)
					writeTask(&out, task)
				}
			case "auto":
				c, warnings, err := ParseAutoCompaction([]byte(d.Input))
				if reportProblems(t, &out, warnings, err) {
					checkCanonicalAuto(t, c)
					writeAuto(&out, c)
				}
			case "rules":
				rules, warnings, err := ParseRules([]byte(d.Input))
				if reportProblems(t, &out, warnings, err) {
					out.Write(checkCanonicalRules(t, rules))
				}
			default:
				t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			}
			return out.String()
		})
	})
}

// reportProblems writes problems, or warnings, and says whether there were no problems.
func reportProblems(t *testing.T, out *strings.Builder, warnings []string, err error) bool {
	t.Helper()
	var problems Problems
	if err != nil && (!errors.As(err, &problems) || len(problems) == 0) {
		t.Fatalf("the error is no Problems: %v", err)
	}
	for _, p := range problems {
		fmt.Fprintln(out, p)
	}
	if err != nil {
		return false
	}
	for _, w := range warnings {
		fmt.Fprintln(out, "warning:", w)
	}
	return true
}

func writeTask(out *strings.Builder, t *Task) {
	fmt.Fprintf(out, "%s of %s", t.Type, t.DataSource)
	if t.ID != "" {
		fmt.Fprintf(out, " id=%s", t.ID)
	}
	fmt.Fprintf(out, " priority=%d policy=%q\n", t.Priority, t.Policy)
	for _, i := range t.Intervals {
		fmt.Fprintln(out, "interval:", i)
	}
	if t.Segments != nil {
		fmt.Fprintf(out, "segments: %q\n", t.Segments)
	}
	if t.AllowNonAlignedInterval {
		fmt.Fprintln(out, "allowNonAlignedInterval")
	}
	writeChange(out, t.Change, t.Tuning)
}

func writeAuto(out *strings.Builder, c *AutoCompaction) {
	fmt.Fprintf(out, "%s priority=%d input=%d latest=%d now=%s recent=%t historical=%t\n", c.DataSource, c.TaskPriority,
		c.InputSegmentSizeBytes, c.SkipOffsetFromLatestMillis, optional(c.SkipOffsetFromNowMillis), c.Recent, c.Historical)
	writeChange(out, c.Change, c.Tuning)
}

func writeChange(out *strings.Builder, c CompactionChange, tuning CompactionTuning) {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if c.SegmentGranularity != nil {
		add("segment=%s", c.SegmentGranularity)
	}
	if c.QueryGranularity != nil {
		add("query=%s", c.QueryGranularity)
	}
	if c.Rollup != nil {
		add("rollup=%t", *c.Rollup)
	}
	if c.Dimensions != nil {
		add("dimensions=%v sort=%v", c.Dimensions, c.SortBy)
	}
	if c.Exclusions != nil {
		add("without=%v", c.Exclusions)
	}
	if c.Metrics != nil {
		add("metrics=%s", c.Metrics)
	}
	if c.Filter != nil {
		add("filter=%s", c.Filter)
	}
	if len(parts) > 0 {
		fmt.Fprintln(out, "change:", strings.Join(parts, " "))
	}
	if !reflect.DeepEqual(tuning, CompactionTuning{MaxRetry: 3}) {
		fmt.Fprintf(out, "tuning: %+v\n", tuning)
	}
}

// checkCanonicalTask and its like hold for everything that is accepted.
func checkCanonicalTask(t *testing.T, task *Task) {
	t.Helper()
	again, _, err := ParseTask(task.Canonical)
	if err != nil || !json.Valid(task.Canonical) {
		t.Fatalf("the canonical task is not accepted: %v\n%s", err, task.Canonical)
	}
	if !reflect.DeepEqual(task, again) {
		t.Fatalf("the canonical task means something else:\n%s\n%s", task.Canonical, again.Canonical)
	}
}

func checkCanonicalAuto(t *testing.T, c *AutoCompaction) {
	t.Helper()
	again, _, err := ParseAutoCompaction(c.Canonical)
	if err != nil || !json.Valid(c.Canonical) {
		t.Fatalf("the canonical config is not accepted: %v\n%s", err, c.Canonical)
	}
	if !reflect.DeepEqual(c, again) {
		t.Fatalf("the canonical config means something else:\n%s\n%s", c.Canonical, again.Canonical)
	}
}

func checkCanonicalRules(t *testing.T, rules []Rule) []byte {
	t.Helper()
	canonical, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	again, warnings, err := ParseRules(canonical)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the canonical rules are not accepted: %v %v\n%s", err, warnings, canonical)
	}
	second, err := json.Marshal(again)
	if err != nil || !reflect.DeepEqual(rules, again) || !bytes.Equal(canonical, second) {
		t.Fatalf("the canonical rules mean something else: %v\n%s\n%s", err, canonical, second)
	}
	return canonical
}

// TestTaskConfigs holds the examples of tasks, configs and rules to the parsers.
func TestTaskConfigs(t *testing.T) {
	for dir, parse := range map[string]func(t *testing.T, data []byte) ([]string, error){
		"tasks": func(t *testing.T, data []byte) ([]string, error) {
			task, warnings, err := ParseTask(data)
			if err == nil {
				checkCanonicalTask(t, task)
			}
			return warnings, err
		},
		"autocompaction": func(t *testing.T, data []byte) ([]string, error) {
			c, warnings, err := ParseAutoCompaction(data)
			if err == nil {
				checkCanonicalAuto(t, c)
			}
			return warnings, err
		},
		"rules": func(t *testing.T, data []byte) ([]string, error) {
			rules, warnings, err := ParseRules(data)
			if err == nil {
				checkCanonicalRules(t, rules)
			}
			return warnings, err
		},
	} {
		for path, data := range configs(t, dir) {
			if warnings, err := parse(t, data); err != nil || len(warnings) > 0 {
				t.Errorf("%s: %v %v", path, err, warnings)
			}
		}
	}
}

// configs reads the files of a directory of examples.
func configs(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(testkit.RepoRoot(t), "configs", dir, "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("nothing in configs/%s: %v", dir, err)
	}
	out := make(map[string][]byte, len(paths))
	for _, path := range paths {
		if out[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func FuzzParseTask(f *testing.F) {
	for _, data := range configs(f, "tasks") {
		f.Add(data)
	}
	f.Add([]byte(`{"type":"kill","dataSource":"d","interval":"2020-01-01/P1D","context":{"priority":-1}}`))
	f.Add([]byte(`{"type":"markUnused","dataSource":"d","segmentIds":["a","b"]}`))
	f.Add([]byte(`{"type":"compact","dataSource":"d","interval":"P1Y/2020","transformSpec":{"filter":{"value":null}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if task, _, err := ParseTask(data); err == nil {
			checkCanonicalTask(t, task)
		}
	})
}

func FuzzParseAutoCompaction(f *testing.F) {
	for _, data := range configs(f, "autocompaction") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, _, err := ParseAutoCompaction(data); err == nil {
			checkCanonicalAuto(t, c)
		}
	})
}

func FuzzParseRules(f *testing.F) {
	for _, data := range configs(f, "rules") {
		f.Add(data)
	}
	f.Add([]byte(`[{"type":"dropByInterval","interval":"2020/2021"},{"type":"loadByPeriod","period":"P1Y2M3DT4H5M6.7S"}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if rules, _, err := ParseRules(data); err == nil {
			checkCanonicalRules(t, rules)
		}
	})
}

// TestTaskIDsFitFileNames: an id is part of a path, where a colon takes three bytes, and a name there has at most 255.
func TestTaskIDsFitFileNames(t *testing.T) {
	for id, fits := range map[string]bool{
		strings.Repeat("a", 255): true, strings.Repeat("a", 256): false,
		strings.Repeat("a", 252) + ":": true, strings.Repeat("a", 253) + ":": false, "a" + strings.Repeat(":", 254): false,
	} {
		_, _, err := ParseTask(fmt.Appendf(nil, `{"type":"compact","id":%q,"dataSource":"d","interval":"2020/2021"}`, id))
		if (err == nil) != fits {
			t.Errorf("an id of %d bytes, %d of them colons: %v", len(id), strings.Count(id, ":"), err)
		}
	}
}
