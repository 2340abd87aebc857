package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestKafkaFlags(t *testing.T) {
	config := filepath.Join(t.TempDir(), "client.properties")
	text := "bootstrap.servers=file:9092\nsecurity.protocol=SSL\nlinger.ms=5\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args     []string
		env      map[string]string
		servers  string
		protocol string
	}{
		{servers: defaultBrokers},
		{env: map[string]string{brokersVariable: "env:1"}, servers: "env:1"},
		{args: []string{"--brokers", "flag:1"}, env: map[string]string{brokersVariable: "env:1"}, servers: "flag:1"},
		{args: []string{"--kafka-config", config}, servers: "file:9092", protocol: "SSL"},
		{env: map[string]string{kafkaConfigVariable: config}, servers: "file:9092", protocol: "SSL"},
		{args: []string{"--kafka-config", config, "--brokers", "flag:1"}, servers: "flag:1", protocol: "SSL"},
	} {
		var notes bytes.Buffer
		env := &Env{Stderr: &notes, Getenv: func(name string) string { return c.env[name] }}
		cmd := &cobra.Command{Use: "x", Run: func(*cobra.Command, []string) {}}
		properties := kafkaFlags(cmd, env)
		cmd.SetArgs(c.args)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		got, err := properties()
		if err != nil || got["bootstrap.servers"] != c.servers || got["security.protocol"] != c.protocol {
			t.Errorf("%v, %v: %v, %v", c.args, c.env, got, err)
		}
		if said := strings.Contains(notes.String(), "linger.ms"); said != (c.protocol != "") {
			t.Errorf("%v: notes %q", c.args, notes.String())
		}
	}
}
