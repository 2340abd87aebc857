package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drumlin/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// locked is a buffer that a logger and a test share.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func testConfig(t *testing.T) DevConfig {
	t.Helper()
	config := DefaultDevConfig()
	config.DataDir = t.TempDir()
	config.HTTPAddress, config.KafkaAddress = testkit.FreeAddress(t), testkit.FreeAddress(t)
	return config
}

// TestStartAndStopOrder runs every role, twice on one directory, and reads the order out of the log. That nothing is left
// running is goleak's to see.
func TestStartAndStopOrder(t *testing.T) {
	config := testConfig(t)
	order := []string{
		"directory", "listener", "broker", "etcd", "etcd client", "catalog", "kafka client", "consumer", "query", "coordinator", "http",
	}
	for round := range 2 {
		log := &locked{}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- RunDev(ctx, config, World{
				Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Out: io.Discard, Version: "test",
			})
		}()
		waitHealthy(t, config.HTTPAddress, done)
		stop()
		if err := <-done; err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := parts(log.String(), "started"); !slices.Equal(got, order) {
			t.Errorf("round %d: started %v", round, got)
		}
		reversed := slices.Clone(order)
		slices.Reverse(reversed)
		if got := parts(log.String(), "stopped"); !slices.Equal(got, reversed) {
			t.Errorf("round %d: stopped %v", round, got)
		}
	}
}

func parts(log, verb string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`msg=`+verb+` part=("[^"]+"|\S+)`).FindAllStringSubmatch(log, -1) {
		out = append(out, strings.Trim(m[1], `"`))
	}
	return out
}

func waitHealthy(t *testing.T, address string, done <-chan error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		res, err := client.Get("http://" + address + "/status/health")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-done:
			t.Fatalf("ended before it was healthy: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("not healthy in time")
		}
	}
}

func TestAPortInUseIsToldAndNothingIsLeft(t *testing.T) {
	for _, which := range []string{"http", "kafka"} {
		config := testConfig(t)
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if which == "http" {
			config.HTTPAddress = taken.Addr().String()
		} else {
			config.KafkaAddress = taken.Addr().String()
		}
		err = RunDev(t.Context(), config, World{Logger: slog.New(slog.DiscardHandler), Out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("give another --%s", which)) {
			t.Errorf("--%s in use: %v", which, err)
		}
		if err := taken.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryProblemOfTheConfigurationIsTold(t *testing.T) {
	config := DevConfig{HTTPAddress: "8888", KafkaAddress: ":9092"}
	err := config.Validate()
	for _, want := range []string{"--data-dir", "--http", "--kafka", "--partitions", "--max-hot-bytes", "--max-query-bytes", "--max-cache-bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}
