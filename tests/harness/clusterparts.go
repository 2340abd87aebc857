package harness

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"drumlin/internal/testkit"
)

// Credentials and bucket of the S3 server of tests.
const (
	s3AccessKey = "drumlin-test"
	s3Secret    = "drumlin-test-secret"
	s3Bucket    = "drumlin"
	s3Region    = "us-east-1"
)

// Parts are the servers that drumlin processes stand on.
type Parts struct {
	Kafka *Kafka
	Etcd  *EtcdCluster
	S3    *Versity

	hostsKafka string // loopback host:port of the listener for hosts; it advertises kafkaHostName and the same port
}

// PartsOptions say what servers a cluster stands on.
type PartsOptions struct {
	EtcdMembers     int               // 0: three
	KafkaProperties map[string]string // over the harness's own
}

// StartParts starts Kafka, etcd members and an S3 server, all at once, and waits for them. They end with the test: for tests
// that break them. Others take SharedParts.
func StartParts(t testing.TB, o PartsOptions) *Parts {
	t.Helper()
	for _, name := range []string{"kafka", "java", "etcd", "versitygw"} {
		testkit.Part(t, name) // skips, or fails, before anything starts
	}
	members := o.EtcdMembers
	if members == 0 {
		members = 3
	}
	// A broker that was killed may come back when its old session is over.
	properties := map[string]string{"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}
	maps.Copy(properties, o.KafkaProperties)
	parts := &Parts{hostsKafka: testkit.FreeAddress(t)}
	_, port := splitAddress(t, parts.hostsKafka)
	Together(
		t,
		func(t testing.TB) {
			parts.Kafka = StartKafka(t, KafkaOptions{
				Properties: properties,
				Named:      map[string]string{"HOSTS": kafkaHostName + ":" + port},
			})
			parts.hostsKafka = parts.Kafka.Addresses["HOSTS"]
		},
		func(t testing.TB) { parts.Etcd = StartEtcd(t, EtcdOptions{Members: members}) },
		func(t testing.TB) { parts.S3 = StartVersity(t) },
	)
	return parts
}

// Together runs steps of a test at the same time, each with the test's own t: a step that fails, or skips, ends the test
// when all have ended.
func Together(t testing.TB, steps ...func(t testing.TB)) {
	t.Helper()
	var all sync.WaitGroup
	ended := make([]*stepTB, len(steps))
	for i, step := range steps {
		ended[i] = &stepTB{TB: t}
		all.Go(func() { ended[i].run(step) })
	}
	all.Wait()
	for _, step := range ended {
		step.pass(t)
	}
}

// Versity is an S3 server over a directory, in a process of its own. Its address stays the same over restarts.
type Versity struct {
	*Process
	Address string // host:port
	Dir     string // holds the bucket's objects as files

	path string
}

// StartVersity starts the server with an empty bucket and waits until it answers. It is killed at the test's end.
func StartVersity(t testing.TB) *Versity {
	t.Helper()
	v := &Versity{Process: newProcess("versitygw"), Address: testkit.FreeAddress(t), Dir: t.TempDir(), path: testkit.Part(t, "versitygw")}
	if err := os.Mkdir(filepath.Join(v.Dir, s3Bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.Kill(t)
		v.log.show(t, v.Name)
	})
	v.Start(t)
	return v
}

// Start starts the server again and waits until it answers.
func (v *Versity) Start(t testing.TB) {
	t.Helper()
	env := append(os.Environ(), "ROOT_ACCESS_KEY_ID="+s3AccessKey, "ROOT_SECRET_ACCESS_KEY="+s3Secret)
	v.launch(t, v.Dir, env, v.path, "--port", v.Address, "--region", s3Region, "--keep-alive", "--quiet", "posix", v.Dir)
	ctx, cancel := context.WithTimeout(context.Background(), startBudget)
	defer cancel()
	for {
		if answersHTTP(ctx, v.Address) {
			return
		}
		if exit, ended := v.ended(); ended {
			t.Fatalf("versitygw ended before it answered: %v\n%s", exit, v.log.lastWords())
		}
		select {
		case <-ctx.Done():
			t.Fatalf("versitygw does not answer after %s\n%s", startBudget, v.log.lastWords())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// answersHTTP says whether anything comes back, be it a refusal.
func answersHTTP(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil
}
