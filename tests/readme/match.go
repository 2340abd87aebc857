package readme

import (
	"regexp"
	"strings"
)

// cut marks what a document leaves out: within a line any text, alone on a line any lines.
const cut = "…"

// volatile are the parts of an output that differ from run to run, and what stands for them in a comparison.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?m)^((events|records) (acknowledged|written)|time chunks): .*\n`), ""}, // progress of long work
	{regexp.MustCompile(`\bin [0-9hm.]+(s|ms|µs)\b`), "in <time>"},
	{regexp.MustCompile(`\b[0-9]+/s\b`), "<rate>"},
	{regexp.MustCompile(`\b[0-9.]+ ([KMG]i)?B\b`), "<size>"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<id>"},
	{regexp.MustCompile(`(?m)^(events|clicks)( .* )[0-9a-f]{8}( +running.*) \S+Z$`), "$1$2<owner>$3 <when>"},
	{regexp.MustCompile(`"revision":[0-9]+`), `"revision":<n>`},
	{regexp.MustCompile(`(?m)^Date: .*$`), "Date: <when>"},
	{regexp.MustCompile(`─+`), "─"},
	{regexp.MustCompile(`[ \t\r]+`), " "}, // widths of columns
}

func normal(text string) []string {
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	lines := strings.Split(strings.TrimRight(text, " \n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}

// matches says whether an output is as documented.
func matches(documented, printed string) bool {
	return linesMatch(normal(documented), normal(printed))
}

func linesMatch(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == cut {
		for skip := 0; skip <= len(got); skip++ {
			if linesMatch(want[1:], got[skip:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && lineMatches(want[0], got[0]) && linesMatch(want[1:], got[1:])
}

func lineMatches(want, got string) bool {
	parts := strings.Split(want, cut)
	if len(parts) == 1 {
		return want == got
	}
	rest, ok := strings.CutPrefix(got, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[last])
}
