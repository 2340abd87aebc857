package cluster

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"drumlin/internal/config"
	"drumlin/tests/harness"
)

// TestAnswersOutlastACrashByDefault: with the lease and the patience that the product comes with, a process that ingests is
// killed, and every query is answered all the same, later and exactly.
func TestAnswersOutlastACrashByDefault(t *testing.T) {
	t.Parallel()
	usual := config.Default()
	r := startTrial(t, harness.ClusterOptions{
		Ingesters: 2, Coordinators: 1, Compactors: 1, Queriers: 1,
		LeaseTTL: usual.LeaseTTL, Set: []string{"query.hotBudget=" + usual.Query.HotBudget.String()},
	}, eventsSpec) // without handoffs, so that everything is to be read again
	stays, dies := r.Ingesters()[0], r.Ingesters()[1]
	dies.Kill(t)
	_, took := r.WaitShared(t, "events", trialPartitions, settle, stays)
	r.steady(t)
	t.Logf("taken over after %s", took.Round(time.Millisecond))
	r.finish(t)
}

// TestColdQueriesSayWhatTheStoreDoes asks a process that has nothing in its cache while the object store is away, and while it
// does not answer: the query is refused within its bounds, and told which object of which store it lacks.
func TestColdQueriesSayWhatTheStoreDoes(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, binary, harness.ClusterOptions{
		Ingesters: 1, Coordinators: 1, Queriers: 1, Set: []string{"query.objectBudget=3s", "objects.s3.requestTimeout=2s"},
	})
	topic := begin(t, c, 2, eventsSpec)
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: 2000, Seed: 1}).Wait(t)
	c.WaitNoLag(t, "events", settle)
	c.Handoff(t, "events")
	query := c.Nodes(harness.RoleQuery)[0]
	for _, trouble := range []struct {
		name   string
		rules  harness.S3Rules
		limit  time.Duration // the query's own; 0: the usual one
		status int
		words  string
	}{
		{"away", harness.S3Rules{Down: true}, 0, http.StatusServiceUnavailable, "see whether the object store answers"},
		{"silent", harness.S3Rules{Stall: true}, 0, http.StatusServiceUnavailable, "nothing has come for 3s"},
		{"silent to one in a hurry", harness.S3Rules{Stall: true}, time.Second, http.StatusGatewayTimeout, "segments were read from the object store"},
	} {
		c.S3Proxy.SetRules(trouble.rules)
		begun, watch := time.Now(), harness.StartWatch()
		status, text := askFor(t, query, "SELECT COUNT(*) AS n FROM events", trouble.limit)
		took := time.Since(begun)
		t.Logf("%s: %d after %s: %s", trouble.name, status, took.Round(time.Millisecond), text)
		for _, part := range []string{trouble.words, "data/", "s3://"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: %q is not in: %s", trouble.name, part, text)
			}
		}
		watch.Within(t, trouble.name, took, 30*time.Second)
		if status != trouble.status {
			t.Errorf("%s: %d after %s, want %d", trouble.name, status, took, trouble.status)
		}
		c.S3Proxy.SetRules(harness.S3Rules{})
	}
	if n := query.SQL(t, "SELECT COUNT(*) AS n FROM events").Int(t, "n"); n == 0 {
		t.Error("no rows are counted once the store answers")
	}
}

// askFor asks with a time limit of the query's own and returns the status and the body.
func askFor(t *testing.T, n *harness.Node, sql string, limit time.Duration) (int, string) {
	t.Helper()
	settings := map[string]any{}
	if limit > 0 {
		settings["timeout"] = limit.Milliseconds()
	}
	body, err := json.Marshal(map[string]any{"query": sql, "context": settings})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	status, answer, err := n.Post(ctx, "/druid/v2/sql", body)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(answer)
}
