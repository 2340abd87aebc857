package app

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"drumlin/internal/config"
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

	MaxCompactionBytes int64         // memory of one compaction task; beyond it tasks spill to disk
	CompactionSlots    int           // tasks that run at a time
	RecentInterval     time.Duration // how often auto-compaction looks for small merges of new chunks
	HistoricalInterval time.Duration // how often auto-compaction looks for chunks to compact whole
	RetentionInterval  time.Duration // how often retention rules and dedup horizons are looked at
	CollectInterval    time.Duration // how often objects that nothing shows any more are looked for
	CollectGrace       time.Duration // how long what a compaction has replaced stays
}

// DefaultDevConfig suits a laptop.
func DefaultDevConfig() DevConfig {
	return DevConfig{
		DataDir: "drumlin-data", HTTPAddress: "127.0.0.1:8888", KafkaAddress: "127.0.0.1:9092",
		TopicPartitions: 4, MaxMessageBytes: 16 << 20,
		MaxHotBytes: 2 << 30, MaxQueryBytes: 2 << 30, MaxSpillBytes: 8 << 30, MaxCacheBytes: 8 << 30,
		MaxConcurrentQueries: 8, DiscoverInterval: time.Second, LeaseTTL: 10 * time.Second, StopTimeout: 20 * time.Second,
		MaxCompactionBytes: 256 << 20, CompactionSlots: 2, RecentInterval: 30 * time.Second, HistoricalInterval: 10 * time.Minute,
		RetentionInterval: time.Minute, CollectInterval: 5 * time.Minute, CollectGrace: 10 * time.Minute,
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
	if c.CompactionSlots < 1 {
		problem("--compaction-slots: %d is not 1 or more", c.CompactionSlots)
	}
	if c.MaxCompactionBytes < 16<<20 {
		problem("--max-compaction-bytes: %d is less than 16 MiB", c.MaxCompactionBytes)
	}
	for _, every := range []struct {
		flag  string
		value time.Duration
	}{
		{"--recent-every", c.RecentInterval},
		{"--historical-every", c.HistoricalInterval},
		{"--retention-every", c.RetentionInterval},
		{"--collect-every", c.CollectInterval},
	} {
		if every.value < 100*time.Millisecond {
			problem("%s: %s is less than 100ms", every.flag, every.value)
		}
	}
	if c.CollectGrace < time.Millisecond {
		problem("--collect-grace: %s is less than 1ms", c.CollectGrace)
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

// server is what the roles of a dev process run by. Its etcd and brokers are those of the process itself.
func (c DevConfig) server() config.Server {
	s := config.Default()
	s.HTTP.Address, s.Kafka.BootstrapServers = c.HTTPAddress, []string{c.KafkaAddress}
	s.Cache.MaxBytes, s.Spill.MaxBytes = config.Bytes(c.MaxCacheBytes), config.Bytes(c.MaxSpillBytes)
	s.Ingest = config.Ingest{MaxHotBytes: config.Bytes(c.MaxHotBytes), DiscoverInterval: c.DiscoverInterval}
	s.Query.MaxBytes, s.Query.Threads, s.Query.MaxConcurrent = config.Bytes(c.MaxQueryBytes), c.QueryThreads, c.MaxConcurrentQueries
	s.Compaction = config.Compaction{
		MaxBytes: config.Bytes(c.MaxCompactionBytes), Slots: c.CompactionSlots, ClusterSlots: c.CompactionSlots,
		RecentInterval:     c.RecentInterval,
		HistoricalInterval: c.HistoricalInterval, RetentionInterval: c.RetentionInterval,
		CollectInterval: c.CollectInterval, CollectGrace: c.CollectGrace,
	}
	s.LeaseTTL, s.StopTimeout = c.LeaseTTL, c.StopTimeout
	return s
}
