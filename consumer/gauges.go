package consumer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges show how the partitions that are read here stand at the moment of a scrape; nothing is kept between scrapes.
type gauges struct {
	workers     func() []*worker
	memory      *meter
	maxHotBytes int64
	now         func() time.Time

	lag, freshness, hotRows, hotBytes, paused, halted *prometheus.Desc // by partition
	undecided, undecidedTime, failing, silent         *prometheus.Desc // by partition
	used, budget                                      *prometheus.Desc // of the process
}

var _ prometheus.Collector = (*gauges)(nil)

func newGauges(workers func() []*worker, memory *meter, maxHotBytes int64) *gauges {
	partition := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, partitionLabels, nil) }
	process := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	return &gauges{
		workers: workers, memory: memory, maxHotBytes: maxHotBytes, now: time.Now,
		lag: partition("ingest_kafka_partitionLag", "Records between what has been read and the end of what is decided."),
		freshness: partition("drumlin_ingest_freshness_seconds",
			"Age, by its Kafka timestamp, of the newest readable row while more is there to read; 0 when all has been read."),
		undecided: partition("drumlin_ingest_undecided_records", "Records behind the first open transaction, which nobody may read before it has ended."),
		undecidedTime: partition("drumlin_ingest_undecided_seconds",
			"For how long the end of what is decided has not moved while there are undecided records; 0 when there are none."),
		failing: partition("drumlin_ingest_handoff_failing_seconds",
			"For how long the handoff or another step under way has been failing, or waiting for an answer that should come at once; 0: it does not."),
		silent: partition("drumlin_ingest_brokers_silent_seconds",
			"For how long the brokers have answered no question about the partition; 0: they answer."),
		hotRows:  partition("drumlin_ingest_hot_rows", "Hot rows that are not committed yet."),
		hotBytes: partition("drumlin_ingest_hot_bytes", "Bytes of hot rows, committed ones in their grace included."),
		paused:   partition("drumlin_ingest_paused", "1 while nothing is fetched, since hot memory or unfinished handoffs are at their limit."),
		halted:   partition("drumlin_ingest_halted", "1 while the partition is not read until somebody decides; its status says about what."),
		used:     process("drumlin_ingest_hot_memory_bytes", "Memory of hot rows of the process, those that readers still hold included."),
		budget:   process("drumlin_ingest_hot_budget_bytes", "Budget of the process for hot rows: from 85 % on nothing is fetched."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.lag, g.freshness, g.undecided, g.undecidedTime, g.failing, g.silent, g.hotRows, g.hotBytes, g.paused, g.halted, g.used, g.budget} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	now := g.now()
	for _, w := range g.workers() {
		s := w.status.Load()
		values := labels(s.Key)
		put := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, values...)
		}
		put(g.hotRows, float64(s.HotRows))
		put(g.hotBytes, float64(s.HotBytes))
		put(g.paused, flag(s.State == StatePaused))
		put(g.halted, flag(s.State == StateHalted))
		put(g.failing, since(s.FailingSince, now).Seconds())
		put(g.silent, since(s.SilentSince, now).Seconds())
		if s.Lag >= 0 {
			put(g.lag, float64(s.Lag))
			put(g.undecided, float64(s.Undecided))
			put(g.undecidedTime, undecidedFor(s, now).Seconds())
		}
		if age, known := freshness(s, w.newestMillis.Load(), now); known {
			put(g.freshness, age.Seconds())
		}
	}
	out <- prometheus.MustNewConstMetric(g.used, prometheus.GaugeValue, float64(g.memory.used.Load()))
	out <- prometheus.MustNewConstMetric(g.budget, prometheus.GaugeValue, float64(g.maxHotBytes))
}

// freshness is how old the newest readable row is while there is more to read. It is not known where the end of the log
// is not, or where no record has had a Kafka timestamp yet.
func freshness(s *PartitionStatus, newestMillis int64, now time.Time) (age time.Duration, known bool) {
	switch {
	case s.Lag == 0:
		return 0, true
	case s.Lag < 0 || newestMillis <= 0:
		return 0, false
	}
	return max(0, now.Sub(time.UnixMilli(newestMillis))), true
}

func undecidedFor(s *PartitionStatus, now time.Time) time.Duration {
	if s.Undecided == 0 {
		return 0
	}
	return max(0, now.Sub(s.UndecidedSince))
}

// since is how long ago a moment was; 0 where it is none.
func since(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(0, now.Sub(at))
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
