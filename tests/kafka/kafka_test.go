package kafka

import (
	"testing"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

var alice = harness.KafkaUser{Name: "alice", Password: `s3cret; pass=word`}

// TestKafka runs everything that one broker can serve side by side, and at the end what ends or breaks it.
func TestKafka(t *testing.T) {
	ca := testkit.NewCA(t)
	broker := harness.StartKafka(t, harness.KafkaOptions{
		Listeners: []string{harness.ListenTLS, harness.ListenSASLPlain, harness.ListenSASLTLS},
		CA:        ca, ClientAuth: true, Users: []harness.KafkaUser{alice},
	})
	type part struct {
		name string
		run  func(*testing.T, *harness.Kafka)
	}
	t.Run("well", func(t *testing.T) {
		for _, test := range []part{
			{"log in", func(t *testing.T, k *harness.Kafka) { testLogin(t, k, ca) }},
			{"refused", func(t *testing.T, k *harness.Kafka) { testRefused(t, k, ca) }},
			{"commands", testCommands},
			{"codecs", testCodecs},
			{"transactions", testTransactions},
			{"open transaction", testOpenTransaction},
			{"large records", testLargeRecords},
			{"bomb", testBomb},
			{"compacted", testCompacted},
			{"deleted records", testDeletedRecords},
			{"retention", testRetention},
			{"recreated", testRecreated},
			{"partitions added", testPartitionsAdded},
			{"group", testGroup},
			{"group without coordinator", testGroupFails},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(t, broker)
			})
		}
	})
	for _, test := range []part{{"restarts", testRestarts}, {"lost log", testLostLog}} {
		t.Run(test.name, func(t *testing.T) { test.run(t, broker) })
	}
}
