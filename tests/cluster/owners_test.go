package cluster

import (
	"slices"
	"testing"
	"time"

	"drumlin/tests/harness"
)

const (
	sharePartitions = 6
	settle          = 90 * time.Second // for what must come about, however busy the machine
	fewAnswers      = 6                // of a checker, before a test goes on
	handover        = time.Second      // from SIGTERM to the last partition's new owner
)

// moved lists the partitions that have another owner.
func moved(before, after harness.SupervisorStatus) []string {
	var out []string
	old := before.Owners()
	for partition, owner := range after.Owners() {
		if old[partition] != owner {
			out = append(out, partition)
		}
	}
	slices.Sort(out)
	return out
}

// TestSharesFollowProcesses goes from two to three to one ingesting processes while events come and queries are asked: only
// what must move does, a planned stop hands over within a second, and every answer is exact.
func TestSharesFollowProcesses(t *testing.T) {
	c := harness.StartCluster(t, binary, harness.ClusterOptions{})
	topic := begin(t, c, sharePartitions, eventsSpec)
	one, two := c.Ingesters()[0], c.Ingesters()[1]
	start, _ := c.WaitShared(t, "events", sharePartitions, settle, one, two)
	feed := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 2000, Seed: 1})
	checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	checker.WaitAnswers(t, fewAnswers, settle)

	three := c.Add(t, harness.RoleIngest)
	grown, took := c.WaitShared(t, "events", sharePartitions, settle, one, two, three)
	t.Logf("shared by three after %s", took.Round(time.Millisecond))
	if changed := moved(start, grown); len(changed) != sharePartitions/3 {
		t.Errorf("%v moved to the third process, want %d partitions: %v, then %v", changed, sharePartitions/3, start.Owners(), grown.Owners())
	}
	checker.WaitAnswers(t, fewAnswers, settle)
	now := grown
	for _, leaving := range []*harness.Node{one, two} {
		stays := []*harness.Node{two, three}
		if leaving == two {
			stays = stays[1:]
		}
		had := now.Owned()[leaving.ID]
		watch := harness.StartWatch()
		leaving.Terminate(t)
		after, took := c.WaitShared(t, "events", sharePartitions, settle, stays...)
		t.Logf("%d partitions of %s owned by others %s after SIGTERM", had, leaving.ID, took.Round(time.Millisecond))
		watch.Within(t, "handing over", took, handover)
		if changed := moved(now, after); len(changed) != had {
			t.Errorf("%v moved, want the %d partitions of %s: %v, then %v", changed, had, leaving.ID, now.Owners(), after.Owners())
		}
		leaving.WaitExit(t)
		checker.WaitAnswers(t, fewAnswers, settle)
		now = after
	}
	c.WaitNoLag(t, "events", settle)
	feed.Stop(t)
	log := newEventLog()
	checked := c.StopAndCheck(t, checker, log, topic)
	if checked.Refused+checked.Unreachable > 0 {
		t.Errorf("planned changes had queries refused: %s", checked)
	}
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)
}

// TestAKilledProcessIsTakenOver kills an ingesting process: its partitions are read by the other one within the lease time and
// what reading again takes, and queries wait for them instead of answering without them.
func TestAKilledProcessIsTakenOver(t *testing.T) {
	c := harness.StartCluster(t, binary, harness.ClusterOptions{LeaseTTL: leaseLife})
	topic := begin(t, c, 4, eventsSpec)
	killed, stays := c.Ingesters()[0], c.Ingesters()[1]
	c.WaitShared(t, "events", 4, settle, killed, stays)
	feed := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 2000, Seed: 1})
	checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	c.WaitSQL(t, `SELECT CASE WHEN COUNT(*) > 4000 THEN 1 ELSE 0 END AS n FROM events`, 1, settle)
	watch := harness.StartWatch()
	killed.Kill(t)
	_, took := c.WaitShared(t, "events", 4, settle, stays)
	lag := c.WaitNoLag(t, "events", settle)
	t.Logf("taken over after %s, no lag %s later", took.Round(time.Millisecond), lag.Round(time.Millisecond))
	watch.Within(t, "taking over", took, leaseGone+2*time.Second)
	restarted := killed.Start(t)
	_, took = c.WaitShared(t, "events", 4, settle, killed, stays)
	t.Logf("healthy again after %s, has its share %s later", restarted.Round(time.Millisecond), took.Round(time.Millisecond))
	checker.WaitAnswers(t, fewAnswers, settle)
	feed.Stop(t)
	log := newEventLog()
	checked := c.StopAndCheck(t, checker, log, topic)
	if checked.Refused+checked.Unreachable > 0 {
		t.Errorf("queries were refused while the partitions were taken over: %s", checked)
	}
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)
}

// leaseGone is how long after a process's end its lease ends: its time, and what etcd takes to notice.
const leaseGone = leaseLife + 2*time.Second
