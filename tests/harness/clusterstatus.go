package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"drumlin/tests/oracle"
)

// SupervisorStatus is the part of a supervisor's status that tests look at.
type SupervisorStatus struct {
	State, DetailedState string
	Healthy              bool
	AggregateLag         *int64
	RecentErrors         []struct{ Timestamp, Message string }
	PartitionStatus      []PartitionStatus
}

// PartitionStatus is one partition of it.
type PartitionStatus struct {
	Topic                                             string
	Partition, Generation                             int32
	Owner                                             string // node; empty: nobody
	State                                             string
	CommittedOffset, CurrentOffset, LatestOffset, Lag *int64 // nil: not known
	HotRows, HotBytes                                 int64
	Halted, Error                                     string
}

// String tells each partition in a few words.
func (s SupervisorStatus) String() string {
	var parts []string
	for _, p := range s.PartitionStatus {
		text := fmt.Sprintf("%s/%d %s by %q", p.Topic, p.Partition, p.State, p.Owner)
		for _, n := range []struct {
			name  string
			value *int64
		}{{"committed", p.CommittedOffset}, {"at", p.CurrentOffset}, {"of", p.LatestOffset}, {"lag", p.Lag}} {
			if n.value != nil {
				text += fmt.Sprintf(" %s %d", n.name, *n.value)
			}
		}
		parts = append(parts, strings.TrimSpace(text+" "+p.Halted+" "+p.Error))
	}
	for _, e := range s.RecentErrors {
		parts = append(parts, "error: "+e.Message)
	}
	return s.DetailedState + "\n  " + strings.Join(parts, "\n  ")
}

// Owned counts the partitions of each node; those that nobody owns count under "".
func (s SupervisorStatus) Owned() map[string]int {
	out := map[string]int{}
	for _, p := range s.PartitionStatus {
		out[p.Owner]++
	}
	return out
}

// Owners tells the node of each partition, by "topic/number".
func (s SupervisorStatus) Owners() map[string]string {
	out := map[string]string{}
	for _, p := range s.PartitionStatus {
		out[fmt.Sprintf("%s/%d", p.Topic, p.Partition)] = p.Owner
	}
	return out
}

// Status asks for the status of a supervisor.
func (a *Asker) Status(ctx context.Context, supervisor string) (SupervisorStatus, error) {
	status, body, err := a.Get(ctx, "/druid/indexer/v1/supervisor/"+supervisor+"/status")
	if err != nil {
		return SupervisorStatus{}, err
	}
	if status != http.StatusOK {
		return SupervisorStatus{}, fmt.Errorf("status of %s: %d %s", supervisor, status, body)
	}
	var answer struct{ Payload SupervisorStatus }
	if err := json.Unmarshal(body, &answer); err != nil {
		return SupervisorStatus{}, fmt.Errorf("status of %s: %w: %.200s", supervisor, err, body)
	}
	return answer.Payload, nil
}

// WaitStatus asks until the status is as wanted, and returns it with how long that took. Refusals meanwhile are waited out.
func (a *Asker) WaitStatus(t testing.TB, supervisor, wanted string, budget time.Duration, is func(SupervisorStatus) bool) (SupervisorStatus, time.Duration) {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	last, pause := "no answer", firstPause
	for {
		status, err := a.Status(ctx, supervisor)
		switch {
		case err == nil && is(status):
			return status, time.Since(begin)
		case err == nil:
			last = status.String()
		case ctx.Err() == nil:
			last = err.Error()
		}
		if ctx.Err() != nil {
			t.Fatalf("supervisor %s: not %s after %s: %s", supervisor, wanted, budget, last)
		}
		wait(ctx, pause)
		pause = min(2*pause, lastPause/2)
	}
}

// WaitShared waits until the nodes, and nobody else, own the supervisor's partitions, evenly: no two differ by more than one.
func (c *Cluster) WaitShared(t testing.TB, supervisor string, partitions int, budget time.Duration, nodes ...*Node) (SupervisorStatus, time.Duration) {
	t.Helper()
	wanted := fmt.Sprintf("%d partitions shared evenly by %d nodes", partitions, len(nodes))
	return c.WaitStatus(t, supervisor, wanted, budget, func(s SupervisorStatus) bool {
		if len(s.PartitionStatus) != partitions {
			return false
		}
		owned := s.Owned()
		counts := make([]int, 0, len(nodes))
		for _, n := range nodes {
			counts = append(counts, owned[n.ID])
			delete(owned, n.ID)
		}
		return len(owned) == 0 && slices.Max(counts)-slices.Min(counts) <= 1
	})
}

// WaitNoLag waits until every partition is owned and read to its end.
func (c *Cluster) WaitNoLag(t testing.TB, supervisor string, budget time.Duration) time.Duration {
	t.Helper()
	_, took := c.WaitStatus(t, supervisor, "without lag", budget, func(s SupervisorStatus) bool {
		for _, p := range s.PartitionStatus {
			if p.Owner == "" || p.Lag == nil || *p.Lag != 0 || p.Halted != "" {
				return false
			}
		}
		return len(s.PartitionStatus) > 0
	})
	return took
}

// WaitCut asks until an answer reaches the ends, and returns how long that took. Refusals meanwhile are waited out.
func (c *Cluster) WaitCut(t testing.TB, datasource string, ends oracle.Cut, budget time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	last, want, pause := "no answer", fmt.Sprint(ends), firstPause
	for {
		answer, err := c.Ask(ctx, "SELECT COUNT(*) AS n FROM "+datasource)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				last = err.Error()
			}
		case answer.Status != http.StatusOK:
			last = firstWords(string(answer.Body))
		default:
			cut, err := answer.offsets(datasource)
			if err != nil {
				t.Fatal(err)
			}
			if last = fmt.Sprint(cut); last == want {
				return time.Since(begin)
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: not at the end of the log, %s, after %s: %s", datasource, want, budget, last)
		}
		wait(ctx, pause)
		pause = min(2*pause, lastPause)
	}
}
