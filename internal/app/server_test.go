package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/config"
	"drumlin/internal/devbroker"
	"drumlin/internal/devetcd"
	"drumlin/internal/testkit"
)

const clusterSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: clicks
    timestampSpec: {column: t, format: millis}
    dimensionsSpec: {dimensions: [page]}
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}
    dedupSpec: {key: id}
  ioConfig: {topic: clicks, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {type: kafka}
`

// outside is what a cluster stands on, within the test's process.
type outside struct {
	broker *devbroker.Broker
	etcd   *devetcd.Server
	dir    string
}

func startOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{dir: t.TempDir()}
	var err error
	o.broker, err = devbroker.Start(devbroker.Options{
		Address: testkit.FreeAddress(t), DataDir: filepath.Join(o.dir, "kafka"), DefaultPartitions: 2, MaxMessageBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.broker.Close)
	if o.etcd, err = devetcd.Start(t.Context(), filepath.Join(o.dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.etcd.Close)
	return o
}

func (o *outside) config(t *testing.T, roles ...string) config.Server {
	t.Helper()
	c := config.Default()
	c.Roles = roles
	c.HTTP.Address, c.Flight.Address = testkit.FreeAddress(t), testkit.FreeAddress(t)
	c.Etcd.Endpoints, c.Kafka.BootstrapServers = []string{o.etcd.Endpoint()}, []string{o.broker.Address()}
	c.Objects.Dir = filepath.Join(o.dir, "objects")
	c.Cache.Dir, c.Spill.Dir = filepath.Join(o.dir, "cache"), filepath.Join(o.dir, "spill")
	c.Ingest.DiscoverInterval = 200 * time.Millisecond
	c.LeaseTTL = 2 * time.Second
	c.Access.PeerToken = "a-token-that-processes-share"
	return c
}

// runServer runs a server until the test ends, or until the returned function, which gives its log, is called.
func runServer(t *testing.T, c config.Server) (stop func() string) {
	t.Helper()
	log := &locked{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		defer close(done)
		done <- RunServer(ctx, c, World{
			Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Out: io.Discard, Version: "test",
		})
	}()
	ended := false
	stop = func() string {
		cancel()
		if !ended {
			ended = true
			if err := <-done; err != nil {
				t.Errorf("%v: %v", c.Roles, err)
			}
		}
		return log.String()
	}
	t.Cleanup(func() {
		text := stop()
		if t.Failed() {
			t.Logf("log of %v:\n%s", c.Roles, text)
		}
	})
	waitHealthy(t, c.HTTP.Address, done)
	return stop
}

// TestRolesInTwoProcesses reads in one process and asks in the other, whose hot rows come over the network.
func TestRolesInTwoProcesses(t *testing.T) {
	o := startOutside(t)
	ingest, rest := o.config(t, config.RoleIngest), o.config(t, config.RoleCoordinate, config.RoleCompact, config.RoleQuery)
	stopRest := runServer(t, rest)
	stopIngest := runServer(t, ingest)
	post(t, rest, "/druid/indexer/v1/supervisor", clusterSpec)
	producer, err := kgo.NewClient(kgo.SeedBrokers(o.broker.Address()), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("clicks"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	base := time.Now().Add(-time.Hour).UnixMilli()
	for i := range 100 {
		value := fmt.Appendf(nil, `{"id": "m%d", "t": %d, "page": "p%d"}`, i%90, base+int64(i%90), i%3)
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	waitAnswer(t, rest, `[{"n":90}]`)
	post(t, rest, "/druid/indexer/v1/supervisor/clicks/taskGroups/handoff", "")
	waitAnswer(t, rest, `[{"n":90}]`)
	for what, got := range map[string][]string{
		"ingest": parts(stopIngest(), "started"), "the others": parts(stopRest(), "started"),
	} {
		want := []string{
			"listener", "flight listener", "etcd client", "catalog", "kafka client", "consumer", "peer client", "flight", "coordinator", "http",
		}
		if what != "ingest" {
			want = []string{
				"listener", "flight listener", "etcd client", "catalog", "kafka client", "peer client", "query", "flight", "coordinator", "http",
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: started %v", what, got)
		}
	}
}

// TestAServerWaitsForEtcd starts a process before its etcd: it says what it waits for, and stops when asked to.
func TestAServerWaitsForEtcd(t *testing.T) {
	o := startOutside(t)
	c := o.config(t, config.RoleQuery)
	c.Etcd.Endpoints, c.Etcd.DialTimeout = []string{testkit.FreeAddress(t)}, 200*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- RunServer(ctx, c, World{Logger: slog.New(slog.DiscardHandler), Out: io.Discard}) }()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		status, body := get(t, c, "/status/health")
		if status == http.StatusServiceUnavailable && strings.Contains(body, "waiting for etcd at "+c.Etcd.Endpoints[0]) {
			break
		}
		select {
		case err := <-done:
			t.Fatalf("ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %s", status, body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopped while waiting: %v", err)
	}
}

func get(t *testing.T, c config.Server, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + c.HTTP.Address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func post(t *testing.T, c config.Server, path, body string) string {
	t.Helper()
	status, text := tryPost(t, c, path, body)
	if status != http.StatusOK {
		t.Fatalf("POST %s: %d %s", path, status, text)
	}
	return text
}

func tryPost(t *testing.T, c config.Server, path, body string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := client.Post("http://"+c.HTTP.Address+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func waitAnswer(t *testing.T, c config.Server, want string) {
	t.Helper()
	question, err := json.Marshal(map[string]string{"query": "SELECT COUNT(*) AS n FROM clicks"})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		status, body := tryPost(t, c, "/druid/v2/sql", string(question))
		if status == http.StatusOK && strings.TrimSpace(body) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("answer %d %s, want %s", status, body, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
