package peer

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/segment"
)

// cacheMetrics counts what the cache of hot rows spares. A nil *cacheMetrics counts nothing.
type cacheMetrics struct {
	bytes                                  prometheus.Gauge
	rows, answers, evictions, disagreement prometheus.Counter
}

func newCacheMetrics(r prometheus.Registerer) (*cacheMetrics, error) {
	if r == nil {
		return nil, nil
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "drumlin_peer_hot_cache_" + name, Help: help})
	}
	m := &cacheMetrics{
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "drumlin_peer_hot_cache_bytes", Help: "Bytes of hot rows of other processes that are kept between queries.",
		}),
		rows:         counter("saved_offsets_total", "Offsets whose rows were held already and did not go over the wire again."),
		answers:      counter("shared_total", "Requests that another one, made at the same time, has answered."),
		evictions:    counter("evictions_total", "Partitions whose rows were dropped for want of room."),
		disagreement: counter("mismatches_total", "Partitions whose rows were dropped since their owner counted others: a defect."),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.bytes, m.rows, m.answers, m.evictions, m.disagreement} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *cacheMetrics) holds(bytes int64) {
	if m != nil {
		m.bytes.Set(float64(bytes))
	}
}

// served notes a request of which everything below since was held.
func (m *cacheMetrics) served(r segment.HotRequest, since int64) {
	if m != nil {
		m.rows.Add(float64(since - r.From))
	}
}

func (m *cacheMetrics) shared() {
	if m != nil {
		m.answers.Inc()
	}
}

func (m *cacheMetrics) evicted() {
	if m != nil {
		m.evictions.Inc()
	}
}

func (m *cacheMetrics) mismatched() {
	if m != nil {
		m.disagreement.Inc()
	}
}
