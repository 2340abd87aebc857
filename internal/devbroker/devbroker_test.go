package devbroker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("DEVBROKER_CHILD_DIR"); dir != "" {
		os.Exit(serveUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

// serveUntilKilled is the child process of the kill test: it prints its address and waits to be killed.
func serveUntilKilled(dir string) int {
	b, err := Start(testOptions(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(b.Address())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent goes away
	return 0
}

func testOptions(dir string) Options {
	return Options{
		Address: "127.0.0.1:0", DataDir: dir, DefaultPartitions: 2, MaxMessageBytes: 16 << 20,
		Logger: slog.New(slog.DiscardHandler),
	}
}

func TestTopicCreatedByUseSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "DEVBROKER_CHILD_DIR="+dir)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	const records = 500
	produceByUse(ctx, t, address[:len(address)-1], "made-by-use", records)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed: always an error

	b, err := Start(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := countRecords(ctx, t, b.Address(), "made-by-use", records); got != records {
		t.Fatalf("%d records after the kill, %d were acknowledged", got, records)
	}
}

func produceByUse(ctx context.Context, t *testing.T, address, topic string, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range n {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d", i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func countRecords(ctx context.Context, t *testing.T, address, topic string, want int) int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := 0
	for got < want {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d records: %v", got, err)
		}
		got += fetches.NumRecords()
	}
	return got
}
