package app

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// DevConfig is what drumlin dev runs by.
type DevConfig struct {
	DataDir      string
	HTTPAddress  string   // host:port of the HTTP interface
	KafkaAddress string   // host:port of the embedded broker
	SpecFiles    []string // supervisor specs to submit at start

	TopicPartitions      int           // of topics that are created by use
	MaxMessageBytes      int           // of one produced batch
	MaxHotBytes          int64         // budget of hot rows
	MaxQueryBytes        int64         // budget of the query engine
	MaxSpillBytes        int64         // what queries may spill to disk
	MaxCacheBytes        int64         // local copies of cold segments
	QueryThreads         int           // 0: one per core
	MaxConcurrentQueries int           // further ones wait
	DiscoverInterval     time.Duration // how often topics and partitions are looked for
	LeaseTTL             time.Duration // of this process's registration
	StopTimeout          time.Duration // for the last handoff and the release
}

// DefaultDevConfig suits a laptop.
func DefaultDevConfig() DevConfig {
	return DevConfig{
		DataDir: "drumlin-data", HTTPAddress: "127.0.0.1:8888", KafkaAddress: "127.0.0.1:9092",
		TopicPartitions: 4, MaxMessageBytes: 16 << 20,
		MaxHotBytes: 2 << 30, MaxQueryBytes: 2 << 30, MaxSpillBytes: 8 << 30, MaxCacheBytes: 8 << 30,
		MaxConcurrentQueries: 8, DiscoverInterval: time.Second, LeaseTTL: 10 * time.Second, StopTimeout: 20 * time.Second,
	}
}

// Validate reports every problem at once.
func (c DevConfig) Validate() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.DataDir == "" {
		problem("--data-dir: name a directory")
	}
	for _, address := range []struct{ flag, value string }{{"--http", c.HTTPAddress}, {"--kafka", c.KafkaAddress}} {
		host, port, err := net.SplitHostPort(address.value)
		if err != nil || host == "" || port == "" {
			problem("%s: %q is not HOST:PORT, such as 127.0.0.1:8888", address.flag, address.value)
		}
	}
	if c.TopicPartitions < 1 {
		problem("--partitions: %d is not 1 or more", c.TopicPartitions)
	}
	for _, limit := range []struct {
		flag  string
		value int64
	}{
		{"--max-hot-bytes", c.MaxHotBytes},
		{"--max-query-bytes", c.MaxQueryBytes},
		{"--max-cache-bytes", c.MaxCacheBytes},
	} {
		if limit.value < 64<<20 {
			problem("%s: %d is less than 64 MiB", limit.flag, limit.value)
		}
	}
	return errors.Join(problems...)
}

// paths of one data directory.
func (c DevConfig) brokerDir() string  { return filepath.Join(c.DataDir, "kafka") }
func (c DevConfig) etcdDir() string    { return filepath.Join(c.DataDir, "etcd") }
func (c DevConfig) objectsDir() string { return filepath.Join(c.DataDir, "objects") }
func (c DevConfig) cacheDir() string   { return filepath.Join(c.DataDir, "cache") }
func (c DevConfig) spillDir() string   { return filepath.Join(c.DataDir, "spill") }
