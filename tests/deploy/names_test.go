package deploy

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

// druids are what Druid measures too. They have its names, with underscores for slashes, and its labels, so that dashboards and
// alerts carry over; Prometheus's habits do not hold for them.
var druids = regexp.MustCompile(`^(ingest_(events_(processed|unparseable|duplicate)|kafka_partitionLag|handoff_(count|failed|time))|` +
	`task_(success|failed|retry|running|pending|waiting)_count|task_(run|pending)_time|taskSlot_(total|used|idle)_count|compact_task_count|` +
	`segment_nuked_(count|bytes)|segment_dropped_count|interval_(waitCompact|compacted|skipCompact)_(count|bytes))$`)

// TestNamesOfMetrics: what the program exports begins with drumlin_ (but for what Druid has, and what the runtime and the process
// show), is named as Prometheus wants it, with its unit at the end, and has labels in lower case.
func TestNamesOfMetrics(t *testing.T) {
	all := metrics(t)
	lower := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	var ours []*dto.MetricFamily
	druid := map[string]bool{}
	for _, family := range exported.families {
		name := family.GetName()
		if druids.MatchString(name) {
			druid[name] = true
			continue
		}
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		ours = append(ours, family)
		if !strings.HasPrefix(name, "drumlin_") || !lower.MatchString(name) {
			t.Errorf("%s does not begin with drumlin_ or is not in lower case", name)
		}
		for label := range all[name] {
			if !lower.MatchString(label) {
				t.Errorf("%s has the label %s", name, label)
			}
		}
		if problem := unitMissing(family); problem != "" {
			t.Errorf("%s, a %s: %s", name, strings.ToLower(family.GetType().String()), problem)
		}
	}
	if len(ours) < 40 || len(druid) < 15 {
		t.Errorf("only %d metrics of ours and %d of Druid's were found", len(ours), len(druid))
	}
	for name := range rare() {
		if !strings.HasPrefix(name, "drumlin_") && !druids.MatchString(name) {
			t.Errorf("%s does not begin with drumlin_", name)
		}
	}
	problems, err := promlint.NewWithMetricFamilies(ours).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// unitMissing says what the end of a metric's name lacks; promlint finds what it has too much.
func unitMissing(family *dto.MetricFamily) string {
	name, help := family.GetName(), strings.ToLower(family.GetHelp())
	base := strings.TrimSuffix(name, "_total")
	switch {
	case family.GetType() == dto.MetricType_HISTOGRAM && !strings.HasSuffix(name, "_seconds") && !strings.HasSuffix(name, "_bytes"):
		return "it must end in its unit"
	case strings.HasSuffix(base, "_time") || strings.HasSuffix(base, "_count"):
		return "neither time nor count is a unit"
	case strings.HasPrefix(help, "bytes ") && !strings.HasSuffix(base, "_bytes"),
		strings.HasPrefix(help, "seconds ") && !strings.HasSuffix(base, "_seconds"):
		return "its help tells of a unit that its name does not end in"
	}
	return ""
}
