package compaction

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"drumlin/spec"
)

func TestRetention(t *testing.T) {
	datadriven.RunTest(t, "testdata/retention.txt", func(t *testing.T, d *datadriven.TestData) string {
		rules, _, err := spec.ParseRules([]byte(d.Input))
		if err != nil {
			return err.Error()
		}
		var granularity, now, oldest string
		d.ScanArgs(t, "g", &granularity)
		d.ScanArgs(t, "now", &now)
		d.ScanArgs(t, "oldest", &oldest)
		g, err := spec.ParseGranularity(granularity)
		if err != nil {
			t.Fatal(err)
		}
		out := "floor: none\n"
		if floor := RetentionFloor(rules, g, instant(t, now), instant(t, oldest)); floor != 0 {
			out = fmt.Sprintf("floor: %s\n", spec.FormatInstant(floor))
		}
		for _, text := range RetentionWarnings(rules) {
			out += text + "\n"
		}
		return out
	})
}

// TestRetentionFloorAsDefined holds the floor, which jumps from bound to bound, to its definition, chunk by chunk.
func TestRetentionFloorAsDefined(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	const day = 86_400_000
	for i := range 3000 {
		now := 20_000*day + r.Int64N(400*day)
		g := spec.Granularity{}
		for g.IsZero() {
			g, _ = spec.ParseGranularity([]string{"hour", "day", "week", "month"}[r.IntN(4)])
		}
		oldest := now - r.Int64N(200*day)
		var rules []spec.Rule
		for range 1 + r.IntN(4) {
			start := now - r.Int64N(250*day)
			rules = append(rules, spec.Rule{
				Type: []spec.RuleType{
					spec.RuleLoadForever, spec.RuleLoadByPeriod, spec.RuleLoadByInterval, spec.RuleDropForever, spec.RuleDropByPeriod,
					spec.RuleDropBeforeByPeriod, spec.RuleDropByInterval,
				}[r.IntN(7)],
				Period:        spec.Period{Months: r.IntN(3), Millis: r.Int64N(100 * day)},
				IncludeFuture: r.IntN(2) == 0,
				Interval:      spec.Interval{StartMillis: start, EndMillis: start + r.Int64N(100*day)},
			})
		}
		want := int64(0)
		limit, _ := g.Chunk(now)
		for at, end := g.Chunk(oldest); at < limit && drops(rules, spec.Interval{StartMillis: at, EndMillis: end}, now); {
			want = end
			at, end = g.Chunk(end)
		}
		if got := RetentionFloor(rules, g, now, oldest); got != want {
			t.Fatalf("seed %d, case %d: %s, oldest %s, now %s, rules %+v: floor %s, want %s", seed, i, g, spec.FormatInstant(oldest), spec.FormatInstant(now),
				rules, spec.FormatInstant(got), spec.FormatInstant(want))
		}
	}
}
