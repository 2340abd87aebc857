package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"drumlin/tests/harness"
	"drumlin/tests/oracle"
)

// TestAHostThatIsCutOff takes an ingesting process's network away: all of it, the way to etcd, the way to Kafka, and one
// direction. Where its lease cannot live the other one takes over, and what the one that was cut off still holds neither is
// committed nor shows in answers. When the network is back, it has its share again.
func TestAHostThatIsCutOff(t *testing.T) {
	t.Parallel()
	host := harness.NewHost(t, "cut")
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Ingesters: 1, Coordinators: 1, Queriers: 1, LeaseTTL: leaseLife})
	stays, away := c.Ingesters()[0], c.AddOn(t, host, harness.RoleIngest)
	s := startSteady(t, c)
	losesLease := func(what string, least time.Duration, cut, heal func()) {
		t.Helper()
		before, _ := sample(t, away, "drumlin_sessions_total")
		begun := time.Now()
		cut()
		_, took := c.WaitShared(t, "events", steadyPartitions, settle, stays)
		t.Logf("%s: taken over after %s", what, took.Round(time.Millisecond))
		s.goesOn(t, what)
		time.Sleep(time.Until(begun.Add(least)))
		heal()
		_, took = c.WaitShared(t, "events", steadyPartitions, settle, stays, away)
		t.Logf("%s: shared again %s after it was over", what, took.Round(time.Millisecond))
		s.goesOn(t, "after "+what)
		if after, _ := sample(t, away, "drumlin_sessions_total"); after != before+1 {
			t.Errorf("%s: the process registered %v times anew, want once", what, after-before)
		}
	}
	losesLease("cut off from everything", 2*leaseLife, func() { host.Cut(t) }, func() { host.Heal(t) })
	losesLease("cut off from etcd", stated(0, 2*leaseLife), func() { each(away.ToEtcd, (*harness.NetProxy).Cut) },
		func() { each(away.ToEtcd, (*harness.NetProxy).Heal) })
	losesLease("unheard", stated(0, 2*leaseLife), func() { dropFrom(t, host) }, func() { deliverFrom(t, host) })
	if long() {
		losesLease("deaf", 2*leaseLife, func() { dropTo(t, host) }, func() { deliverTo(t, host) })
	}

	away.ToKafka.Cut()
	s.checker.WaitAnswers(t, steadyAnswers, settle)
	time.Sleep(stated(4*time.Second, 10*time.Second))
	away.ToKafka.Heal()
	s.goesOn(t, "after being cut off from Kafka")
	c.WaitShared(t, "events", steadyPartitions, settle, stays, away)
	if checked := s.end(t); checked.Refused > 0 {
		t.Errorf("queries were refused: %s", checked)
	}
}

// leaseLife is how long a lease lives where a test waits for its end.
const leaseLife = 3 * time.Second

func each(ways []*harness.NetProxy, do func(*harness.NetProxy)) {
	for _, way := range ways {
		do(way)
	}
}

// nowhere is a hardware address that nobody has: frames to it vanish, and nobody is told.
const nowhere = "02:00:00:00:00:01"

// dropFrom lets everything vanish that the host sends; what is sent to it arrives.
func dropFrom(t *testing.T, h *harness.Host) {
	t.Helper()
	ip(t, "-n", h.Name, "neigh", "replace", h.Gateway, "lladdr", nowhere, "dev", "eth0", "nud", "permanent")
}

func deliverFrom(t *testing.T, h *harness.Host) {
	t.Helper()
	ip(t, "-n", h.Name, "neigh", "del", h.Gateway, "dev", "eth0")
}

// dropTo lets everything vanish that is sent to the host; what it sends arrives.
func dropTo(t *testing.T, h *harness.Host) {
	t.Helper()
	ip(t, "neigh", "replace", h.Address, "lladdr", nowhere, "dev", cable(t, h), "nud", "permanent")
}

func deliverTo(t *testing.T, h *harness.Host) {
	t.Helper()
	ip(t, "neigh", "del", h.Address, "dev", cable(t, h))
}

// cable is this machine's end of the host's cable.
func cable(t *testing.T, h *harness.Host) string {
	t.Helper()
	_, rest, _ := strings.Cut(ip(t, "route", "get", h.Address), " dev ")
	name, _, found := strings.Cut(rest, " ")
	if !found {
		t.Fatalf("no cable leads to %s", h.Address)
	}
	return name
}

func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestOwnersOutOfReach stalls and cuts what goes between a process that queries and an owner, while the owner is well
// otherwise: queries wait for it instead of answering without its rows; after their budget they are refused, and name
// partitions, node and address; and those that allow it are answered without the rows, and say what is missing.
func TestOwnersOutOfReach(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, binary, harness.ClusterOptions{Ingesters: 2, Coordinators: 1, Queriers: 1, Links: true})
	owner := c.Ingesters()[0]
	topic := begin(t, c, 2, eventsSpec)
	status, _ := c.WaitShared(t, "events", 2, settle, c.Ingesters()...)
	c.StartFeed(t, harness.FeedOptions{Topic: topic, Events: 2000, Seed: 1}).Wait(t)
	log := newEventLog()
	c.ReadLog(t, log, topic)
	c.WaitCut(t, "events", log.Ends(), settle)
	toEtcd := int64(0)
	for _, way := range owner.ToEtcd {
		toEtcd += way.Passed(harness.Requests)
	}
	if owner.Flights.Passed(harness.Replies) == 0 || toEtcd == 0 {
		t.Fatal("the process does not go through its links")
	}
	checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
	checker.WaitAnswers(t, fewAnswers, settle)
	stalled := stated(4*time.Second, 10*time.Second) // below the queries' budget for owners
	for _, way := range []harness.Direction{harness.Replies, harness.Requests} {
		owner.Flights.Stall(way)
		time.Sleep(stalled)
		if way == harness.Replies {
			refusedNaming(t, c, log, owner, status)
		}
		owner.Flights.Heal()
		checker.WaitAnswers(t, fewAnswers, settle)
	}
	owner.Flights.Cut()
	refusedNaming(t, c, log, owner, status)
	owner.Flights.Heal()
	checker.WaitAnswers(t, fewAnswers, settle)
	checked := c.StopAndCheck(t, checker, log, topic)
	if checked.Refused > 0 || checked.Longest < stalled/2 {
		t.Errorf("queries did not wait for the owner: %s", checked)
	}
	c.CheckNow(t, log, "events", eventQuestions()...)
}

// refusedNaming asks without patience, and once more for what there is.
func refusedNaming(t *testing.T, c *harness.Cluster, log *oracle.Log, owner *harness.Node, status harness.SupervisorStatus) {
	t.Helper()
	const patience = time.Second
	var lost []string
	for _, p := range status.PartitionStatus {
		if p.Owner == owner.ID {
			lost = append(lost, fmt.Sprintf("events/%s/%d", p.Topic, p.Partition))
		}
	}
	question := eventQuestions()[0]
	begun, watch := time.Now(), harness.StartWatch()
	code, _, body := askWith(t, c, question.SQL, map[string]any{"hotTimeout": patience.Milliseconds()})
	took := time.Since(begun)
	t.Logf("refused after %s: %d %s", took.Round(time.Millisecond), code, body)
	if code != http.StatusServiceUnavailable || took < patience {
		t.Errorf("a query that cannot be answered came to %d after %s", code, took)
	}
	watch.Within(t, "a query that cannot be answered", took, 15*patience)
	for _, word := range append([]string{owner.ID, owner.Flights.Address()}, lost...) {
		if !strings.Contains(string(body), word) {
			t.Errorf("the refusal does not name %s: %s", word, body)
		}
	}
	code, header, body := askWith(t, c, question.SQL, map[string]any{"hotTimeout": patience.Milliseconds(), "allowPartial": true})
	if code != http.StatusOK {
		t.Fatalf("a query that allows a partial answer: %d %s", code, body)
	}
	var partial struct {
		Missing    int
		Partitions []string
	}
	if err := json.Unmarshal([]byte(header.Get("X-Drumlin-Partial")), &partial); err != nil {
		t.Fatalf("what is missing, %q: %v", header.Get("X-Drumlin-Partial"), err)
	}
	t.Logf("missing: %v", partial.Partitions)
	if partial.Missing != len(lost) || len(partial.Partitions) != len(lost) || !strings.HasPrefix(partial.Partitions[0], lost[0]) {
		t.Errorf("missing are %+v, want %v", partial, lost)
	}
	checkPartial(t, log, question, &harness.Answer{Body: body, Cut: json.RawMessage(header.Get("X-Drumlin-Cut"))})
}

// checkPartial holds a partial answer against the oracle at its own cut, which must lie before the end.
func checkPartial(t *testing.T, log *oracle.Log, question harness.Question, answer *harness.Answer) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(answer.Body))
	decoder.UseNumber()
	if err := decoder.Decode(&answer.Rows); err != nil {
		t.Fatalf("read the answer %.200q: %v", answer.Body, err)
	}
	cut := answer.Offsets(t, "events")
	if fmt.Sprint(cut) == fmt.Sprint(log.Ends()) {
		t.Errorf("a partial answer has the whole log: %v", cut)
	}
	tally := question.Tally()
	if err := log.Walk(tally).Advance(cut); err != nil {
		t.Fatal(err)
	}
	if got, want := oracle.Lines(answer.Rows, question.Columns...), tally.Lines(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the partial answer at the cut %v is\n%v\nwant\n%v", cut, got, want)
	}
}

// askWith asks the process that queries, with a query context.
func askWith(t *testing.T, c *harness.Cluster, sql string, settings map[string]any) (int, http.Header, []byte) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": sql, "resultFormat": "object", "context": settings})
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: time.Minute}
	res, err := client.Post("http://"+c.Nodes(harness.RoleQuery)[0].HTTP+"/druid/v2/sql", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, out.Bytes()
}
