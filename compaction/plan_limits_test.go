package compaction

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"drumlin/internal/testkit"
	"drumlin/spec"
)

// TestManyRefusals: a task that is refused in tens of thousands of chunks gets a short answer, and soon.
func TestManyRefusals(t *testing.T) {
	chunks := testkit.Rounds(30_000, 2_000)
	const form = "2006-01-02T15:04"
	w := newWorld()
	var text strings.Builder
	text.WriteString("datasource granularity=minute dedup dims=page\n")
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range chunks {
		at := start.Add(time.Duration(i) * time.Minute)
		fmt.Fprintf(&text, "piece %s/%s\n  tail u%d 10x1000\n", at.Format(form), at.Add(time.Minute).Format(form), i)
	}
	w.read(t, text.String())
	task, _, err := spec.ParseTask([]byte(`{"type":"compact","dataSource":"wiki","interval":"2026-01-01/2027-01-01",
		"granularitySpec":{"queryGranularity":"hour"}}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = PlanTask(w.view, task)
	var refused *PlanError
	if !errors.As(err, &refused) {
		t.Fatalf("the plan's error is %v", err)
	}
	last := refused.Problems[len(refused.Problems)-1]
	if len(refused.Problems) != maxChunkProblems+1 || !strings.HasPrefix(last.Message, fmt.Sprint(chunks-maxChunkProblems, " more")) {
		t.Errorf("%d problems, the last one: %s", len(refused.Problems), last)
	}
}

// TestHugeLimits: limits near the end of 64 bits are no limits, not tiny ones: 3 × 6148914691236517206 is 2 there.
func TestHugeLimits(t *testing.T) {
	w := newWorld()
	w.read(t, "datasource granularity=hour dims=page\npiece 2026-01-01T00:00/2026-01-01T01:00\n  tail a 10x1000\n  tail b 10x1000\n")
	task, _, err := spec.ParseTask([]byte(`{"type":"compact","dataSource":"wiki","interval":"2026-01-01/2026-01-02",
		"tuningConfig":{"targetSegmentBytes":6148914691236517206,"maxRowsPerSegment":9223372036854775807}}`))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := PlanTask(w.view, task)
	if err != nil {
		t.Fatal(err)
	}
	j := plan.Chunks[0].Job
	if scaled := j.TargetSegmentBytes * arrowPerObjectByte; scaled/arrowPerObjectByte != j.TargetSegmentBytes || scaled < 1<<50 {
		t.Errorf("the target of %d bytes does not fit", j.TargetSegmentBytes)
	}
	if j.MaxRowsPerSegment < 1<<50 {
		t.Errorf("at most %d rows", j.MaxRowsPerSegment)
	}
}
