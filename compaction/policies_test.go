package compaction

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/segment"
	"drumlin/spec"
)

// TestPoliciesComeToRest lets rows trickle in while both policies work, and holds them to their two promises: what is written is a
// small multiple of what is ingested, and once nothing comes any more they soon find nothing to do.
func TestPoliciesComeToRest(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for i, config := range []string{
		`{"dataSource":"wiki","skipOffsetFromLatest":"PT0S"}`,
		`{"dataSource":"wiki","skipOffsetFromLatest":"PT0S","granularitySpec":{"segmentGranularity":"day"}}`,
		`{"dataSource":"wiki","skipOffsetFromLatest":"PT0S","tuningConfig":{"maxRowsPerSegment":20000}}`,
		`{"dataSource":"wiki","skipOffsetFromLatest":"PT0S","granularitySpec":{"queryGranularity":"hour"},"dimensionsSpec":{"dimensions":["page"]},"transformSpec":{"filter":{"type":"selector","dimension":"page","value":"a"}}}`,
	} {
		for _, plan := range []string{"", rollupPlan} {
			t.Run(fmt.Sprintf("%d rollup %t", i, plan != ""), func(t *testing.T) {
				s := newStage(t, plan)
				c, _, err := spec.ParseAutoCompaction([]byte(config))
				if err != nil {
					t.Fatal(err)
				}
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				records := int64(0)
				for range 60 {
					rows := 1 + r.Int64N(2000) + r.Int64N(2)*r.Int64N(100_000)
					s.writer.MustAppend(t, catalogtest.Hour(r.Int64N(30)*r.Int64N(30)/30), rows)
					records += rows
					s.auto(t, c, PolicyRecent)
					if r.IntN(5) == 0 {
						s.auto(t, c, PolicyHistorical)
					}
				}
				rounds := 0
				for s.auto(t, c, PolicyRecent)+s.auto(t, c, PolicyHistorical) > 0 {
					if rounds++; rounds > 5 {
						t.Fatalf("seed %d: still at work after %d rounds", seed, rounds)
					}
				}
				var totals catalog.Totals
				for _, u := range s.check(t, records).Buckets {
					if u.Manifest != nil {
						totals = totals.Add(u.Manifest.Totals)
					}
				}
				// At worst 11 for rewriting at a tenth, 5 for small chunks at a quarter; the rows of this test come to 2 to 9.
				if a := ratio(totals.WrittenBytes, totals.AbsorbedBytes); a > 16 {
					t.Errorf("seed %d: write amplification %.1f", seed, a)
				} else {
					t.Logf("seed %d: write amplification %.1f", seed, a)
				}
			})
		}
	}
}

// auto does what the policy chooses at the newest view, and says how much that was.
func (s *stage) auto(t *testing.T, c *spec.AutoCompaction, p Policy) int {
	t.Helper()
	v, err := s.c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chosen := 0
	for _, d := range Decide(v.Datasources["wiki"], c, p, time.Now().UnixMilli(), nil) {
		if !d.Chosen {
			continue
		}
		chosen++
		task := &spec.Task{
			Type: spec.TaskCompact, DataSource: "wiki", Intervals: []spec.Interval{d.Interval}, Policy: string(p), Change: c.Change,
			Tuning: c.Tuning,
		}
		report, err := s.worker.Run(t.Context(), task, RunOptions{Claims: s.session})
		if err != nil || report.Chunks[0].Outcome != OutcomeDone || report.Chunks[0].Mode != d.Mode {
			t.Fatalf("chosen %+v: report %+v: %v", d, report, err)
		}
	}
	return chosen
}

// TestManyWorkers lets tasks of different shapes run at once with appends: each succeeds or finds chunks busy, no record is lost,
// and in the end nobody holds a claim.
func TestManyWorkers(t *testing.T) {
	s := newStage(t, "")
	for h := range int64(6) {
		s.writer.MustAppend(t, catalogtest.Hour(h), 10)
	}
	tasks := []string{
		compact(0, 24, ""), compact(0, 24, `"granularitySpec":{"segmentGranularity":"six_hour"}`),
		compact(0, 24, `"granularitySpec":{"segmentGranularity":"day"}`), compact(2, 4, `"context":{"policy":"recent"}`),
	}
	var wg sync.WaitGroup
	for i, text := range tasks {
		session := catalogtest.Register(t, s.c, fmt.Sprint("worker-", i))
		wg.Go(func() {
			for range 3 {
				var busy *Busy
				if _, err := s.run(t, text, RunOptions{Claims: session}); err != nil && !errors.As(err, &busy) {
					t.Errorf("%s: %v", text, err)
				}
			}
		})
	}
	for range 10 {
		s.writer.MustAppend(t, catalogtest.Hour(3), 1)
	}
	wg.Wait()
	if _, err := s.run(t, tasks[2], RunOptions{}); err != nil {
		t.Error(err)
	}
	if ds := s.check(t, 70); len(ds.Buckets) != 1 || len(ds.Buckets[0].Tail) != 0 {
		t.Errorf("%d chunks", len(ds.Buckets))
	}
	var all []segment.Bucket
	for h := range int64(24) {
		all = append(all, catalogtest.Hour(h))
	}
	if _, err := s.session.ClaimBuckets(t.Context(), "wiki", all); err != nil {
		t.Errorf("a claim has stayed: %v", err)
	}
}
