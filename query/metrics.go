package query

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	queries   *prometheus.CounterVec
	seconds   prometheus.Histogram
	running   prometheus.Gauge
	dedupRows prometheus.Counter
	losers    prometheus.Counter
	folded    prometheus.Counter
	pruned    prometheus.Counter
	replans   prometheus.Counter
	reopened  prometheus.Counter
	hotWait   prometheus.Histogram
	hotAgain  prometheus.Counter
	missing   prometheus.Counter
	partial   prometheus.Counter
}

// newMetrics returns nil, which counts nothing, where there is no registerer.
func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		return nil
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "drumlin_query_" + name, Help: help})
	}
	m := &metrics{
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drumlin_query_queries_total", Help: "Queries by outcome: ok, or the kind of the error.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "drumlin_query_seconds", Help: "Time from request to answer.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 17),
		}),
		hotWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "drumlin_query_hot_wait_seconds", Help: "Time until the owners of partitions had given their rows, or were given up.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18),
		}),
		running:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "drumlin_query_running", Help: "Queries that run now."}),
		dedupRows: counter("dedup_rows_total", "Rows that entered the search for copies."),
		losers:    counter("losers_total", "Copies that queries have removed."),
		folded:    counter("folded_rows_total", "Rows that queries have rolled up because compaction had not."),
		pruned:    counter("pruned_segments_total", "Segments left out by time or by bounds of columns."),
		replans:   counter("replans_total", "Plans made again because an object or a cached file was gone, or the schema has grown."),
		hotAgain:  counter("hot_attempts_repeated_total", "Attempts to get hot rows that followed one in which a partition's were missing."),
		missing:   counter("partitions_missing_total", "Partitions that had not given their rows when the time for it was over, over all queries."),
		partial:   counter("partial_answers_total", "Answers without the hot rows of some partitions, where the query allowed it."),
		reopened:  counter("database_reopened_total", "Times that the database had to be opened again."),
	}
	r.MustRegister(m.queries, m.seconds, m.running, m.dedupRows, m.losers, m.folded, m.pruned, m.replans, m.reopened,
		m.hotWait, m.hotAgain, m.missing, m.partial)
	return m
}

func (m *metrics) begin() {
	if m != nil {
		m.running.Inc()
	}
}

func (m *metrics) end(start time.Time, a *Answer, err *Error) {
	if m == nil {
		return
	}
	m.running.Dec()
	m.seconds.Observe(time.Since(start).Seconds())
	outcome := "ok"
	if err != nil {
		outcome = err.Kind.String()
	}
	m.queries.WithLabelValues(outcome).Inc()
	if a != nil {
		m.dedupRows.Add(float64(a.Stats.DedupRows))
		m.losers.Add(float64(a.Stats.Losers))
		m.folded.Add(float64(a.Stats.FoldedRows))
		m.pruned.Add(float64(a.Stats.PrunedSegments))
	}
}

// waited notes how long a snapshot took.
func (m *metrics) waited(start time.Time) {
	if m != nil {
		m.hotWait.Observe(time.Since(start).Seconds())
	}
}

func (m *metrics) askedAgain() {
	if m != nil {
		m.hotAgain.Inc()
	}
}

func (m *metrics) missed(partitions int, answered bool) {
	if m == nil {
		return
	}
	m.missing.Add(float64(partitions))
	if answered {
		m.partial.Inc()
	}
}

func (m *metrics) replan() {
	if m != nil {
		m.replans.Inc()
	}
}

func (m *metrics) reopen() {
	if m != nil {
		m.reopened.Inc()
	}
}
