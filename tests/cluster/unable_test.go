package cluster

import (
	"strings"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// unableLife is the life of a lease, by whose multiples a process finds out that it cannot read.
const unableLife = 5 * time.Second

// TestAProcessThatReachesEtcdAndNotKafka takes the way to Kafka away from one of two processes that ingest, in a network
// namespace of its own, and leaves it everything else: it says that it cannot read, hands off and over, and the other one reads
// all partitions up to their ends. Answers are exact all the while, and when Kafka is back each has its share again.
func TestAProcessThatReachesEtcdAndNotKafka(t *testing.T) {
	t.Parallel()
	host := harness.NewHost(t, "unable")
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Ingesters: 1, Coordinators: 1, Queriers: 1, LeaseTTL: unableLife})
	stays, away := c.Ingesters()[0], c.AddOn(t, host, harness.RoleIngest)
	s := startSteady(t, c)
	c.WaitShared(t, "events", steadyPartitions, settle, stays, away)

	away.ToKafka.Cut()
	begun := time.Now()
	status, _ := c.WaitShared(t, "events", steadyPartitions, 2*settle, stays)
	t.Logf("taken over %s after the cut", time.Since(begun).Round(time.Millisecond))
	if took := time.Since(begun); took < 3*unableLife {
		t.Errorf("given up after %s: brokers that are silent for less than three lives of the lease may be back", took)
	}
	s.goesOn(t, "while one process is cut off from Kafka")
	c.WaitNoLag(t, "events", settle)
	c.WaitStatus(t, "events", "telling who cannot read", settle, func(st harness.SupervisorStatus) bool {
		for _, e := range st.RecentErrors {
			if strings.Contains(e.Message, "node "+away.ID+": cannot read since") {
				return true
			}
		}
		return false
	})
	if n, _ := sample(t, away, "drumlin_coordinator_unable_supervisors"); n != 1 {
		t.Errorf("its metric says that it cannot read %v supervisors; status: %s", n, status)
	}

	away.ToKafka.Heal()
	begun = time.Now()
	c.WaitShared(t, "events", steadyPartitions, 2*settle, stays, away)
	t.Logf("shared again %s after the cut was mended", time.Since(begun).Round(time.Millisecond))
	s.goesOn(t, "after it")
	if checked := s.end(t); checked.Refused > 0 {
		t.Errorf("queries were refused: %s", checked)
	}
}
