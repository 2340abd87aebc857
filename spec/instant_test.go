package spec

import (
	"strings"
	"testing"
)

// TestDatesWithoutHyphensAreNoMilliseconds: 20260101 means a day to whoever writes it. Read as milliseconds it would be an
// instant of 1970, and a rule that keeps 20260101/20270101 would keep nothing.
func TestDatesWithoutHyphensAreNoMilliseconds(t *testing.T) {
	for _, s := range []string{"20260101", "202601", "2026001", "20261"} {
		if millis, err := parseInstant(s); err == nil || !strings.Contains(err.Error(), "2026-01-31") {
			t.Errorf("%s is read as %d: %v", s, millis, err)
		}
	}
	for _, rule := range []string{"loadByInterval", "dropByInterval"} {
		if rules, _, err := ParseRules([]byte(`[{"type": "` + rule + `", "interval": "20260101/20270101"}]`)); err == nil {
			t.Errorf("%s over dates without hyphens is read as %v", rule, rules)
		}
	}
	for s, want := range map[string]int64{"1767225600000": 1_767_225_600_000, "1000000000": 1_000_000_000, "-5000": -5000} {
		if millis, err := parseInstant(s); err != nil || millis != want {
			t.Errorf("%s is read as %d: %v", s, millis, err)
		}
	}
}
