package kafka

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"drumlin/consumer"
	"drumlin/internal/producer"
	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

// logins are all ways to connect, as properties of the server.
func logins(t *testing.T, k *harness.Kafka, ca *testkit.CA) map[string]map[string]string {
	t.Helper()
	own := ca.Client(t, topicName(t)) // a file of its own: tests run side by side
	store := t.TempDir() + "/store.pem"
	var pem []byte
	for _, name := range []string{own.CertFile, own.KeyFile} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pem = append(pem, data...)
	}
	if err := os.WriteFile(store, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	mutual := k.ClientProperties(harness.ListenTLS, alice, "")
	mutual["ssl.keystore.type"], mutual["ssl.keystore.location"] = "PEM", store
	out := map[string]map[string]string{"SSL": mutual}
	for _, listener := range []string{harness.ListenSASLPlain, harness.ListenSASLTLS} {
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			out[listener+" "+mechanism] = k.ClientProperties(listener, alice, mechanism)
		}
	}
	return out
}

func testLogin(t *testing.T, k *harness.Kafka, ca *testkit.CA) {
	for name, properties := range logins(t, k, ca) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, k, rigOptions{properties: properties})
			r.produce(r.client, 0, 10)
			r.start(0)
			if c := r.drain(0); c.Stored != 10 {
				t.Errorf("counters %+v", c)
			}
		})
	}
	t.Run("the spec's own user", func(t *testing.T) {
		server := k.ClientProperties(harness.ListenSASLPlain, harness.KafkaUser{Name: "nobody"}, "SCRAM-SHA-256")
		own := k.ClientProperties(harness.ListenSASLPlain, alice, "SCRAM-SHA-256")
		r := newRig(t, k, rigOptions{properties: server, own: own})
		r.produce(r.client, 0, 10)
		r.start(0)
		r.drain(0)
	})
}

func testRefused(t *testing.T, k *harness.Kafka, ca *testkit.CA) {
	wrong := harness.KafkaUser{Name: "alice", Password: "wr0ng"}
	stranger := testkit.NewCA(t)
	ways := map[string]struct {
		properties map[string]string
		want       string // in the worker's error and in that of the commands
	}{}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		ways["password "+mechanism] = struct {
			properties map[string]string
			want       string
		}{k.ClientProperties(harness.ListenSASLTLS, wrong, mechanism), "refuses the user or the password"}
	}
	all := logins(t, k, ca)
	add := func(name, want string, properties map[string]string, changes ...string) {
		p := maps.Clone(properties)
		for i := 0; i < len(changes); i += 2 {
			if p[changes[i]] = changes[i+1]; changes[i+1] == "" {
				delete(p, changes[i])
			}
		}
		ways[name] = struct {
			properties map[string]string
			want       string
		}{p, want}
	}
	add("unknown authority", "a certificate that is not trusted", all["SASL_SSL PLAIN"], "ssl.truststore.location", stranger.File)
	add("no certificate of its own", "it may want a certificate", all["SSL"], "ssl.keystore.location", "", "ssl.keystore.type", "")
	add("no TLS where it is wanted", "", all["SASL_SSL PLAIN"], "security.protocol", "SASL_PLAINTEXT")
	add("TLS where there is none", "security.protocol does not fit", all["SASL_SSL PLAIN"], "bootstrap.servers", k.Address())
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			begin := time.Now()
			_, err := producer.OpenTopics(ctx, way.properties)
			if err == nil || !strings.Contains(err.Error(), way.want) || strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("the commands say %v", err)
			}
			t.Logf("after %s: %v", time.Since(begin).Round(time.Millisecond), err)
			r := newRig(t, k, rigOptions{properties: way.properties})
			r.start(0)
			s := r.waitFor(0, "a failure that is told", func(s consumer.PartitionStatus) bool { return s.LastError != "" })
			t.Logf("the worker says: %s", s.LastError)
			if s.State != consumer.StateStarting || !strings.Contains(s.LastError, way.want) || strings.Contains(s.LastError, "wr0ng") {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// testCommands: the commands that write to Kafka connect as the server does.
func testCommands(t *testing.T, k *harness.Kafka) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	properties := k.ClientProperties(harness.ListenSASLTLS, alice, "SCRAM-SHA-512")
	topics, err := producer.OpenTopics(ctx, properties)
	if err != nil {
		t.Fatal(err)
	}
	defer topics.Close()
	if err := topics.Create(ctx, "commands", 2); err != nil {
		t.Fatal(err)
	}
	n, err := producer.Run(ctx, producer.Options{Properties: properties, Topic: "commands", MaxMessageBytes: 1 << 20}, &counted{left: 500})
	if err != nil || n != 500 {
		t.Errorf("%d acknowledged, %v", n, err)
	}
}

type counted struct{ left int }

func (c *counted) Next() (producer.Record, bool, error) {
	c.left--
	return producer.Record{Value: fmt.Appendf(nil, `{"n":%d}`, c.left)}, c.left >= 0, nil
}
