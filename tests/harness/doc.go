// Package harness runs the real drumlin binary for tests: it starts it on free loopback ports, asks it over HTTP, writes
// to its broker, kills it and starts it again. It knows the product only from outside.
//
// Dev is one `drumlin dev`. Cluster is drumlin as separate processes over Apache Kafka, etcd and an S3 server, which the
// tests of a package share (SharedParts); a test that breaks these takes parts of its own (StartParts). A test of a cluster
// looks like this:
//
//	func TestKilledIngester(t *testing.T) {
//		c := harness.StartCluster(t, binary, harness.ClusterOptions{Ingesters: 2, Coordinators: 1, Queriers: 1})
//		topic := begin(t, c, 4, eventsSpec) // creates the topic, submits the spec
//		feed := c.StartFeed(t, harness.FeedOptions{Topic: topic, PerSecond: 2000, Seed: 1})
//		checker := c.StartChecker(t, harness.CheckerOptions{Datasource: "events", Questions: eventQuestions()})
//		c.Ingesters()[0].Kill(t) // or Pause, Continue, Stop, Restart; c.S3Proxy.SetRules; c.Etcd.KillMember; c.Kafka.Restart
//		c.WaitShared(t, "events", 4, 30*time.Second, c.Ingesters()[1])
//		feed.Stop(t)
//		checked := c.StopAndCheck(t, checker, newEventLog(), topic) // every answer, at its own cut, against the oracle
//		t.Log(checked.Longest)
//	}
//
// What cuts networks: ClusterOptions.Links puts a NetProxy into each process's ways (Node.ToEtcd, ToObjects, Flights); NewHost
// makes a network namespace whose cable can be pulled, and AddOn starts a process in it. Every test ends what it started, by
// its number, also where it fails; children die with the test binary.
package harness
