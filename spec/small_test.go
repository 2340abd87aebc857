package spec

import (
	"fmt"
	"testing"
)

func TestParsePeriod(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64 // −1: refused
	}{
		{"P1D", 86_400_000},
		{"PT1H30M", 5_400_000},
		{"P1W2DT3H4M5.678S", 7*86_400_000 + 2*86_400_000 + 3*3_600_000 + 4*60_000 + 5678},
		{"PT0.5S", 500},
		{"P2147483647D", 0},
		{"P2147483646D", 2147483646 * 86_400_000},
		{"P99999999999999999999D", 0},
		{"PT9223372036854775807S", 0},
		{"P1Y", -1},
		{"P1M", -1},
		{"PT0S", -1},
		{"P0D", -1},
		{"P", -1},
		{"PT", -1},
		{"P1DT", -1},
		{"1D", -1},
		{"P-1D", -1},
		{"", -1},
		{"p1d", -1},
	} {
		got, err := ParsePeriod(c.in)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d (%v)", c.in, got, c.want, err)
		}
	}
}

func TestParseTimePattern(t *testing.T) {
	for in, want := range map[string]string{
		"yyyy-MM-dd'T'HH:mm:ss.SSSZ": `[{121 4 } {0 0 -} {77 2 } {0 0 -} {100 2 } {0 0 T} {72 2 } {0 0 :} {109 2 } {0 0 :} ` +
			`{115 2 } {0 0 .} {83 3 } {90 1 }]`,
		"h 'o''clock' a": "[{104 1 } {0 0  o'clock } {97 1 }]",
		"''y":            "[{0 0 '} {121 1 }]",
		"yyyy'":          "refused",
		"'only text'":    "refused",
		"yyyyTHH":        "refused",
		"":               "refused",
	} {
		got := "refused"
		if items, err := ParseTimePattern(in); err == nil {
			got = fmt.Sprint(items)
		}
		if got != want {
			t.Errorf("%s:\n%s, want\n%s", in, got, want)
		}
	}
}

func TestParsePath(t *testing.T) {
	for in, want := range map[string]string{
		"$":                        "[]",
		"$.a.b_c-d":                "[{a 0 false} {b_c-d 0 false}]",
		"$['a b'][3].c":            "[{a b 0 false} { 3 true} {c 0 false}]",
		`$["a\"b]"]`:               `[{a"b] 0 false}]`,
		"$['a.b'].über":            "[{a.b 0 false} {über 0 false}]",
		"a":                        "refused",
		"$.":                       "refused",
		"$a":                       "refused",
		"$..a":                     "refused",
		"$.*":                      "refused",
		"$[*]":                     "refused",
		"$[-1]":                    "refused",
		"$[+1]":                    "refused",
		"$[1:2]":                   "refused",
		"$[?(@.a)]":                "refused",
		"$['a'":                    "refused",
		"$['a":                     "refused",
		"$[":                       "refused",
		"$.a.length()":             "refused",
		"$[999999999999999999999]": "refused",
	} {
		got := "refused"
		if steps, err := ParsePath(in); err == nil {
			got = fmt.Sprint(steps)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzSmallParsers(f *testing.F) {
	for _, s := range []string{"PT1H", "yyyy-MM-dd'T'HH", "$.a['b'][1]", "events-[0-9]+", "2020-01-01T00:00:00Z", "P1W", "2020/P1Y2M3DT4.5S"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if millis, err := ParsePeriod(s); err == nil && (millis < 0 || millis >= endlessMillis) {
			t.Errorf("period %q: %d", s, millis)
		}
		if items, err := ParseTimePattern(s); err == nil && len(items) == 0 {
			t.Errorf("pattern %q has no items", s)
		}
		if steps, err := ParsePath(s); err == nil && len(steps) > maxPathSteps {
			t.Errorf("path %q has %d steps", s, len(steps))
		}
		if p, err := ParseCalendarPeriod(s); err == nil {
			if again, err := ParseCalendarPeriod(p.String()); err != nil || again != p {
				t.Errorf("period %q is written %s: %v", s, p, err)
			}
		}
		if i, err := ParseInterval(s); err == nil {
			if again, err := ParseInterval(i.String()); err != nil || again != i {
				t.Errorf("interval %q is written %s: %v", s, i, err)
			}
		}
		_, _ = CompileTopicPattern(s)
		_, _ = parseInstant(s)
		_, _ = ParseGranularity(s)
	})
}

func TestTopicPatternMatchesWholeNames(t *testing.T) {
	for _, c := range []struct {
		pattern, topic string
		want           bool
	}{
		{"events", "events", true},
		{"events", "events2", false},
		{"a|b", "ab", false},
		{"a|b", "b", true},
		{"events-.*", "my-events-1", false},
		{"events-.*", "events-", true},
	} {
		re, err := CompileTopicPattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := re.MatchString(c.topic); got != c.want {
			t.Errorf("%s on %s: %t", c.pattern, c.topic, got)
		}
	}
	for _, bad := range []string{"a)(b", "(?=x)", "a++", `(a)\1`, "["} {
		if _, err := CompileTopicPattern(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
