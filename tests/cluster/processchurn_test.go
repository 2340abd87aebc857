package cluster

import (
	"net"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// TestARebalanceEachSecond has a third and a fourth ingesting process come and go, so that the shares change each second.
// Most of them leave as asked; some are killed.
func TestARebalanceEachSecond(t *testing.T) {
	t.Parallel()
	lasts, least, o := 8*time.Second, 4, harness.ClusterOptions{Ingesters: 2, Coordinators: 1, Queriers: 1, LeaseTTL: leaseLife}
	if long() {
		lasts, least, o.Compactors = 10*time.Minute, 300, 1
	}
	r := startTrial(t, o, trialSpec)
	stay := r.Ingesters()
	guests := []*harness.Node{r.New(t, harness.RoleIngest), r.New(t, harness.RoleIngest)}
	before := r.history.check(t).ownerships()
	moved := func() int { return r.history.check(t).ownerships() - before }
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	changes := 0
	// On a busy machine every guest may have to go before it has got anything: some more of them stay until they have.
	for begin := time.Now(); time.Since(begin) < lasts || changes%4 != 0 || moved() < least && time.Since(begin) < lasts+settle; changes++ {
		guest := guests[changes%2]
		switch {
		case !guest.Running():
			guest.Launch(t) // whether it has partitions, or is ready at all, when it must go again is left open
		case changes%12 == 3:
			guest.Kill(t)
		default:
			waitListens(t, guest)
			if time.Since(begin) >= lasts && moved() < least {
				r.WaitStatus(t, "events", "read by "+guest.ID, settle, func(s harness.SupervisorStatus) bool { return s.Owned()[guest.ID] > 0 })
			}
			guest.Stop(t)
		}
		<-ticker.C
		if changes%60 == 59 {
			r.history.check(t)
			r.Submit(t, everything) // or each query would read the segments of thousands of handoffs in the end
		}
	}
	r.WaitShared(t, "events", trialPartitions, settle, stay...)
	t.Logf("%d changes: partitions were acquired %d times", changes, moved())
	if moved() < least {
		t.Errorf("partitions were acquired %d times in %d changes, want %d times: nothing is moved", moved(), changes, least)
	}
	r.finish(t)
}

// waitListens waits until the process listens, which it does before anything else. One that the machine has not let begin by
// then is ended by the signal itself, as every program is, and could not exit with 0.
func waitListens(t *testing.T, n *harness.Node) {
	t.Helper()
	eventually(t, n.ID+" listens", func() bool {
		conn, err := net.DialTimeout("tcp", n.HTTP, settle)
		if err != nil {
			return false
		}
		if err := conn.Close(); err != nil {
			t.Errorf("close a connection to %s: %v", n.ID, err)
		}
		return true
	})
}
