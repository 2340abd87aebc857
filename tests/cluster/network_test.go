package cluster

import (
	"testing"
	"time"

	"drumlin/tests/harness"
)

// TestAHostThatIsCutOff pulls the network cable of an ingesting process for longer than its lease lives: the other one takes
// over, and what the one that was cut off still holds neither is committed nor shows in answers. When the cable is back, it has
// its share again.
func TestAHostThatIsCutOff(t *testing.T) {
	host := harness.NewHost(t, "cut")
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Ingesters: 1, Coordinators: 1, Queriers: 1})
	stays, away := c.Ingesters()[0], c.AddOn(t, host, harness.RoleIngest)
	topic := begin(t, c, 4, eventsSpec)
	c.WaitShared(t, "events", 4, settle, stays, away)
	feed := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 1000, Seed: 1})
	checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	checker.WaitAnswers(t, fewAnswers, settle)
	host.Cut(t)
	_, took := c.WaitShared(t, "events", 4, settle, stays)
	t.Logf("taken over %s after the cut", took.Round(time.Millisecond))
	c.WaitNoLag(t, "events", settle)
	checker.WaitAnswers(t, fewAnswers, settle)
	c.Handoff(t, "events")
	host.Heal(t)
	_, took = c.WaitShared(t, "events", 4, settle, stays, away)
	t.Logf("shared again %s after the cable was back", took.Round(time.Millisecond))
	c.WaitNoLag(t, "events", settle)
	c.Handoff(t, "events")
	checker.WaitAnswers(t, fewAnswers, settle)
	feed.Stop(t)
	log := newEventLog()
	if checked := c.StopAndCheck(t, checker, log, topic); checked.Refused > 0 {
		t.Errorf("queries were refused: %s", checked)
	}
	c.WaitCut(t, "events", log.Ends(), settle)
	c.CheckNow(t, log, "events", eventQuestions()...)
}

// TestAnOwnerThatDoesNotReply stalls what an ingesting process replies to queries, while it is well otherwise: queries wait for
// it instead of answering without its rows.
func TestAnOwnerThatDoesNotReply(t *testing.T) {
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Ingesters: 1, Coordinators: 1, Queriers: 1, Links: true})
	owner := c.Ingesters()[0]
	topic := begin(t, c, 2, eventsSpec)
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: 2000, Seed: 1}).Wait(t)
	log := newEventLog()
	c.ReadLog(t, log, topic)
	c.WaitCut(t, "events", log.Ends(), settle)
	if owner.Flights.Passed(harness.Replies) == 0 || owner.ToEtcd[0].Passed(harness.Requests)+owner.ToEtcd[1].Passed(harness.Requests)+owner.ToEtcd[2].Passed(harness.Requests) == 0 {
		t.Fatal("the process does not go through its links")
	}
	checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	checker.WaitAnswers(t, fewAnswers, settle)
	const stalled = 5 * time.Second // below the queries' budget for owners
	owner.Flights.Stall(harness.Replies)
	time.Sleep(stalled)
	owner.Flights.Heal()
	checker.WaitAnswers(t, fewAnswers, settle)
	checked := c.StopAndCheck(t, checker, log, topic)
	if checked.Refused > 0 || checked.Longest < stalled/2 {
		t.Errorf("queries did not wait for the owner: %s", checked)
	}
	c.CheckNow(t, log, "events", eventQuestions()...)
}
