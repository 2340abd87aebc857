package compaction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/objectstore"
	"drumlin/segment"
)

func TestWorkerCompactsAndFindsNothingLeft(t *testing.T) {
	s := newStage(t, "")
	for _, h := range []int64{1, 1, 2, 2, 5} {
		s.writer.MustAppend(t, catalogtest.Hour(h), 10)
	}
	var steps []string
	report, err := s.run(t, compact(0, 24, ""), RunOptions{Progress: func(done, total int) {
		steps = append(steps, fmt.Sprintf("%d/%d", done, total))
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := outcomes(report), "01:00 DONE, 02:00 DONE, 05:00 DONE"; got != want {
		t.Errorf("outcomes: %s, want %s", got, want)
	}
	if !slices.Equal(steps, []string{"0/3", "1/3", "2/3", "3/3"}) {
		t.Errorf("progress: %v", steps)
	}
	if report.Before.Segments != 5 || report.After.Segments != 3 || report.Before.Events != 50 || report.After.TailSegments != 0 ||
		report.WriteAmplification != 1 || len(report.Empty) != 3 {
		t.Errorf("report: %+v", report)
	}
	s.check(t, 50)
	again, err := s.run(t, compact(0, 24, ""), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := outcomes(again), "01:00 NOTHING, 02:00 NOTHING, 05:00 NOTHING"; got != want || s.executor.n != 3 {
		t.Errorf("outcomes of the second run: %s after %d jobs", got, s.executor.n)
	}
	if n, err := s.c.ReapCommits(t.Context()); err != nil || n == 0 {
		t.Errorf("%d commits reaped: %v", n, err)
	}
	text, err := json.Marshal(report)
	if err != nil || !strings.Contains(string(text), `"ingestionState":"COMPLETED"`) || !strings.Contains(string(text), `"processed":50`) {
		t.Errorf("report %s: %v", text, err)
	}
}

func TestWorkerFindsNoSegments(t *testing.T) {
	s := newStage(t, "")
	s.writer.MustAppend(t, catalogtest.Hour(1), 10)
	_, err := s.run(t, compact(3, 24, ""), RunOptions{})
	var final *TaskError
	if !errors.As(err, &final) || !errors.Is(err, ErrNoSegments) {
		t.Errorf("a task without data: %v", err)
	}
}

func TestAppendsDuringAJobStay(t *testing.T) {
	s := newStage(t, "")
	s.writer.MustAppend(t, catalogtest.Hour(1), 10)
	s.executor.before = func(int, *Job) error {
		s.writer.MustAppend(t, catalogtest.Hour(1), 7)
		return nil
	}
	report, err := s.run(t, compact(0, 24, ""), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c := report.Chunks[0]; c.Outcome != OutcomeDone || c.Attempts != 1 || c.After.TailSegments != 1 || c.Stats.OutputEvents != 10 {
		t.Errorf("chunk: %+v", c)
	}
	s.check(t, 17)
}

// TestLostReplies: whatever becomes of the reply, the work is done once.
func TestLostReplies(t *testing.T) {
	for _, point := range []string{"catalog.swap.after_txn", "catalog.swap.before_txn"} {
		t.Run(point, func(t *testing.T) {
			s := newStage(t, "")
			s.writer.MustAppend(t, catalogtest.Hour(1), 10)
			s.failpoints.Arm(point, 1, func(string) error { return errors.New("the connection broke") })
			report, err := s.run(t, compact(0, 24, ""), RunOptions{})
			if point == "catalog.swap.before_txn" { // known not to have happened: the next attempt does it
				var final *TaskError
				if err == nil || errors.As(err, &final) {
					t.Fatalf("error: %v", err)
				}
				if outcomes(report) != "01:00 FAILED" || report.Error == "" {
					t.Errorf("report %+v", report)
				}
				report, err = s.run(t, compact(0, 24, ""), RunOptions{})
			}
			if err != nil || outcomes(report) != "01:00 DONE" || report.Chunks[0].Revision == 0 {
				t.Errorf("report %+v: %v", report, err)
			}
			s.check(t, 10)
		})
	}
}

// TestUnknownOutcomeIsReadBack: the replies were lost, and the catalog does not show the swaps: the work is done again.
func TestUnknownOutcomeIsReadBack(t *testing.T) {
	s := newStage(t, "")
	s.writer.MustAppend(t, catalogtest.Hour(1), 10)
	heads := &brokenHeads{Heads: s.c, errs: []error{fmt.Errorf("swap: %w", catalog.ErrUnknown), fmt.Errorf("swap: %w", catalog.ErrConflict)}}
	s.worker.o.Heads = heads
	report, err := s.run(t, compact(0, 24, ""), RunOptions{})
	if err != nil || outcomes(report) != "01:00 DONE" || report.Chunks[0].Attempts != 3 || s.executor.n != 3 {
		t.Errorf("%d jobs, report %+v: %v", s.executor.n, report, err)
	}
	heads.errs = slices.Repeat([]error{catalog.ErrUnknown}, 20)
	s.writer.MustAppend(t, catalogtest.Hour(1), 10)
	if _, err = s.run(t, compact(0, 24, ""), RunOptions{}); !errors.Is(err, catalog.ErrUnknown) {
		t.Errorf("for ever unknown: %v", err)
	}
	s.check(t, 20)
}

// brokenHeads fail swaps without sending them.
type brokenHeads struct {
	Heads
	errs []error
}

func (b *brokenHeads) Swap(ctx context.Context, r catalog.SwapRequest) (*catalog.SwapResult, error) {
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		return nil, err
	}
	return b.Heads.Swap(ctx, r)
}

func TestLeaseLossFencesAndLeavesTheRest(t *testing.T) {
	s := newStage(t, "")
	s.writer.MustAppend(t, catalogtest.Hour(1), 10)
	other := catalogtest.Register(t, s.c, "doomed")
	s.executor.before = func(n int, _ *Job) error {
		if n == 1 {
			return other.Close(context.Background())
		}
		return nil
	}
	_, err := s.run(t, compact(0, 24, ""), RunOptions{Claims: other})
	var final *TaskError
	if !errors.Is(err, catalog.ErrSessionLost) || errors.As(err, &final) {
		t.Errorf("error: %v", err)
	}
	if s.check(t, 10).Buckets[0].Head != nil {
		t.Error("a fenced swap took effect")
	}
	if report, err := s.run(t, compact(0, 24, ""), RunOptions{}); err != nil || outcomes(report) != "01:00 DONE" {
		t.Errorf("the next node: %+v: %v", report, err)
	}
}

// TestStragglers: chunks that fail, are refused or are busy stop no other.
func TestStragglers(t *testing.T) {
	s := newStage(t, "")
	for _, h := range []int64{1, 2, 3} {
		s.writer.MustAppend(t, catalogtest.Hour(h), 10)
	}
	s.executor.before = func(_ int, job *Job) error {
		if job.Buckets[0] == catalogtest.Hour(1) {
			return fmt.Errorf("disk full: %w", segment.ErrCorrupt)
		}
		return nil
	}
	other := catalogtest.Register(t, s.c, "other")
	claim, err := other.ClaimBuckets(t.Context(), "wiki", []segment.Bucket{catalogtest.Hour(2)})
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.run(t, compact(0, 24, ""), RunOptions{})
	var final *TaskError
	var busy *Busy
	if err == nil || errors.As(err, &final) || errors.As(err, &busy) || !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("error: %v", err)
	}
	if got, want := outcomes(report), "01:00 FAILED, 02:00 BUSY, 03:00 DONE"; got != want {
		t.Errorf("outcomes: %s, want %s", got, want)
	}
	s.executor.before = nil
	report, err = s.run(t, compact(0, 24, ""), RunOptions{})
	if !errors.As(err, &busy) || len(busy.Intervals) != 1 || outcomes(report) != "01:00 DONE, 02:00 BUSY, 03:00 NOTHING" {
		t.Errorf("report %s: %v", outcomes(report), err)
	}
	if err := other.Unclaim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if report, err = s.run(t, compact(0, 24, ""), RunOptions{}); err != nil || report.Chunks[1].Outcome != OutcomeDone {
		t.Errorf("report %s: %v", outcomes(report), err)
	}
	s.check(t, 30)
}

// TestMissingInputIsPlannedAgain: an object that is not there means an old view, never a partial result.
func TestMissingInputIsPlannedAgain(t *testing.T) {
	s := newStage(t, "")
	s.writer.MustAppend(t, catalogtest.Hour(1), 10)
	s.executor.before = func(n int, _ *Job) error {
		if n == 1 {
			return fmt.Errorf("read: %w", objectstore.ErrNotFound)
		}
		return nil
	}
	if report, err := s.run(t, compact(0, 24, ""), RunOptions{}); err != nil || report.Chunks[0].Attempts != 2 {
		t.Errorf("report %+v: %v", report, err)
	}
}

// claimsFunc runs a function before the first claim.
type claimsFunc struct {
	Claims
	once   sync.Once
	before func()
}

func (c *claimsFunc) ClaimBuckets(ctx context.Context, datasource string, b []segment.Bucket) (catalog.Claim, error) {
	c.once.Do(c.before)
	return c.Claims.ClaimBuckets(ctx, datasource, b)
}

// TestHoursRaceTheirDay: whoever comes first, both tasks succeed, and nothing is lost.
func TestHoursRaceTheirDay(t *testing.T) {
	const day = `"granularitySpec":{"segmentGranularity":"day"}`
	for _, c := range []struct{ name, first, second, want string }{
		{"the day is faster", compact(0, 24, day), compact(0, 24, ""), "00:00 NOTHING"},
		{"the hours are faster", compact(0, 24, ""), compact(0, 24, day), "00:00 DONE"},
		{"one hour is faster", compact(1, 2, ""), compact(0, 24, day), "00:00 DONE"},
		{"the day is faster than one hour with a late row", compact(0, 24, day), compact(1, 2, ""), "00:00 DONE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, "")
			for _, h := range []int64{1, 1, 2} {
				s.writer.MustAppend(t, catalogtest.Hour(h), 10)
			}
			records := int64(30)
			claims := &claimsFunc{Claims: s.session, before: func() {
				if report, err := s.run(t, c.first, RunOptions{}); err != nil {
					t.Errorf("%+v: %v", report, err)
				}
				if strings.Contains(c.name, "late") {
					s.writer.MustAppend(t, catalogtest.Hour(4), 5)
					records += 5
				}
			}}
			report, err := s.run(t, c.second, RunOptions{Claims: claims})
			if err != nil || outcomes(report) != c.want || report.Before.Events != records {
				t.Errorf("%s of %+v: %v", outcomes(report), report, err)
			}
			ds := s.check(t, records)
			if len(ds.Buckets) != 1 || len(ds.Buckets[0].Members) != 24 || len(ds.Buckets[0].Tail) != 0 {
				t.Errorf("%d chunks, the first of %d buckets", len(ds.Buckets), len(ds.Buckets[0].Members))
			}
		})
	}
}

const rollupPlan = `{"rollup":true,"queryGranularity":"minute","dimensions":["page"],"metricsSpec":[{"type":"count","name":"count"}]}`

func TestFoldNarrowAndFoldAgain(t *testing.T) {
	s := newStage(t, rollupPlan)
	s.writer.MustAppend(t, catalogtest.Hour(1), 10)
	report, err := s.run(t, compact(0, 24, ""), RunOptions{})
	if err != nil || report.After.RollupRatio != 2 || report.After.SidecarBytes == 0 {
		t.Fatalf("report %+v: %v", report, err)
	}
	s.writer.MustAppend(t, catalogtest.Hour(1), 6)
	s.writer.MustAppend(t, catalogtest.Hour(2), 4)
	report, err = s.run(t, compact(0, 24, `"granularitySpec":{"queryGranularity":"hour"}`), RunOptions{})
	if err != nil || outcomes(report) != "01:00 DONE, 02:00 DONE" {
		t.Fatalf("report %s: %v", outcomes(report), err)
	}
	ds := s.check(t, 20)
	for _, u := range ds.Buckets {
		if u.Head.State != catalog.HeadFolded || u.Head.Plan != 1 || !strings.Contains(string(u.PlanSpec), `"hour"`) ||
			len(u.Manifest.Sidecars) != 1 {
			t.Errorf("head %+v, plan %s", u.Head, u.PlanSpec)
		}
	}
	_, err = s.run(t, compact(0, 24, `"granularitySpec":{"queryGranularity":"minute"}`), RunOptions{})
	var final *TaskError
	if !errors.As(err, &final) || !strings.Contains(err.Error(), "queryGranularity") {
		t.Errorf("widening: %v", err)
	}
	// A merge of the tail leaves state and plan.
	for range 5 {
		s.writer.MustAppend(t, catalogtest.Hour(1), 1)
	}
	s.executor.before = nil
	report, err = s.run(t, compact(0, 24, `"context":{"policy":"recent"}`), RunOptions{})
	if err != nil || report.Chunks[0].Outcome != OutcomeDone {
		t.Fatalf("report %+v: %v", report, err)
	}
	if u := s.check(t, 25).Buckets[0]; u.Head.State != catalog.HeadFolded || u.Head.Plan != 1 {
		t.Errorf("head %+v", u.Head)
	}
}

func TestMarkUnusedAndKill(t *testing.T) {
	s := newStage(t, "")
	s.writer.MustAppend(t, catalogtest.Hour(1), 10)
	s.writer.MustAppend(t, catalogtest.Hour(2), 5)
	report, err := s.run(t, strings.Replace(compact(1, 2, ""), "compact", "markUnused", 1), RunOptions{})
	if err != nil || outcomes(report) != "01:00 DONE" || report.Stats.Filtered != 10 {
		t.Fatalf("report %+v: %v", report, err)
	}
	u := s.check(t, 5).Buckets[0]
	if len(u.Settled)+len(u.Tail) != 0 || len(u.Manifest.Sidecars) != 1 || u.Manifest.Totals.Filtered != 10 {
		t.Errorf("chunk %+v", u)
	}
	if report, err = s.run(t, compact(1, 2, ""), RunOptions{}); err != nil || outcomes(report) != "01:00 NOTHING" {
		t.Errorf("compacting what is left: %s: %v", outcomes(report), err)
	}
	report, err = s.run(t, strings.Replace(compact(1, 2, ""), "compact", "kill", 1), RunOptions{})
	if err != nil || string(report.Collected) != `{"wiki":1}` {
		t.Errorf("report %+v: %v", report, err)
	}
}

func TestDrop(t *testing.T) {
	s := newStage(t, "")
	for _, h := range []int64{1, 2, 3} {
		s.writer.MustAppend(t, catalogtest.Hour(h), 10)
	}
	drop := func(want int) {
		t.Helper()
		if n, err := s.worker.Drop(t.Context(), "wiki", s.session); err != nil || n != want {
			t.Errorf("%d dropped, want %d: %v", n, want, err)
		}
	}
	drop(0)
	if _, err := s.c.RaiseFloors(t.Context(), "wiki", catalog.Floors{RetentionMillis: catalogtest.Hour(2).EndMillis}); err != nil {
		t.Fatal(err)
	}
	claim, err := s.session.ClaimBuckets(t.Context(), "wiki", []segment.Bucket{catalogtest.Hour(1)})
	if err != nil {
		t.Fatal(err)
	}
	other := catalogtest.Register(t, s.c, "other")
	if n, err := s.worker.Drop(t.Context(), "wiki", other); err != nil || n != 1 {
		t.Errorf("%d dropped while another chunk is claimed: %v", n, err)
	}
	if err := s.session.Unclaim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	drop(1)
	s.check(t, 10)
	s.writer.MustAppend(t, catalogtest.Hour(1), 5) // its owner does not know the floor yet
	drop(0)                                        // absorbed, so that the commit's key can go
	s.check(t, 10)
	if n, err := s.c.ReapCommits(t.Context()); err != nil || n != 3 {
		t.Errorf("%d commits reaped: %v", n, err)
	}
	drop(0)
	if v := s.check(t, 10); v.Buckets[0].Head.Sequence != 2 || v.Buckets[1].Head.Sequence != 1 {
		t.Error("dropped chunks are put again without need")
	}
}
