package consumer

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/segment"
)

// metrics count what happens. Those that Druid has too have Druid's names, with underscores for slashes. A nil *metrics counts nothing.
type metrics struct {
	processed, unparseable, duplicate, handoffs, handoffFailed *prometheus.CounterVec
	handoffTime                                                *prometheus.HistogramVec
	handoffRows, handoffBytes                                  *prometheus.CounterVec
}

var partitionLabels = []string{"supervisor", "topic", "partition"}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, partitionLabels)
	}
	m := &metrics{
		processed:     counter("ingest_events_processed", "Records read into rows."),
		unparseable:   counter("ingest_events_unparseable", "Records rejected, for whatever reason."),
		duplicate:     counter("ingest_events_duplicate", "Copies found inside the range of one handoff."),
		handoffs:      counter("ingest_handoff_count", "Handoffs committed."),
		handoffFailed: counter("ingest_handoff_failed", "Failed attempts to hand off, each of which was repeated or ended the worker."),
		handoffRows:   counter("drumlin_ingest_handoff_rows_total", "Rows and rejects in committed handoffs."),
		handoffBytes:  counter("drumlin_ingest_handoff_bytes_total", "Bytes of the segments of committed handoffs."),
		handoffTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ingest_handoff_time", Help: "Seconds from the cut of a handoff to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 10),
		}, partitionLabels),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.processed, m.unparseable, m.duplicate, m.handoffs, m.handoffFailed, m.handoffRows, m.handoffBytes, m.handoffTime,
	} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func labels(k catalog.PartitionKey) []string {
	return []string{k.Supervisor, k.Topic, strconv.Itoa(int(k.Partition))}
}

func (m *metrics) read(k catalog.PartitionKey, rows, rejects int64) {
	if m == nil {
		return
	}
	m.processed.WithLabelValues(labels(k)...).Add(float64(rows))
	m.unparseable.WithLabelValues(labels(k)...).Add(float64(rejects))
}

func (m *metrics) handedOff(k catalog.PartitionKey, c segment.Counters, segments []segment.Meta, took time.Duration) {
	if m == nil {
		return
	}
	var bytes int64
	for i := range segments {
		bytes += segments[i].Bytes
	}
	m.handoffRows.WithLabelValues(labels(k)...).Add(float64(c.Stored + c.Rejected))
	m.handoffBytes.WithLabelValues(labels(k)...).Add(float64(bytes))
	m.handoffs.WithLabelValues(labels(k)...).Inc()
	m.duplicate.WithLabelValues(labels(k)...).Add(float64(c.Duplicates))
	m.handoffTime.WithLabelValues(labels(k)...).Observe(took.Seconds())
}

func (m *metrics) failedHandoff(k catalog.PartitionKey) {
	if m != nil {
		m.handoffFailed.WithLabelValues(labels(k)...).Inc()
	}
}
