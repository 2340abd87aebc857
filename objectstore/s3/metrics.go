package s3

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests as they are sent, each attempt by itself. A nil *metrics counts nothing.
type metrics struct {
	requests                *prometheus.CounterVec
	retries                 *prometheus.CounterVec
	seconds                 *prometheus.HistogramVec
	readBytes, writtenBytes prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drumlin_objectstore_requests_total", Help: "Requests to the object store, each attempt by itself.",
		}, []string{"verb", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drumlin_objectstore_retries_total", Help: "Requests to the object store that were repeated.",
		}, []string{"verb"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "drumlin_objectstore_request_seconds", Help: "Time of a request to the object store; of a get, to its beginning.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 15),
		}, []string{"verb"}),
		readBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drumlin_objectstore_read_bytes_total", Help: "Bytes of objects that arrived from the object store.",
		}),
		writtenBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drumlin_objectstore_written_bytes_total", Help: "Bytes of objects that the object store took.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.retries, m.seconds, m.readBytes, m.writtenBytes} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) request(verb string, result outcome, took time.Duration) {
	if m != nil {
		m.requests.WithLabelValues(verb, string(result)).Inc()
		m.seconds.WithLabelValues(verb).Observe(took.Seconds())
	}
}

func (m *metrics) retry(verb string) {
	if m != nil {
		m.retries.WithLabelValues(verb).Inc()
	}
}

func (m *metrics) read(n int64) {
	if m != nil {
		m.readBytes.Add(float64(n))
	}
}

func (m *metrics) written(n int64) {
	if m != nil {
		m.writtenBytes.Add(float64(n))
	}
}
