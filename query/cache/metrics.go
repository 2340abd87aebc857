package cache

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the cache does. A nil *Metrics counts nothing.
type Metrics struct {
	hits, fetches, corruptions, evictions prometheus.Counter
	fetchedBytes                          prometheus.Counter
	bytes                                 prometheus.Gauge
}

// NewMetrics registers the cache's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "drumlin_query_cache_" + name, Help: help})
	}
	m := &Metrics{
		hits:         counter("hits_total", "Segments that were there and verified."),
		fetches:      counter("fetches_total", "Segments fetched from the object store."),
		fetchedBytes: counter("fetched_bytes_total", "Bytes fetched from the object store."),
		corruptions:  counter("corruptions_total", "Files or replies that did not match their checksum."),
		evictions:    counter("evictions_total", "Files removed to keep the budget."),
		bytes:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "drumlin_query_cache_bytes", Help: "Bytes on disk."}),
	}
	r.MustRegister(m.hits, m.fetches, m.fetchedBytes, m.corruptions, m.evictions, m.bytes)
	return m
}

func (m *Metrics) hit() {
	if m != nil {
		m.hits.Inc()
	}
}

func (m *Metrics) fetched(n int64) {
	if m != nil {
		m.fetches.Inc()
		m.fetchedBytes.Add(float64(n))
	}
}

func (m *Metrics) corrupt() {
	if m != nil {
		m.corruptions.Inc()
	}
}

func (m *Metrics) evicted() {
	if m != nil {
		m.evictions.Inc()
	}
}

func (m *Metrics) size(n int64) {
	if m != nil {
		m.bytes.Set(float64(n))
	}
}
