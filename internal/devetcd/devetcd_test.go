package devetcd

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestDataSurvivesRestartOnOtherPorts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	for round := range 3 {
		server, err := Start(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint()}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Get(ctx, "rounds")
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Kvs) == 1 != (round > 0) {
			t.Fatalf("round %d: %d keys", round, len(got.Kvs))
		}
		if _, err := client.Put(ctx, "rounds", "kept"); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		server.Close()
	}
}
